#include "base/hash.h"
#include "base/random.h"
#include "support/test.h"

/* The same hash written a second time, byte by byte and without any trick, for any number
 * of rounds: with 2 and 4 it must give the vectors that its authors published, so with 1
 * and 3 it can be believed. */
static uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static void rounds(uint64_t v[4], int count)
{
    for (int i = 0; i < count; i++) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13);
        v[1] ^= v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16);
        v[3] ^= v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21);
        v[3] ^= v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17);
        v[1] ^= v[2];
        v[2] = rotate(v[2], 32);
    }
}

static uint64_t plain_siphash(uint64_t k0, uint64_t k1, struct bytes bytes,
                              int word_rounds, int last_rounds)
{
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
                     k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
    uint64_t word = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        word |= (uint64_t)(unsigned char)bytes.data[i] << (8 * (i % 8));
        if (i % 8 == 7) {
            v[3] ^= word;
            rounds(v, word_rounds);
            v[0] ^= word;
            word = 0;
        }
    }
    word |= (uint64_t)bytes.len << 56;
    v[3] ^= word;
    rounds(v, word_rounds);
    v[0] ^= word;
    v[2] ^= 0xff;
    rounds(v, last_rounds);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void the_plain_version_gives_the_published_vectors_of_siphash_2_4(void **state)
{
    (void)state;
    /* From the paper: key 00 01 .. 0f, message 00 01 .. 0e; and the first of the
     * tables. */
    char message[15];
    for (int i = 0; i < 15; i++) {
        message[i] = (char)i;
    }
    uint64_t k0 = 0x0706050403020100, k1 = 0x0f0e0d0c0b0a0908;
    assert_int_equal(plain_siphash(k0, k1, bytes_of(message, 15), 2, 4),
                     0xa129ca6149be45e5);
    assert_int_equal(plain_siphash(k0, k1, B(""), 2, 4), 0x726fdb47dd0e0e31);
}

/* CPython from 3.11 on hashes with SipHash-1-3, and PYTHONHASHSEED=0 makes its key zero:
 * hash(b"abc") and so on, modulo 2^64. */
static void a_program_by_others_gives_the_same_hashes(void **state)
{
    (void)state;
    struct hash_seed zero = {0, 0};
    assert_int_equal(hash_bytes(&zero, B("a")), 0x407448d2b89b1813);
    assert_int_equal(hash_bytes(&zero, B("abc")), 0xc03bc3a0042630f2);
    assert_int_equal(hash_bytes(&zero, B("1234567")), 0xa33d651594fdae81);
    assert_int_equal(hash_bytes(&zero, B("12345678")), 0x3489982430560a87);
    assert_int_equal(hash_bytes(&zero, B("the quick brown fox")), 0x5a17575ad3449cba);
}

static void hashes_are_siphash_1_3_at_every_length_and_alignment(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    char data[200];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)random_next(&random);
    }
    for (size_t from = 0; from < 8; from++) {
        for (size_t len = 0; len + from <= sizeof(data); len++) {
            struct hash_seed seed = {random_next(&random), random_next(&random)};
            struct bytes bytes = bytes_of(data + from, len);
            assert_int_equal(hash_bytes(&seed, bytes),
                             plain_siphash(seed.k0, seed.k1, bytes, 1, 3));
        }
    }
}

static void nothing_outside_the_bytes_is_read(void **state)
{
    (void)state;
    struct hash_seed seed = {1, 2};
    char data[64];
    for (size_t len = 0; len < 40; len++) {
        memset(data, 'a', sizeof(data));
        uint64_t before = hash_bytes(&seed, bytes_of(data + 8, len));
        memset(data, 'b', 8);
        memset(data + 8 + len, 'b', sizeof(data) - 8 - len);
        assert_int_equal(hash_bytes(&seed, bytes_of(data + 8, len)), before);
    }
}

static void nothing_has_a_hash_too(void **state)
{
    (void)state;
    struct hash_seed seed = {0, 0};
    assert_int_equal(hash_bytes(&seed, bytes_of(NULL, 0)),
                     plain_siphash(0, 0, B(""), 1, 3));
}

static void each_bit_of_the_seed_and_of_the_length_matters(void **state)
{
    (void)state;
    struct hash_seed seed = {0, 0};
    uint64_t hash = hash_bytes(&seed, B("key"));
    for (int bit = 0; bit < 64; bit++) {
        struct hash_seed left = {(uint64_t)1 << bit, 0}, right = {0, (uint64_t)1 << bit};
        assert_true(hash_bytes(&left, B("key")) != hash);
        assert_true(hash_bytes(&right, B("key")) != hash);
    }
    assert_true(hash_bytes(&seed, B("key\0")) != hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plain_version_gives_the_published_vectors_of_siphash_2_4),
        cmocka_unit_test(a_program_by_others_gives_the_same_hashes),
        cmocka_unit_test(hashes_are_siphash_1_3_at_every_length_and_alignment),
        cmocka_unit_test(nothing_outside_the_bytes_is_read),
        cmocka_unit_test(nothing_has_a_hash_too),
        cmocka_unit_test(each_bit_of_the_seed_and_of_the_length_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
