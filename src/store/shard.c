/* shard.c - finding, storing and removing entries; the table knows where they are, the slab
 * owns their bytes, the wheel knows when they go. */
#include "store/shard.h"

#include "base/check.h"
#include "base/heap.h"

#include <assert.h>
#include <string.h>

/* The longest header, key and value must fit the largest chunk. */
static_assert(ENTRY_HEADER_MAX + ENTRY_KEY_INLINE_MAX + SHARD_INLINE_MAX <=
                  SLAB_CHUNK_MAX,
              "every entry fits a chunk");
/* The table means "empty" by 32 low bits of zero, and takes a chunk's address apart. */
static_assert(SLAB_CHUNK_MIN % (1u << INDEX_UNIT_SHIFT) == 0, "chunks begin at an index");

enum memento_status shard_init(struct shard *shard, struct pages *pages,
                               const struct hash_seed *seed, int64_t now_ms)
{
    memset(shard, 0, sizeof(*shard));
    list_init(&shard->watchers);
    slab_init(&shard->slab, pages);
    enum memento_status status = table_init(&shard->table, &shard->slab, seed);
    if (status != MEMENTO_OK) {
        return status;
    }
    status = expiry_create(&shard->expiry, &shard->slab, now_ms);
    if (status != MEMENTO_OK) {
        table_fini(&shard->table);
        return status;
    }
    latch_init(&shard->latch);
    return MEMENTO_OK;
}

uint64_t shard_next_version(struct shard *shard, int64_t now_ms)
{
    uint64_t wall = now_ms > 0 ? (uint64_t)now_ms << ENTRY_VERSION_SHIFT : 0;
    shard->clock = wall > shard->clock ? wall : shard->clock + 1;
    return shard->clock;
}

static char *shard_entry(const struct shard *shard, uint64_t index)
{
    return slab_pointer(&shard->slab, index);
}

static void count_add(_Atomic uint64_t *count, uint64_t change)
{
    /* Only the lock's holder writes, so this need not be one atomic step. */
    uint64_t value = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, value + change, memory_order_relaxed);
}

static void shard_count_key(struct shard *shard, const struct item *item, bool is_added)
{
    uint64_t change = is_added ? 1 : UINT64_MAX;
    count_add(&shard->keys[item->db], change);
}

static void shard_count_deadline(struct shard *shard, const struct item *item,
                                 bool is_added)
{
    if (item->deadline_ms != ENTRY_NO_DEADLINE) {
        uint64_t change = is_added ? 1 : UINT64_MAX;
        shard->deadlines += change;
        count_add(&shard->keys_with_deadline[item->db], change);
    }
}

static void shard_count_large(struct shard *shard, struct large *large, bool is_added)
{
    if (large != NULL) {
        size_t bytes = sizeof(*large) + large->cap;
        shard->large_bytes += is_added ? bytes : -bytes;
        shard->large_count += is_added ? 1 : SIZE_MAX;
        large_count_key(large, is_added);
    }
}

enum memento_status shard_find(struct shard *shard, const struct key *key, int64_t now_ms,
                               struct item *item)
{
    struct table_place place;
    if (!table_find(&shard->table, key, &place)) {
        item->version = 0;
        return MEMENTO_NOT_FOUND;
    }
    entry_read(shard_entry(shard, place.index), item);
    return item->deadline_ms <= now_ms ? MEMENTO_NOT_FOUND : MEMENTO_OK;
}

enum memento_status shard_find_value(struct shard *shard, const struct key *key,
                                     int64_t now_ms, struct bytes *value,
                                     struct large **large)
{
    struct table_place place;
    if (!table_find(&shard->table, key, &place)) {
        return MEMENTO_NOT_FOUND;
    }
    int64_t deadline_ms;
    entry_read_value(shard_entry(shard, place.index), value, large, &deadline_ms);
    return deadline_ms <= now_ms ? MEMENTO_NOT_FOUND : MEMENTO_OK;
}

bool shard_find_version(struct shard *shard, const struct key *key, uint64_t *version)
{
    struct table_place place;
    if (!table_find(&shard->table, key, &place)) {
        return false;
    }
    *version = entry_version(shard_entry(shard, place.index));
    return true;
}

/* The tick at which the item is filed: exactly, or a later one that is not after its
 * deadline's when the low half in the entry leaves a choice. */
