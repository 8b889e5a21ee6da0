#include "base/nearest.h"

/* No command, option or metric has a longer name; longer words are nobody's slip. */
#define NEAREST_BYTES_MAX 64

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Bytes to add, drop, replace or swap with their neighbour until `a` is `b`, case aside.
 * Three rows of the usual table are enough: a swap looks two rows back. */
static size_t edit_distance(struct bytes a, struct bytes b)
{
    size_t rows[3][NEAREST_BYTES_MAX + 1];
    size_t *two_back = rows[0], *back = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++) {
        two_back[j] = 0; /* read from the third row on, after it was rotated */
        back[j] = j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char at_a = lower(a.data[i - 1]), at_b = lower(b.data[j - 1]);
            row[j] = smaller(back[j - 1] + (at_a != at_b),
                             smaller(back[j] + 1, row[j - 1] + 1));
            bool swapped = i > 1 && j > 1 && at_a == lower(b.data[j - 2]) &&
                           at_b == lower(a.data[i - 2]);
            if (swapped) {
                row[j] = smaller(row[j], two_back[j - 2] + 1);
            }
        }
        size_t *oldest = two_back;
        two_back = back;
        back = row;
        row = oldest;
    }
    return back[b.len];
}

const char *nearest_name(struct bytes given, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t nearest_distance = SIZE_MAX;
    if (given.len > NEAREST_BYTES_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        struct bytes name = bytes_of_string(names[i]);
        if (name.len > NEAREST_BYTES_MAX) {
            continue;
        }
        size_t longer = name.len > given.len ? name.len : given.len;
        size_t distance = edit_distance(given, name);
        if (distance <= smaller(longer / 3, 3) && distance < nearest_distance) {
            nearest = names[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}
