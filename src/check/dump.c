/* dump.c - the records that count, as lines of JSON in the order of the log, or as commands that
 * another server can replay.
 *
 * A replay has no versions, so the commands must come in an order in which the last one of each
 * key is the newest: first the snapshot, in which every key is there once, then the log sorted by
 * version. What SWAPDB did comes at the very end, since records name physical databases. */
#include "base/buf.h"
#include "base/heap.h"
#include "check/check.h"
#include "log/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A record of the log: its version, and where it is. */
struct place {
    uint64_t version;
    uint64_t position; /* of its frame */
    uint32_t offset;   /* in the frame's payload */
};

struct dump {
    const struct archive *archive;
    int db;               /* selected, -1 none yet */
    uint64_t map_version; /* of the newest MAP */
    unsigned char map[MEMENTO_DATABASES];
    struct place *places;
    size_t place_count, place_cap;
};

/* What is in the snapshot already, a log record does not change. */
static bool is_outdated(const struct dump *dump, const struct archive_file *file,
                        const struct record *record)
{
    return file->kind == FILE_LOG && record->version <= dump->archive->manifest.cut;
}

/* ---- JSON ---- */

static void print_json_string(struct bytes bytes)
{
    putchar('"');
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        if (byte < 0x20 || byte >= 0x7f) {
            printf("\\u00%02x", byte);
        } else {
            if (byte == '"' || byte == '\\') {
                putchar('\\');
            }
            putchar(byte);
        }
    }
    putchar('"');
}

static void print_json_fields(const struct record *record)
{
    bool has_key = record->kind == RECORD_SET || record->kind == RECORD_DELETE ||
                   record->kind == RECORD_TOUCH;
    if (record->kind != RECORD_MAP && record->db != RECORD_ALL_DBS) {
        printf(",\"db\":%d", record->db);
    }
    if (has_key) {
        printf(",\"key\":");
        print_json_string(record->key);
    }
    if (record->kind == RECORD_SET) {
        printf(",\"value\":");
        print_json_string(record->value);
        printf(",\"created_ms\":%" PRId64, record->created_ms);
    }
    if (record->kind == RECORD_SET || record->kind == RECORD_TOUCH) {
        if (record->deadline_ms == RECORD_NO_DEADLINE) {
            printf(",\"deadline_ms\":null");
        } else {
            printf(",\"deadline_ms\":%" PRId64, record->deadline_ms);
        }
    }
    if (record->kind == RECORD_DELETE) {
        printf(",\"evicted\":%s", record->flags & RECORD_IS_EVICTED ? "true" : "false");
    }
    for (size_t i = 0; record->kind == RECORD_MAP && i < record->value.len; i++) {
        printf("%s%d", i == 0 ? ",\"map\":[" : ",", record->value.data[i]);
    }
    if (record->kind == RECORD_MAP) {
        putchar(']');
    }
}

static enum memento_status print_json(void *context, const struct archive_frame *frame)
{
    static const char *const names[] = {[RECORD_SET] = "set",
                                        [RECORD_DELETE] = "delete",
                                        [RECORD_TOUCH] = "touch",
                                        [RECORD_FLUSH] = "flush",
                                        [RECORD_MAP] = "map"};
    const struct dump *dump = context;
    struct bytes left = frame->payload;
    while (left.len > 0) {
        struct record record;
        enum memento_status status =
            record_read(&left, frame->header.base_version, &record);
        if (status != MEMENTO_OK) {
            return status;
        }
        bool is_known = record.kind >= RECORD_SET && record.kind <= RECORD_MAP;
        if (!is_known || is_outdated(dump, frame->file, &record)) {
            continue;
        }
        /* A string: readers of JSON may round numbers of more than 53 bits. */
        printf("{\"from\":\"%s\",\"sequence\":%" PRIu64 ",\"time_ms\":%" PRId64
               ",\"version\":\"%" PRIu64 "\",\"kind\":\"%s\"",
               frame->file->kind == FILE_LOG ? "log" : "snapshot", frame->header.sequence,
               frame->header.wall_ms, record.version, names[record.kind]);
        print_json_fields(&record);
        puts("}");
    }
    return ferror(stdout) ? MEMENTO_CLOSED : MEMENTO_OK;
}

