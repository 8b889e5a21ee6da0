#include "scanner.h"

#include "base/bytes.h"
#include "base/number.h"

#include <string.h>

void scanner_init(struct scanner *scanner, enum dialect dialect)
{
    *scanner = (struct scanner){.dialect = dialect, .is_idle = true};
}

void scanner_expect(struct scanner *scanner, const char *pattern, uint64_t value_bytes)
{
    scanner->expected = pattern;
    scanner->expected_bytes = value_bytes;
}

static void reply_begin(struct scanner *scanner)
{
    scanner->is_idle = false;
    scanner->is_push = false;
    scanner->has_value = false;
    scanner->is_different = false;
    scanner->outcome = OUTCOME_OK;
    scanner->elements_left = 1;
}

static enum memento_status reply_end(struct scanner *scanner)
{
    if (scanner->is_push) {
        scanner->is_idle = true;
        return MEMENTO_AGAIN;
    }
    if (scanner->outcome == OUTCOME_OK && scanner->is_different) {
        scanner->outcome = OUTCOME_WRONG;
    }
    scanner->is_idle = true;
    return MEMENTO_OK;
}

static enum memento_status element_end(struct scanner *scanner)
{
    scanner->elements_left--;
    return scanner->elements_left == 0 ? reply_end(scanner) : MEMENTO_AGAIN;
}

/* Compares [data, data + len) with what stands at value_at of the expected value. What lies
 * behind its end is a line end, which is not the value's business. */
static void value_compare(struct scanner *scanner, const char *data, uint64_t len)
{
    uint64_t at = scanner->value_at;
    scanner->value_at += len;
    if (scanner->expected == NULL) {
        return;
    }
    for (uint64_t i = 0; i < len && at < scanner->expected_bytes; i++, at++) {
        if (data[i] != scanner->expected[at % SCANNER_PATTERN_BYTES]) {
            scanner->is_different = true;
            return;
        }
    }
}

static void value_begin(struct scanner *scanner, uint64_t len)
{
    scanner->has_value = true;
    scanner->value_at = 0;
    scanner->skip_bytes = len + 2;
    if (scanner->expected != NULL && len != scanner->expected_bytes) {
        scanner->is_different = true;
    }
}

/* The length or count behind the type byte of a RESP line. */
static bool line_number(const struct scanner *scanner, int64_t *number)
{
    return number_parse_int64(bytes_of(scanner->line + 1, scanner->line_len - 1),
                              number) &&
           *number >= -1;
}

static enum memento_status resp_counted(struct scanner *scanner, char type)
{
    int64_t number;
    if (!line_number(scanner, &number)) {
        return MEMENTO_ERR_INVALID;
    }
    if (number < 0) {
        scanner->outcome = OUTCOME_MISS;
        return element_end(scanner);
    }
    uint64_t count = (uint64_t)number;
    if (type == '$' || type == '=') {
        value_begin(scanner, count);
        return MEMENTO_AGAIN;
    }
    if (type == '!') {
        scanner->outcome = OUTCOME_ERROR;
        value_begin(scanner, count);
        return MEMENTO_AGAIN;
    }
    scanner->is_push = scanner->is_push || (type == '>' && scanner->elements_left == 1);
    scanner->elements_left += type == '%' ? 2 * count : count;
    return element_end(scanner);
}

static enum memento_status resp_line(struct scanner *scanner)
{
    char type = scanner->line_len > 0 ? scanner->line[0] : '\0';
    switch (type) {
    case '-':
        scanner->outcome = OUTCOME_ERROR;
        return element_end(scanner);
    case '_':
        scanner->outcome = OUTCOME_MISS;
        return element_end(scanner);
    case '+':
    case ':':
    case ',':
    case '#':
    case '(':
        return element_end(scanner);
    case '$':
    case '=':
    case '!':
    case '*':
    case '~':
    case '>':
    case '%':
        return resp_counted(scanner, type);
    default:
        return MEMENTO_ERR_INVALID;
    }
}

static bool line_starts(const struct scanner *scanner, const char *word)
{
    return bytes_start_with(bytes_of(scanner->line, scanner->line_len),
                            bytes_of_string(word));
}

/* A server may answer lines in RESP, as Redis does. The values of the benchmark begin with
 * a letter or a digit, so the two cannot be taken for each other. */
