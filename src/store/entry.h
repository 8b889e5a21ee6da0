/* entry.h - one key and its value in one chunk: the header is as small as the facts it holds.
 *
 *   flags u8 | key length varint | value length varint (none when it is large) | version 8
 *   [deadline 4 or 8] [created 6] [filed 4] [db 1] | key | value
 *
 * The version is the shard's hybrid clock: wall milliseconds << 20 plus a counter. It grows
 * with every change of the key. An entry whose value was SET was created at the version's own
 * time; only one that was changed afterwards (INCR, APPEND, EXPIRE keep the creation time)
 * pays for `created`. A deadline within 49 days after the version's time is stored as the
 * distance to it, 4 bytes. A key over ENTRY_KEY_INLINE_MAX and a large value live in blocks of
 * their own; the chunk holds pointers. Little-endian, unaligned: read with the functions below.
 * `filed` is the wheel tick at which the entry's timer is filed when that is not the tick of
 * the deadline itself (expiry.h). */
#pragma once

#include "base/annotate.h"
#include "base/bytes.h"
#include "store/key.h"
#include "store/large.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENTRY_VERSION_SHIFT 20
#define ENTRY_NO_DEADLINE   INT64_MAX
/* So that the largest chunk stays below SLAB_CHUNK_MAX. */
#define ENTRY_KEY_INLINE_MAX 4096
#define ENTRY_HEADER_MAX     40
/* Creation times are stored in 48 bits: to the year 10889, and not before 1970. */
#define ENTRY_CREATED_MAX ((1ll << 48) - 1)

enum entry_flag {
    ENTRY_HAS_DEADLINE = 1,
    ENTRY_DEADLINE_IS_WIDE = 2,
    ENTRY_HAS_CREATED = 4,
    ENTRY_HAS_FILED = 8,
    ENTRY_HAS_DB = 16,
    ENTRY_VALUE_IS_LARGE = 32,
    ENTRY_KEY_IS_LARGE = 64,
    ENTRY_WHEEL = 128 /* which of the two wheels holds the filing */
};

/* Everything an entry says, decoded; the views are good until the next change to its shard. */
struct item {
    struct bytes key;
    struct bytes value;
    struct large *large;     /* where value lives, or NULL */
    struct large *large_key; /* where key lives, or NULL */
    uint64_t version;
    int64_t deadline_ms; /* wall ms, or ENTRY_NO_DEADLINE */
    int64_t created_ms;  /* wall ms */
    uint32_t filed_tick; /* only meaningful with has_filed */
    uint8_t db;
    bool has_filed;
    uint8_t wheel; /* only meaningful with a deadline */
};

/* Bytes of the chunk contents for such an item (item->large decides how the value counts). */
size_t entry_bytes(const struct item *item);
/* The same without key and value. */
size_t entry_header_bytes(const struct item *item);
/* Writes the item to a chunk of at least entry_bytes; item's views must not lie in `chunk`. */
void entry_write(char *chunk, const struct item *item);
/* The same over the chunk that holds the item's key now: the value may be a view of the old
 * value, whole or in part (not of the key). `old_header_bytes` is where the key is now. */
void entry_rewrite(char *chunk, const struct item *item, size_t old_header_bytes);
void entry_read(const char *chunk, struct item *item);
/* Whether this is the key; touches only the header and the key. */
bool entry_is(const char *chunk, struct bytes key, uint8_t db);
/* The value and the deadline, and nothing else. */
void entry_read_value(const char *chunk, struct bytes *value, struct large **large,
                      int64_t *deadline_ms);
uint64_t entry_version(const char *chunk);
/* The hash of the entry's key in its database. */
uint64_t entry_hash(const char *chunk, const struct hash_seed *seed);
/* The deadline alone, or ENTRY_NO_DEADLINE. */
int64_t entry_deadline_ms(const char *chunk);
/* Files the entry, which has a deadline, in that wheel at its own deadline's tick. Sizes
 * stay. */
void entry_set_filed(char *chunk, uint8_t wheel, uint32_t tick);
/* Another block for the value, which lives in one already. */
void entry_set_large(char *chunk, struct large *large);

/* The commonest entry: created at its version's time, no deadline, nothing in a block of its
 * own. Where its parts are, from the beginning of the chunk. */
struct entry_plain {
    size_t len_at, version_at, value_at;
    size_t value_len;
};
/* False when the entry is not such a one. */
bool entry_read_plain(const char *chunk, struct entry_plain *plain);
/* Another value, which may be a view of the old one, and version; the chunk must be large
 * enough. False, and nothing is changed, when the length of the length differs. */
bool entry_overwrite_plain(char *chunk, const struct entry_plain *plain,
                           struct bytes value, uint64_t version);
