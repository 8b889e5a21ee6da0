#include "command/syntax.h"

#include "command/key_specs.h"

#include <stdio.h>

/* Brackets in brackets: more than any row has. */
#define DEPTH_MAX 6

struct reader {
    struct syntax *syntax;
    const struct command_row *row;
    const char *at;
    size_t position; /* of the next argument among the words; 0: no longer certain */
    bool is_bad;
};

/* A list of siblings that grows at its end. */
struct siblings {
    int first, last, before_last;
    size_t count;
};

/* ---- nodes ---- */

static int add_node(struct reader *reader, enum syntax_kind kind)
{
    struct syntax *syntax = reader->syntax;
    if (syntax->count == SYNTAX_NODES_MAX) {
        reader->is_bad = true;
        return 0;
    }
    syntax->nodes[syntax->count] =
        (struct syntax_node){.kind = kind, .key_spec = -1, .child = -1, .next = -1};
    return syntax->count++;
}

static void append(struct reader *reader, struct siblings *siblings, int node)
{
    if (siblings->count == 0) {
        siblings->first = node;
    } else {
        reader->syntax->nodes[siblings->last].next = node;
    }
    siblings->before_last = siblings->last;
    siblings->last = node;
    siblings->count++;
}

size_t syntax_length(const struct syntax *syntax, int node)
{
    size_t length = 0;
    for (; node >= 0; node = syntax->nodes[node].next) {
        length++;
    }
    return length;
}

/* "key_value" for a block of the two. */
static void name_after_children(struct syntax *syntax, struct syntax_node *node)
{
    size_t len = 0;
    for (int i = node->child; i >= 0; i = syntax->nodes[i].next) {
        int more = snprintf(node->name + len, sizeof(node->name) - len, "%s%s",
                            len > 0 ? "_" : "", syntax->nodes[i].name);
        len += (size_t)more;
        if (len >= sizeof(node->name)) {
            return;
        }
    }
}

/* ---- words ---- */

static bool is_word_byte(char c)
{
    return c != '\0' && c != ' ' && c != '[' && c != ']' && c != '|';
}

static struct bytes next_word(const char *at)
{
    size_t len = 0;
    while (is_word_byte(at[len])) {
        len++;
    }
    return bytes_of(at, len);
}

static bool is_token(struct bytes word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] >= 'a' && word.data[i] <= 'z') {
            return false;
        }
    }
    return word.len > 0;
}

static void skip_spaces(struct reader *reader)
{
    while (*reader->at == ' ') {
        reader->at++;
    }
}

static bool is_dots(const char *at)
{
    return strncmp(at, "...", 3) == 0;
}

