/* table.c - a chain is compact: every line but its last is full, so that its end is found by
 * counting, and a removal moves the chain's last reference into the hole. */
#include "store/table.h"

#include "base/check.h"
#include "base/heap.h"
#include "store/entry.h"
#include "store/prefetch.h"

#include <assert.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define LINE_BYTES          64u
#define LINE_SHIFT          6
#define RUN_SHIFT           (PAGE_SHIFT - LINE_SHIFT) /* buckets a page, as a power */
#define RUN_BUCKETS         (1u << RUN_SHIFT)
#define DIRECTORY_BYTES     (2u << 20)
#define DIRECTORY_RUNS      (DIRECTORY_BYTES / sizeof(uint32_t))
#define TAG_SHIFT           4
#define HIGH_INDEX_MASK     ((1u << TAG_SHIFT) - 1)
#define ALL_SLOTS           ((1u << BUCKET_SLOTS) - 1)
#define OVERFLOW_PREFETCHED 2 /* lines: a chain being changed could lead in a circle */
#define SPLIT_SEEN_LINE     6 /* inserts before a split that needs them */
#define SPLIT_SEEN_ENTRIES  3
#define POSITION_END        (1ull << KEY_BUCKET_BITS)
#define MARK_BUCKET_BITS    20
#define MARK_BUCKET_MASK    ((1u << MARK_BUCKET_BITS) - 1)
#define MARK_TAG_MASK       0xFu

static_assert(sizeof(struct bucket) == LINE_BYTES && LINE_BYTES == SLAB_LINE_BYTES,
              "a bucket is a cache line");
static_assert(offsetof(struct bucket, high) % 8 == 0, "tags are loaded as words");
static_assert(INDEX_BITS + KEY_TAG_BITS == 48, "a reference is 6 bytes");

/* The bucket of a hash when there are `buckets` of them: as many low bits as the lower power
 * of two has, and one more for those that are split already. */
static ALWAYS_INLINE uint64_t bucket_of(uint64_t hash, uint64_t buckets)
{
    uint64_t level = 1ull << (63 - __builtin_clzll(buckets));
    uint64_t bucket = hash & (2 * level - 1);
    return bucket < buckets ? bucket : hash & (level - 1);
}

static ALWAYS_INLINE struct bucket *line_at(const struct table *table, uint32_t page,
                                            uint64_t bucket)
{
    return (struct bucket *)(void *)(table->base + ((size_t)page << PAGE_SHIFT) +
                                     ((bucket & (RUN_BUCKETS - 1)) << LINE_SHIFT));
}

static ALWAYS_INLINE struct bucket *bucket_line(const struct table *table,
                                                uint64_t bucket)
{
    return line_at(table, table->directory[bucket >> RUN_SHIFT], bucket);
}

static ALWAYS_INLINE struct bucket *line_next(const struct table *table,
                                              const struct bucket *line)
{
    if (LIKELY(line->overflow == 0)) {
        return NULL;
    }
    return (struct bucket *)(void *)(table->base +
                                     ((size_t)line->overflow << LINE_SHIFT));
}

static ALWAYS_INLINE uint64_t slot_index(const struct bucket *line, unsigned slot)
{
    return (uint64_t)(line->high[slot] & HIGH_INDEX_MASK) << 32 | line->low[slot];
}

static ALWAYS_INLINE uint32_t slot_tag(const struct bucket *line, unsigned slot)
{
    return (uint32_t)line->high[slot] >> TAG_SHIFT;
}

static ALWAYS_INLINE void slot_set(struct bucket *line, unsigned slot, uint64_t index,
                                   uint32_t tag)
{
    __atomic_store_n(&line->low[slot], (uint32_t)index, __ATOMIC_RELAXED);
    __atomic_store_n(&line->high[slot], (uint16_t)(tag << TAG_SHIFT | index >> 32),
                     __ATOMIC_RELAXED);
}

