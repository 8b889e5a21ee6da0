/* entry.c - the layout is walked front to back; every optional field has its flag. */
#include "store/entry.h"

#include "base/check.h"

#include <assert.h>
#include <string.h>

/* Integers are stored as the processor keeps them, which is little-endian wherever memento
 * runs; entries never leave the process. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "entries store partial integers");

#define VERSION_BYTES  8
#define NARROW_BYTES   4
#define WIDE_BYTES     8
#define CREATED_BYTES  6
#define FILED_BYTES    4
#define POINTER_BYTES  sizeof(struct large *)
#define NARROW_MAX     UINT32_MAX
#define SAME_BYTES_MAX 64

static_assert(1 + 3 + 3 + VERSION_BYTES + WIDE_BYTES + CREATED_BYTES + FILED_BYTES + 1 <=
                  ENTRY_HEADER_MAX,
              "the longest header");

static size_t varint_bytes(size_t value)
{
    return value < 0x80 ? 1 : value < 0x4000 ? 2 : 3;
}

static char *varint_write(char *at, size_t value)
{
    CHECK(value < 1u << 21);
    while (value >= 0x80) {
        *at++ = (char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (char)value;
    return at;
}

static ALWAYS_INLINE size_t varint_read(const char **at)
{
    size_t value = (unsigned char)*(*at)++;
    if (LIKELY(value < 0x80)) {
        return value;
    }
    value &= 0x7F;
    for (unsigned shift = 7;; shift += 7) {
        size_t byte = (unsigned char)*(*at)++;
        value |= (byte & 0x7F) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
}

static int64_t version_ms(uint64_t version)
{
    return (int64_t)(version >> ENTRY_VERSION_SHIFT);
}

static int64_t created_in_range(int64_t created_ms)
{
    if (created_ms < 0) {
        return 0;
    }
    return created_ms > ENTRY_CREATED_MAX ? ENTRY_CREATED_MAX : created_ms;
}

static bool deadline_is_narrow(const struct item *item)
{
    int64_t from = version_ms(item->version);
    return item->deadline_ms >= from && item->deadline_ms - from <= (int64_t)NARROW_MAX;
}

static unsigned item_flags(const struct item *item)
{
    unsigned flags = 0;
    if (item->deadline_ms != ENTRY_NO_DEADLINE) {
        flags |= ENTRY_HAS_DEADLINE;
        flags |= deadline_is_narrow(item) ? 0u : ENTRY_DEADLINE_IS_WIDE;
        flags |= item->has_filed ? ENTRY_HAS_FILED : 0u;
        flags |= item->wheel ? ENTRY_WHEEL : 0u;
    }
    if (created_in_range(item->created_ms) != version_ms(item->version)) {
        flags |= ENTRY_HAS_CREATED;
    }
    flags |= item->db != 0 ? ENTRY_HAS_DB : 0u;
    flags |= item->large != NULL ? ENTRY_VALUE_IS_LARGE : 0u;
    flags |= item->large_key != NULL ? ENTRY_KEY_IS_LARGE : 0u;
    return flags;
}

/* Bytes of the optional fields, by the flags that announce them. */
static ALWAYS_INLINE size_t extra_bytes(unsigned flags)
{
    size_t bytes = 0;
    if (flags & ENTRY_HAS_DEADLINE) {
        bytes += flags & ENTRY_DEADLINE_IS_WIDE ? WIDE_BYTES : NARROW_BYTES;
    }
    bytes += flags & ENTRY_HAS_CREATED ? CREATED_BYTES : 0;
    bytes += flags & ENTRY_HAS_FILED ? FILED_BYTES : 0;
    bytes += flags & ENTRY_HAS_DB ? 1 : 0;
    return bytes;
}

size_t entry_header_bytes(const struct item *item)
{
    unsigned flags = item_flags(item);
    size_t bytes = 1 + varint_bytes(item->key.len) + VERSION_BYTES + extra_bytes(flags);
    return item->large != NULL ? bytes : bytes + varint_bytes(item->value.len);
}