static uint64_t item_filed_tick(const struct item *item)
{
    uint64_t tick = expiry_tick_of(item->deadline_ms);
    if (!item->has_filed) {
        return tick;
    }
    uint64_t filed = (tick & ~(uint64_t)UINT32_MAX) | item->filed_tick;
    return filed <= tick || tick <= UINT32_MAX ? filed : filed - (1ull << 32);
}

/* Decides what the new item's timer rests on: the filing the old entry has, which may only be
 * too early, or one that is still to be made (true). */
static bool item_needs_filing(const struct shard *shard, const struct item *old,
                              struct item *item)
{
    item->wheel = expiry_wheel(shard->expiry);
    item->has_filed = false;
    if (item->deadline_ms == ENTRY_NO_DEADLINE) {
        return false;
    }
    if (old == NULL || old->deadline_ms == ENTRY_NO_DEADLINE ||
        old->wheel != item->wheel) {
        return true;
    }
    uint64_t filed = item_filed_tick(old);
    uint64_t tick = expiry_tick_of(item->deadline_ms);
    if (tick < filed) {
        return true;
    }
    item->has_filed = old->has_filed || tick != filed;
    item->filed_tick = (uint32_t)filed;
    return false;
}

/* What looking up the filings of a batch leads to. */
struct due_visit {
    struct shard *shard;
    const struct expiry_batch *batch;
    uint32_t mark;
    int64_t now_ms;
    uint64_t due[16]; /* entries to remove */
    unsigned due_count;
    bool has_more_due;
    bool is_out_of_memory;
    bool is_refiling; /* live filings of entries that are not due are made again */
};

/* An entry with the mark: due, to be filed again, or filed elsewhere. */
static void visit_marked(void *context, uint64_t index)
{
    struct due_visit *visit = context;
    char *entry = shard_entry(visit->shard, index);
    struct item item;
    entry_read(entry, &item);
    if (item.deadline_ms == ENTRY_NO_DEADLINE) {
        return;
    }
    if (item.deadline_ms <= visit->now_ms) {
        if (visit->due_count < ARRAY_LEN(visit->due)) {
            visit->due[visit->due_count++] = index;
        } else {
            visit->has_more_due = true;
        }
        return;
    }
    /* The table finds all that may have the mark; another entry relies on another filing. */
    if (visit->is_refiling &&
        expiry_is_live(visit->batch, item.wheel, item.deadline_ms, item.has_filed,
                       item.filed_tick) &&
        table_mark(entry_hash(entry, visit->shard->table.seed)) == visit->mark) {
        struct expiry *expiry = visit->shard->expiry;
        uint64_t tick = expiry_tick_of(item.deadline_ms);
        if (expiry_file(expiry, visit->mark, tick) != MEMENTO_OK) {
            visit->is_out_of_memory = true;
            return;
        }
        entry_set_filed(entry, expiry_wheel(expiry), (uint32_t)tick);
    }
}

static void batch_prefetch(const struct shard *shard, const struct expiry_batch *batch)
{
    for (unsigned i = 0; i < batch->count; i++) {
        table_prefetch_mark_bucket(&shard->table, batch->marks[i]);
    }
    for (unsigned i = 0; i < batch->count; i++) {
        table_prefetch_mark_entries(&shard->table, batch->marks[i]);
    }
}

/* One block of the old wheel is filed in the new one. Out of memory it stays and is tried
 * again next time. */
static bool shard_move_filings(struct shard *shard)
{
    struct expiry_batch batch;
    if (!expiry_take_moving(shard->expiry, &batch)) {
        return false;
    }
    batch_prefetch(shard, &batch);
    for (unsigned i = 0; i < batch.count; i++) {
        /* INT64_MIN: nothing is due here, all is filed again; the due are met there. */
        struct due_visit visit = {.shard = shard,
                                  .batch = &batch,
                                  .mark = batch.marks[i],
                                  .now_ms = INT64_MIN,
                                  .is_refiling = true};
        table_visit_mark(&shard->table, visit.mark, visit_marked, &visit);
        if (visit.is_out_of_memory) {
            expiry_put_back(shard->expiry, &batch, i);
            return false;
        }
    }
    return true;
}

/* Each filing made pays for the stale ones: a block of old filings is looked at for one new. */
static void shard_tidy_filings(struct shard *shard)
{
    expiry_move_if_stale(shard->expiry, shard->deadlines);
    if (UNLIKELY(expiry_is_moving(shard->expiry))) {
        (void)shard_move_filings(shard);
    }
}

