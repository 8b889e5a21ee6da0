#include "base/hash.h"

#include <endian.h>

/* SipHash with one round for each word and three at the end, by Aumasson and
 * Bernstein. */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static ALWAYS_INLINE uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static ALWAYS_INLINE void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static ALWAYS_INLINE void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static ALWAYS_INLINE uint64_t load64(const char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    return le64toh(word);
}

static ALWAYS_INLINE uint64_t load32(const char *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof(word));
    return le32toh(word);
}

/* The last `len % 8` bytes, the first of them lowest. Loads that overlap bring the same
 * bits to the same place twice, and save the loop. */
static ALWAYS_INLINE uint64_t load_tail(const char *data, size_t len)
{
    size_t left = len % 8;
    if (left == 0) {
        return 0;
    }
    if (len >= 8) {
        return load64(data + len - 8) >> (64 - 8 * left);
    }
    if (len >= 4) {
        return load32(data) | load32(data + len - 4) << (8 * (len - 4));
    }
    uint64_t first = (unsigned char)data[0];
    uint64_t middle = (unsigned char)data[len / 2];
    uint64_t last = (unsigned char)data[len - 1];
    return first | middle << (8 * (len / 2)) | last << (8 * (len - 1));
}

uint64_t hash_bytes(const struct hash_seed *seed, struct bytes bytes)
{
    /* "somepseudorandomlygeneratedbytes" */
    struct sip s = {
        .v0 = seed->k0 ^ 0x736f6d6570736575,
        .v1 = seed->k1 ^ 0x646f72616e646f6d,
        .v2 = seed->k0 ^ 0x6c7967656e657261,
        .v3 = seed->k1 ^ 0x7465646279746573,
    };
    size_t whole = bytes.len / 8 * 8;
    for (size_t at = 0; at < whole; at += 8) {
        sip_word(&s, load64(bytes.data + at));
    }
    sip_word(&s, load_tail(bytes.data, bytes.len) | (uint64_t)bytes.len << 56);
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
