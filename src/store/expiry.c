/* expiry.c - two wheels of five levels each, and a list of what is too far for them.
 *
 * Ticks are absolute (since 1970), and a filing lies on the level of the highest digit in
 * which its tick differs from the wheel's current one, in the slot of that digit. So a slot
 * above level 0 is always ahead of the current digit of its level, and the first slot of the
 * lowest level that has one is always the next to come. */
#include "store/expiry.h"

#include "base/check.h"
#include "base/heap.h"
#include "store/prefetch.h"
#include "store/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Digits of 8, 6, 6, 6, 6 bits: slots of 0.1 s, 26 s, 27 min, 29 h, 78 days; 13.6 years in
 * all. The first level is wider, because short deadlines are the common ones. */
#define LEVELS       5
#define FIRST_BITS   8
#define DIGIT_BITS   6
#define FIRST_SLOTS  (1u << FIRST_BITS)
#define DIGIT_SLOTS  (1u << DIGIT_BITS)
#define WHEEL_BITS   (FIRST_BITS + (LEVELS - 1) * DIGIT_BITS)
#define SLOT_FAR     (FIRST_SLOTS + (LEVELS - 1) * DIGIT_SLOTS)
#define SLOTS        (SLOT_FAR + 1)
#define FIRST_WORDS  (FIRST_SLOTS / 64)
#define BITMAP_WORDS (FIRST_WORDS + LEVELS - 1)
#define END_NEVER    UINT64_MAX
#define MARK_BYTES   3
#define BLOCK_BYTES  64u
#define BLOCK_SHIFT  6
#define NO_EVENT     UINT64_MAX
#define SLOT_NONE    UINT32_MAX
#define RECENT       64u

/* More filings than twice the live ones, and so many, are worth a move: bounds the memory of
 * stale ones to a small multiple of what is needed, at a constant cost for each. */
#define STALE_SLACK 4096

/* A clock that is set back by less is simply waited for: 1 s. */
#define BACK_TICKS 10

static_assert(DIGIT_SLOTS == 64, "a level above the first has one word of bits");
static_assert(WHEEL_BITS == 32, "the tick of a filing in the wheel is known by 32 bits");

struct block {
    uint8_t marks[EXPIRY_BATCH][MARK_BYTES];
    uint32_t next; /* in units of 64 bytes; 0 = none */
};
static_assert(sizeof(struct block) == BLOCK_BYTES, "a block is a cache line");
static_assert(TABLE_MARK_BITS == 8 * MARK_BYTES, "a mark fits");

/* Filings in blocks: `count` of them in the first, the others are full. */
struct filings {
    uint32_t block;
    uint8_t count;
};

/* A list taken out of its slot, being handed out. */
struct handout {
    struct filings filings;
    uint64_t end_tick;
};

struct wheel {
    uint64_t current; /* no filing is left at a tick before this one */
    uint64_t bits[BITMAP_WORDS];
    uint32_t blocks[SLOTS];
    uint8_t counts[SLOTS];
    size_t filings;
    struct handout due;
    /* Marks handed out of the list in hand, by their low bits. An entry needs one filing in a
     * list, so a second one of the same mark is a left-over. */
    uint32_t recent[RECENT];
};

struct expiry {
    struct slab *slab;
    struct wheel wheels[2];
    struct handout moving; /* a slot of the old wheel */
    size_t blocks_used;
    uint8_t active;
    bool is_moving;
};

uint64_t expiry_tick_of(int64_t deadline_ms)
{
    if (deadline_ms <= 0) {
        return 0;
    }
    return (uint64_t)(deadline_ms / EXPIRY_TICK_MS + (deadline_ms % EXPIRY_TICK_MS != 0));
}

static uint64_t tick_now(int64_t now_ms)
{
    return now_ms <= 0 ? 0 : (uint64_t)(now_ms / EXPIRY_TICK_MS);
}

enum memento_status expiry_create(struct expiry **created, struct slab *slab,
                                  int64_t now_ms)
{
    struct expiry *expiry = heap_alloc_zeroed(1, sizeof(*expiry));
    if (expiry == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    expiry->slab = slab;
    expiry->wheels[0].current = tick_now(now_ms);
    expiry->wheels[1].current = tick_now(now_ms);
    *created = expiry;
    return MEMENTO_OK;
}

void expiry_destroy(struct expiry *expiry)
{
    heap_free(expiry);
}

static void wheel_reset(struct wheel *wheel, uint64_t current)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->current = current;
}

