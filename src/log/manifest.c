#include "log/manifest.h"

#include "base/crc.h"
#include "base/heap.h"
#include "base/number.h"
#include "base/os_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MANIFEST_TMP_NAME "MANIFEST.tmp"
#define MANIFEST_VERSION  1
/* "crc 89abcdef\n" */
#define CRC_LINE_BYTES 13
/* An id is the upper half of a position. */
#define FILE_ID_MAX UINT32_MAX

void manifest_init(struct manifest *manifest)
{
    *manifest = (struct manifest){.next_id = 1};
}

void manifest_fini(struct manifest *manifest)
{
    heap_free(manifest->parts);
    heap_free(manifest->segments);
    manifest_init(manifest);
}

/* Room for one more: arrays of `count` elements have room up to the next power of two. */
static bool array_grow(void **array, size_t count, size_t element_bytes)
{
    if ((count & (count - 1)) != 0) {
        return true;
    }
    void *grown = heap_realloc(*array, (count == 0 ? 1 : 2 * count) * element_bytes);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    return true;
}

enum memento_status manifest_add_segment(struct manifest *manifest, uint64_t id)
{
    void *array = manifest->segments;
    if (!array_grow(&array, manifest->segment_count, sizeof(*manifest->segments))) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    manifest->segments = array;
    manifest->segments[manifest->segment_count++] = id;
    return MEMENTO_OK;
}

enum memento_status manifest_add_part(struct manifest *manifest,
                                      struct snapshot_part part)
{
    void *array = manifest->parts;
    if (!array_grow(&array, manifest->part_count, sizeof(*manifest->parts))) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    manifest->parts = array;
    manifest->parts[manifest->part_count++] = part;
    return MEMENTO_OK;
}

enum memento_status manifest_copy(struct manifest *to, const struct manifest *from)
{
    *to = *from;
    to->parts = NULL;
    to->segments = NULL;
    to->part_count = to->segment_count = 0;
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; status == MEMENTO_OK && i < from->part_count; i++) {
        status = manifest_add_part(to, from->parts[i]);
    }
    for (size_t i = 0; status == MEMENTO_OK && i < from->segment_count; i++) {
        status = manifest_add_segment(to, from->segments[i]);
    }
    if (status != MEMENTO_OK) {
        manifest_fini(to);
    }
    return status;
}

/* ---- the text ---- */

void manifest_print(const struct manifest *manifest, struct buf *out)
{
    size_t start = out->len;
    buf_appendf(out, "memento-manifest %d\nuuid ", MANIFEST_VERSION);
    for (size_t i = 0; i < UUID_BYTES; i++) {
        buf_appendf(out, "%02x", manifest->uuid[i]);
    }
    buf_appendf(out, "\nnext-id %" PRIu64 "\ncut %" PRIx64 "\n", manifest->next_id,
                manifest->cut);
    buf_appendf(out, "required-end %" PRIx64 " %s\nwritten %" PRId64 "\n",
                manifest->required_end, manifest->is_clean ? "clean" : "open",
                manifest->wall_ms);
    buf_appendf(out, "snapshot-from %" PRIu64 " %" PRId64 "\n",
                manifest->snapshot_sequence, manifest->snapshot_ms);
    if (manifest->restored_sequence != 0 || manifest->restored_ms != 0) {
        buf_appendf(out, "restored %" PRIu64 " %" PRId64 "\n",
                    manifest->restored_sequence, manifest->restored_ms);
    }
    for (size_t i = 0; i < manifest->part_count; i++) {
        buf_appendf(out, "part %" PRIu64 " %" PRIu64 "\n", manifest->parts[i].id,
                    manifest->parts[i].bytes);
    }
    for (size_t i = 0; i < manifest->segment_count; i++) {
        buf_appendf(out, "segment %" PRIu64 "\n", manifest->segments[i]);
    }
    if (!out->failed) {
        uint32_t crc = crc32c(0, bytes_of(out->data + start, out->len - start));
        buf_appendf(out, "crc %08" PRIx32 "\n", crc);
    }
}

/* What is left to parse, line by line. A line is a name and up to two words behind it, each
 * after one space: there is one way to write a manifest. */
struct lines {
    struct bytes left;
    struct bytes name, words[2];
    unsigned count; /* of words */
};