static bool view_is_in(struct bytes view, const char *from, const char *to)
{
    return view.len > 0 && view.data < to && view.data + view.len > from;
}

/* Writes `item` over the entry at `place`, which is `old`: in the same chunk when the size
 * allows. Fills in key, database and filing. Blocks of large values are the caller's. */
static enum memento_status shard_rewrite(struct shard *shard, uint64_t hash,
                                         struct table_place *place,
                                         const struct item *old, struct item *item)
{
    item->key = old->key;
    item->large_key = old->large_key;
    item->db = old->db;
    bool is_to_be_filed = item_needs_filing(shard, old, item);

    struct slab *slab = &shard->slab;
    char *entry = shard_entry(shard, place->index);
    size_t old_header = entry_header_bytes(old);
    size_t bytes = entry_bytes(item);
    bool in_place =
        slab_chunk_bytes(slab, bytes) == slab_chunk_bytes(slab, entry_bytes(old)) &&
        (entry_header_bytes(item) == old_header || item->large != NULL ||
         !view_is_in(item->value, entry, entry + old_header + old->key.len));

    uint64_t index = in_place ? place->index : slab_alloc(slab, bytes);
    if (index == 0) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    if (is_to_be_filed && expiry_file(shard->expiry, table_mark(hash),
                                      expiry_tick_of(item->deadline_ms)) != MEMENTO_OK) {
        if (!in_place) {
            slab_free(slab, index);
        }
        return MEMENTO_ERR_NO_MEMORY;
    }

    shard_count_deadline(shard, old, false);
    shard_count_deadline(shard, item, true);
    if (LIKELY(in_place)) {
        entry_rewrite(entry, item, old_header);
    } else {
        entry_write(shard_entry(shard, index), item);
        table_replace(&shard->table, place, index);
        slab_free(slab, place->index);
        place->index = index;
    }
    shard->clock = item->version > shard->clock ? item->version : shard->clock;
    if (is_to_be_filed) {
        shard_tidy_filings(shard);
    }
    return MEMENTO_OK;
}

/* A key too long for a chunk moves into a block of its own. */
static bool item_take_key(struct item *item, struct bytes key)
{
    item->key = key;
    if (UNLIKELY(key.len > ENTRY_KEY_INLINE_MAX)) {
        item->large_key = large_create(key.len);
        if (item->large_key == NULL) {
            return false;
        }
        memcpy(item->large_key->bytes, key.data, key.len);
        item->large_key->len = key.len;
    }
    return true;
}

static enum memento_status shard_insert(struct shard *shard, const struct key *key,
                                        struct item *item)
{
    struct slab *slab = &shard->slab;
    if (!item_take_key(item, key->bytes)) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    bool is_to_be_filed = item_needs_filing(shard, NULL, item);
    uint64_t index = slab_alloc(slab, entry_bytes(item));
    enum memento_status status = index != 0 ? MEMENTO_OK : MEMENTO_ERR_NO_MEMORY;
    if (status == MEMENTO_OK && is_to_be_filed) {
        /* Should the table refuse afterwards, this is one more stale filing. */
        status = expiry_file(shard->expiry, table_mark(key->hash),
                             expiry_tick_of(item->deadline_ms));
    }
    if (status == MEMENTO_OK) {
        entry_write(shard_entry(shard, index), item);
        status = table_insert(&shard->table, key->hash, index);
    }
    if (UNLIKELY(status != MEMENTO_OK)) {
        if (index != 0) {
            slab_free(slab, index);
        }
        large_drop(item->large_key);
        return status;
    }

    shard_count_key(shard, item, true);
    shard_count_deadline(shard, item, true);
    shard_count_large(shard, item->large_key, true);
    shard->clock = item->version > shard->clock ? item->version : shard->clock;
    if (is_to_be_filed) {
        shard_tidy_filings(shard);
    }
    return MEMENTO_OK;
}

/* The commonest put of all: a plain value over a plain value in the same chunk. */
static bool shard_put_plain(struct shard *shard, const struct table_place *place,
                            const struct shard_value *value, uint64_t version)
{
    struct entry_plain plain;
    char *entry = shard_entry(shard, place->index);
    if (value->large != NULL || value->deadline_ms != ENTRY_NO_DEADLINE ||
        value->created_ms != SHARD_CREATED_NOW || !entry_read_plain(entry, &plain)) {
        return false;
    }
    size_t len = value->bytes.len;
    if (len != plain.value_len &&
        slab_chunk_bytes(&shard->slab, plain.value_at + len) !=
            slab_chunk_bytes(&shard->slab, plain.value_at + plain.value_len)) {
        return false;
    }
    if (!entry_overwrite_plain(entry, &plain, value->bytes, version)) {
        return false;
    }
    shard->clock = version > shard->clock ? version : shard->clock;
    return true;
}

