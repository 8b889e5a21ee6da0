#include "base/glob.h"
#include "base/random.h"
#include "support/test.h"

struct row {
    struct bytes pattern, text;
    bool matches;
};

#define YES(p, t)                \
    {                            \
        BYTES(p), BYTES(t), true \
    }
#define NO(p, t)                  \
    {                             \
        BYTES(p), BYTES(t), false \
    }

static void patterns_match_as_in_redis(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* Literals. */
        YES("abc", "abc"),
        NO("abc", "abd"),
        NO("abc", "ab"),
        NO("ab", "abc"),
        YES("", ""),
        NO("", "a"),
        NO("a", ""),
        NO("abc", "ABC"),
        YES("a\0b", "a\0b"),
        NO("a\0b", "a\0c"),
        /* ? is one byte, whichever. */
        YES("a?c", "abc"),
        NO("a?c", "ac"),
        NO("?", ""),
        YES("?", "\0"),
        NO("?", "ab"),
        /* * is any number of bytes. */
        YES("*", "abc"),
        YES("*", ""),
        YES("**", ""),
        YES("a*", "a"),
        YES("a**", "a"),
        YES("*a", "a"),
        NO("*a", "b"),
        YES("*a*", "bab"),
        YES("a*c", "abbbc"),
        NO("a*c", "abbb"),
        YES("user:*:name", "user:1:2:name"),
        NO("a*?", "a"),
        YES("a*?", "ab"),
        YES("*ab*cd", "abxabcdcd"),
        YES("*aab", "aaaab"),
        NO("*a*b*c", "acb"),
        YES("*\0*", "a\0b"),
        /* Classes. */
        YES("[abc]", "b"),
        NO("[abc]", "d"),
        NO("[abc]", ""),
        YES("[a-c]", "b"),
        NO("[a-c]", "d"),
        YES("[c-a]", "b"),
        YES("[^a]", "b"),
        NO("[^a]", "a"),
        YES("[^a-c]x", "dx"),
        YES("h[ae]llo*", "hello world"),
        YES("[0-9][0-9]", "42"),
        YES("*[0-9]x", "a77x"),
        YES("[a^]", "^"),
        NO("[a^]", "b"),
        YES("[\x80-\xff]", "\xc3"),
        /* A backslash takes away the meaning of the next byte. */
        YES("\\*", "*"),
        NO("\\*", "a"),
        YES("\\?", "?"),
        YES("\\[a]", "[a]"),
        YES("a\\bc", "abc"),
        YES("\\\\", "\\"),
        YES("[\\]]", "]"),
        YES("[\\^a]", "^"),
        YES("[a\\-c]", "-"),
        NO("[a\\-c]", "b"),
        /* At the end of the pattern it stands for itself. */
        YES("a\\", "a\\"),
        NO("a\\", "a"),
        YES("[\\", "\\"),
        YES("[a\\", "\\"),
        /* A class that is not closed goes on to the end. */
        YES("[abc", "c"),
        NO("[abc", "d"),
        YES("[^", "x"),
        NO("[", "["),
        NO("[]", "]"),
        NO("[]", "a"),
        YES("[^]", "a"),
        YES("[a-", "-"),
        YES("[a-", "a"),
        NO("[]a]", "a"),
        YES("*[ab", "xxa"),
        NO("[a*", "ab"),
        YES("[a*", "*"),
        /* A range may end in what would close the class. */
        YES("[a-]", "]"),
        YES("[a-]", "^"),
        NO("[a-]", "-"),
        YES("[a-]]", "_"),
        NO("[a-]]", "_]"),
        YES("[--0]", "/"),
        NO("[---", "."),
        YES("[---", "-"),
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        if (glob_match(row->pattern, row->text, false) != row->matches) {
            fail_msg("%s %s %s", row->pattern.data, row->matches ? "misses" : "matches",
                     row->text.data);
        }
    }
}

static void letters_match_in_both_cases_when_asked_to(void **state)
{
    (void)state;
    static const struct row rows[] = {
        YES("MaxMemory*", "maxmemory-policy"),
        YES("[A-C]", "b"),
        YES("[a-c]", "B"),
        YES("[abC]", "c"),
        NO("[abc]", "D"),
        YES("\\a", "A"),
        NO("@", "`"),
        /* As Redis: an escaped byte of a class keeps its case. */
        NO("[\\a]", "A"),
        YES("[\\a]", "a"),
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(glob_match(rows[i].pattern, rows[i].text, true),
                         rows[i].matches);
    }
}