static void set_name(struct syntax_node *node, struct bytes word)
{
    size_t len = word.len < sizeof(node->name) - 1 ? word.len : sizeof(node->name) - 1;
    for (size_t i = 0; i < len; i++) {
        char c = word.data[i];
        node->name[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    node->name[len] = '\0';
}

static int read_word(struct reader *reader)
{
    struct bytes word = next_word(reader->at);
    reader->at += word.len;
    if (word.len == 0) {
        reader->is_bad = true;
        return 0;
    }
    int index = add_node(reader, is_token(word) ? SYNTAX_TOKEN : SYNTAX_ARGUMENT);
    struct syntax_node *node = &reader->syntax->nodes[index];
    if (node->kind == SYNTAX_TOKEN) {
        node->token = word;
        skip_spaces(reader);
        struct bytes following = next_word(reader->at);
        if (following.len > 0 && !is_dots(reader->at)) {
            reader->is_bad = reader->is_bad || is_token(following);
            reader->at += following.len;
            node->kind = SYNTAX_ARGUMENT;
            word = following;
        }
        reader->position = 0;
    } else if (reader->position > 0) {
        node->key_spec = key_specs_find(reader->row, reader->position++);
    }
    set_name(node, word);
    return index;
}

/* ---- groups ---- */

/* "x [x ...]": what is in the brackets is what stands before them. True: it was, and they
 * are read. */
static bool fold_repetition(struct reader *reader, struct siblings *siblings)
{
    struct syntax_node *nodes = reader->syntax->nodes;
    const char *at = reader->at + 1;
    size_t words = 0;
    struct bytes found[2];
    while (words < 2 && !is_dots(at)) {
        found[words] = next_word(at);
        if (found[words].len == 0) {
            return false;
        }
        at += found[words].len;
        at += *at == ' ';
        words++;
    }
    if (words == 0 || words > siblings->count || strncmp(at, "...]", 4) != 0) {
        return false;
    }
    int from = words == 1 ? siblings->last : siblings->before_last;
    for (size_t i = 0; i < words; i++) {
        int node = i == 0 ? from : nodes[from].next;
        if (!bytes_is(found[i], nodes[node].name)) {
            return false;
        }
    }
    reader->at = at + 4;
    if (words == 1) {
        nodes[from].is_multiple = true;
        return true;
    }
    /* The block takes the place of its first child, whose copy moves behind. */
    int copy = add_node(reader, SYNTAX_ARGUMENT);
    nodes[copy] = nodes[from];
    nodes[from] = (struct syntax_node){.kind = SYNTAX_BLOCK,
                                       .is_multiple = true,
                                       .key_spec = -1,
                                       .child = copy,
                                       .next = -1};
    name_after_children(reader->syntax, &nodes[from]);
    siblings->last = from;
    siblings->count--;
    return true;
}

static int read_alternatives(struct reader *reader, int depth);

static int read_group(struct reader *reader, int depth)
{
    reader->at++; /* [ */
    if (depth == DEPTH_MAX) {
        reader->is_bad = true;
        return 0;
    }
    reader->position = 0;
    int first = read_alternatives(reader, depth + 1);
    if (reader->is_bad || first < 0 || *reader->at != ']') {
        reader->is_bad = true;
        return 0;
    }
    reader->at++;
    struct syntax_node *nodes = reader->syntax->nodes;
    int node = first;
    if (nodes[first].next >= 0 || nodes[first].is_optional) {
        node = add_node(reader, SYNTAX_BLOCK);
        nodes[node].child = first;
        name_after_children(reader->syntax, &nodes[node]);
    }
    nodes[node].is_optional = true;
    return node;
}

static struct siblings read_sequence(struct reader *reader, int depth)
{
    struct siblings siblings = {-1, -1, -1, 0};
    for (skip_spaces(reader); !reader->is_bad; skip_spaces(reader)) {
        char c = *reader->at;
        if (c == '\0' || c == ']' || c == '|') {
            break;
        }
        if (is_dots(reader->at)) {
            reader->at += 3;
            reader->is_bad = siblings.count != 1; /* which of several is repeated? */
            if (!reader->is_bad) {
                reader->syntax->nodes[siblings.first].is_multiple = true;
            }
        } else if (c != '[') {
            append(reader, &siblings, read_word(reader));
        } else if (!fold_repetition(reader, &siblings)) {
            append(reader, &siblings, read_group(reader, depth));
        }
    }
    return siblings;
}

/* The first of a sequence, or one node for all alternatives. */
static int read_alternatives(struct reader *reader, int depth)
{
    struct siblings first = read_sequence(reader, depth);
    if (reader->is_bad || *reader->at != '|') {
        return first.first;
    }
    struct siblings all = {-1, -1, -1, 0};
    bool each_is_one = first.count == 1;
    append(reader, &all, first.first);
    while (*reader->at == '|' && each_is_one && !reader->is_bad) {
        reader->at++;
        reader->position = 0;
        struct siblings other = read_sequence(reader, depth);
        each_is_one = other.count == 1;
        if (each_is_one) {
            append(reader, &all, other.first);
        }
    }
    if (!each_is_one || reader->is_bad) {
        reader->is_bad = true;
        return 0;
    }
    int node = add_node(reader, SYNTAX_ONE_OF);
    reader->syntax->nodes[node].child = all.first;
    set_name(&reader->syntax->nodes[node], BYTES("choice"));
    return node;
}

bool syntax_read(struct syntax *syntax, const struct command_row *row)
{
    syntax->count = 0;
    struct reader reader = {.syntax = syntax,
                            .row = row,
                            .at = row->syntax,
                            .position = command_is_sub(row) ? 2 : 1};
    syntax->first = read_alternatives(&reader, 0);
    return !reader.is_bad && *reader.at == '\0';
}