static size_t item_key_bytes(const struct item *item)
{
    return item->large_key != NULL ? POINTER_BYTES : item->key.len;
}

static size_t item_value_bytes(const struct item *item)
{
    return item->large != NULL ? POINTER_BYTES : item->value.len;
}

size_t entry_bytes(const struct item *item)
{
    return entry_header_bytes(item) + item_key_bytes(item) + item_value_bytes(item);
}

static char *field_write(char *at, const void *field, size_t bytes)
{
    memcpy(at, field, bytes);
    return at + bytes;
}

static void header_write(char *chunk, const struct item *item)
{
    unsigned flags = item_flags(item);
    char *at = chunk;
    *at++ = (char)flags;
    at = varint_write(at, item->key.len);
    if (item->large == NULL) {
        at = varint_write(at, item->value.len);
    }
    at = field_write(at, &item->version, VERSION_BYTES);
    if (flags & ENTRY_HAS_DEADLINE) {
        if (flags & ENTRY_DEADLINE_IS_WIDE) {
            at = field_write(at, &item->deadline_ms, WIDE_BYTES);
        } else {
            int64_t distance = item->deadline_ms - version_ms(item->version);
            at = field_write(at, &distance, NARROW_BYTES);
        }
    }
    if (flags & ENTRY_HAS_CREATED) {
        int64_t created_ms = created_in_range(item->created_ms);
        at = field_write(at, &created_ms, CREATED_BYTES);
    }
    if (flags & ENTRY_HAS_FILED) {
        at = field_write(at, &item->filed_tick, FILED_BYTES);
    }
    if (flags & ENTRY_HAS_DB) {
        *at++ = (char)item->db;
    }
}

static void key_write(char *at, const struct item *item)
{
    if (item->large_key != NULL) {
        memcpy(at, &item->large_key, POINTER_BYTES);
    } else {
        memcpy(at, item->key.data, item->key.len);
    }
}

static void value_write(char *at, const struct item *item)
{
    if (item->large != NULL) {
        memcpy(at, &item->large, POINTER_BYTES);
    } else if (item->value.len > 0) {
        memmove(at, item->value.data, item->value.len);
    }
}

void entry_write(char *chunk, const struct item *item)
{
    size_t header_bytes = entry_header_bytes(item);
    header_write(chunk, item);
    key_write(chunk + header_bytes, item);
    value_write(chunk + header_bytes + item_key_bytes(item), item);
}

void entry_rewrite(char *chunk, const struct item *item, size_t old_header_bytes)
{
    size_t header_bytes = entry_header_bytes(item);
    size_t key_bytes = item_key_bytes(item);
    if (header_bytes == old_header_bytes) {
        value_write(chunk + header_bytes + key_bytes, item);
    } else if (header_bytes > old_header_bytes) {
        /* Everything moves right: the value leaves before the key comes over its place. */
        value_write(chunk + header_bytes + key_bytes, item);
        memmove(chunk + header_bytes, chunk + old_header_bytes, key_bytes);
    } else {
        memmove(chunk + header_bytes, chunk + old_header_bytes, key_bytes);
        value_write(chunk + header_bytes + key_bytes, item);
    }
    header_write(chunk, item);
}

static ALWAYS_INLINE int64_t deadline_read(const char *at, unsigned flags,
                                           uint64_t version)
{
    if (flags & ENTRY_DEADLINE_IS_WIDE) {
        int64_t deadline_ms;
        memcpy(&deadline_ms, at, WIDE_BYTES);
        return deadline_ms;
    }
    uint32_t distance;
    memcpy(&distance, at, NARROW_BYTES);
    return version_ms(version) + distance;
}

static struct bytes key_read(const char *at, size_t len, unsigned flags,
                             struct large **large_key)
{
    if (UNLIKELY(flags & ENTRY_KEY_IS_LARGE)) {
        memcpy(large_key, at, POINTER_BYTES);
        return bytes_of((*large_key)->bytes, len);
    }
    *large_key = NULL;
    return bytes_of(at, len);
}