static struct bytes split_off(struct bytes *left, char separator)
{
    const char *found = left->len > 0 ? memchr(left->data, separator, left->len) : NULL;
    struct bytes part = *left;
    if (found == NULL) {
        *left = bytes_of(left->data + left->len, 0);
        return part;
    }
    part.len = (size_t)(found - left->data);
    *left = bytes_of(found + 1, left->len - part.len - 1);
    return part;
}

static void lines_next(struct lines *lines)
{
    struct bytes line = split_off(&lines->left, '\n');
    size_t spaces = 0;
    for (size_t i = 0; i < line.len; i++) {
        spaces += line.data[i] == ' ';
    }
    lines->name = split_off(&line, ' ');
    lines->words[0] = split_off(&line, ' ');
    lines->words[1] = line;
    lines->count = (unsigned)(spaces > 2 ? 3 : spaces); /* 3: more than any line has */
}

static bool line_is(const struct lines *lines, const char *name, unsigned words)
{
    return lines->count == words && bytes_equal(lines->name, bytes_of_string(name));
}

static const char hex_digits[] = "0123456789abcdef";

/* Lower case, without leading zeros. */
static bool parse_hex(struct bytes text, uint64_t *value)
{
    *value = 0;
    if (text.len == 0 || text.len > 16 || (text.data[0] == '0' && text.len > 1)) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = memchr(hex_digits, text.data[i], 16);
        if (digit == NULL) {
            return false;
        }
        *value = *value << 4 | (uint64_t)(digit - hex_digits);
    }
    return true;
}

static bool parse_fixed_hex(struct bytes text, unsigned char *out, size_t count)
{
    if (text.len != 2 * count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const char *high = memchr(hex_digits, text.data[2 * i], 16);
        const char *low = memchr(hex_digits, text.data[2 * i + 1], 16);
        if (high == NULL || low == NULL) {
            return false;
        }
        out[i] = (unsigned char)((high - hex_digits) << 4 | (low - hex_digits));
    }
    return true;
}

static bool parse_ms(struct bytes text, int64_t *ms)
{
    return number_parse_int64(text, ms) && *ms >= 0;
}

/* The checksum's line is cut off; false when it is not there or not right. */
static bool take_checksum(struct bytes *text)
{
    if (text->len < CRC_LINE_BYTES) {
        return false;
    }
    struct bytes before = bytes_of(text->data, text->len - CRC_LINE_BYTES);
    char expected[CRC_LINE_BYTES + 1];
    snprintf(expected, sizeof(expected), "crc %08" PRIx32 "\n", crc32c(0, before));
    bool is_right = memcmp(before.data + before.len, expected, CRC_LINE_BYTES) == 0;
    *text = before;
    return is_right;
}

static bool parse_required_end(struct lines *lines, struct manifest *manifest)
{
    manifest->is_clean = bytes_equal(lines->words[1], BYTES("clean"));
    return line_is(lines, "required-end", 2) &&
           parse_hex(lines->words[0], &manifest->required_end) &&
           (manifest->is_clean || bytes_equal(lines->words[1], BYTES("open")));
}

/* The lines that are there once; the name of the bad one, or NULL. */
static const char *parse_head(struct lines *lines, struct manifest *manifest)
{
    lines_next(lines);
    if (!line_is(lines, "uuid", 1) ||
        !parse_fixed_hex(lines->words[0], manifest->uuid, UUID_BYTES)) {
        return "uuid";
    }
    lines_next(lines);
    if (!line_is(lines, "next-id", 1) ||
        !number_parse_uint64(lines->words[0], &manifest->next_id) ||
        manifest->next_id == 0 || manifest->next_id > (uint64_t)FILE_ID_MAX + 1) {
        return "next-id";
    }
    lines_next(lines);
    if (!line_is(lines, "cut", 1) || !parse_hex(lines->words[0], &manifest->cut)) {
        return "cut";
    }
    lines_next(lines);
    if (!parse_required_end(lines, manifest)) {
        return "required-end";
    }
    lines_next(lines);
    if (!line_is(lines, "written", 1) || !parse_ms(lines->words[0], &manifest->wall_ms)) {
        return "written";
    }
    lines_next(lines);
    if (!line_is(lines, "snapshot-from", 2) ||
        !number_parse_uint64(lines->words[0], &manifest->snapshot_sequence) ||
        !parse_ms(lines->words[1], &manifest->snapshot_ms)) {
        return "snapshot-from";
    }
    return NULL;
}

