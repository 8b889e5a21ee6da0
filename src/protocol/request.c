/* request.c - the parser of both dialects; see request.h. */
#include "protocol/request.h"

#include "base/check.h"
#include "base/heap.h"
#include "base/number.h"

#include <stdarg.h>
#include <stdio.h>

/* A count or length line longer than this is nonsense; Redis draws the line here too. */
#define NUMBER_LINE_MAX 65536

/* Where a word of an unfinished request lies, from the request's first byte. */
struct span {
    size_t at, len;
};

void words_init(struct words *words)
{
    *words = (struct words){0};
}

void words_fini(struct words *words)
{
    heap_free(words->items);
    words_init(words);
}

static bool words_grow(struct words *words)
{
    size_t cap = words->cap == 0 ? 64 : words->cap * 2;
    struct bytes *items = heap_realloc(words->items, cap * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    words->items = items;
    words->cap = cap;
    return true;
}

static inline bool words_add(struct words *words, const char *data, size_t len)
{
    if (UNLIKELY(words->count == words->cap) && !words_grow(words)) {
        return false;
    }
    words->items[words->count++] = bytes_of(data, len);
    return true;
}

void parser_init(struct parser *parser)
{
    *parser = (struct parser){0};
}

void parser_fini(struct parser *parser)
{
    heap_free(parser->spans);
    parser_init(parser);
}

/* The request is over, one way or the other: the next one begins from nothing. The array of
 * spans is kept only while a request is unfinished, so idle connections own none. */
static void parser_rewind(struct parser *parser)
{
    if (UNLIKELY(parser->spans != NULL)) {
        heap_free(parser->spans);
        parser->spans = NULL;
        parser->span_count = 0;
        parser->span_cap = 0;
    }
    parser->offset = 0;
    parser->words_left = 0;
    parser->in_bulk = false;
    parser->oom = false;
}

size_t parser_wants(const struct parser *parser)
{
    return parser->in_bulk ? parser->offset + parser->bulk_bytes + 2 : 0;
}

static enum request_status refuse(struct request *request, enum request_status status,
                                  const char *format, ...) PRINTF_LIKE(3, 4);
static enum request_status refuse(struct request *request, enum request_status status,
                                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(request->error, sizeof(request->error), format, arguments);
    va_end(arguments);
    return status;
}

/* ---- RESP ---- */

enum line_status { LINE_READY, LINE_PARTIAL, LINE_BAD, LINE_TOO_LONG };

/* The number of "*3\r\n" or "$16\r\n", whose first byte stands at *at; moves *at behind it. */
static ALWAYS_INLINE enum line_status read_number(const char *input, size_t len,
                                                  size_t *at, int64_t *value)
{
    size_t i = *at + 1;
    uint64_t number = 0;
    size_t digits_end = len - i < 18 ? len : i + 18;
    size_t first = i;
    while (i < digits_end && (unsigned)(input[i] - '0') <= 9) {
        number = number * 10 + (unsigned)(input[i] - '0');
        i++;
    }
    if (LIKELY(i > first && i + 1 < len && input[i] == '\r')) {
        /* Leading zeros are no number to Redis either. */
        if (UNLIKELY(input[first] == '0' && i - first > 1)) {
            *at = i + 2;
            return LINE_BAD;
        }
        *value = (int64_t)number;
        *at = i + 2; /* like Redis, takes whatever stands in the place of \n */
        return LINE_READY;
    }
    const char *end = memchr(input + first, '\r', len - first);
    if (end == NULL || end + 1 >= input + len) {
        return len - first > NUMBER_LINE_MAX ? LINE_TOO_LONG : LINE_PARTIAL;
    }
    struct bytes text = bytes_of(input + first, (size_t)(end - (input + first)));
    *at = (size_t)(end - input) + 2;
    return number_parse_int64(text, value) ? LINE_READY : LINE_BAD;
}

/* Keeps the words found so far for when more bytes have come. */
static bool parser_keep(struct parser *parser, const struct words *words, size_t first,
                        const char *input)
{
    size_t found = words->count - first;
    size_t count = parser->span_count + found;
    if (count > parser->span_cap) {
        size_t cap = count < 16 ? 16 : count * 2;
        struct span *spans = heap_realloc(parser->spans, cap * sizeof(*spans));
        if (spans == NULL) {
            return false;
        }
        parser->spans = spans;
        parser->span_cap = cap;
    }
    for (size_t i = 0; i < found; i++) {
        struct bytes word = words->items[first + i];
        parser->spans[parser->span_count + i] =
            (struct span){(size_t)(word.data - input), word.len};
    }
    parser->span_count = count;
    return true;
}

/* Puts the words kept from earlier calls before those found now. */
static bool parser_restore(struct parser *parser, struct words *words, size_t first,
                           const char *input)
{
    size_t found = words->count - first;
    for (size_t i = 0; i < parser->span_count; i++) {
        if (!words_add(words, NULL, 0)) {
            return false;
        }
    }
    if (found > 0) {
        memmove(&words->items[first + parser->span_count], &words->items[first],
                found * sizeof(*words->items));
    }
    for (size_t i = 0; i < parser->span_count; i++) {
        words->items[first + i] =
            bytes_of(input + parser->spans[i].at, parser->spans[i].len);
    }
    return true;
}

/* "*3\r\n": how many words follow. READY: there is at least one. */
static ALWAYS_INLINE enum request_status read_count(struct parser *parser,
                                                    const char *input, size_t len,
                                                    const struct request_limits *limits,
                                                    struct request *request, size_t *at)
{
    int64_t count;
    switch (read_number(input, len, at, &count)) {
    case LINE_PARTIAL:
        return REQUEST_PARTIAL;
    case LINE_TOO_LONG:
        return refuse(request, REQUEST_BROKEN,
                      "Protocol error: too big mbulk count string");
    case LINE_BAD:
        return refuse(request, REQUEST_BROKEN,
                      "Protocol error: invalid multibulk length");
    case LINE_READY:
        break;
    }
    if (UNLIKELY(count > (int64_t)limits->words_max)) {
        return refuse(request, REQUEST_BROKEN,
                      limits->unauthenticated
                          ? "Protocol error: unauthenticated multibulk length"
                          : "Protocol error: invalid multibulk length");
    }
    if (UNLIKELY(count <= 0)) {
        return REQUEST_EMPTY;
    }
    parser->words_left = (size_t)count;
    return REQUEST_READY;
}

/* A NUL would end the text. */
static COLD enum request_status not_a_bulk(struct request *request, char c)
{
    return c == '\0' ? refuse(request, REQUEST_BROKEN,
                              "Protocol error: expected '$', got '\\x00'")
                     : refuse(request, REQUEST_BROKEN,
                              "Protocol error: expected '$', got '%c'", c);
}

/* "$16\r\n" and the bytes behind it become a word. */
static ALWAYS_INLINE enum request_status read_bulk(struct parser *parser,
                                                   const char *input, size_t len,
                                                   const struct request_limits *limits,
                                                   struct words *words,
                                                   struct request *request, size_t *at)
{
    if (!parser->in_bulk) {
        if (*at >= len) {
            return REQUEST_PARTIAL;
        }
        if (UNLIKELY(input[*at] != '$')) {
            return not_a_bulk(request, input[*at]);
        }
        int64_t bytes;
        switch (read_number(input, len, at, &bytes)) {
        case LINE_PARTIAL:
            return REQUEST_PARTIAL;
        case LINE_TOO_LONG:
            return refuse(request, REQUEST_BROKEN,
                          "Protocol error: too big bulk count string");
        case LINE_BAD:
            return refuse(request, REQUEST_BROKEN, "Protocol error: invalid bulk length");
        case LINE_READY:
            break;
        }
        if (UNLIKELY(bytes < 0 || (uint64_t)bytes > limits->word_bytes_max)) {
            return refuse(request, REQUEST_BROKEN,
                          bytes > 0 && limits->unauthenticated
                              ? "Protocol error: unauthenticated bulk length"
                              : "Protocol error: invalid bulk length");
        }
        parser->bulk_bytes = (size_t)bytes;
        parser->in_bulk = true;
    }
    if (len - *at < parser->bulk_bytes + 2) {
        return REQUEST_PARTIAL;
    }
    if (UNLIKELY(!words_add(words, input + *at, parser->bulk_bytes))) {
        parser->oom = true;
        return refuse(request, REQUEST_BROKEN, "out of memory");
    }
    *at += parser->bulk_bytes + 2;
    parser->in_bulk = false;
    parser->words_left--;
    return REQUEST_READY;
}

static enum request_status parse_resp(struct parser *parser, char *input, size_t len,
                                      const struct request_limits *limits,
                                      struct words *words, struct request *request,
                                      size_t *consumed)
{
    size_t first = words->count;
    size_t at = parser->offset; /* bytes understood; follows `at` at every whole step */
    enum request_status status = REQUEST_READY;
    if (parser->words_left == 0) {
        status = read_count(parser, input, len, limits, request, &at);
        if (status == REQUEST_PARTIAL) {
            return status;
        }
    }
    while (status == REQUEST_READY && parser->words_left > 0) {
        status = read_bulk(parser, input, len, limits, words, request, &at);
    }
    if (UNLIKELY(status == REQUEST_PARTIAL)) {
        parser->offset = at;
        if (parser_keep(parser, words, first, input)) {
            words->count = first;
            return REQUEST_PARTIAL;
        }
        status = refuse(request, REQUEST_BROKEN, "out of memory");
    }
    if (UNLIKELY(parser->span_count > 0) && status == REQUEST_READY &&
        !parser_restore(parser, words, first, input)) {
        status = refuse(request, REQUEST_BROKEN, "out of memory");
    }
    if (UNLIKELY(status != REQUEST_READY)) {
        words->count = first;
    }
    parser_rewind(parser);
    request->first = first;
    request->count = words->count - first;
    *consumed = at;
    return status;
}

/* ---- text lines ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What the escape at text[at] (behind the backslash) stands for; moves *at behind it. */
static char decode_escape(const char *text, size_t len, size_t *at)
{
    char c = text[*at];
    *at += 1;
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    case 'x':
        if (*at + 1 < len && hex_digit(text[*at]) >= 0 && hex_digit(text[*at + 1]) >= 0) {
            c = (char)(hex_digit(text[*at]) * 16 + hex_digit(text[*at + 1]));
            *at += 2;
        }
        return c;
    default:
        return c;
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Decodes the quoted part that begins behind the quote at line[*at - 1] to line[*to...]. A
 * closing quote must be followed by a blank or the end. False: it is not closed so. */
static bool decode_quoted(char *line, size_t len, char quote, size_t *at, size_t *to)
{
    while (*at < len) {
        char c = line[*at];
        *at += 1;
        if (c == quote) {
            return *at == len || is_blank(line[*at]);
        }
        if (c == '\\' && *at < len) {
            if (quote == '"') {
                c = decode_escape(line, len, at);
            } else if (line[*at] == '\'') {
                c = '\'';
                *at += 1;
            }
        }
        line[*to] = c;
        *to += 1;
    }
    return false;
}

/* Decoding never makes a word longer, so it can be written where it was read. */
enum split_status { SPLIT_WHOLE, SPLIT_UNBALANCED, SPLIT_TOO_MANY };

static enum split_status split_line(struct words *words, char *line, size_t len,
                                    size_t words_max)
{
    size_t first = words->count;
    size_t at = 0;
    for (;;) {
        while (at < len && is_blank(line[at])) {
            at++;
        }
        if (at == len) {
            return SPLIT_WHOLE;
        }
        if (words->count - first == words_max) {
            return SPLIT_TOO_MANY;
        }
        size_t word = at;
        size_t to = at;
        while (at < len && !is_blank(line[at])) {
            char c = line[at++];
            if (c == '"' || c == '\'') {
                if (!decode_quoted(line, len, c, &at, &to)) {
                    return SPLIT_UNBALANCED;
                }
            } else {
                line[to++] = c;
            }
        }
        if (!words_add(words, line + word, to - word)) {
            return SPLIT_UNBALANCED;
        }
    }
}

bool words_split(struct words *words, char *line, size_t len)
{
    return split_line(words, line, len, SIZE_MAX) == SPLIT_WHOLE;
}

/* Throws away what has come of an over-long line. The error is answered at its end, so that
 * replies stay in the order of the lines. */
static enum request_status skip_line(struct parser *parser, const char *end, size_t len,
                                     const char *input, struct request *request,
                                     size_t *consumed)
{
    if (end == NULL) {
        parser->skipping = true;
        parser->offset = 0;
        *consumed = len;
        return REQUEST_PARTIAL;
    }
    parser->skipping = false;
    parser_rewind(parser);
    *consumed = (size_t)(end - input) + 1;
    return refuse(request, REQUEST_BAD, "Protocol error: too big inline request");
}

static enum request_status parse_line(struct parser *parser, char *input, size_t len,
                                      const struct request_limits *limits,
                                      struct words *words, struct request *request,
                                      size_t *consumed)
{
    const char *end = memchr(input + parser->offset, '\n', len - parser->offset);
    size_t line_len = end == NULL ? len : (size_t)(end - input);
    if (UNLIKELY(parser->skipping || line_len > limits->line_bytes_max + 1)) {
        return skip_line(parser, end, len, input, request, consumed);
    }
    if (end == NULL) {
        parser->offset = len;
        return REQUEST_PARTIAL;
    }
    parser_rewind(parser);
    *consumed = line_len + 1;
    if (line_len > 0 && input[line_len - 1] == '\r') {
        line_len--;
    }
    size_t first = words->count;
    switch (split_line(words, input, line_len, limits->words_max)) {
    case SPLIT_WHOLE:
        break;
    case SPLIT_UNBALANCED:
        words->count = first;
        return refuse(request, REQUEST_BAD,
                      "Protocol error: unbalanced quotes in request");
    case SPLIT_TOO_MANY:
        words->count = first;
        return refuse(request, REQUEST_BAD, "Protocol error: too many words in a line");
    }
    request->first = first;
    request->count = words->count - first;
    for (size_t i = first; i < words->count && line_len > limits->word_bytes_max; i++) {
        if (words->items[i].len > limits->word_bytes_max) {
            words->count = first;
            return refuse(request, REQUEST_BAD,
                          "string exceeds maximum allowed size (proto-max-bulk-len)");
        }
    }
    return request->count == 0 ? REQUEST_EMPTY : REQUEST_READY;
}

enum request_status request_parse(struct parser *parser, char *input, size_t len,
                                  const struct request_limits *limits,
                                  struct words *words, struct request *request,
                                  size_t *consumed)
{
    *consumed = 0;
    if (len == 0) {
        return REQUEST_PARTIAL;
    }
    request->is_resp = !parser->skipping && input[0] == '*';
    if (LIKELY(request->is_resp)) {
        return parse_resp(parser, input, len, limits, words, request, consumed);
    }
    return parse_line(parser, input, len, limits, words, request, consumed);
}