/* ---- commands ---- */

static void print_words(const struct bytes *words, size_t count)
{
    printf("*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        printf("$%zu\r\n", words[i].len);
        if (words[i].len > 0) {
            fwrite(words[i].data, 1, words[i].len, stdout);
        }
        printf("\r\n");
    }
}

static struct bytes number_word(char text[24], int64_t value)
{
    return bytes_of(text, (size_t)snprintf(text, 24, "%" PRId64, value));
}

static void print_select(struct dump *dump, int db)
{
    char text[24];
    if (dump->db != db) {
        dump->db = db;
        print_words((struct bytes[]){BYTES("SELECT"), number_word(text, db)}, 2);
    }
}

static void print_command(struct dump *dump, const struct record *record)
{
    char text[24];
    bool has_deadline = record->deadline_ms != RECORD_NO_DEADLINE;
    struct bytes deadline = number_word(text, record->deadline_ms);
    if (record->kind == RECORD_MAP) {
        if (record->version >= dump->map_version) {
            dump->map_version = record->version;
            memcpy(dump->map, record->value.data, sizeof(dump->map));
        }
        return;
    }
    if (record->kind == RECORD_FLUSH && record->db == RECORD_ALL_DBS) {
        print_words((struct bytes[]){BYTES("FLUSHALL")}, 1);
        return;
    }
    print_select(dump, record->db);
    switch (record->kind) {
    case RECORD_SET:
        print_words((struct bytes[]){BYTES("SET"), record->key, record->value,
                                     BYTES("PXAT"), deadline},
                    has_deadline ? 5 : 3);
        break;
    case RECORD_DELETE:
        print_words((struct bytes[]){BYTES("DEL"), record->key}, 2);
        break;
    case RECORD_TOUCH:
        print_words((struct bytes[]){has_deadline ? BYTES("PEXPIREAT") : BYTES("PERSIST"),
                                     record->key, deadline},
                    has_deadline ? 3 : 2);
        break;
    case RECORD_FLUSH:
        print_words((struct bytes[]){BYTES("FLUSHDB")}, 1);
        break;
    default:
        break;
    }
}

static bool note_place(struct dump *dump, struct place place)
{
    if (dump->place_count == dump->place_cap) {
        size_t cap = dump->place_cap == 0 ? 1024 : 2 * dump->place_cap;
        struct place *grown = heap_realloc(dump->places, cap * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        dump->places = grown;
        dump->place_cap = cap;
    }
    dump->places[dump->place_count++] = place;
    return true;
}

/* Of the snapshot every record is printed, of the log its place is noted. */
static enum memento_status collect(void *context, const struct archive_frame *frame)
{
    struct dump *dump = context;
    struct bytes left = frame->payload;
    while (left.len > 0) {
        struct record record;
        struct place place = {.position = position_of(frame->file->id, frame->offset),
                              .offset = (uint32_t)(frame->payload.len - left.len)};
        enum memento_status status =
            record_read(&left, frame->header.base_version, &record);
        if (status != MEMENTO_OK) {
            return status;
        }
        place.version = record.version;
        bool is_known = record.kind >= RECORD_SET && record.kind <= RECORD_MAP;
        if (!is_known || is_outdated(dump, frame->file, &record)) {
            continue;
        }
        if (frame->file->kind == FILE_SNAPSHOT) {
            print_command(dump, &record);
        } else if (!note_place(dump, place)) {
            return MEMENTO_ERR_NO_MEMORY;
        }
    }
    return ferror(stdout) ? MEMENTO_CLOSED : MEMENTO_OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->version != y->version) {
        return x->version < y->version ? -1 : 1;
    }
    if (x->position != y->position) {
        return x->position < y->position ? -1 : 1;
    }
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Versions grow nearly as the log does: most records are in the frame of the one before. */
static enum memento_status print_places(struct dump *dump, struct buf *why)
{
    struct scan scan = {0};
    struct scan_frame frame = {0};
    uint64_t open_id = 0;
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < dump->place_count && status == MEMENTO_OK; i++) {
        const struct place *place = &dump->places[i];
        uint64_t id = position_file(place->position);
        uint64_t offset = position_offset(place->position);
        if (id != open_id) {
            if (open_id != 0) {
                scan_close(&scan);
            }
            open_id = 0;
            frame.offset = 0;
            status = scan_open(&scan, dump->archive->dir, FILE_LOG, id,
                               dump->archive->manifest.uuid, why);
            if (status != MEMENTO_OK) {
                break;
            }
            open_id = id;
        }
        if (frame.offset != offset) {
            status = scan_frame(&scan, offset, SCAN_ANY, &frame);
        }
        struct record record;
        if (status == MEMENTO_OK) {
            struct bytes left = bytes_of(frame.payload.data + place->offset,
                                         frame.payload.len - place->offset);
            status = record_read(&left, frame.header.base_version, &record);
        }
        if (status == MEMENTO_OK) {
            print_command(dump, &record);
        } else {
            scan_explain(&scan, offset, why);
        }
    }
    if (open_id != 0) {
        scan_close(&scan);
    }
    return status;
}

