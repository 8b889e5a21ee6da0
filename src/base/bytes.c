#include "base/bytes.h"

static unsigned char lower(char c)
{
    unsigned char byte = (unsigned char)c;
    return byte >= 'A' && byte <= 'Z' ? (unsigned char)(byte | 0x20) : byte;
}

bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

bool bytes_is(struct bytes word, const char *string)
{
    return bytes_equal_nocase(word, bytes_of_string(string));
}

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared > 0 ? memcmp(a.data, b.data, shared) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

bool bytes_equal_constant_time(struct bytes given, struct bytes secret)
{
    /* Always walks all of `given`, going round the secret as often as that takes.
     * volatile, so that no compiler leaves the loop at the first difference. */
    volatile unsigned char differs = given.len != secret.len;
    static const char nothing[1];
    struct bytes walked = secret.len > 0 ? secret : bytes_of(nothing, sizeof(nothing));
    for (size_t i = 0; i < given.len; i++) {
        differs |= (unsigned char)(given.data[i] ^ walked.data[i % walked.len]);
    }
    return differs == 0;
}

bool bytes_start_with(struct bytes text, struct bytes prefix)
{
    return text.len >= prefix.len && bytes_equal(bytes_of(text.data, prefix.len), prefix);
}