/* What a token means is asked of glob.c with the token alone; how tokens and stars line
 * up with a text is tried here in every way there is. */
static size_t token_len(struct bytes pattern)
{
    const char *p = pattern.data;
    if (p[0] == '\\') {
        return pattern.len >= 2 ? 2 : 1;
    }
    if (p[0] != '[') {
        return 1;
    }
    size_t at = pattern.len > 1 && p[1] == '^' ? 2 : 1;
    while (at < pattern.len && p[at] != ']') {
        bool is_escape = p[at] == '\\' && at + 1 < pattern.len;
        bool is_range = at + 2 < pattern.len && p[at + 1] == '-';
        at += is_escape ? 2 : is_range ? 3 : 1;
    }
    return at < pattern.len ? at + 1 : at;
}

static struct bytes rest(struct bytes bytes, size_t from)
{
    return bytes_of(bytes.data + from, bytes.len - from);
}

static bool matches_somehow(struct bytes pattern, struct bytes text)
{
    if (pattern.len == 0) {
        return text.len == 0;
    }
    if (pattern.data[0] == '*') {
        return matches_somehow(rest(pattern, 1), text) ||
               (text.len > 0 && matches_somehow(pattern, rest(text, 1)));
    }
    size_t len = token_len(pattern);
    return text.len > 0 &&
           glob_match(bytes_of(pattern.data, len), bytes_of(text.data, 1), false) &&
           matches_somehow(rest(pattern, len), rest(text, 1));
}

static struct bytes draw(struct random *random, const char *alphabet, char *into,
                         size_t max)
{
    size_t len = random_below(random, max + 1);
    for (size_t i = 0; i < len; i++) {
        into[i] = alphabet[random_below(random, strlen(alphabet))];
    }
    return bytes_of(into, len);
}

static void one_star_at_a_time_finds_what_trying_everything_finds(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 11);
    int matched = 0;
    for (int i = 0; i < 100000; i++) {
        char pattern_data[10], text_data[8];
        struct bytes pattern = draw(&random, "aab**?[]^-\\", pattern_data, 10);
        struct bytes text = draw(&random, "aaab]-\\", text_data, 8);
        bool matches = glob_match(pattern, text, false);
        assert_int_equal(matches, matches_somehow(pattern, text));
        matched += matches;
    }
    assert_true(matched > 1000); /* or the patterns above would prove little */
}

/* Patterns that cost 2^n where each star tries everything: here never more steps than the
 * length of the pattern times that of the text. */
static void matching_is_bounded_by_pattern_times_text(void **state)
{
    (void)state;
    char text_data[4096], pattern_data[1024];
    memset(text_data, 'a', sizeof(text_data));
    for (size_t i = 0; i + 1 < sizeof(pattern_data); i += 2) {
        memcpy(pattern_data + i, "a*", 2);
    }
    pattern_data[sizeof(pattern_data) - 1] = 'b';
    struct bytes patterns[] = {
        B("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"), B("*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
        B("*[^b][^b][^b]*[^b][^b][^b]*[b]"), B("a*\\a*\\a*\\a*\\a*\\a*\\a*\\b"),
        bytes_of(pattern_data, sizeof(pattern_data))};
    struct bytes text = bytes_of(text_data, sizeof(text_data));
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        size_t steps;
        assert_false(glob_match_counted(patterns[i], text, false, &steps));
        assert_in_range(steps, 1, patterns[i].len * text.len);
    }

    struct random random;
    random_init(&random, 12);
    for (int i = 0; i < 20000; i++) {
        struct bytes pattern = draw(&random, "aab**?[]^-\\", pattern_data, 30);
        struct bytes some = draw(&random, "aaab", text_data, 60);
        size_t steps;
        bool matches = glob_match_counted(pattern, some, false, &steps);
        assert_int_equal(matches, glob_match(pattern, some, false));
        assert_in_range(steps, 0, pattern.len * some.len);
    }
}

static void everything_is_matched_by_stars_alone(void **state)
{
    (void)state;
    assert_true(glob_is_everything(B("*")));
    assert_true(glob_is_everything(B("***")));
    assert_false(glob_is_everything(B("")));
    assert_false(glob_is_everything(B("*?")));
    assert_false(glob_is_everything(B("\\*")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_in_redis),
        cmocka_unit_test(letters_match_in_both_cases_when_asked_to),
        cmocka_unit_test(one_star_at_a_time_finds_what_trying_everything_finds),
        cmocka_unit_test(matching_is_bounded_by_pattern_times_text),
        cmocka_unit_test(everything_is_matched_by_stars_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