enum memento_status shard_put(struct shard *shard, const struct key *key,
                              const struct shard_value *value, uint64_t version,
                              int64_t now_ms)
{
    (void)now_ms;
    CHECK(key->bytes.len <= MEMENTO_KEY_BYTES_MAX && key->db < MEMENTO_DATABASES);
    CHECK(value->large != NULL || value->bytes.len <= SHARD_INLINE_MAX);
    struct table_place place;
    bool is_there = table_find(&shard->table, key, &place);
    if (is_there && LIKELY(shard_put_plain(shard, &place, value, version))) {
        return MEMENTO_OK;
    }
    struct item item = {
        .value = value->bytes,
        .large = value->large,
        .version = version,
        .deadline_ms = value->deadline_ms,
        .created_ms = value->created_ms == SHARD_CREATED_NOW
                          ? (int64_t)(version >> ENTRY_VERSION_SHIFT)
                          : value->created_ms,
        .db = key->db,
    };
    struct item old = {.large = NULL};
    enum memento_status status;
    if (is_there) {
        entry_read(shard_entry(shard, place.index), &old);
        status = shard_rewrite(shard, key->hash, &place, &old, &item);
    } else {
        status = shard_insert(shard, key, &item);
    }
    if (status == MEMENTO_OK) {
        shard_count_large(shard, item.large, true);
        shard_count_large(shard, old.large, false);
        large_drop(
            old.large); /* of the block that is stored again: one of two references */
    }
    return status;
}

/* An inline value stays inline: at most one chunk is exchanged for another. */
static enum memento_status edit_inline(struct shard *shard, uint64_t hash,
                                       struct table_place *place, struct item *old,
                                       struct item *item, size_t len, char **bytes)
{
    /* The old bytes are copied as far as they are kept; what follows is zeroed below. */
    char *entry = shard_entry(shard, place->index);
    size_t kept = old->value.len < len ? old->value.len : len;
    char longer[SHARD_INLINE_MAX];
    item->value = bytes_of(old->value.data, len);
    if (len > old->value.len) {
        memcpy(longer, old->value.data, kept);
        memset(longer + kept, 0, len - kept);
        item->value.data = longer;
    }
    enum memento_status status = shard_rewrite(shard, hash, place, old, item);
    if (status == MEMENTO_OK) {
        entry = shard_entry(shard, place->index);
        *bytes = entry + entry_bytes(item) - len;
    }
    return status;
}

/* A new block with what is kept of the old value, and half as much room again. */
static struct large *large_from(struct bytes value, size_t len)
{
    struct large *large = len <= SIZE_MAX / 2 ? large_create(len + len / 2) : NULL;
    if (large != NULL) {
        size_t kept = value.len < len ? value.len : len;
        if (kept > 0) {
            memcpy(large->bytes, value.data, kept);
        }
        memset(large->bytes + kept, 0, len - kept);
        large->len = len;
    }
    return large;
}

/* The value moves into a new block: it was inline, or others refer to the old block. */
static enum memento_status edit_to_new_block(struct shard *shard, uint64_t hash,
                                             struct table_place *place, struct item *old,
                                             struct item *item, size_t len, char **bytes)
{
    item->large = large_from(old->value, len);
    if (item->large == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    enum memento_status status = shard_rewrite(shard, hash, place, old, item);
    if (status != MEMENTO_OK) {
        large_drop(item->large);
        return status;
    }
    shard_count_large(shard, item->large, true);
    shard_count_large(shard, old->large, false);
    large_drop(old->large);
    *bytes = item->large->bytes;
    return MEMENTO_OK;
}

/* The block is ours alone: it grows by half when it must, so that appending again and again
 * copies each byte a bounded number of times; it is cut when most of it is unused. */
static enum memento_status edit_own_block(struct shard *shard, uint64_t hash,
                                          struct table_place *place, struct item *old,
                                          struct item *item, size_t len, char **bytes)
{
    struct large *large = old->large;
    size_t cap = large->cap;
    if (len > cap) {
        if (len > SIZE_MAX / 2) {
            return MEMENTO_ERR_NO_MEMORY;
        }
        cap = len + len / 2;
    } else if (len < cap / 4) {
        cap = len;
    }

