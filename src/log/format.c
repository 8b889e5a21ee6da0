#include "log/format.h"

#include "base/check.h"
#include "base/crc.h"

#include <assert.h>
#include <string.h>

/* ---- numbers, least significant byte first ---- */

static void write_u16(char *to, uint16_t value)
{
    to[0] = (char)(value & 0xff);
    to[1] = (char)(value >> 8);
}

static void write_u32(char *to, uint32_t value)
{
    write_u16(to, (uint16_t)(value & 0xffff));
    write_u16(to + 2, (uint16_t)(value >> 16));
}

static void write_u64(char *to, uint64_t value)
{
    write_u32(to, (uint32_t)(value & UINT32_MAX));
    write_u32(to + 4, (uint32_t)(value >> 32));
}

static uint16_t read_u16(const char *from)
{
    return (uint16_t)((unsigned char)from[0] | (unsigned char)from[1] << 8);
}

static uint32_t read_u32(const char *from)
{
    return read_u16(from) | (uint32_t)read_u16(from + 2) << 16;
}

static uint64_t read_u64(const char *from)
{
    return read_u32(from) | (uint64_t)read_u32(from + 4) << 32;
}

/* ---- file header ---- */

#define FILE_MAGIC "MEMENTO\n"

enum file_header_offset {
    FILE_AT_MAGIC = 0,
    FILE_AT_MAJOR = 8,
    FILE_AT_MINOR = 10,
    FILE_AT_KIND = 12,
    FILE_AT_RESERVED = 13,
    FILE_AT_HEADER_BYTES = 14,
    FILE_AT_UUID = 16,
    FILE_AT_ID = 32,
    FILE_AT_SALT = 40,
    FILE_AT_CREATED = 48,
    FILE_AT_CRC = FILE_HEADER_BYTES - 4
};

void file_header_write(char bytes[FILE_HEADER_BYTES], const struct file_header *header)
{
    memset(bytes, 0, FILE_HEADER_BYTES);
    memcpy(bytes + FILE_AT_MAGIC, FILE_MAGIC, sizeof(FILE_MAGIC) - 1);
    write_u16(bytes + FILE_AT_MAJOR, header->major);
    write_u16(bytes + FILE_AT_MINOR, header->minor);
    bytes[FILE_AT_KIND] = (char)header->kind;
    write_u16(bytes + FILE_AT_HEADER_BYTES, FILE_HEADER_BYTES);
    memcpy(bytes + FILE_AT_UUID, header->uuid, UUID_BYTES);
    write_u64(bytes + FILE_AT_ID, header->id);
    write_u64(bytes + FILE_AT_SALT, header->salt);
    write_u64(bytes + FILE_AT_CREATED, (uint64_t)header->created_ms);
    write_u32(bytes + FILE_AT_CRC, crc32c(0, bytes_of(bytes, FILE_AT_CRC)));
}

enum memento_status file_header_read(const char bytes[FILE_HEADER_BYTES],
                                     struct file_header *header)
{
    *header = (struct file_header){0};
    /* The checksum is looked at before the version: a flipped bit in the version must not
     * send anybody to look for a newer program. */
    if (memcmp(bytes + FILE_AT_MAGIC, FILE_MAGIC, sizeof(FILE_MAGIC) - 1) != 0 ||
        read_u32(bytes + FILE_AT_CRC) != crc32c(0, bytes_of(bytes, FILE_AT_CRC))) {
        return MEMENTO_ERR_CORRUPT;
    }
    header->major = read_u16(bytes + FILE_AT_MAJOR);
    header->minor = read_u16(bytes + FILE_AT_MINOR);
    if (header->major > FORMAT_MAJOR) {
        return MEMENTO_ERR_UNSUPPORTED;
    }
    header->kind = (uint8_t)bytes[FILE_AT_KIND];
    memcpy(header->uuid, bytes + FILE_AT_UUID, UUID_BYTES);
    header->id = read_u64(bytes + FILE_AT_ID);
    header->salt = read_u64(bytes + FILE_AT_SALT);
    header->created_ms = (int64_t)read_u64(bytes + FILE_AT_CREATED);
    bool is_valid = header->major > 0 && bytes[FILE_AT_RESERVED] == 0 &&
                    (header->kind == FILE_LOG || header->kind == FILE_SNAPSHOT) &&
                    read_u16(bytes + FILE_AT_HEADER_BYTES) == FILE_HEADER_BYTES;
    return is_valid ? MEMENTO_OK : MEMENTO_ERR_CORRUPT;
}