static void line_set_overflow(struct bucket *line, uint32_t overflow)
{
    __atomic_store_n(&line->overflow, overflow, __ATOMIC_RELAXED);
}

static void line_clear(struct bucket *line)
{
    for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
        slot_set(line, slot, 0, 0);
    }
    line_set_overflow(line, 0);
}

static unsigned line_count(const struct bucket *line)
{
    unsigned count = 0;
    while (count < BUCKET_SLOTS && line->low[count] != 0) {
        count++;
    }
    return count;
}

#if defined(__SSE2__)
static ALWAYS_INLINE unsigned match_vectors(__m128i first8, __m128i last2, uint32_t tag)
{
    __m128i wanted = _mm_set1_epi16((short)tag);
    __m128i equal8 = _mm_cmpeq_epi16(_mm_srli_epi16(first8, TAG_SHIFT), wanted);
    __m128i equal2 = _mm_cmpeq_epi16(_mm_srli_epi16(last2, TAG_SHIFT), wanted);
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(equal8, equal2)) & ALL_SLOTS;
}
#endif

/* One bit a slot whose tag is this one; empty slots look like tag 0. */
static ALWAYS_INLINE unsigned line_match(const struct bucket *line, uint32_t tag)
{
#if defined(__SSE2__)
    uint32_t last2;
    memcpy(&last2, &line->high[8], sizeof(last2));
    return match_vectors(_mm_loadu_si128((const __m128i *)(const void *)line->high),
                         _mm_cvtsi32_si128((int)last2), tag);
#else
    unsigned matches = 0;
    for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
        matches |= (unsigned)(slot_tag(line, slot) == tag) << slot;
    }
    return matches;
#endif
}

/* The same while others write. */
static ALWAYS_INLINE unsigned line_match_unlocked(const struct bucket *line, uint32_t tag)
{
#if defined(__SSE2__)
    typedef uint64_t __attribute__((may_alias)) word64;
    typedef uint32_t __attribute__((may_alias)) word32;
    const word64 *words = (const word64 *)(const void *)line->high;
    uint64_t first = __atomic_load_n(&words[0], __ATOMIC_RELAXED);
    uint64_t second = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
    uint32_t last2 = __atomic_load_n((const word32 *)&words[2], __ATOMIC_RELAXED);
    return match_vectors(_mm_set_epi64x((long long)second, (long long)first),
                         _mm_cvtsi32_si128((int)last2), tag);
#else
    unsigned matches = 0;
    for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
        uint32_t high = __atomic_load_n(&line->high[slot], __ATOMIC_RELAXED);
        matches |= (unsigned)(high >> TAG_SHIFT == tag) << slot;
    }
    return matches;
#endif
}

static ALWAYS_INLINE void prefetch_index(const struct table *table, uint64_t index)
{
    const char *entry = table->base + (index << INDEX_UNIT_SHIFT);
    prefetch_line(entry);
    prefetch_line(entry + LINE_BYTES);
}

