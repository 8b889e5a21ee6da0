#include "base/random.h"
#include "command/bits.h"
#include "support/test.h"

#include <string.h>

#define BYTES_MAX 200

/* The slow and obvious way, one bit at a time. */
static bool bit_of(const char *bytes, uint64_t at)
{
    return (((unsigned char)bytes[at / 8] >> (7 - at % 8)) & 1) != 0;
}

static void fill(struct random *random, char *bytes, size_t len)
{
    /* Long stretches of equal bits too, which searches skip by the word. */
    uint64_t kind = random_below(random, 4);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)(kind == 0 ? 0x00 : kind == 1 ? 0xff : random_next(random));
    }
    if (kind < 2 && len > 0) {
        bytes[random_below(random, len)] ^= (char)(1u << random_below(random, 8));
    }
}

static void counts_and_positions_agree_with_the_slow_way(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 7);
    char bytes[BYTES_MAX];
    for (int round = 0; round < 20000; round++) {
        size_t len = 1 + (size_t)random_below(&random, BYTES_MAX);
        fill(&random, bytes, len);
        uint64_t first = random_below(&random, len * 8);
        uint64_t last = first + random_below(&random, len * 8 - first);
        uint64_t count = 0;
        int64_t found[2] = {-1, -1};
        for (uint64_t at = first; at <= last; at++) {
            bool bit = bit_of(bytes, at);
            count += bit;
            if (found[bit] < 0) {
                found[bit] = (int64_t)at;
            }
        }
        assert_int_equal(bits_count(bytes_of(bytes, len), first, last), count);
        assert_int_equal(bits_find(bytes_of(bytes, len), first, last, false), found[0]);
        assert_int_equal(bits_find(bytes_of(bytes, len), first, last, true), found[1]);
    }
}

static void what_is_written_is_read_and_nothing_else_changes(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 8);
    for (int round = 0; round < 20000; round++) {
        char bytes[20], before[20];
        fill(&random, bytes, sizeof(bytes));
        memcpy(before, bytes, sizeof(bytes));
        unsigned width = 1 + (unsigned)random_below(&random, 64);
        uint64_t offset = random_below(&random, sizeof(bytes) * 8 - width + 1);
        uint64_t number = random_next(&random);
        bits_write(bytes, offset, width, number);
        uint64_t mask = UINT64_MAX >> (64 - width);
        assert_int_equal(bits_read(bytes_of(bytes, sizeof(bytes)), offset, width),
                         number & mask);
        for (uint64_t at = 0; at < sizeof(bytes) * 8; at++) {
            if (at < offset || at >= offset + width) {
                assert_int_equal(bit_of(bytes, at), bit_of(before, at));
            }
        }
    }
}

static void bits_beyond_the_end_are_zero(void **state)
{
    (void)state;
    assert_int_equal(bits_read(bytes_of(NULL, 0), 0, 64), 0);
    assert_int_equal(bits_read(B("\xff"), 4, 8), 0xf0);
    assert_int_equal(bits_read(B("\xff"), 8, 1), 0);
    assert_int_equal(bits_read(B("\xff"), UINT32_MAX, 63), 0);
}

static unsigned combined(enum bits_operation operation, unsigned old, unsigned new)
{
    switch (operation) {
    case BITS_AND:
        return old & new;
    case BITS_OR:
        return old | new;
    case BITS_XOR:
        return old ^ new;
    default:
        return ~new & 0xff;
    }
}

static void a_shorter_source_counts_as_padded_with_zeros(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 9);
    for (int round = 0; round < 5000; round++) {
        char target[60], before[60], source[60];
        size_t len = (size_t)random_below(&random, sizeof(target) + 1);
        size_t source_len = (size_t)random_below(&random, len + 1);
        fill(&random, target, len);
        fill(&random, source, source_len);
        memcpy(before, target, len);
        enum bits_operation operation = (enum bits_operation)random_below(&random, 4);
        bits_combine(operation, target, len, bytes_of(source, source_len));
        for (size_t i = 0; i < len; i++) {
            unsigned new = i < source_len ? (unsigned char)source[i] : 0;
            assert_int_equal((unsigned char)target[i],
                             combined(operation, (unsigned char)before[i], new));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_and_positions_agree_with_the_slow_way),
        cmocka_unit_test(what_is_written_is_read_and_nothing_else_changes),
        cmocka_unit_test(bits_beyond_the_end_are_zero),
        cmocka_unit_test(a_shorter_source_counts_as_padded_with_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