/* Until now the logical databases were the physical ones: they are swapped into their places. */
static void print_swaps(struct dump *dump)
{
    unsigned char now[MEMENTO_DATABASES];
    for (unsigned i = 0; i < MEMENTO_DATABASES; i++) {
        now[i] = (unsigned char)i;
    }
    for (unsigned i = 0; i < MEMENTO_DATABASES; i++) {
        const unsigned char *at = memchr(now, dump->map[i], sizeof(now));
        unsigned from = (unsigned)(at - now);
        if (from != i) {
            char a[24], b[24];
            print_words((struct bytes[]){BYTES("SWAPDB"), number_word(a, (int64_t)i),
                                         number_word(b, (int64_t)from)},
                        3);
            now[from] = now[i];
            now[i] = dump->map[i];
        }
    }
}

/* ---- */

static enum memento_status dump_all(struct dump *dump, struct archive *archive,
                                    enum dump_format format, struct buf *why)
{
    enum memento_status status = MEMENTO_OK;
    archive_visit *visit = format == DUMP_JSONL ? print_json : collect;
    for (size_t i = 0; i < archive->file_count && status == MEMENTO_OK; i++) {
        status = archive_read_file(archive, i, visit, dump, NULL, why);
    }
    if (status == MEMENTO_OK) {
        status = archive_check_chain(archive, why);
    }
    if (status == MEMENTO_OK && format == DUMP_RESP) {
        if (dump->place_count > 0) {
            qsort(dump->places, dump->place_count, sizeof(*dump->places), compare_places);
        }
        status = print_places(dump, why);
    }
    if (status == MEMENTO_OK && format == DUMP_RESP) {
        print_swaps(dump);
    }
    return status;
}

enum exit_status check_dump(int dir, const char *path, enum dump_format format)
{
    struct archive archive;
    struct buf why;
    buf_init(&why);
    enum exit_status result = check_open(&archive, dir, path, NULL);
    if (result == EXIT_GOOD || result == EXIT_TORN) {
        struct dump dump = {.archive = &archive, .db = -1};
        for (unsigned i = 0; i < MEMENTO_DATABASES; i++) {
            dump.map[i] = (unsigned char)i;
        }
        enum memento_status status = dump_all(&dump, &archive, format, &why);
        if (status == MEMENTO_CLOSED) {
            complain("cannot write to stdout: %s", strerror(errno));
            result = EXIT_TROUBLE;
        } else if (status != MEMENTO_OK) {
            result = complain_of(status, &why);
            complain("what was printed is not complete");
        }
        heap_free(dump.places);
    }
    archive_close(&archive);
    buf_fini(&why);
    return result;
}