enum memento_status table_init(struct table *table, struct slab *slab,
                               const struct hash_seed *seed)
{
    memset(table, 0, sizeof(*table));
    table->slab = slab;
    table->base = slab->base;
    table->seed = seed;
    table->directory = heap_reserve(DIRECTORY_BYTES);
    if (table->directory == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    uint32_t page = pages_take(slab->pages, PAGE_LINES);
    if (page == PAGE_NONE) {
        heap_unreserve(table->directory, DIRECTORY_BYTES);
        table->directory = NULL;
        return MEMENTO_ERR_NO_MEMORY;
    }
    __atomic_store_n(&table->directory[0], page, __ATOMIC_RELAXED);
    __atomic_store_n(&table->buckets, (uint64_t)TABLE_BUCKETS_MIN, __ATOMIC_RELAXED);
    return MEMENTO_OK;
}

static uint64_t table_runs(const struct table *table)
{
    return (table->buckets + RUN_BUCKETS - 1) >> RUN_SHIFT;
}

void table_fini(struct table *table)
{
    if (table->directory == NULL) {
        return;
    }
    for (uint64_t run = 0; run < table_runs(table); run++) {
        pages_give(table->slab->pages, table->directory[run], PAGE_LINES, false);
    }
    heap_unreserve(table->directory, DIRECTORY_BYTES);
    table->directory = NULL;
}

void table_clear(struct table *table)
{
    uint64_t runs = table_runs(table);
    uint64_t in_first = table->buckets < RUN_BUCKETS ? table->buckets : RUN_BUCKETS;
    __atomic_store_n(&table->buckets, (uint64_t)TABLE_BUCKETS_MIN, __ATOMIC_RELAXED);
    for (uint64_t run = 1; run < runs; run++) {
        pages_give(table->slab->pages, table->directory[run], PAGE_LINES, false);
    }
    for (uint64_t bucket = 0; bucket < in_first; bucket++) {
        line_clear(bucket_line(table, bucket));
    }
    table->count = 0;
    table->overflow_lines = 0;
}

bool table_find(const struct table *table, const struct key *key,
                struct table_place *place)
{
    uint32_t tag = key_tag(key->hash);
    struct bucket *line = bucket_line(table, bucket_of(key->hash, table->buckets));
    do {
        for (unsigned matches = line_match(line, tag); matches != 0;
             matches &= matches - 1) {
            unsigned slot = (unsigned)__builtin_ctz(matches);
            uint64_t index = slot_index(line, slot);
            if (index != 0 && entry_is(table->base + (index << INDEX_UNIT_SHIFT),
                                       key->bytes, key->db)) {
                *place = (struct table_place){line, slot, index};
                return true;
            }
        }
        line = line_next(table, line);
    } while (UNLIKELY(line != NULL));
    return false;
}

void table_locate(const struct table *table, uint64_t hash, uint64_t index,
                  struct table_place *place)
{
    struct bucket *line = bucket_line(table, bucket_of(hash, table->buckets));
    for (; line != NULL; line = line_next(table, line)) {
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
            if (slot_index(line, slot) == index) {
                *place = (struct table_place){line, slot, index};
                return;
            }
        }
    }
    CHECK(line != NULL);
}

/* The number of a line of the slab, as `overflow` holds it. */
static uint32_t line_number(const struct table *table, const struct bucket *line)
{
    return (uint32_t)((size_t)((const char *)line - table->base) >> LINE_SHIFT);
}

static struct bucket *line_create(struct table *table)
{
    uint64_t index = slab_alloc_line(table->slab);
    if (index == 0) {
        return NULL;
    }
    struct bucket *line = (struct bucket *)(void *)slab_pointer(table->slab, index);
    line_clear(line);
    table->overflow_lines++;
    return line;
}

static void line_destroy(struct table *table, struct bucket *line)
{
    slab_free(table->slab, (uint64_t)line_number(table, line)
                               << (LINE_SHIFT - INDEX_UNIT_SHIFT));
    table->overflow_lines--;
}

/* The end of a chain that is being written; lines come from `spare` (linked by overflow). */
struct chain_end {
    struct bucket *line;
    unsigned count; /* references in it */
};

static void chain_append(struct table *table, struct chain_end *end,
                         struct bucket **spare, uint64_t index, uint32_t tag)
{
    if (end->count == BUCKET_SLOTS) {
        struct bucket *line = *spare;
        CHECK(line != NULL);
        *spare = line_next(table, line);
        line_clear(line);
        line_set_overflow(end->line, line_number(table, line));
        end->line = line;
        end->count = 0;
    }
    slot_set(end->line, end->count++, index, tag);
}

static void spare_add(struct table *table, struct bucket **spare, struct bucket *line)
{
    line_set_overflow(line, *spare == NULL ? 0 : line_number(table, *spare));
    *spare = line;
}

static void spare_destroy(struct table *table, struct bucket *spare)
{
    while (spare != NULL) {
        struct bucket *next = line_next(table, spare);
        line_destroy(table, spare);
        spare = next;
    }
}