void expiry_clear(struct expiry *expiry)
{
    wheel_reset(&expiry->wheels[0], expiry->wheels[0].current);
    wheel_reset(&expiry->wheels[1], expiry->wheels[1].current);
    expiry->moving = (struct handout){{0, 0}, 0};
    expiry->blocks_used = 0;
    expiry->is_moving = false;
}

uint8_t expiry_wheel(const struct expiry *expiry)
{
    return expiry->active;
}

static struct block *block_at(const struct expiry *expiry, uint32_t block)
{
    return (struct block *)(void *)(expiry->slab->base + ((size_t)block << BLOCK_SHIFT));
}

/* 0 without memory. */
static uint32_t block_create(struct expiry *expiry, uint32_t next)
{
    uint64_t index = slab_alloc(expiry->slab, BLOCK_BYTES);
    if (index == 0) {
        return 0;
    }
    uint32_t block = (uint32_t)(index >> (BLOCK_SHIFT - INDEX_UNIT_SHIFT));
    block_at(expiry, block)->next = next;
    expiry->blocks_used++;
    return block;
}

static void block_destroy(struct expiry *expiry, uint32_t block)
{
    slab_free(expiry->slab, (uint64_t)block << (BLOCK_SHIFT - INDEX_UNIT_SHIFT));
    expiry->blocks_used--;
}

static uint32_t block_mark(const struct block *block, unsigned at)
{
    const uint8_t *bytes = block->marks[at];
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16;
}

static void block_set_mark(struct block *block, unsigned at, uint32_t mark)
{
    for (unsigned i = 0; i < MARK_BYTES; i++) {
        block->marks[at][i] = (uint8_t)(mark >> 8 * i);
    }
}

/* The lowest bit of the tick's digit on a level above the first. */
static unsigned level_shift(unsigned level)
{
    return FIRST_BITS + (level - 1) * DIGIT_BITS;
}

/* Where a tick, not before the current one, lies. */
static uint32_t slot_of(const struct wheel *wheel, uint64_t tick)
{
    uint64_t differs = tick ^ wheel->current;
    if (differs < FIRST_SLOTS) {
        return (uint32_t)(tick & (FIRST_SLOTS - 1));
    }
    if (differs >> WHEEL_BITS != 0) {
        return SLOT_FAR;
    }
    unsigned highest = 63u - (unsigned)__builtin_clzll(differs);
    unsigned level = (highest - FIRST_BITS) / DIGIT_BITS + 1;
    uint32_t digit = (uint32_t)(tick >> level_shift(level)) & (DIGIT_SLOTS - 1);
    return FIRST_SLOTS + (level - 1) * DIGIT_SLOTS + digit;
}

/* The far list has no bit: it is looked at when nothing else is there. */
static void slot_mark_used(struct wheel *wheel, uint32_t slot, bool is_used)
{
    if (slot != SLOT_FAR) {
        uint64_t bit = 1ull << (slot % 64);
        wheel->bits[slot / 64] =
            is_used ? wheel->bits[slot / 64] | bit : wheel->bits[slot / 64] & ~bit;
    }
}

enum memento_status expiry_file(struct expiry *expiry, uint32_t mark, uint64_t tick)
{
    struct wheel *wheel = &expiry->wheels[expiry->active];
    uint32_t slot = slot_of(wheel, tick > wheel->current ? tick : wheel->current);
    if (wheel->blocks[slot] == 0 || wheel->counts[slot] == EXPIRY_BATCH) {
        uint32_t block = block_create(expiry, wheel->blocks[slot]);
        if (block == 0) {
            return MEMENTO_ERR_NO_MEMORY;
        }
        wheel->blocks[slot] = block;
        wheel->counts[slot] = 0;
        slot_mark_used(wheel, slot, true);
    }
    block_set_mark(block_at(expiry, wheel->blocks[slot]), wheel->counts[slot]++, mark);
    wheel->filings++;
    return MEMENTO_OK;
}

/* The first used slot of a level at or after a digit. */
static uint32_t level_next(const struct wheel *wheel, unsigned level, uint32_t digit)
{
    uint32_t base = level == 0 ? 0 : FIRST_SLOTS + (level - 1) * DIGIT_SLOTS;
    uint32_t end = base + (level == 0 ? FIRST_SLOTS : DIGIT_SLOTS);
    for (uint32_t slot = base + digit; slot < end; slot = (slot / 64 + 1) * 64) {
        uint64_t word = wheel->bits[slot / 64] >> (slot % 64);
        if (word != 0) {
            return slot + (uint32_t)__builtin_ctzll(word);
        }
    }
    return SLOT_NONE;
}

