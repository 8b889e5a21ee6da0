#include "base/ttl_clock.h"

#include "base/clock.h"

#include <stdbool.h>

#define NS_PER_MS 1000000

/* A wall clock that is ahead by more than this was set: it is followed. */
#define JUMP_MS 1000

/* No time on a disk is believed beyond this, so that adding to it cannot overflow. */
#define NEWEST_MS_MAX (INT64_MAX / 2)

#define FULL_SPEED 10 /* tenths */
#define SLOW_SPEED 9

/* One reading of what the clock is made of. */
struct setting {
    int64_t base_ms;
    uint64_t base_ns;
    uint32_t tenths;
};

/* What the clock has advanced since its base, in nanoseconds. */
static uint64_t advanced_ns(const struct setting *setting, uint64_t now_ns)
{
    uint64_t elapsed_ns = now_ns > setting->base_ns ? now_ns - setting->base_ns : 0;
    return setting->tenths == FULL_SPEED
               ? elapsed_ns
               : elapsed_ns / FULL_SPEED * setting->tenths +
                     elapsed_ns % FULL_SPEED * setting->tenths / FULL_SPEED;
}

/* Loads and stores that acquire and release, instead of fences, keep the order that a sequence
 * lock needs: a reader's second look at the sequence stays behind what it has read, a
 * writer's odd number in front of what it changes. The boot clock is read in between, so that
 * a setting is never used with a moment at which it was not in force. */
int64_t ttl_clock_ms(const struct ttl_clock *clock)
{
    for (;;) {
        uint32_t before = atomic_load_explicit(&clock->sequence, memory_order_acquire);
        struct setting setting = {
            .base_ms = atomic_load_explicit(&clock->base_ms, memory_order_acquire),
            .base_ns = atomic_load_explicit(&clock->base_ns, memory_order_acquire),
            .tenths = atomic_load_explicit(&clock->tenths, memory_order_acquire),
        };
        uint64_t now_ns = clock_boot_ns();
        uint32_t after = atomic_load_explicit(&clock->sequence, memory_order_acquire);
        if (before == after && before % 2 == 0) {
            return setting.base_ms + (int64_t)(advanced_ns(&setting, now_ns) / NS_PER_MS);
        }
    }
}

/* The one thread that changes the clock needs no second look. */
static struct setting setting_of(const struct ttl_clock *clock)
{
    return (struct setting){
        .base_ms = atomic_load_explicit(&clock->base_ms, memory_order_relaxed),
        .base_ns = atomic_load_explicit(&clock->base_ns, memory_order_relaxed),
        .tenths = atomic_load_explicit(&clock->tenths, memory_order_relaxed),
    };
}

static void setting_begin(struct ttl_clock *clock)
{
    uint32_t sequence = atomic_load_explicit(&clock->sequence, memory_order_relaxed);
    atomic_store_explicit(&clock->sequence, sequence + 1, memory_order_relaxed);
}

static void setting_end(struct ttl_clock *clock, const struct setting *setting)
{
    uint32_t sequence = atomic_load_explicit(&clock->sequence, memory_order_relaxed);
    atomic_store_explicit(&clock->base_ms, setting->base_ms, memory_order_release);
    atomic_store_explicit(&clock->base_ns, setting->base_ns, memory_order_release);
    atomic_store_explicit(&clock->tenths, setting->tenths, memory_order_release);
    atomic_store_explicit(&clock->sequence, sequence + 1, memory_order_release);
}

void ttl_clock_init(struct ttl_clock *clock, int64_t newest_ms)
{
    int64_t wall_ms = clock_wall_ms();
    if (newest_ms > NEWEST_MS_MAX) {
        newest_ms = NEWEST_MS_MAX;
    }
    atomic_init(&clock->sequence, 0);
    atomic_init(&clock->base_ms, wall_ms > newest_ms ? wall_ms : newest_ms);
    atomic_init(&clock->base_ns, clock_boot_ns());
    atomic_init(&clock->tenths, FULL_SPEED);
}

/* Goes on from where it is, at another speed. What it has advanced beyond its last full
 * millisecond is kept, rounded up, or many changes would add up to a delay. */
static void set_speed(struct ttl_clock *clock, uint32_t tenths)
{
    struct setting setting = setting_of(clock);
    setting_begin(clock);
    uint64_t now_ns =
        clock_boot_ns(); /* when readers can no longer use the old setting */
    uint64_t done_ns = advanced_ns(&setting, now_ns);
    uint64_t rest_ns = done_ns % NS_PER_MS;
    setting.base_ms += (int64_t)(done_ns / NS_PER_MS);
    setting.base_ns = now_ns - (rest_ns * FULL_SPEED + tenths - 1) / tenths;
    setting.tenths = tenths;
    setting_end(clock, &setting);
}

/* Goes on from the wall clock; how many milliseconds that is further. Both clocks are read
 * while no reader gets an answer: whatever was answered before is not behind the new base. */
static int64_t set_forth(struct ttl_clock *clock)
{
    struct setting setting = setting_of(clock);
    setting_begin(clock);
    uint64_t now_ns = clock_boot_ns();
    int64_t wall_ms = clock_wall_ms();
    int64_t clock_ms =
        setting.base_ms + (int64_t)(advanced_ns(&setting, now_ns) / NS_PER_MS);
    int64_t behind_ms = wall_ms - clock_ms;
    if (behind_ms > 0) { /* not if the wall clock was set back again just now */
        setting = (struct setting){wall_ms, now_ns, FULL_SPEED};
    }
    setting_end(clock, &setting);
    return behind_ms > 0 ? behind_ms : 0;
}

int64_t ttl_clock_follow(struct ttl_clock *clock)
{
    int64_t clock_ms = ttl_clock_ms(clock);
    int64_t wall_ms =
        clock_wall_ms(); /* read second: time that passes is no lead of ours */
    if (wall_ms - clock_ms > JUMP_MS) {
        return set_forth(clock);
    }
    uint32_t tenths = wall_ms < clock_ms ? SLOW_SPEED : FULL_SPEED;
    if (tenths != setting_of(clock).tenths) {
        set_speed(clock, tenths);
    }
    return 0;
}