/* Only there when a moment was restored. */
static bool parse_restored(const struct lines *lines, struct manifest *manifest)
{
    bool is_first = manifest->part_count == 0 && manifest->segment_count == 0 &&
                    manifest->restored_sequence == 0 && manifest->restored_ms == 0;
    return is_first && line_is(lines, "restored", 2) &&
           number_parse_uint64(lines->words[0], &manifest->restored_sequence) &&
           parse_ms(lines->words[1], &manifest->restored_ms) &&
           (manifest->restored_sequence != 0 || manifest->restored_ms != 0);
}

static bool parse_part(const struct lines *lines, const struct manifest *manifest,
                       struct snapshot_part *part)
{
    return line_is(lines, "part", 2) && number_parse_uint64(lines->words[0], &part->id) &&
           part->id > 0 && part->id < manifest->next_id &&
           number_parse_uint64(lines->words[1], &part->bytes) &&
           part->bytes >= FILE_HEADER_BYTES && part->bytes <= LOG_FILE_BYTES_MAX;
}

static bool parse_segment(const struct lines *lines, const struct manifest *manifest,
                          uint64_t *id)
{
    uint64_t last =
        manifest->segment_count > 0 ? manifest->segments[manifest->segment_count - 1] : 0;
    return line_is(lines, "segment", 1) && number_parse_uint64(lines->words[0], id) &&
           *id > last && *id < manifest->next_id;
}

static enum memento_status parse_files(struct lines *lines, struct manifest *manifest,
                                       struct buf *why)
{
    enum memento_status status = MEMENTO_OK;
    while (status == MEMENTO_OK && lines->left.len > 0) {
        lines_next(lines);
        struct snapshot_part part;
        uint64_t id;
        if (parse_restored(lines, manifest)) {
            continue;
        }
        if (manifest->segment_count == 0 && parse_part(lines, manifest, &part)) {
            status = manifest_add_part(manifest, part);
        } else if (parse_segment(lines, manifest, &id)) {
            status = manifest_add_segment(manifest, id);
        } else {
            buf_append_string(why,
                              MANIFEST_NAME ": a line of a part or segment is wrong");
            status = MEMENTO_ERR_CORRUPT;
        }
    }
    return status;
}

static enum memento_status parse_lines(struct bytes text, struct manifest *manifest,
                                       struct buf *why)
{
    struct lines lines = {.left = text};
    lines_next(&lines);
    uint64_t version;
    if (!line_is(&lines, "memento-manifest", 1) ||
        !number_parse_uint64(lines.words[0], &version) || version == 0) {
        buf_append_string(why, MANIFEST_NAME ": its first line is wrong");
        return MEMENTO_ERR_CORRUPT;
    }
    if (version > MANIFEST_VERSION) {
        buf_appendf(why,
                    MANIFEST_NAME " has version %" PRIu64
                                  ", this program knows %d: use a newer memento",
                    version, MANIFEST_VERSION);
        return MEMENTO_ERR_UNSUPPORTED;
    }
    const char *bad = parse_head(&lines, manifest);
    if (bad != NULL) {
        buf_appendf(why, MANIFEST_NAME ": the line \"%s\" is wrong", bad);
        return MEMENTO_ERR_CORRUPT;
    }
    return parse_files(&lines, manifest, why);
}

enum memento_status manifest_parse(struct bytes text, struct manifest *manifest,
                                   struct buf *why)
{
    manifest_init(manifest);
    enum memento_status status = MEMENTO_ERR_CORRUPT;
    if (!take_checksum(&text)) {
        buf_append_string(why, MANIFEST_NAME ": the checksum at its end is wrong");
    } else if (text.len == 0 || text.data[text.len - 1] != '\n') {
        buf_append_string(why, MANIFEST_NAME ": its last line is not ended");
    } else {
        status = parse_lines(text, manifest, why);
    }
    if (status != MEMENTO_OK) {
        manifest_fini(manifest);
    }
    return status;
}

/* ---- the file ---- */