/* The next slot to come, its first tick, and the first tick after it. */
static uint32_t wheel_next_slot(const struct wheel *wheel, uint64_t *tick, uint64_t *end)
{
    uint64_t current = wheel->current;
    uint32_t slot = level_next(wheel, 0, (uint32_t)(current & (FIRST_SLOTS - 1)));
    if (slot != SLOT_NONE) {
        *tick = (current & ~(uint64_t)(FIRST_SLOTS - 1)) + slot;
        *end = *tick + 1;
        return slot;
    }
    for (unsigned level = 1; level < LEVELS; level++) {
        unsigned shift = level_shift(level);
        uint32_t digit = (uint32_t)(current >> shift) & (DIGIT_SLOTS - 1);
        slot = level_next(wheel, level, digit);
        if (slot != SLOT_NONE) {
            uint64_t above = current >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS);
            uint64_t found = (slot - FIRST_SLOTS) % DIGIT_SLOTS;
            *tick = above + (found << shift);
            *end = *tick + (1ull << shift);
            return slot;
        }
    }
    if (wheel->blocks[SLOT_FAR] != 0) {
        *tick = ((current >> WHEEL_BITS) + 1) << WHEEL_BITS;
        *end = END_NEVER;
        return SLOT_FAR;
    }
    *tick = NO_EVENT;
    return SLOT_NONE;
}

static void slot_take_out(struct wheel *wheel, uint32_t slot, uint64_t end_tick,
                          struct handout *out)
{
    out->filings = (struct filings){wheel->blocks[slot], wheel->counts[slot]};
    out->end_tick = end_tick;
    wheel->blocks[slot] = 0;
    wheel->counts[slot] = 0;
    slot_mark_used(wheel, slot, false);
}

static void recent_forget_all(struct wheel *wheel)
{
    for (uint32_t i = 0; i < RECENT; i++) {
        wheel->recent[i] = ~i; /* no mark with these low bits */
    }
}

/* Steps to the next slot whose first tick has come; false when there is none. */
static bool wheel_advance(struct wheel *wheel, uint64_t now)
{
    uint64_t tick, end;
    uint32_t slot = wheel_next_slot(wheel, &tick, &end);
    if (slot == SLOT_NONE || tick > now) {
        wheel->current = now > wheel->current ? now : wheel->current;
        return false;
    }
    wheel->current = tick > wheel->current ? tick : wheel->current;
    slot_take_out(wheel, slot, end, &wheel->due);
    recent_forget_all(wheel);
    return true;
}

/* Up to a block's filings. The block stays, empty, until the next call, so that they can be
 * put back. */
static bool handout_take(struct expiry *expiry, struct handout *handout,
                         struct wheel *wheel, struct expiry_batch *batch)
{
    struct filings *filings = &handout->filings;
    if (filings->block != 0 && filings->count == 0) {
        uint32_t emptied = filings->block;
        filings->block = block_at(expiry, emptied)->next;
        filings->count = filings->block != 0 ? EXPIRY_BATCH : 0;
        block_destroy(expiry, emptied);
    }
    if (filings->block == 0) {
        return false;
    }
    const struct block *block = block_at(expiry, filings->block);
    for (unsigned i = 0; i < filings->count; i++) {
        batch->marks[i] = block_mark(block, i);
    }
    if (block->next != 0) {
        prefetch_line(block_at(expiry, block->next));
    }
    batch->count = filings->count;
    batch->wheel = (uint8_t)(wheel - expiry->wheels);
    batch->end_tick = handout->end_tick;
    filings->count = 0;
    wheel->filings -= batch->count;
    return true;
}

/* Drops marks that were already handed out of the same list. */
static void batch_drop_recent(struct wheel *wheel, struct expiry_batch *batch)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < batch->count; i++) {
        uint32_t mark = batch->marks[i];
        if (wheel->recent[mark % RECENT] != mark) {
            wheel->recent[mark % RECENT] = mark;
            batch->marks[kept++] = mark;
        }
    }
    batch->count = kept;
}

static bool wheel_take_due(struct expiry *expiry, struct wheel *wheel, uint64_t now,
                           struct expiry_batch *batch)
{
    batch->is_moving = false;
    do {
        while (handout_take(expiry, &wheel->due, wheel, batch)) {
            batch_drop_recent(wheel, batch);
            if (batch->count > 0) {
                return true;
            }
        }
    } while (wheel_advance(wheel, now));
    return false;
}