/* ---- frames ---- */

enum frame_header_offset {
    FRAME_AT_MAGIC = 0,
    FRAME_AT_CRC = 4,
    FRAME_AT_PAYLOAD_BYTES = 8, /* what the checksum covers begins here */
    FRAME_AT_FLAGS = 12,
    FRAME_AT_RESERVED = 14,
    FRAME_AT_SEQUENCE = 16,
    FRAME_AT_DURABLE = 24,
    FRAME_AT_BASE_VERSION = 32,
    FRAME_AT_WALL = 40,
    FRAME_AT_RECORDS = 48,
    FRAME_AT_PAYLOAD_CRC = 52
};

/* Kind, flags and one byte of version: what a FLUSH of everything has. */
#define RECORD_BYTES_MIN 3

static uint32_t frame_header_crc(const char *bytes, uint64_t salt, uint64_t position)
{
    char place[16];
    write_u64(place, salt);
    write_u64(place + 8, position);
    uint32_t crc = crc32c(0, bytes_of(place, sizeof(place)));
    return crc32c(crc, bytes_of(bytes + FRAME_AT_PAYLOAD_BYTES,
                                FRAME_HEADER_BYTES - FRAME_AT_PAYLOAD_BYTES));
}

void frame_header_write(char bytes[FRAME_HEADER_BYTES], const struct frame_header *header,
                        uint64_t salt, uint64_t position)
{
    CHECK(header->payload_bytes <= FRAME_PAYLOAD_MAX);
    CHECK(header->durable <= position);
    write_u32(bytes + FRAME_AT_MAGIC, FRAME_MAGIC);
    write_u32(bytes + FRAME_AT_PAYLOAD_BYTES, header->payload_bytes);
    write_u16(bytes + FRAME_AT_FLAGS, header->flags);
    write_u16(bytes + FRAME_AT_RESERVED, 0);
    write_u64(bytes + FRAME_AT_SEQUENCE, header->sequence);
    write_u64(bytes + FRAME_AT_DURABLE, header->durable);
    write_u64(bytes + FRAME_AT_BASE_VERSION, header->base_version);
    write_u64(bytes + FRAME_AT_WALL, (uint64_t)header->wall_ms);
    write_u32(bytes + FRAME_AT_RECORDS, header->records);
    write_u32(bytes + FRAME_AT_PAYLOAD_CRC, header->payload_crc);
    write_u32(bytes + FRAME_AT_CRC, frame_header_crc(bytes, salt, position));
}

static bool frame_header_is_possible(const struct frame_header *header, uint64_t position)
{
    /* Records and payload come together, or there is neither: then it is a mark or a seal. */
    bool is_empty = header->payload_bytes == 0;
    return header->payload_bytes <= FRAME_PAYLOAD_MAX &&
           (header->flags & ~(FRAME_MARK | FRAME_SEAL)) == 0 &&
           (header->flags != 0) == is_empty && (header->records == 0) == is_empty &&
           header->records <= header->payload_bytes / RECORD_BYTES_MIN &&
           header->durable <= position && header->wall_ms >= 0;
}

