#include "base/glob.h"

static unsigned char fold(char c, bool ignore_case)
{
    unsigned char byte = (unsigned char)c;
    return ignore_case && byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte | 0x20)
                                                     : byte;
}

/* Bytes from 0x80 on come before the others, as they do in Redis where char is signed;
 * here that does not depend on the processor. */
static bool in_range(signed char from, signed char to, char c, bool ignore_case)
{
    char low = (char)(from < to ? from : to);
    char high = (char)(from < to ? to : from);
    signed char byte = (signed char)fold(c, ignore_case);
    return byte >= (signed char)fold(low, ignore_case) &&
           byte <= (signed char)fold(high, ignore_case);
}

/* Whether the class whose '[' is at pattern[at] holds c; `end` becomes the place behind
 * it. Redis' readings of the odd ones: a class without ']' goes on to the end of the
 * pattern, "a-]" is a range that ends at ']', and what follows a backslash is taken as it
 * is. */
static bool class_holds(struct bytes pattern, size_t at, char c, bool ignore_case,
                        size_t *end)
{
    const char *p = pattern.data;
    at++;
    bool negated = at < pattern.len && p[at] == '^';
    at += negated;
    bool found = false;
    while (at < pattern.len && p[at] != ']') {
        size_t left = pattern.len - at;
        if (p[at] == '\\' && left >= 2) {
            found |= p[at + 1] == c;
            at += 2;
        } else if (left >= 3 && p[at + 1] == '-') {
            found |= in_range((signed char)p[at], (signed char)p[at + 2], c, ignore_case);
            at += 3;
        } else {
            found |= fold(p[at], ignore_case) == fold(c, ignore_case);
            at++;
        }
    }
    *end = at < pattern.len ? at + 1 : at;
    return found != negated;
}

/* Whether what stands at pattern[at], anything but a star, accepts c; `end` becomes the
 * place behind it. */
static ALWAYS_INLINE bool accepts(struct bytes pattern, size_t at, char c,
                                  bool ignore_case, size_t *end)
{
    char p = pattern.data[at];
    if (p == '[') {
        return class_holds(pattern, at, c, ignore_case, end);
    }
    if (p == '\\' && at + 1 < pattern.len) {
        p = pattern.data[++at];
        *end = at + 1;
        return fold(p, ignore_case) == fold(c, ignore_case);
    }
    *end = at + 1;
    return p == '?' || fold(p, ignore_case) == fold(c, ignore_case);
}

static size_t skip_stars(struct bytes pattern, size_t at)
{
    while (at < pattern.len && pattern.data[at] == '*') {
        at++;
    }
    return at;
}

static ALWAYS_INLINE bool match(struct bytes pattern, struct bytes text, bool ignore_case,
                                size_t *steps)
{
    size_t p = 0, t = 0;
    bool has_star = false;
    size_t after_star = 0; /* in the pattern, behind the last star */
    size_t retry = 0;      /* in the text, where what follows that star was tried last */

    while (t < text.len) {
        if (p < pattern.len && pattern.data[p] == '*') {
            p = skip_stars(pattern, p);
            if (p == pattern.len) {
                return true;
            }
            has_star = true;
            after_star = p;
            retry = t;
            continue;
        }
        if (p < pattern.len) {
            size_t end;
            bool accepted = accepts(pattern, p, text.data[t], ignore_case, &end);
            *steps += end - p;
            if (accepted) {
                p = end;
                t++;
                continue;
            }
        }
        /* Let the last star swallow one byte more. Earlier stars need not move: what
         * stood between them has matched as early as it can. So each place of the text is
         * tried once, and each try reads the pattern at most once. */
        if (!has_star) {
            return false;
        }
        p = after_star;
        t = ++retry;
    }
    return skip_stars(pattern, p) == pattern.len;
}

bool glob_match(struct bytes pattern, struct bytes text, bool ignore_case)
{
    size_t steps = 0;
    return match(pattern, text, ignore_case, &steps);
}

bool glob_match_counted(struct bytes pattern, struct bytes text, bool ignore_case,
                        size_t *steps)
{
    *steps = 0;
    return match(pattern, text, ignore_case, steps);
}

bool glob_is_everything(struct bytes pattern)
{
    return pattern.len > 0 && skip_stars(pattern, 0) == pattern.len;
}
