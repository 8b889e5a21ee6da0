#include "protocol/response.h"

#include "base/heap.h"
#include "base/number.h"

/* The first array of nodes; most responses have one. */
#define NODES_MIN 16

void response_init(struct response *response)
{
    *response = (struct response){0};
}

void response_fini(struct response *response)
{
    heap_free(response->nodes);
    response_init(response);
}

void response_reset(struct response *response)
{
    response->count = 0;
    response->offset = 0;
    response->depth = 0;
}

/* A node whose memory grows with the nodes that have arrived, never with a declared
 * count. */
static enum memento_status node_add(struct response *response, struct response_node node)
{
    if (response->count >= RESPONSE_NODES_MAX) {
        return MEMENTO_ERR_TOO_LARGE;
    }
    if (response->count == response->cap) {
        size_t cap = response->cap == 0 ? NODES_MIN : response->cap * 2;
        struct response_node *nodes = heap_realloc(response->nodes, cap * sizeof(*nodes));
        if (nodes == NULL) {
            return MEMENTO_ERR_NO_MEMORY;
        }
        response->nodes = nodes;
        response->cap = cap;
    }
    node.end = response->count + 1;
    response->nodes[response->count++] = node;
    return MEMENTO_OK;
}

/* The line that begins at `from`, without its end. A line is short, so looking for its
 * end again when it arrives in pieces costs little. */
static enum memento_status line_find(struct bytes input, size_t from, struct bytes *line)
{
    size_t here = input.len - from;
    size_t window = here < RESPONSE_LINE_BYTES_MAX ? here : RESPONSE_LINE_BYTES_MAX;
    const char *start = input.data + from;
    const char *newline = window > 0 ? memchr(start, '\n', window) : NULL;
    if (newline == NULL) {
        return window < RESPONSE_LINE_BYTES_MAX ? MEMENTO_AGAIN : MEMENTO_ERR_TOO_LARGE;
    }
    size_t len = (size_t)(newline - start);
    if (len < 2 || start[len - 1] != '\r') {
        return MEMENTO_ERR_INVALID; /* a type and the CR are the least there can be */
    }
    *line = bytes_of(start, len - 1);
    return MEMENTO_OK;
}

/* A length or count: -1 (nothing there) or 0 to max. */
static enum memento_status size_parse(struct bytes digits, int64_t max, int64_t *size)
{
    if (!number_parse_int64(digits, size) || *size < -1) {
        return MEMENTO_ERR_INVALID;
    }
    return *size > max ? MEMENTO_ERR_TOO_LARGE : MEMENTO_OK;
}

static bool scalar_type(char byte, enum response_type *type)
{
    switch (byte) {
    case '+':
        *type = RESPONSE_STATUS;
        return true;
    case '-':
    case '!':
        *type = RESPONSE_ERROR;
        return true;
    case ':':
        *type = RESPONSE_INTEGER;
        return true;
    case '_':
        *type = RESPONSE_NULL;
        return true;
    case ',':
        *type = RESPONSE_DOUBLE;
        return true;
    case '#':
        *type = RESPONSE_BOOLEAN;
        return true;
    case '(':
        *type = RESPONSE_BIG_NUMBER;
        return true;
    case '$':
        *type = RESPONSE_VALUE;
        return true;
    case '=':
        *type = RESPONSE_TEXT;
        return true;
    default:
        return false;
    }
}

static bool is_number_text(struct bytes text, bool allow_words)
{
    if (allow_words && (bytes_is(text, "inf") || bytes_is(text, "-inf") ||
                        bytes_is(text, "nan") || bytes_is(text, "-nan"))) {
        return true;
    }
    bool digits = false;
    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];
        digits |= byte >= '0' && byte <= '9';
        if (!(byte >= '0' && byte <= '9') && byte != '-' && byte != '+' &&
            !(allow_words && (byte == '.' || byte == 'e' || byte == 'E'))) {
            return false;
        }
    }
    return digits;
}

/* What stands on its own line. */
static enum memento_status line_add(struct response *response, enum response_type type,
                                    struct bytes line)
{
    struct bytes text = bytes_of(line.data + 1, line.len - 1);
    struct response_node node = {.type = type, .at = response->offset + 1};
    node.bytes.len = text.len;
    bool valid = true;
    if (type == RESPONSE_INTEGER) {
        valid = number_parse_int64(text, &node.integer);
    } else if (type == RESPONSE_DOUBLE) {
        valid = is_number_text(text, true);
    } else if (type == RESPONSE_BIG_NUMBER) {
        valid = is_number_text(text, false);
    } else if (type == RESPONSE_BOOLEAN) {
        valid = text.len == 1 && (text.data[0] == 't' || text.data[0] == 'f');
        node.integer = valid && text.data[0] == 't';
    } else if (type == RESPONSE_NULL) {
        valid = text.len == 0;
    }
    if (!valid) {
        return MEMENTO_ERR_INVALID;
    }
    response->offset += line.len + 2;
    return node_add(response, node);
}

static enum memento_status null_add(struct response *response, size_t header_bytes)
{
    response->offset += header_bytes;
    return node_add(response, (struct response_node){.type = RESPONSE_NULL});
}