static void line_prefetch_entries(const struct table *table, const struct bucket *line)
{
    for (unsigned slot = 0; slot < BUCKET_SLOTS && line->low[slot] != 0; slot++) {
        prefetch_index(table, slot_index(line, slot));
    }
}

/* Makes one bucket more: the directory's page first, which is all that can fail. */
static bool table_add_bucket(struct table *table)
{
    uint64_t bucket = table->buckets;
    if ((bucket & (RUN_BUCKETS - 1)) == 0) {
        uint64_t run = bucket >> RUN_SHIFT;
        uint32_t page =
            run < DIRECTORY_RUNS ? pages_take(table->slab->pages, PAGE_LINES) : PAGE_NONE;
        if (page == PAGE_NONE) {
            return false;
        }
        __atomic_store_n(&table->directory[run], page, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&table->buckets, bucket + 1, __ATOMIC_RELAXED);
    return true;
}

/* Splits the next bucket in turn. After i lines of the old chain are read there are i - 1
 * spare overflow lines and two first lines, enough for 10 i references in two compact chains,
 * so it never needs memory for lines. Without memory for the directory nothing is split: the
 * next insert tries again. */
static void table_split(struct table *table)
{
    if (!table_add_bucket(table)) {
        return;
    }
    uint64_t to = table->buckets - 1;
    uint64_t level = 1ull << (63 - __builtin_clzll(to)); /* `to` has this bit more */
    uint64_t from = to - level;
    struct chain_end stays = {bucket_line(table, from), 0};
    struct chain_end moves = {bucket_line(table, to), 0};
    struct bucket *spare = NULL;

    for (struct bucket *line = stays.line; line != NULL; line = line_next(table, line)) {
        line_prefetch_entries(table, line);
    }
    for (struct bucket *line = stays.line; line != NULL;) {
        struct bucket old = *line;
        struct bucket *next = line_next(table, line);
        if (line == bucket_line(table, from)) {
            line_clear(line);
        } else {
            spare_add(table, &spare, line);
        }
        for (unsigned slot = 0; slot < BUCKET_SLOTS && old.low[slot] != 0; slot++) {
            uint64_t index = slot_index(&old, slot);
            uint64_t hash =
                entry_hash(table->base + (index << INDEX_UNIT_SHIFT), table->seed);
            chain_append(table, hash & level ? &moves : &stays, &spare, index,
                         slot_tag(&old, slot));
        }
        line = next;
    }
    spare_destroy(table, spare);
}

/* Puts the last bucket's references back to where they were split off. Needs a spare line
 * when the first of them do not fit; without memory nothing is merged. */
static void table_merge(struct table *table)
{
    uint64_t from = table->buckets - 1;
    uint64_t level = 1ull << (63 - __builtin_clzll(from));
    struct bucket *first = bucket_line(table, from);
    struct chain_end end = {bucket_line(table, from - level), 0};
    for (struct bucket *next; (next = line_next(table, end.line)) != NULL;) {
        end.line = next;
    }
    end.count = line_count(end.line);

    struct bucket *spare = NULL;
    if (end.count + line_count(first) > BUCKET_SLOTS) {
        spare = line_create(table);
        if (spare == NULL) {
            return;
        }
    }
    for (struct bucket *line = first; line != NULL;) {
        struct bucket old = *line;
        struct bucket *next = line_next(table, line);
        if (line == first) {
            line_clear(line);
        } else {
            spare_add(table, &spare, line);
        }
        for (unsigned slot = 0; slot < BUCKET_SLOTS && old.low[slot] != 0; slot++) {
            chain_append(table, &end, &spare, slot_index(&old, slot),
                         slot_tag(&old, slot));
        }
        line = next;
    }
    spare_destroy(table, spare);
    __atomic_store_n(&table->buckets, from, __ATOMIC_RELAXED);
    if ((from & (RUN_BUCKETS - 1)) == 0) {
        pages_give(table->slab->pages, table->directory[from >> RUN_SHIFT], PAGE_LINES,
                   true);
    }
}

/* A split reads a whole chain and the keys of its entries. They are asked for some inserts
 * before, in two steps, so that it need not wait for them. */
static ALWAYS_INLINE void table_prepare_split(const struct table *table)
{
    uint64_t left = table->buckets * TABLE_LOAD_MAX - table->count;
    if (left == SPLIT_SEEN_LINE || left == SPLIT_SEEN_ENTRIES) {
        uint64_t level = 1ull << (63 - __builtin_clzll(table->buckets));
        const struct bucket *line = bucket_line(table, table->buckets - level);
        if (left == SPLIT_SEEN_LINE) {
            prefetch_line(line);
            return;
        }
        line_prefetch_entries(table, line);
        if (line->overflow != 0) {
            prefetch_line(line_next(table, line));
        }
    }
}

enum memento_status table_insert(struct table *table, uint64_t hash, uint64_t index)
{
    struct bucket *line = bucket_line(table, bucket_of(hash, table->buckets));
    for (struct bucket *next; UNLIKELY((next = line_next(table, line)) != NULL);) {
        line = next;
    }
    unsigned slot = line_count(line);
    if (UNLIKELY(slot == BUCKET_SLOTS)) {
        struct bucket *added = line_create(table);
        if (added == NULL) {
            return MEMENTO_ERR_NO_MEMORY;
        }
        line_set_overflow(line, line_number(table, added));
        line = added;
        slot = 0;
    }
    slot_set(line, slot, index, key_tag(hash));
    table->count++;
    if (table->count > table->buckets * TABLE_LOAD_MAX) {
        table_split(table);
    }
    table_prepare_split(table);
    return MEMENTO_OK;
}

void table_replace(struct table *table, const struct table_place *place, uint64_t index)
{
    (void)table;
    DCHECK(slot_index(place->line, place->slot) == place->index);
    slot_set(place->line, place->slot, index, slot_tag(place->line, place->slot));
}

void table_remove(struct table *table, const struct table_place *place, uint64_t hash)
{
    DCHECK(slot_index(place->line, place->slot) == place->index);
    struct bucket *before = NULL;
    struct bucket *last = place->line;
    if (line_next(table, last) == NULL) {
        /* It may itself be an overflow line that becomes empty: who links to it? */
        struct bucket *line = bucket_line(table, bucket_of(hash, table->buckets));
        while (line != last) {
            before = line;
            line = line_next(table, line);
            CHECK(line != NULL);
        }
    }
    for (struct bucket *next; (next = line_next(table, last)) != NULL;) {
        before = last;
        last = next;
    }
    unsigned count = line_count(last);
    slot_set(place->line, place->slot, slot_index(last, count - 1),
             slot_tag(last, count - 1));
    slot_set(last, count - 1, 0, 0);
    if (count == 1 && before != NULL) {
        line_set_overflow(before, 0);
        line_destroy(table, last);
    }
    table->count--;
    if (table->buckets > TABLE_BUCKETS_MIN &&
        table->count < table->buckets * TABLE_LOAD_MIN) {
        table_merge(table);
    }
}

/* The first line of a hash's bucket, read without the lock: a directory entry that is not
 * written yet leads to page 0, which is nobody's and always readable. */
static ALWAYS_INLINE struct bucket *bucket_line_unlocked(const struct table *table,
                                                         uint64_t hash)
{
    uint64_t buckets = __atomic_load_n(&table->buckets, __ATOMIC_RELAXED);
    uint64_t bucket = bucket_of(hash, buckets);
    uint32_t page =
        __atomic_load_n(&table->directory[bucket >> RUN_SHIFT], __ATOMIC_RELAXED);
    return line_at(table, page, bucket);
}

void table_prefetch_bucket(const struct table *table, uint64_t hash)
{
    prefetch_line(bucket_line_unlocked(table, hash));
}

/* Prefetches the first entry of a line whose tag this is. */
static ALWAYS_INLINE bool prefetch_match(const struct table *table,
                                         const struct bucket *line, uint32_t tag)
{
    unsigned matches = line_match_unlocked(line, tag);
    while (matches != 0) {
        unsigned slot = (unsigned)__builtin_ctz(matches);
        matches &= matches - 1;
        uint32_t low = __atomic_load_n(&line->low[slot], __ATOMIC_RELAXED);
        uint32_t high = __atomic_load_n(&line->high[slot], __ATOMIC_RELAXED);
        if (low != 0) {
            prefetch_index(table, (uint64_t)(high & HIGH_INDEX_MASK) << 32 | low);
            return true;
        }
    }
    return false;
}

static ALWAYS_INLINE const struct bucket *line_next_unlocked(const struct table *table,
                                                             const struct bucket *line)
{
    uint32_t overflow = __atomic_load_n(&line->overflow, __ATOMIC_RELAXED);
    return overflow == 0
               ? NULL
               : (const struct bucket *)(const void *)(table->base +
                                                       ((size_t)overflow << LINE_SHIFT));
}

bool table_prefetch_entry(const struct table *table, uint64_t hash)
{
    const struct bucket *line = bucket_line_unlocked(table, hash);
    if (LIKELY(prefetch_match(table, line, key_tag(hash)))) {
        return false;
    }
    line = line_next_unlocked(table, line);
    if (line != NULL) {
        prefetch_line(line);
    }
    return line != NULL;
}

void table_prefetch_overflow(const struct table *table, uint64_t hash)
{
    const struct bucket *line =
        line_next_unlocked(table, bucket_line_unlocked(table, hash));
    for (unsigned i = 0; i < OVERFLOW_PREFETCHED && line != NULL; i++) {
        if (prefetch_match(table, line, key_tag(hash))) {
            return;
        }
        line = line_next_unlocked(table, line);
    }
}

static uint64_t reverse_bits(uint64_t value)
{
    value = (value >> 1 & 0x5555555555555555u) | (value & 0x5555555555555555u) << 1;
    value = (value >> 2 & 0x3333333333333333u) | (value & 0x3333333333333333u) << 2;
    value = (value >> 4 & 0x0F0F0F0F0F0F0F0Fu) | (value & 0x0F0F0F0F0F0F0F0Fu) << 4;
    return __builtin_bswap64(value);
}

uint64_t table_position(uint64_t hash)
{
    return reverse_bits(hash) >> (64 - KEY_BUCKET_BITS);
}

static void chain_visit(const struct table *table, const struct bucket *line,
                        uint64_t position, table_visit *visit, void *context)
{
    for (; line != NULL; line = line_next(table, line)) {
        for (unsigned slot = 0; slot < BUCKET_SLOTS && line->low[slot] != 0; slot++) {
            uint64_t index = slot_index(line, slot);
            const char *entry = table->base + (index << INDEX_UNIT_SHIFT);
            if (position == 0 ||
                table_position(entry_hash(entry, table->seed)) >= position) {
                visit(context, index);
            }
        }
    }
}

static void chain_prefetch(const struct table *table, const struct bucket *line)
{
    for (; line != NULL; line = line_next(table, line)) {
        line_prefetch_entries(table, line);
    }
}

uint64_t table_scan(const struct table *table, uint64_t position, table_visit *visit,
                    void *context)
{
    if (position >= POSITION_END) {
        return 0; /* a client's cursor may be anything */
    }
    /* The hash whose position this is, and as many of its bits as its bucket depends on. */
    uint64_t hash = reverse_bits(position) >> (64 - KEY_BUCKET_BITS);
    uint64_t bucket = bucket_of(hash, table->buckets);
    unsigned bits = 63u - (unsigned)__builtin_clzll(table->buckets);
    uint64_t level = 1ull << bits;
    if (bucket >= level || bucket + level < table->buckets) {
        bits++;
    }
    uint64_t width = POSITION_END >> bits;
    uint64_t begin = position & ~(width - 1);

    const struct bucket *line = bucket_line(table, bucket);
    chain_prefetch(table, line);
    chain_visit(table, line, position == begin ? 0 : position, visit, context);
    return begin + width == POSITION_END ? 0 : begin + width;
}

void table_visit_bucket(const struct table *table, uint64_t bucket, table_visit *visit,
                        void *context)
{
    CHECK(bucket < table->buckets);
    const struct bucket *line = bucket_line(table, bucket);
    chain_prefetch(table, line);
    chain_visit(table, line, 0, visit, context);
}

uint32_t table_mark(uint64_t hash)
{
    return ((uint32_t)hash & MARK_BUCKET_MASK) | (key_tag(hash) & MARK_TAG_MASK)
                                                     << MARK_BUCKET_BITS;
}

/* The first bucket that a mark may be in, and the distance to the next: a table with more
 * than 2^24 buckets keeps several candidates for one mark. */
static uint64_t mark_bucket(const struct table *table, uint32_t mark)
{
    uint64_t low = mark & MARK_BUCKET_MASK;
    return table->buckets <= 1u << MARK_BUCKET_BITS ? bucket_of(low, table->buckets)
                                                    : low;
}

#define MARK_STRIDE (1ull << MARK_BUCKET_BITS)

void table_prefetch_mark_bucket(const struct table *table, uint32_t mark)
{
    for (uint64_t at = mark_bucket(table, mark); at < table->buckets; at += MARK_STRIDE) {
        prefetch_line(bucket_line(table, at));
    }
}

void table_prefetch_mark_entries(const struct table *table, uint32_t mark)
{
    uint32_t tag = mark >> MARK_BUCKET_BITS;
    for (uint64_t at = mark_bucket(table, mark); at < table->buckets; at += MARK_STRIDE) {
        const struct bucket *line = bucket_line(table, at);
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
            if ((slot_tag(line, slot) & MARK_TAG_MASK) == tag && line->low[slot] != 0) {
                prefetch_index(table, slot_index(line, slot));
            }
        }
    }
}

