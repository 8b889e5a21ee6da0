/* glyph.h - what one character does on a terminal: how many bytes it has, how many cells
 * it takes, and whether it may be printed at all.
 *
 * Needs setlocale(LC_CTYPE): where the locale is not UTF-8, nothing beyond ASCII is
 * printable, because such a terminal may take a byte of it for the beginning of a
 * command. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

struct glyph {
    uint32_t code; /* of an invalid byte: the byte */
    unsigned bytes;
    unsigned cells; /* 0 for what combines with the character before */
    bool is_valid;  /* it is UTF-8 */
    bool is_printable;
};

/* Strict: no overlong forms, no surrogates. 0: no character begins here. */
static inline unsigned glyph_decode(const unsigned char *at, size_t left, uint32_t *code)
{
    unsigned char lead = at[0];
    unsigned bytes = lead < 0x80   ? 1
                     : lead < 0xc2 ? 0
                     : lead < 0xe0 ? 2
                     : lead < 0xf0 ? 3
                     : lead < 0xf5 ? 4
                                   : 0;
    if (bytes == 0 || bytes > left) {
        return 0;
    }
    uint32_t value = bytes == 1 ? lead : lead & (0x7fU >> bytes);
    for (unsigned i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (at[i] & 0x3fU);
    }
    if ((bytes == 3 && (value < 0x800 || (value >= 0xd800 && value < 0xe000))) ||
        (bytes == 4 && (value < 0x10000 || value > 0x10ffff))) {
        return 0;
    }
    *code = value;
    return bytes;
}

/* Characters that change how those around them look, or that nobody sees: a text with
 * them may show something else than it is. */
static inline bool glyph_deceives(uint32_t code)
{
    return code == 0x00ad || code == 0x061c || code == 0x180e || code == 0x200b ||
           code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
           (code >= 0xfff9 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe007f);
}

/* The character at `at` < text.len. */
static inline struct glyph glyph_at(struct bytes text, size_t at)
{
    const unsigned char *here = (const unsigned char *)text.data + at;
    struct glyph glyph = {.code = *here, .bytes = 1};
    unsigned bytes = glyph_decode(here, text.len - at, &glyph.code);
    if (bytes == 0) {
        return glyph;
    }
    glyph.bytes = bytes;
    glyph.is_valid = true;
    if (glyph.code < 0x80) {
        glyph.is_printable = glyph.code >= 0x20 && glyph.code < 0x7f;
        glyph.cells = glyph.is_printable;
        return glyph;
    }
    int cells = wcwidth((wchar_t)glyph.code);
    glyph.is_printable = cells >= 0 && !glyph_deceives(glyph.code);
    glyph.cells = glyph.is_printable ? (unsigned)cells : 0;
    return glyph;
}