static ALWAYS_INLINE struct bytes value_read(const char *at, size_t len, unsigned flags,
                                             struct large **large)
{
    if (UNLIKELY(flags & ENTRY_VALUE_IS_LARGE)) {
        memcpy(large, at, POINTER_BYTES);
        return bytes_of((*large)->bytes, (*large)->len);
    }
    *large = NULL;
    return bytes_of(at, len);
}

void entry_read(const char *chunk, struct item *item)
{
    const char *at = chunk;
    unsigned flags = (unsigned char)*at++;
    size_t key_len = varint_read(&at);
    size_t value_len = flags & ENTRY_VALUE_IS_LARGE ? 0 : varint_read(&at);
    memcpy(&item->version, at, VERSION_BYTES);
    at += VERSION_BYTES;

    item->deadline_ms = ENTRY_NO_DEADLINE;
    if (flags & ENTRY_HAS_DEADLINE) {
        item->deadline_ms = deadline_read(at, flags, item->version);
        at += flags & ENTRY_DEADLINE_IS_WIDE ? WIDE_BYTES : NARROW_BYTES;
    }
    item->created_ms = version_ms(item->version);
    if (flags & ENTRY_HAS_CREATED) {
        item->created_ms = 0;
        memcpy(&item->created_ms, at, CREATED_BYTES);
        at += CREATED_BYTES;
    }
    item->filed_tick = 0;
    item->has_filed = (flags & ENTRY_HAS_FILED) != 0;
    if (flags & ENTRY_HAS_FILED) {
        memcpy(&item->filed_tick, at, FILED_BYTES);
        at += FILED_BYTES;
    }
    item->db = flags & ENTRY_HAS_DB ? (uint8_t)*at++ : 0;
    item->wheel = (flags & ENTRY_WHEEL) != 0;

    item->key = key_read(at, key_len, flags, &item->large_key);
    at += item_key_bytes(item);
    item->value = value_read(at, value_len, flags, &item->large);
}

/* Where the key begins, and what is needed to read it. */
static ALWAYS_INLINE const char *entry_find_key(const char *chunk, size_t *key_len,
                                                size_t *value_len, uint8_t *db)
{
    const char *at = chunk;
    unsigned flags = (unsigned char)*at++;
    *key_len = varint_read(&at);
    *value_len = flags & ENTRY_VALUE_IS_LARGE ? 0 : varint_read(&at);
    at += VERSION_BYTES + extra_bytes(flags);
    *db = flags & ENTRY_HAS_DB ? (uint8_t)at[-1] : 0;
    return at;
}

/* Keys are short and of equal length here: whole words, the last two of which may overlap,
 * are cheaper than a call. */
static ALWAYS_INLINE bool same_bytes(const char *a, const char *b, size_t len)
{
    uint64_t word_a, word_b;
    if (UNLIKELY(len < sizeof(word_a) || len > SAME_BYTES_MAX)) {
        return memcmp(a, b, len) == 0;
    }
    size_t last = len - sizeof(word_a);
    memcpy(&word_a, a + last, sizeof(word_a));
    memcpy(&word_b, b + last, sizeof(word_b));
    uint64_t differs = word_a ^ word_b;
    for (size_t at = 0; at < last; at += sizeof(word_a)) {
        memcpy(&word_a, a + at, sizeof(word_a));
        memcpy(&word_b, b + at, sizeof(word_b));
        differs |= word_a ^ word_b;
    }
    return differs == 0;
}

bool entry_is(const char *chunk, struct bytes key, uint8_t db)
{
    size_t key_len, value_len;
    uint8_t key_db;
    const char *at = entry_find_key(chunk, &key_len, &value_len, &key_db);
    if (key_len != key.len || key_db != db) {
        return false;
    }
    struct large *large_key;
    struct bytes own = key_read(at, key_len, (unsigned char)*chunk, &large_key);
    return same_bytes(own.data, key.data, key_len);
}