void table_visit_mark(const struct table *table, uint32_t mark, table_visit *visit,
                      void *context)
{
    uint32_t tag = mark >> MARK_BUCKET_BITS;
    for (uint64_t at = mark_bucket(table, mark); at < table->buckets; at += MARK_STRIDE) {
        const struct bucket *line = bucket_line(table, at);
        for (; line != NULL; line = line_next(table, line)) {
            for (unsigned slot = 0; slot < BUCKET_SLOTS && line->low[slot] != 0; slot++) {
                if ((slot_tag(line, slot) & MARK_TAG_MASK) == tag) {
                    visit(context, slot_index(line, slot));
                }
            }
        }
    }
}

size_t table_bytes(const struct table *table)
{
    return table_runs(table) * PAGE_BYTES + table->overflow_lines * LINE_BYTES;
}

void table_verify(const struct table *table)
{
    uint64_t count = 0;
    uint64_t overflow_lines = 0;
    for (uint64_t bucket = 0; bucket < table->buckets; bucket++) {
        const struct bucket *line = bucket_line(table, bucket);
        while (line != NULL) {
            const struct bucket *next = line_next(table, line);
            unsigned used = line_count(line);
            CHECK(next == NULL || used == BUCKET_SLOTS);
            CHECK(used > 0 || line == bucket_line(table, bucket));
            for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
                uint64_t index = slot_index(line, slot);
                CHECK((index != 0) == (slot < used));
                CHECK(slot < used || line->high[slot] == 0);
                if (index != 0) {
                    uint64_t hash = entry_hash(table->base + (index << INDEX_UNIT_SHIFT),
                                               table->seed);
                    CHECK(bucket_of(hash, table->buckets) == bucket);
                    CHECK(key_tag(hash) == slot_tag(line, slot));
                }
            }
            count += used;
            overflow_lines += next != NULL;
            line = next;
        }
    }
    CHECK(count == table->count);
    CHECK(overflow_lines == table->overflow_lines);
}
