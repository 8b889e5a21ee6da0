/* key.h - a key on its way from the request to the table: hashed once, when it is parsed.
 *
 * The database is mixed into the hash, at no cost for database 0, so that equal names in two
 * databases live in different places.
 *
 *   bits 63..52  shard      (the top bits; as many as the keyspace has shards for)
 *   bits 50..39  tag        (12 bits, kept beside the reference in the bucket)
 *   bits 38..0   bucket     (the low bits, as many as the table has buckets for)
 */
#pragma once

#include "base/bytes.h"
#include "base/hash.h"

#include <stdint.h>

#define KEY_TAG_SHIFT   39
#define KEY_TAG_BITS    12
#define KEY_BUCKET_BITS 39

struct key {
    struct bytes bytes;
    uint64_t hash;    /* of bytes and db */
    uint8_t db;       /* physical database */
    uint8_t database; /* the logical one it was named in; only the engine looks at it */
};

/* Moves a hash of the bytes alone into a database. */
static inline uint64_t key_hash_in_db(uint64_t bytes_hash, uint8_t db)
{
    return bytes_hash ^ (db * 0x9E3779B97F4A7C15u);
}

static inline struct key key_make(const struct hash_seed *seed, struct bytes bytes,
                                  uint8_t db)
{
    return (struct key){bytes, key_hash_in_db(hash_bytes(seed, bytes), db), db, db};
}

static inline uint32_t key_tag(uint64_t hash)
{
    return (uint32_t)(hash >> KEY_TAG_SHIFT) & ((1u << KEY_TAG_BITS) - 1);
}