void entry_read_value(const char *chunk, struct bytes *value, struct large **large,
                      int64_t *deadline_ms)
{
    unsigned flags = (unsigned char)*chunk;
    size_t key_len, value_len;
    uint8_t db;
    const char *at = entry_find_key(chunk, &key_len, &value_len, &db);
    at += flags & ENTRY_KEY_IS_LARGE ? POINTER_BYTES : key_len;
    *value = value_read(at, value_len, flags, large);
    *deadline_ms =
        flags & ENTRY_HAS_DEADLINE ? entry_deadline_ms(chunk) : ENTRY_NO_DEADLINE;
}

uint64_t entry_version(const char *chunk)
{
    const char *at = chunk;
    unsigned flags = (unsigned char)*at++;
    (void)varint_read(&at);
    if (!(flags & ENTRY_VALUE_IS_LARGE)) {
        (void)varint_read(&at);
    }
    uint64_t version;
    memcpy(&version, at, VERSION_BYTES);
    return version;
}

uint64_t entry_hash(const char *chunk, const struct hash_seed *seed)
{
    size_t key_len, value_len;
    uint8_t db;
    const char *at = entry_find_key(chunk, &key_len, &value_len, &db);
    struct large *large_key;
    struct bytes key = key_read(at, key_len, (unsigned char)*chunk, &large_key);
    return key_hash_in_db(hash_bytes(seed, key), db);
}

int64_t entry_deadline_ms(const char *chunk)
{
    const char *at = chunk;
    unsigned flags = (unsigned char)*at++;
    if (!(flags & ENTRY_HAS_DEADLINE)) {
        return ENTRY_NO_DEADLINE;
    }
    (void)varint_read(&at);
    if (!(flags & ENTRY_VALUE_IS_LARGE)) {
        (void)varint_read(&at);
    }
    uint64_t version;
    memcpy(&version, at, VERSION_BYTES);
    return deadline_read(at + VERSION_BYTES, flags, version);
}

void entry_set_filed(char *chunk, uint8_t wheel, uint32_t tick)
{
    unsigned flags = (unsigned char)*chunk;
    CHECK(flags & ENTRY_HAS_DEADLINE);
    *chunk = (char)((flags & ~(unsigned)ENTRY_WHEEL) | (wheel ? ENTRY_WHEEL : 0u));
    if (flags & ENTRY_HAS_FILED) {
        size_t key_len, value_len;
        uint8_t db;
        const char *key = entry_find_key(chunk, &key_len, &value_len, &db);
        size_t after = FILED_BYTES + (flags & ENTRY_HAS_DB ? 1 : 0);
        memcpy(chunk + (key - chunk) - after, &tick, FILED_BYTES);
    }
}

void entry_set_large(char *chunk, struct large *large)
{
    unsigned flags = (unsigned char)*chunk;
    CHECK(flags & ENTRY_VALUE_IS_LARGE);
    size_t key_len, value_len;
    uint8_t db;
    const char *key = entry_find_key(chunk, &key_len, &value_len, &db);
    size_t key_bytes = flags & ENTRY_KEY_IS_LARGE ? POINTER_BYTES : key_len;
    memcpy(chunk + (key - chunk) + key_bytes, &large, POINTER_BYTES);
}

bool entry_read_plain(const char *chunk, struct entry_plain *plain)
{
    const char *at = chunk;
    unsigned flags = (unsigned char)*at++;
    if ((flags & ~(unsigned)ENTRY_HAS_DB) != 0) {
        return false;
    }
    size_t key_len = varint_read(&at);
    plain->len_at = (size_t)(at - chunk);
    plain->value_len = varint_read(&at);
    plain->version_at = (size_t)(at - chunk);
    plain->value_at = plain->version_at + VERSION_BYTES + (flags != 0) + key_len;
    return true;
}

bool entry_overwrite_plain(char *chunk, const struct entry_plain *plain,
                           struct bytes value, uint64_t version)
{
    if (varint_bytes(value.len) != plain->version_at - plain->len_at) {
        return false;
    }
    if (value.len > 0) {
        memmove(chunk + plain->value_at, value.data, value.len);
    }
    (void)varint_write(chunk + plain->len_at, value.len);
    memcpy(chunk + plain->version_at, &version, VERSION_BYTES);
    return true;
}