static void move_start(struct expiry *expiry, uint64_t current)
{
    expiry->active ^= 1;
    wheel_reset(&expiry->wheels[expiry->active], current);
    expiry->is_moving = true;
}

bool expiry_take_due(struct expiry *expiry, int64_t now_ms, struct expiry_batch *batch)
{
    uint64_t now = tick_now(now_ms);
    if (expiry->is_moving &&
        wheel_take_due(expiry, &expiry->wheels[expiry->active ^ 1], now, batch)) {
        return true;
    }
    if (!expiry->is_moving && now + BACK_TICKS < expiry->wheels[expiry->active].current) {
        move_start(expiry, now);
    }
    return wheel_take_due(expiry, &expiry->wheels[expiry->active], now, batch);
}

void expiry_put_back(struct expiry *expiry, const struct expiry_batch *batch,
                     unsigned from)
{
    struct wheel *wheel = &expiry->wheels[batch->wheel];
    struct handout *handout = batch->is_moving ? &expiry->moving : &wheel->due;
    struct filings *filings = &handout->filings;
    CHECK(filings->block != 0 && filings->count == 0);
    for (unsigned i = from; i < batch->count; i++) {
        uint32_t mark = batch->marks[i];
        block_set_mark(block_at(expiry, filings->block), filings->count++, mark);
        wheel->recent[mark % RECENT] = ~mark;
        wheel->filings++;
    }
}

bool expiry_is_live(const struct expiry_batch *batch, uint8_t wheel, int64_t deadline_ms,
                    bool has_filed, uint32_t filed_tick)
{
    if (wheel != batch->wheel) {
        return false;
    }
    if (batch->end_tick == END_NEVER) {
        return true;
    }
    /* The low half says it: a slot ends at most half the wheel's range after the filing. */
    return has_filed ? (int32_t)(filed_tick - (uint32_t)batch->end_tick) < 0
                     : expiry_tick_of(deadline_ms) < batch->end_tick;
}

void expiry_move_if_stale(struct expiry *expiry, size_t live)
{
    struct wheel *wheel = &expiry->wheels[expiry->active];
    if (!expiry->is_moving && wheel->filings > 2 * live + STALE_SLACK) {
        move_start(expiry, wheel->current);
    }
}

bool expiry_is_moving(const struct expiry *expiry)
{
    return expiry->is_moving;
}

static uint32_t wheel_any_slot(const struct wheel *wheel)
{
    for (uint32_t word = 0; word < BITMAP_WORDS; word++) {
        if (wheel->bits[word] != 0) {
            return word * 64 + (uint32_t)__builtin_ctzll(wheel->bits[word]);
        }
    }
    return wheel->blocks[SLOT_FAR] != 0 ? SLOT_FAR : SLOT_NONE;
}

bool expiry_take_moving(struct expiry *expiry, struct expiry_batch *batch)
{
    if (!expiry->is_moving) {
        return false;
    }
    struct wheel *old = &expiry->wheels[expiry->active ^ 1];
    batch->is_moving = true;
    while (!handout_take(expiry, &expiry->moving, old, batch)) {
        uint32_t slot = wheel_any_slot(old);
        if (slot != SLOT_NONE) {
            slot_take_out(old, slot, END_NEVER, &expiry->moving);
        } else if (old->due.filings.block != 0) {
            expiry->moving = (struct handout){old->due.filings, END_NEVER};
            old->due = (struct handout){{0, 0}, 0};
        } else {
            CHECK(old->filings == 0);
            expiry->is_moving = false;
            return false;
        }
    }
    return true;
}

size_t expiry_filings(const struct expiry *expiry)
{
    return expiry->wheels[0].filings + expiry->wheels[1].filings;
}

bool expiry_has_passed(const struct expiry *expiry, uint64_t tick)
{
    const struct wheel *wheel = &expiry->wheels[expiry->active];
    /* What was due when it was filed lies in the current slot. */
    return !expiry->is_moving && wheel->due.filings.block == 0 && tick < wheel->current &&
           wheel->blocks[wheel->current & (FIRST_SLOTS - 1)] == 0;
}

/* The lists that are not slots, as slot numbers of the verifier. */
#define SLOT_DUE    (SLOTS + 1)
#define SLOT_MOVING (SLOTS + 2)