    /* The entry first, which may fail and then changes nothing: it points at the old block
     * until that has moved. */
    size_t old_len = large->len;
    item->large = large;
    if (cap > large->cap) {
        shard_count_large(shard, large, false);
        struct large *grown = large_resize(large, cap);
        shard_count_large(shard, grown != NULL ? grown : large, true);
        if (grown == NULL) {
            return MEMENTO_ERR_NO_MEMORY;
        }
        item->large = grown;
        old->large = grown;
        entry_set_large(shard_entry(shard, place->index), grown);
    }
    enum memento_status status = shard_rewrite(shard, hash, place, old, item);
    if (status != MEMENTO_OK) {
        return status;
    }
    large = item->large;
    if (len > old_len) {
        memset(large->bytes + old_len, 0, len - old_len);
    }
    large->len = len;
    if (cap < large->cap) {
        shard_count_large(shard, large, false);
        struct large *cut = large_resize(large, cap);
        large = cut != NULL ? cut : large;
        shard_count_large(shard, large, true);
        entry_set_large(shard_entry(shard, place->index), large);
    }
    *bytes = large->bytes;
    return MEMENTO_OK;
}

enum memento_status shard_edit(struct shard *shard, const struct key *key, size_t len,
                               uint64_t version, int64_t now_ms, char **bytes)
{
    (void)now_ms;
    struct table_place place;
    bool found = table_find(&shard->table, key, &place);
    CHECK(found);
    struct item old;
    entry_read(shard_entry(shard, place.index), &old);
    struct item item = {
        .version = version, .deadline_ms = old.deadline_ms, .created_ms = old.created_ms};
    if (old.large != NULL && large_is_ours_alone(old.large)) {
        return edit_own_block(shard, key->hash, &place, &old, &item, len, bytes);
    }
    if (old.large != NULL || len > SHARD_INLINE_MAX) {
        return edit_to_new_block(shard, key->hash, &place, &old, &item, len, bytes);
    }
    return edit_inline(shard, key->hash, &place, &old, &item, len, bytes);
}

enum memento_status shard_set_deadline(struct shard *shard, const struct key *key,
                                       int64_t deadline_ms, uint64_t version,
                                       int64_t now_ms)
{
    struct table_place place;
    if (!table_find(&shard->table, key, &place)) {
        return MEMENTO_NOT_FOUND;
    }
    struct item old;
    entry_read(shard_entry(shard, place.index), &old);
    if (old.deadline_ms <= now_ms) {
        return MEMENTO_NOT_FOUND;
    }
    struct item item = old;
    item.deadline_ms = deadline_ms;
    item.version = version;
    return shard_rewrite(shard, key->hash, &place, &old, &item);
}

static void shard_unlink(struct shard *shard, uint64_t hash,
                         const struct table_place *place, const struct item *item)
    REQUIRES(shard)
{
    shard_count_key(shard, item, false);
    shard_count_deadline(shard, item, false);
    shard_count_large(shard, item->large, false);
    shard_count_large(shard, item->large_key, false);
    shard_note_removal(shard, item->version);
    large_drop(item->large);
    large_drop(item->large_key);
    uint64_t index = place->index;
    table_remove(&shard->table, place, hash);
    slab_free(&shard->slab, index);
}

enum memento_status shard_remove(struct shard *shard, const struct key *key,
                                 int64_t now_ms)
{
    struct table_place place;
    if (!table_find(&shard->table, key, &place)) {
        return MEMENTO_NOT_FOUND;
    }
    struct item item;
    entry_read(shard_entry(shard, place.index), &item);
    shard_unlink(shard, key->hash, &place, &item);
    return item.deadline_ms <= now_ms ? MEMENTO_NOT_FOUND : MEMENTO_OK;
}

static void shard_remove_index(struct shard *shard, uint64_t index) REQUIRES(shard)
{
    const char *entry = shard_entry(shard, index);
    uint64_t hash = entry_hash(entry, shard->table.seed);
    struct item item;
    entry_read(entry, &item);
    struct table_place place;
    table_locate(&shard->table, hash, index, &place);
    shard_unlink(shard, hash, &place, &item);
}

static void visit_drop_large(void *context, uint64_t index)
{
    struct shard *shard = context;
    struct item item;
    entry_read(shard_entry(shard, index), &item);
    shard_count_large(shard, item.large, false);
    shard_count_large(shard, item.large_key, false);
    large_drop(item.large);
    large_drop(item.large_key);
}

/* Everything, without a look at the entries unless some of them own blocks. */
static void shard_clear_all(struct shard *shard)
{
    if (shard->large_count > 0) {
        for (uint64_t bucket = 0; bucket < shard->table.buckets; bucket++) {
            table_visit_bucket(&shard->table, bucket, visit_drop_large, shard);
        }
    }
    table_clear(&shard->table);
    slab_clear(&shard->slab);
    expiry_clear(shard->expiry);
    shard->large_bytes = 0;
    shard->large_count = 0;
    shard->deadlines = 0;
    for (unsigned db = 0; db < MEMENTO_DATABASES; db++) {
        atomic_store_explicit(&shard->keys[db], 0, memory_order_relaxed);
        atomic_store_explicit(&shard->keys_with_deadline[db], 0, memory_order_relaxed);
    }
}

struct removal_visit {
    const struct shard *shard;
    shard_question *is_wanted;
    void *context;
    uint64_t found[64];
    unsigned count;
    bool is_full;
};

static void visit_wanted(void *context, uint64_t index)
{
    struct removal_visit *visit = context;
    struct item item;
    entry_read(shard_entry(visit->shard, index), &item);
    if (!visit->is_wanted(visit->context, &item)) {
        return;
    }
    if (visit->count < ARRAY_LEN(visit->found)) {
        visit->found[visit->count++] = index;
    } else {
        visit->is_full = true;
    }
}

/* Bucket by bucket along the scan's positions, which stay true while the table shrinks. */
void shard_remove_if(struct shard *shard, shard_question *is_wanted, void *context)
{
    uint64_t position = 0;
    bool is_done = false;
    while (!is_done) {
        struct removal_visit visit = {
            .shard = shard, .is_wanted = is_wanted, .context = context};
        uint64_t next = table_scan(&shard->table, position, visit_wanted, &visit);
        for (unsigned i = 0; i < visit.count; i++) {
            shard_remove_index(shard, visit.found[i]);
        }
        if (!visit.is_full) {
            position = next;
            is_done = next == 0;
        }
    }
}

static bool is_of_db(void *context, const struct item *item)
{
    const uint8_t *db = context;
    return item->db == *db;
}

void shard_clear(struct shard *shard, int db, int64_t now_ms)
{
    (void)now_ms;
    CHECK(db < MEMENTO_DATABASES);
    if (db < 0 || atomic_load_explicit(&shard->keys[db], memory_order_relaxed) ==
                      shard->table.count) {
        shard_clear_all(shard);
    } else if (atomic_load_explicit(&shard->keys[db], memory_order_relaxed) > 0) {
        uint8_t of_db = (uint8_t)db;
        shard_remove_if(shard, is_of_db, &of_db);
    }
}

void shard_fini(struct shard *shard)
{
    if (shard->table.directory == NULL) {
        return;
    }
    shard_clear_all(shard);
    table_fini(&shard->table);
    expiry_destroy(shard->expiry);
    latch_fini(&shard->latch);
}

/* Looks up one filing: removes what is due while `budget` lasts and files the rest again.
 * False when it has to be met again: no budget or no memory. */
static bool shard_meet_filing(struct shard *shard, const struct expiry_batch *batch,
                              uint32_t mark, int64_t now_ms, size_t budget,
                              size_t *removed, shard_told *expired, void *context)
    REQUIRES(shard)
{
    struct due_visit visit = {.shard = shard,
                              .batch = batch,
                              .mark = mark,
                              .now_ms = now_ms,
                              .is_refiling = true};
    do {
        visit.due_count = 0;
        visit.has_more_due = false;
        table_visit_mark(&shard->table, mark, visit_marked, &visit);
        for (unsigned i = 0; i < visit.due_count; i++) {
            if (*removed == budget) {
                return false;
            }
            if (expired != NULL) {
                struct item item;
                entry_read(shard_entry(shard, visit.due[i]), &item);
                expired(context, &item);
            }
            shard_remove_index(shard, visit.due[i]);
            (*removed)++;
        }
        visit.is_refiling = false;
    } while (visit.has_more_due);
    return !visit.is_out_of_memory;
}

size_t shard_expire(struct shard *shard, int64_t now_ms, size_t budget,
                    shard_told *expired, void *context, bool *more)
{
    /* Filings that remove nothing cost a look-up too: so many of them for one removal. */
    size_t looks = 4 * budget + EXPIRY_BATCH;
    size_t removed = 0;
    bool is_stopped = false;
    struct expiry_batch batch;
    while (!is_stopped && looks > 0 && removed < budget &&
           expiry_take_due(shard->expiry, now_ms, &batch)) {
        batch_prefetch(shard, &batch);
        for (unsigned i = 0; i < batch.count; i++) {
            if (!shard_meet_filing(shard, &batch, batch.marks[i], now_ms, budget,
                                   &removed, expired, context)) {
                expiry_put_back(shard->expiry, &batch, i);
                is_stopped = true;
                break;
            }
        }
        looks -= looks < batch.count ? looks : batch.count;
    }
    is_stopped = is_stopped || looks == 0 || removed == budget;
    /* What is moved may be due in the wheel that it comes to. */
    bool has_moved = expiry_is_moving(shard->expiry);
    while (looks > 0 && shard_move_filings(shard)) {
        looks -= looks < EXPIRY_BATCH ? looks : EXPIRY_BATCH;
    }
    *more = is_stopped || has_moved;
    return removed;
}

struct scan_visit {
    struct shard *shard;
    int64_t now_ms;
    shard_visit *visit;
    void *context;
};

/* The slow sweep behind the wheel: a due entry at a tick that the wheel has passed was missed;
 * it is counted and filed again. */
static void shard_notice_missed(struct shard *shard, const struct item *item, char *entry)
{
    uint64_t tick = expiry_tick_of(item->deadline_ms);
    if (expiry_has_passed(shard->expiry, tick) &&
        expiry_has_passed(shard->expiry, item_filed_tick(item))) {
        uint64_t hash = entry_hash(entry, shard->table.seed);
        if (expiry_file(shard->expiry, table_mark(hash), tick) == MEMENTO_OK) {
            entry_set_filed(entry, expiry_wheel(shard->expiry), (uint32_t)tick);
        }
        shard->expired_late++;
    }
}

static void visit_scanned(void *context, uint64_t index)
{
    struct scan_visit *scan = context;
    char *entry = shard_entry(scan->shard, index);
    struct item item;
    entry_read(entry, &item);
    if (item.deadline_ms > scan->now_ms) {
        scan->visit(scan->context, &item);
    } else {
        shard_notice_missed(scan->shard, &item, entry);
    }
}

uint64_t shard_scan(struct shard *shard, uint64_t position, int64_t now_ms,
                    shard_visit *visit, void *context)
{
    struct scan_visit scan = {shard, now_ms, visit, context};
    return table_scan(&shard->table, position, visit_scanned, &scan);
}

/* Chooses among the entries of a bucket: the one that is `wanted`, or each alike. */
struct random_visit {
    struct shard *shard;
    uint8_t db;
    int64_t now_ms;
    struct random *random;
    uint64_t wanted; /* how many to pass by, or CHOOSE_ANY */
    uint64_t seen;
    uint64_t index; /* chosen, or 0 */
};
#define CHOOSE_ANY UINT64_MAX

static void visit_choose(void *context, uint64_t index)
{
    struct random_visit *choice = context;
    uint64_t place = choice->seen;
    if (choice->wanted != CHOOSE_ANY) {
        choice->seen++;
        if (place != choice->wanted) {
            return;
        }
    }
    struct item item;
    entry_read(shard_entry(choice->shard, index), &item);
    if (item.db != choice->db || item.deadline_ms <= choice->now_ms) {
        return;
    }
    if (choice->wanted == CHOOSE_ANY) {
        choice->seen++;
        if (random_below(choice->random, choice->seen) != 0) {
            return;
        }
    }
    choice->index = index;
}

/* Random places are tried so often before the table is walked from a random bucket on. */
#define RANDOM_TRIES 64
/* Places in a bucket's chain that are tried: entries further down, of which there are next to
 * none, are found by the walk only. */
#define RANDOM_PLACES (4 * BUCKET_SLOTS)

enum memento_status shard_random(struct shard *shard, uint8_t db, int64_t now_ms,
                                 struct random *random, struct item *item)
{
    if (atomic_load_explicit(&shard->keys[db], memory_order_relaxed) == 0) {
        return MEMENTO_NOT_FOUND;
    }
    struct table *table = &shard->table;
    struct random_visit choice = {
        .shard = shard, .db = db, .now_ms = now_ms, .random = random};
    for (unsigned i = 0; i < RANDOM_TRIES && choice.index == 0; i++) {
        choice.wanted = random_below(random, RANDOM_PLACES);
        choice.seen = 0;
        table_visit_bucket(table, random_below(random, table->buckets), visit_choose,
                           &choice);
    }
    uint64_t bucket = random_below(random, table->buckets);
    for (uint64_t i = 0; i < table->buckets && choice.index == 0; i++) {
        choice.wanted = CHOOSE_ANY;
        choice.seen = 0;
        table_visit_bucket(table, (bucket + i) % table->buckets, visit_choose, &choice);
    }
    if (choice.index == 0) {
        return MEMENTO_NOT_FOUND;
    }
    entry_read(shard_entry(shard, choice.index), item);
    return MEMENTO_OK;
}

size_t shard_entry_bytes(const struct shard *shard, const struct item *item)
{
    size_t bytes = slab_chunk_bytes(&shard->slab, entry_bytes(item));
    bytes += sizeof(struct bucket) / TABLE_LOAD_MAX;
    bytes += item->large != NULL ? sizeof(*item->large) + item->large->cap : 0;
    bytes +=
        item->large_key != NULL ? sizeof(*item->large_key) + item->large_key->cap : 0;
    return bytes;
}

/* What the walk of shard_verify finds. */
struct census {
    struct shard *shard;
    const uint64_t *filings;
    size_t filing_count;
    uint64_t keys[MEMENTO_DATABASES];
    uint64_t keys_with_deadline[MEMENTO_DATABASES];
    uint64_t deadlines;
    size_t chunk_bytes;
    size_t large_bytes;
    size_t large_count;
};

static void census_large(struct census *census, const struct large *large, size_t len)
{
    if (large != NULL) {
        CHECK(atomic_load(&large->references) > 0);
        CHECK(large->len == len && len <= large->cap);
        census->large_bytes += sizeof(*large) + large->cap;
        census->large_count++;
    }
}

static void visit_census(void *context, uint64_t index)
{
    struct census *census = context;
    struct shard *shard = census->shard;
    const char *entry = shard_entry(shard, index);
    struct item item;
    entry_read(entry, &item);
    CHECK(item.db < MEMENTO_DATABASES);
    CHECK(item.version <= shard->clock);
    CHECK((item.large_key != NULL) == (item.key.len > ENTRY_KEY_INLINE_MAX));
    CHECK(item.large != NULL || item.value.len <= SHARD_INLINE_MAX);
    size_t chunk_bytes = slab_chunk_bytes(&shard->slab, entry_bytes(&item));
    const struct page_info *info = &shard->slab.infos[slab_page(index)];
    CHECK(shard->slab.classes[info->class_index].chunk_bytes == chunk_bytes);
    census->chunk_bytes += chunk_bytes;
    census->keys[item.db]++;
    census_large(census, item.large, item.value.len);
    census_large(census, item.large_key, item.key.len);
    if (item.deadline_ms != ENTRY_NO_DEADLINE) {
        census->deadlines++;
        census->keys_with_deadline[item.db]++;
        uint32_t mark = table_mark(entry_hash(entry, shard->table.seed));
        CHECK(expiry_is_listed(shard->expiry, census->filings, census->filing_count, mark,
                               item.wheel, item_filed_tick(&item), item.has_filed));
    }
}

void shard_verify(struct shard *shard)
{
    slab_verify(&shard->slab);
    table_verify(&shard->table);
    size_t blocks = expiry_verify(shard->expiry);

    struct census census = {.shard = shard};
    uint64_t *filings = expiry_list(shard->expiry, &census.filing_count);
    CHECK(filings != NULL);
    census.filings = filings;
    for (uint64_t bucket = 0; bucket < shard->table.buckets; bucket++) {
        table_visit_bucket(&shard->table, bucket, visit_census, &census);
    }
    heap_free(filings);
    for (unsigned db = 0; db < MEMENTO_DATABASES; db++) {
        CHECK(census.keys[db] == atomic_load(&shard->keys[db]));
        CHECK(census.keys_with_deadline[db] ==
              atomic_load(&shard->keys_with_deadline[db]));
    }
    CHECK(census.deadlines == shard->deadlines);
    CHECK(census.large_bytes == shard->large_bytes);
    CHECK(census.large_count == shard->large_count);
    CHECK(census.chunk_bytes + shard->table.overflow_lines * sizeof(struct bucket) +
              blocks * sizeof(struct bucket) ==
          shard->slab.bytes_used);
}
