/* expiry.h - a hierarchical timing wheel: which keys are due, without sampling.
 *
 * A filing is 3 bytes: the mark of a key (table.h), in the slot of a tick (EXPIRY_TICK_MS).
 * When the tick comes the entries with that mark are looked up: due ones go, others are filed
 * again at their own deadline. A slot of a higher level covers many ticks; when the first of
 * them comes its filings are handed out the same way and filed again one level lower.
 *
 * An entry has one live filing and knows its tick (entry.h, `filed_tick`), which is never
 * after its deadline's tick. So a later deadline files nothing (the early filing will file it
 * again), and an earlier one, or a removal, leaves a stale filing behind, dropped when met.
 * When stale ones outnumber the live, everything moves to a second wheel: a filing there is
 * made for each entry that still says it is in the old one. The same move follows a wall
 * clock that was set back.
 *
 * Thread: the holder of the shard's lock. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "store/slab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPIRY_TICK_MS 100
/* Filings that are handed out at once: what one block holds. */
#define EXPIRY_BATCH 20

struct expiry; /* in expiry.c; the wheels' slots are blocks of the slab */

MUST_USE enum memento_status expiry_create(struct expiry **expiry, struct slab *slab,
                                           int64_t now_ms);
void expiry_destroy(struct expiry *expiry); /* accepts NULL */
/* Forgets every filing without freeing blocks: the slab was cleared. */
void expiry_clear(struct expiry *expiry);

/* The first tick at or after the time: what a deadline is filed at. */
uint64_t expiry_tick_of(int64_t deadline_ms);
/* The wheel (0 or 1) that new filings go to. */
uint8_t expiry_wheel(const struct expiry *expiry);
/* ERR_NO_MEMORY: nothing filed. */
MUST_USE enum memento_status expiry_file(struct expiry *expiry, uint32_t mark,
                                         uint64_t tick);

/* Filings taken from one list of a wheel. Those of an entry that is filed in that wheel, at a
 * tick before `end_tick`, are live; all others are stale. */
struct expiry_batch {
    uint32_t marks[EXPIRY_BATCH];
    unsigned count;
    uint8_t wheel;
    uint64_t end_tick;
    bool is_moving;
};
/* Advances to `now_ms` and takes filings whose tick has come; false when none is left. */
MUST_USE bool expiry_take_due(struct expiry *expiry, int64_t now_ms,
                              struct expiry_batch *batch);
/* Puts marks[from..count) of the batch taken last back to where they came from. Never fails. */
void expiry_put_back(struct expiry *expiry, const struct expiry_batch *batch,
                     unsigned from);
/* Whether an entry's filing is among those of the batch. */
bool expiry_is_live(const struct expiry_batch *batch, uint8_t wheel, int64_t deadline_ms,
                    bool has_filed, uint32_t filed_tick);

/* Starts a move to the other wheel when there are far more filings than `live` entries with a
 * deadline, and none is under way. */
void expiry_move_if_stale(struct expiry *expiry, size_t live);
bool expiry_is_moving(const struct expiry *expiry);
/* Takes filings off the old wheel; false, and the move has ended, when none is left. */
MUST_USE bool expiry_take_moving(struct expiry *expiry, struct expiry_batch *batch);

/* Live and stale. */
size_t expiry_filings(const struct expiry *expiry);
/* Whether the wheel has passed this tick for certain, so that nothing may be filed at it. */
bool expiry_has_passed(const struct expiry *expiry, uint64_t tick);

/* Tests: CHECKs counts and bitmaps; the number of blocks in use. */
size_t expiry_verify(const struct expiry *expiry);
/* Tests: a filing with this mark lies where an entry filed at `tick` looks for it, or at
 * another tick with the same low half. `list` comes from expiry_list (heap_free it; NULL
 * without memory). */
MUST_USE uint64_t *expiry_list(const struct expiry *expiry, size_t *count);
bool expiry_is_listed(const struct expiry *expiry, const uint64_t *list, size_t count,
                      uint32_t mark, uint8_t wheel, uint64_t tick, bool is_low_half);