typedef void filing_visit(void *context, unsigned wheel, uint32_t slot, uint32_t mark);

static size_t filings_walk(const struct expiry *expiry, struct filings filings,
                           unsigned wheel, uint32_t slot, filing_visit *visit,
                           void *context)
{
    size_t blocks = 0;
    unsigned count = filings.count;
    for (uint32_t at = filings.block; at != 0; at = block_at(expiry, at)->next) {
        for (unsigned i = 0; i < count; i++) {
            visit(context, wheel, slot, block_mark(block_at(expiry, at), i));
        }
        count = EXPIRY_BATCH;
        blocks++;
        CHECK(blocks <= expiry->blocks_used);
    }
    return blocks;
}

static size_t expiry_walk(const struct expiry *expiry, filing_visit *visit, void *context)
{
    size_t blocks = 0;
    for (unsigned i = 0; i < 2; i++) {
        const struct wheel *wheel = &expiry->wheels[i];
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            struct filings filings = {wheel->blocks[slot], wheel->counts[slot]};
            CHECK(slot == SLOT_FAR ||
                  (wheel->bits[slot / 64] >> (slot % 64) & 1) == (filings.block != 0));
            CHECK((filings.block != 0) == (filings.count != 0));
            blocks += filings_walk(expiry, filings, i, slot, visit, context);
        }
        blocks += filings_walk(expiry, wheel->due.filings, i, SLOT_DUE, visit, context);
    }
    blocks += filings_walk(expiry, expiry->moving.filings, expiry->active ^ 1u,
                           SLOT_MOVING, visit, context);
    return blocks;
}

static void visit_count(void *context, unsigned wheel, uint32_t slot, uint32_t mark)
{
    (void)slot;
    (void)mark;
    ((size_t *)context)[wheel]++;
}

size_t expiry_verify(const struct expiry *expiry)
{
    size_t filings[2] = {0, 0};
    size_t blocks = expiry_walk(expiry, visit_count, filings);
    CHECK(filings[0] == expiry->wheels[0].filings);
    CHECK(filings[1] == expiry->wheels[1].filings);
    CHECK(blocks == expiry->blocks_used);
    CHECK(expiry->is_moving || filings[expiry->active ^ 1] == 0);
    return blocks;
}

struct listing {
    uint64_t *list;
    size_t count;
};

static uint64_t list_element(unsigned wheel, uint32_t slot, uint32_t mark)
{
    return (uint64_t)wheel << 48 | (uint64_t)slot << 32 | mark;
}

static void visit_list(void *context, unsigned wheel, uint32_t slot, uint32_t mark)
{
    struct listing *listing = context;
    listing->list[listing->count++] = list_element(wheel, slot, mark);
}

static int compare_elements(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

uint64_t *expiry_list(const struct expiry *expiry, size_t *count)
{
    struct listing listing = {NULL, 0};
    listing.list = heap_alloc_zeroed(expiry_filings(expiry) + 1, sizeof(*listing.list));
    if (listing.list != NULL) {
        (void)expiry_walk(expiry, visit_list, &listing);
        qsort(listing.list, listing.count, sizeof(*listing.list), compare_elements);
    }
    *count = listing.count;
    return listing.list;
}

static bool list_has(const uint64_t *list, size_t count, uint64_t element)
{
    return bsearch(&element, list, count, sizeof(*list), compare_elements) != NULL;
}

static bool list_has_tick(const struct expiry *expiry, const uint64_t *list, size_t count,
                          uint32_t mark, uint8_t wheel, uint64_t tick)
{
    const struct wheel *in = &expiry->wheels[wheel];
    uint32_t slot = slot_of(in, tick > in->current ? tick : in->current);
    return list_has(list, count, list_element(wheel, slot, mark));
}

bool expiry_is_listed(const struct expiry *expiry, const uint64_t *list, size_t count,
                      uint32_t mark, uint8_t wheel, uint64_t tick, bool is_low_half)
{
    /* Of the ticks with this low half all but one are in the far list. */
    uint64_t current = expiry->wheels[wheel].current;
    uint64_t near = (current & ~(uint64_t)UINT32_MAX) | (uint32_t)tick;
    return list_has_tick(expiry, list, count, mark, wheel, tick) ||
           (is_low_half && list_has_tick(expiry, list, count, mark, wheel, near)) ||
           list_has(list, count, list_element(wheel, SLOT_DUE, mark)) ||
           list_has(list, count, list_element(wheel, SLOT_MOVING, mark));
}