/* What has its length in front. Nothing is remembered of one that is not whole: its
 * header is a few bytes, its body is not looked at. */
static enum memento_status bulk_add(struct response *response, enum response_type type,
                                    struct bytes line, struct bytes input)
{
    int64_t size;
    enum memento_status status =
        size_parse(bytes_of(line.data + 1, line.len - 1), RESPONSE_BULK_BYTES_MAX, &size);
    if (status != MEMENTO_OK) {
        return status;
    }
    if (size < 0) {
        return null_add(response, line.len + 2);
    }
    size_t at = response->offset + line.len + 2;
    size_t len = (size_t)size;
    if (input.len - at < len + 2) {
        return MEMENTO_AGAIN;
    }
    if (memcmp(input.data + at + len, "\r\n", 2) != 0) {
        return MEMENTO_ERR_INVALID;
    }
    response->offset = at + len + 2;
    if (type == RESPONSE_TEXT) {
        if (len < 4 || input.data[at + 3] != ':') {
            return MEMENTO_ERR_INVALID;
        }
        at += 4;
        len -= 4;
    }
    struct response_node node = {.type = type, .at = at};
    node.bytes.len = len;
    return node_add(response, node);
}

/* An element is whole: so may be the lists around it. True when the response is. */
static bool element_done(struct response *response)
{
    while (response->depth > 0) {
        struct response_level *level = &response->levels[response->depth - 1];
        if (--level->left > 0) {
            return false;
        }
        response->depth--;
        if (level->is_attribute) {
            response->count = level->node;
            return false; /* what it describes comes next */
        }
        response->nodes[level->node].end = response->count;
    }
    return true;
}

static bool list_type(char byte, enum response_type *type)
{
    *type = byte == '%'   ? RESPONSE_MAP
            : byte == '~' ? RESPONSE_SET
            : byte == '>' ? RESPONSE_PUSH
                          : RESPONSE_LIST;
    return byte == '*' || byte == '%' || byte == '~' || byte == '>' || byte == '|';
}

/* The header of a list; its elements follow one by one. *done when there are none. */
static enum memento_status list_add(struct response *response, enum response_type type,
                                    struct bytes line, bool *done)
{
    bool is_attribute = line.data[0] == '|';
    bool is_pairs = is_attribute || type == RESPONSE_MAP;
    int64_t max = is_pairs ? RESPONSE_NODES_MAX / 2 : RESPONSE_NODES_MAX;
    int64_t size;
    enum memento_status status =
        size_parse(bytes_of(line.data + 1, line.len - 1), max, &size);
    if (status != MEMENTO_OK) {
        return status;
    }
    *done = size <= 0 && !is_attribute;
    if (size < 0) {
        return is_attribute ? MEMENTO_ERR_INVALID : null_add(response, line.len + 2);
    }
    if (size > 0 && response->depth == RESPONSE_DEPTH_MAX) {
        return MEMENTO_ERR_TOO_LARGE;
    }
    struct response_level level = {.node = response->count,
                                   .left = (size_t)size * (is_pairs ? 2 : 1),
                                   .is_attribute = is_attribute};
    response->offset += line.len + 2;
    if (!is_attribute) {
        status = node_add(response,
                          (struct response_node){.type = type, .count = (size_t)size});
    }
    if (status == MEMENTO_OK && size > 0) {
        response->levels[response->depth++] = level;
    }
    return status;
}

/* The element at the offset. Anything but OK leaves the offset in front of it. */
static enum memento_status element_parse(struct response *response, struct bytes input,
                                         bool *done)
{
    if (response->offset == input.len) {
        return MEMENTO_AGAIN;
    }
    char first = input.data[response->offset];
    enum response_type type;
    bool is_list = list_type(first, &type);
    if (!is_list && !scalar_type(first, &type)) {
        return MEMENTO_ERR_INVALID; /* at once: another protocol may never end a line */
    }
    struct bytes line;
    enum memento_status status = line_find(input, response->offset, &line);
    if (status != MEMENTO_OK) {
        return status;
    }
    if (is_list) {
        return list_add(response, type, line, done);
    }
    *done = true;
    bool is_bulk = line.data[0] == '$' || line.data[0] == '=' || line.data[0] == '!';
    return is_bulk ? bulk_add(response, type, line, input)
                   : line_add(response, type, line);
}

/* Only now is it known where the input lies. */
static void views_set(struct response *response, struct bytes input)
{
    for (size_t i = 0; i < response->count; i++) {
        struct response_node *node = &response->nodes[i];
        node->bytes.data = input.data + node->at;
    }
}

enum memento_status response_parse(struct response *response, struct bytes input,
                                   size_t *consumed)
{
    if (response->offset == 0) {
        response_reset(response);
    }
    for (bool whole = false; !whole;) {
        bool done = false;
        enum memento_status status = element_parse(response, input, &done);
        if (status == MEMENTO_AGAIN && input.len > (uint64_t)RESPONSE_BYTES_MAX) {
            return MEMENTO_ERR_TOO_LARGE;
        }
        if (status != MEMENTO_OK) {
            return status;
        }
        whole = done && element_done(response);
    }
    views_set(response, input);
    *consumed = response->offset;
    response->offset = 0;
    return MEMENTO_OK;
}