static enum memento_status read_text(int fd, struct buf *text, struct buf *why)
{
    uint64_t size;
    if (!os_file_size(fd, &size)) {
        buf_appendf(why, "cannot read " MANIFEST_NAME ": %s", strerror(errno));
        return MEMENTO_ERR_IO;
    }
    if (size > MANIFEST_BYTES_MAX) {
        buf_appendf(why, MANIFEST_NAME " has %" PRIu64 " bytes, more than any has", size);
        return MEMENTO_ERR_CORRUPT;
    }
    if (!buf_reserve(text, (size_t)size)) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    os_file_drop_cache(fd);
    ssize_t got = os_file_read_all(fd, text->data, (size_t)size, 0);
    if (got < 0) {
        buf_appendf(why, "cannot read " MANIFEST_NAME ": %s", strerror(errno));
        return MEMENTO_ERR_IO;
    }
    text->len = (size_t)got;
    return MEMENTO_OK;
}

enum memento_status manifest_read(int dir, struct manifest *manifest, struct buf *why)
{
    manifest_init(manifest);
    int fd = os_file_open(dir, MANIFEST_NAME, O_RDONLY);
    if (fd < 0) {
        if (errno == ENOENT) {
            return MEMENTO_NOT_FOUND;
        }
        buf_appendf(why, "cannot open " MANIFEST_NAME ": %s", strerror(errno));
        return MEMENTO_ERR_IO;
    }
    struct buf text;
    buf_init(&text);
    enum memento_status status = read_text(fd, &text, why);
    if (status == MEMENTO_OK) {
        status = manifest_parse(buf_bytes(&text), manifest, why);
    }
    buf_fini(&text);
    os_file_close(fd);
    return status;
}

static bool write_text(int dir, struct bytes text)
{
    int fd = os_file_open(dir, MANIFEST_TMP_NAME, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0) {
        return false;
    }
    struct iovec part = {.iov_base = (void *)(uintptr_t)text.data, .iov_len = text.len};
    bool is_written = os_file_write_all(fd, &part, 1, 0) && os_file_sync(fd) == 0;
    int error = errno;
    bool is_closed = os_file_close(fd) == 0;
    if (!is_written) {
        errno = error;
    }
    return is_written && is_closed;
}

enum memento_status manifest_write(int dir, const struct manifest *manifest)
{
    struct buf text;
    buf_init(&text);
    manifest_print(manifest, &text);
    enum memento_status status = MEMENTO_OK;
    if (text.failed) {
        status = MEMENTO_ERR_NO_MEMORY;
    } else if (!write_text(dir, buf_bytes(&text)) || os_dir_sync(dir) != 0 ||
               os_file_rename(dir, MANIFEST_TMP_NAME, MANIFEST_NAME) != 0) {
        int error = errno;
        os_file_remove(dir, MANIFEST_TMP_NAME);
        errno = error;
        status = MEMENTO_ERR_IO;
    } else if (os_dir_sync(dir) != 0) {
        status = MEMENTO_ERR_LOG_FAILED;
    }
    int error = errno;
    buf_fini(&text);
    errno = error;
    return status;
}

/* ---- names ---- */

#define NAME_DIGITS 16

void segment_name(char name[FILE_NAME_BYTES], uint64_t id)
{
    snprintf(name, FILE_NAME_BYTES, "log-%016" PRIx64 ".mem", id);
}

void part_name(char name[FILE_NAME_BYTES], uint64_t id)
{
    snprintf(name, FILE_NAME_BYTES, "snap-%016" PRIx64 ".mem", id);
}

void torn_name(char name[FILE_NAME_BYTES], uint64_t id)
{
    snprintf(name, FILE_NAME_BYTES, "log-%016" PRIx64 ".torn", id);
}

static uint64_t id_of_name(const char *name, const char *prefix)
{
    unsigned char digits[NAME_DIGITS / 2];
    size_t prefix_len = strlen(prefix);
    struct bytes text = bytes_of_string(name);
    if (text.len != prefix_len + NAME_DIGITS + 4 ||
        memcmp(name, prefix, prefix_len) != 0 ||
        strcmp(name + prefix_len + NAME_DIGITS, ".mem") != 0 ||
        !parse_fixed_hex(bytes_of(name + prefix_len, NAME_DIGITS), digits,
                         sizeof(digits))) {
        return 0;
    }
    uint64_t id = 0;
    for (size_t i = 0; i < sizeof(digits); i++) {
        id = id << 8 | digits[i];
    }
    return id;
}

uint64_t segment_id_of_name(const char *name)
{
    return id_of_name(name, "log-");
}

uint64_t part_id_of_name(const char *name)
{
    return id_of_name(name, "snap-");
}
