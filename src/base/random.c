#include "base/random.h"

#include "base/check.h"
#include "base/os.h"

#include <errno.h>
#include <sys/random.h>

enum memento_status random_bytes(void *data, size_t size)
{
    if (os_must_fail(OS_RANDOM)) {
        return MEMENTO_ERR_IO;
    }
    for (size_t filled = 0; filled < size;) {
        ssize_t got = getrandom((char *)data + filled, size - filled, 0);
        if (got < 0 && errno != EINTR) {
            return MEMENTO_ERR_IO;
        }
        filled += got > 0 ? (size_t)got : 0;
    }
    return MEMENTO_OK;
}

static uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

/* SplitMix64: spreads a seed like 1 or 2 over all the bits of the state. */
static uint64_t spread(uint64_t *seed)
{
    *seed += 0x9e3779b97f4a7c15;
    uint64_t word = *seed;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
}

void random_init(struct random *random, uint64_t seed)
{
    random->state[0] = spread(&seed);
    random->state[1] = spread(&seed);
}

/* xoroshiro128++ by Blackman and Vigna. */
uint64_t random_next(struct random *random)
{
    uint64_t a = random->state[0];
    uint64_t b = random->state[1];
    uint64_t result = rotate(a + b, 17) + a;
    b ^= a;
    random->state[0] = rotate(a, 49) ^ b ^ b << 21;
    random->state[1] = rotate(b, 28);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    CHECK(bound > 0);
    __extension__ typedef unsigned __int128 uint128;

    /* The upper half of a product is a number below `bound`. Products whose lower half
     * falls into the remainder of 2^64 / bound are drawn again (Lemire), for else the
     * small results would come a little too often. */
    uint128 product = (uint128)random_next(random) * bound;
    if ((uint64_t)product < bound) {
        uint64_t remainder = (0 - bound) % bound;
        while ((uint64_t)product < remainder) {
            product = (uint128)random_next(random) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}