enum memento_status frame_header_read(const char bytes[FRAME_HEADER_BYTES], uint64_t salt,
                                      uint64_t position, struct frame_header *header)
{
    *header = (struct frame_header){0};
    if (read_u32(bytes + FRAME_AT_MAGIC) != FRAME_MAGIC ||
        read_u32(bytes + FRAME_AT_CRC) != frame_header_crc(bytes, salt, position) ||
        read_u16(bytes + FRAME_AT_RESERVED) != 0) {
        return MEMENTO_ERR_CORRUPT;
    }
    header->payload_bytes = read_u32(bytes + FRAME_AT_PAYLOAD_BYTES);
    header->flags = read_u16(bytes + FRAME_AT_FLAGS);
    header->sequence = read_u64(bytes + FRAME_AT_SEQUENCE);
    header->durable = read_u64(bytes + FRAME_AT_DURABLE);
    header->base_version = read_u64(bytes + FRAME_AT_BASE_VERSION);
    header->wall_ms = (int64_t)read_u64(bytes + FRAME_AT_WALL);
    header->records = read_u32(bytes + FRAME_AT_RECORDS);
    header->payload_crc = read_u32(bytes + FRAME_AT_PAYLOAD_CRC);
    return frame_header_is_possible(header, position) ? MEMENTO_OK : MEMENTO_ERR_CORRUPT;
}

/* ---- records ---- */

/* The milliseconds of a version lie above its counter. */
#define VERSION_COUNTER_BITS 20

/* Which flags a kind may have; 0 for kinds that are skipped. */
static uint8_t record_flags_allowed(uint8_t kind)
{
    switch (kind) {
    case RECORD_SET:
        return RECORD_HAS_DEADLINE | RECORD_HAS_CREATED | RECORD_HAS_DB;
    case RECORD_DELETE:
        return RECORD_HAS_DB | RECORD_IS_EVICTED;
    case RECORD_TOUCH:
        return RECORD_HAS_DEADLINE | RECORD_HAS_DB;
    case RECORD_FLUSH:
        return RECORD_HAS_DB;
    default:
        return 0;
    }
}

static bool record_has_key(uint8_t kind)
{
    return kind == RECORD_SET || kind == RECORD_DELETE || kind == RECORD_TOUCH;
}

static uint8_t record_flags_of(const struct record *record)
{
    unsigned flags = record->flags & (RECORD_HAS_CREATED | RECORD_IS_EVICTED);
    if (record->deadline_ms != RECORD_NO_DEADLINE) {
        flags |= RECORD_HAS_DEADLINE;
    }
    uint8_t db_absent = record->kind == RECORD_FLUSH ? RECORD_ALL_DBS : 0;
    if (record->db != db_absent) {
        flags |= RECORD_HAS_DB;
    }
    return (uint8_t)(flags & record_flags_allowed(record->kind));
}

static char *write_varint(char *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (char)(value | 0x80);
        value >>= 7;
    }
    *to++ = (char)value;
    return to;
}

size_t record_write(char *out, const struct record *record, uint64_t base_version)
{
    CHECK(record->version >= base_version);
    uint8_t flags = record_flags_of(record);
    char *to = out;
    *to++ = (char)record->kind;
    *to++ = (char)flags;
    to = write_varint(to, record->version - base_version);
    if (record->kind == RECORD_MAP) {
        CHECK(record->value.len == MEMENTO_DATABASES);
        memcpy(to, record->value.data, MEMENTO_DATABASES);
        return (size_t)(to + MEMENTO_DATABASES - out);
    }
    CHECK(record->kind == RECORD_FLUSH || record_has_key(record->kind));
    if (record_has_key(record->kind)) {
        to = write_varint(to, record->key.len);
    }
    if (record->kind == RECORD_SET) {
        to = write_varint(to, record->value.len);
    }
    if (flags & RECORD_HAS_DB) {
        *to++ = (char)record->db;
    }
    if (flags & RECORD_HAS_DEADLINE) {
        write_u64(to, (uint64_t)record->deadline_ms);
        to += 8;
    }
    if (flags & RECORD_HAS_CREATED) {
        write_u64(to, (uint64_t)record->created_ms);
        to += 8;
    }
    CHECK((size_t)(to - out) <= RECORD_OVERHEAD_MAX);
    if (record_has_key(record->kind) && record->key.len > 0) {
        memcpy(to, record->key.data, record->key.len);
        to += record->key.len;
    }
    return (size_t)(to - out);
}

static bool take(struct bytes *left, uint64_t len, struct bytes *taken)
{
    if (left->len < len) {
        return false;
    }
    *taken = bytes_of(left->data, (size_t)len);
    *left = bytes_of(left->data + len, left->len - (size_t)len);
    return true;
}