static enum memento_status text_line(struct scanner *scanner)
{
    if (scanner->line_len > 0 && strchr("+-$:", scanner->line[0]) != NULL) {
        scanner->is_different = false;
        return resp_line(scanner);
    }
    if (line_starts(scanner, "(error)")) {
        scanner->outcome = OUTCOME_ERROR;
    } else if (line_starts(scanner, "(null)")) {
        scanner->outcome = OUTCOME_MISS;
    } else if (scanner->expected != NULL &&
               scanner->line_bytes != scanner->expected_bytes) {
        scanner->is_different = true;
    }
    return element_end(scanner);
}

/* VALUE key flags bytes: the length is the fourth word. */
static enum memento_status memcached_value(struct scanner *scanner)
{
    const char *at = scanner->line;
    const char *end = scanner->line + scanner->line_len;
    for (int word = 0; word < 3; word++) {
        at = memchr(at, ' ', (size_t)(end - at));
        if (at == NULL) {
            return MEMENTO_ERR_INVALID;
        }
        at++;
    }
    const char *space = memchr(at, ' ', (size_t)(end - at)); /* "gets" has a fifth word */
    int64_t len;
    if (!number_parse_int64(bytes_of(at, (size_t)((space != NULL ? space : end) - at)),
                            &len) ||
        len < 0) {
        return MEMENTO_ERR_INVALID;
    }
    value_begin(scanner, (uint64_t)len);
    return MEMENTO_AGAIN;
}

static enum memento_status memcached_line(struct scanner *scanner)
{
    if (line_starts(scanner, "VALUE ")) {
        return memcached_value(scanner);
    }
    if (line_starts(scanner, "END")) {
        if (!scanner->has_value) {
            scanner->outcome = OUTCOME_MISS;
        }
        return reply_end(scanner);
    }
    if (line_starts(scanner, "ERROR") || line_starts(scanner, "CLIENT_ERROR") ||
        line_starts(scanner, "SERVER_ERROR")) {
        scanner->outcome = OUTCOME_ERROR;
        return reply_end(scanner);
    }
    if (line_starts(scanner, "STORED")) {
        return reply_end(scanner);
    }
    return MEMENTO_ERR_INVALID;
}

static void line_append(struct scanner *scanner, const char *data, size_t len)
{
    if (scanner->line_bytes == 0) {
        scanner->line_len = 0;
        scanner->value_at = 0;
        if (scanner->is_idle) {
            reply_begin(scanner);
        }
    }
    if (len > 0) {
        scanner->line_bytes += len;
        scanner->last = data[len - 1];
    }
    if (scanner->dialect == DIALECT_TEXT) {
        value_compare(scanner, data, len);
    }
    size_t room = SCANNER_LINE_BYTES_MAX - scanner->line_len;
    size_t kept = len < room ? len : room;
    memcpy(scanner->line + scanner->line_len, data, kept);
    scanner->line_len += kept;
}

/* The kept line without its end, as a C string too, for messages. */
static enum memento_status line_end(struct scanner *scanner)
{
    if (scanner->line_bytes > 0 && scanner->last == '\r') {
        scanner->line_bytes--;
    }
    if (scanner->line_len > scanner->line_bytes) {
        scanner->line_len = scanner->line_bytes;
    }
    scanner->line[scanner->line_len] = '\0';
    enum memento_status status;
    if (scanner->dialect == DIALECT_TEXT) {
        status = text_line(scanner);
    } else if (scanner->dialect == DIALECT_MEMCACHED) {
        status = memcached_line(scanner);
    } else {
        status = resp_line(scanner);
    }
    scanner->line_bytes = 0;
    return status;
}

static enum memento_status value_skip(struct scanner *scanner, const char **at,
                                      const char *end)
{
    uint64_t there = (uint64_t)(end - *at);
    uint64_t len = there < scanner->skip_bytes ? there : scanner->skip_bytes;
    value_compare(scanner, *at, len);
    *at += len;
    scanner->skip_bytes -= len;
    if (scanner->skip_bytes > 0 || scanner->dialect == DIALECT_MEMCACHED) {
        return MEMENTO_AGAIN; /* memcached says END */
    }
    return element_end(scanner);
}

enum memento_status scanner_next(struct scanner *scanner, const char **at,
                                 const char *end)
{
    enum memento_status status = MEMENTO_AGAIN;
    while (*at < end && status == MEMENTO_AGAIN) {
        if (scanner->skip_bytes > 0) {
            status = value_skip(scanner, at, end);
            continue;
        }
        const char *newline = memchr(*at, '\n', (size_t)(end - *at));
        const char *stop = newline != NULL ? newline : end;
        line_append(scanner, *at, (size_t)(stop - *at));
        *at = newline != NULL ? newline + 1 : end;
        if (newline != NULL) {
            status = line_end(scanner);
        }
    }
    return status;
}