/* Only the shortest form: every number has one encoding, and a record one truth. */
static bool take_varint(struct bytes *left, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < VARINT_BYTES_MAX && i < left->len; i++) {
        unsigned char byte = (unsigned char)left->data[i];
        if (i == VARINT_BYTES_MAX - 1 && byte > 1) {
            return false; /* more than 64 bits */
        }
        *value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            struct bytes taken;
            return (byte != 0 || i == 0) && take(left, i + 1, &taken);
        }
    }
    return false;
}

static bool take_i64(struct bytes *left, int64_t *value)
{
    struct bytes taken;
    if (!take(left, 8, &taken)) {
        return false;
    }
    *value = (int64_t)read_u64(taken.data);
    return true;
}

static bool take_db(struct bytes *left, uint8_t *db)
{
    struct bytes taken;
    if (!take(left, 1, &taken)) {
        return false;
    }
    *db = (uint8_t)taken.data[0];
    return *db < MEMENTO_DATABASES;
}

/* Two logical databases are never the same physical one. */
static bool map_is_permutation(struct bytes map)
{
    static_assert(MEMENTO_DATABASES < 32, "a bit for each database");
    uint32_t seen = 0;
    for (size_t i = 0; i < map.len; i++) {
        unsigned char db = (unsigned char)map.data[i];
        if (db >= MEMENTO_DATABASES || (seen & 1u << db)) {
            return false;
        }
        seen |= 1u << db;
    }
    return true;
}

static bool take_fields(struct bytes *left, struct record *record)
{
    uint64_t key_bytes = 0, value_bytes = 0;
    bool has_key = record_has_key(record->kind);
    if (has_key &&
        (!take_varint(left, &key_bytes) || key_bytes > MEMENTO_KEY_BYTES_MAX)) {
        return false;
    }
    if (record->kind == RECORD_SET &&
        (!take_varint(left, &value_bytes) || value_bytes > MEMENTO_VALUE_BYTES_MAX)) {
        return false;
    }
    return (!(record->flags & RECORD_HAS_DB) || take_db(left, &record->db)) &&
           (!(record->flags & RECORD_HAS_DEADLINE) ||
            take_i64(left, &record->deadline_ms)) &&
           (!(record->flags & RECORD_HAS_CREATED) ||
            take_i64(left, &record->created_ms)) &&
           take(left, key_bytes, &record->key) && take(left, value_bytes, &record->value);
}

static enum memento_status skip_record(struct bytes *left, struct record *record)
{
    uint64_t len;
    struct bytes skipped;
    uint8_t kind = record->kind;
    *record = (struct record){.kind = kind};
    if (!take_varint(left, &len) || !take(left, len, &skipped)) {
        return MEMENTO_ERR_CORRUPT;
    }
    return kind >= RECORD_CRITICAL ? MEMENTO_ERR_UNSUPPORTED : MEMENTO_OK;
}

enum memento_status record_read(struct bytes *left, uint64_t base_version,
                                struct record *record)
{
    *record = (struct record){.deadline_ms = RECORD_NO_DEADLINE};
    struct bytes start;
    uint64_t version_delta;
    if (!take(left, 2, &start) || !take_varint(left, &version_delta) ||
        version_delta > UINT64_MAX - base_version) {
        return MEMENTO_ERR_CORRUPT;
    }
    record->kind = (uint8_t)start.data[0];
    record->flags = (uint8_t)start.data[1];
    if (record->kind < RECORD_SET || record->kind > RECORD_MAP) {
        return skip_record(left, record);
    }
    if (record->flags & ~record_flags_allowed(record->kind)) {
        return MEMENTO_ERR_CORRUPT;
    }
    record->version = base_version + version_delta;
    record->created_ms = (int64_t)(record->version >> VERSION_COUNTER_BITS);
    record->db = record->kind == RECORD_FLUSH ? RECORD_ALL_DBS : 0;
    bool is_valid = record->kind == RECORD_MAP
                        ? take(left, MEMENTO_DATABASES, &record->value) &&
                              map_is_permutation(record->value)
                        : take_fields(left, record);
    return is_valid ? MEMENTO_OK : MEMENTO_ERR_CORRUPT;
}
