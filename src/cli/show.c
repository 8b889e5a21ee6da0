#include "cli/show.h"

#include "base/nearest.h"
#include "cli/glyph.h"
#include "command/spec.h"

#include <ctype.h>
#include <string.h>

/* Columns of the command list before the summary: most commands fit with arguments. */
#define SUMMARY_COLUMN 40

/* Names that a mistyped one is compared with. */
#define NAMES_MAX 512

/* ---- bytes ---- */

static void put(FILE *out, const char *data, size_t len)
{
    if (len > 0) {
        fwrite(data, 1, len, out);
    }
}

/* How a byte is written that may not be printed, as the quotes of a request read it. */
static void put_escape(FILE *out, unsigned char byte)
{
    switch (byte) {
    case '\n':
        fputs("\\n", out);
        break;
    case '\r':
        fputs("\\r", out);
        break;
    case '\t':
        fputs("\\t", out);
        break;
    case '\a':
        fputs("\\a", out);
        break;
    case '\b':
        fputs("\\b", out);
        break;
    default:
        fprintf(out, "\\x%02x", byte);
    }
}

/* Copies printable runs at once. Bytes of `as_is` pass too, those of `slashed` get \. */
static void put_escaped(FILE *out, struct bytes text, const char *as_is,
                        const char *slashed)
{
    size_t start = 0;
    size_t at = 0;
    while (at < text.len) {
        struct glyph glyph = glyph_at(text, at);
        bool is_ascii = glyph.code > 0 && glyph.code < 0x80;
        bool is_slashed = is_ascii && strchr(slashed, (int)glyph.code) != NULL;
        bool passes =
            glyph.is_printable || (is_ascii && strchr(as_is, (int)glyph.code) != NULL);
        if (passes && !is_slashed) {
            at += glyph.bytes;
            continue;
        }
        put(out, text.data + start, at - start);
        for (unsigned i = 0; i < glyph.bytes; i++) {
            if (is_slashed) {
                fprintf(out, "\\%c", text.data[at]);
            } else {
                put_escape(out, (unsigned char)text.data[at + i]);
            }
        }
        at += glyph.bytes;
        start = at;
    }
    put(out, text.data + start, text.len - start);
}

void show_escaped(FILE *out, struct bytes text)
{
    put_escaped(out, text, "", "");
}

static void put_quoted(FILE *out, struct bytes text)
{
    putc('"', out);
    put_escaped(out, text, "", "\"\\");
    putc('"', out);
}

/* A text of lines: their ends stay, as \n. */
static void put_lines(FILE *out, struct bytes text)
{
    size_t at = 0;
    while (at < text.len) {
        const char *newline = memchr(text.data + at, '\n', text.len - at);
        size_t end = newline != NULL ? (size_t)(newline - text.data) : text.len;
        size_t len = end - at;
        if (len > 0 && text.data[end - 1] == '\r') {
            len--;
        }
        put_escaped(out, bytes_of(text.data + at, len), "\t", "");
        at = end + 1;
        if (at < text.len) {
            putc('\n', out); /* the caller ends the last one */
        }
    }
}

/* ---- replies ---- */

static bool is_list(const struct response_node *node)
{
    return node->type >= RESPONSE_LIST;
}

static void put_typed_scalar(FILE *out, const struct response_node *node, bool as_lines)
{
    switch (node->type) {
    case RESPONSE_STATUS:
        show_escaped(out, node->bytes);
        break;
    case RESPONSE_ERROR:
        fputs("(error) ", out);
        show_escaped(out, node->bytes);
        break;
    case RESPONSE_INTEGER:
        fputs("(integer) ", out);
        show_escaped(out, node->bytes);
        break;
    case RESPONSE_DOUBLE:
        fputs("(double) ", out);
        show_escaped(out, node->bytes);
        break;
    case RESPONSE_BIG_NUMBER:
        fputs("(big number) ", out);
        show_escaped(out, node->bytes);
        break;
    case RESPONSE_BOOLEAN:
        fputs(node->integer ? "(true)" : "(false)", out);
        break;
    case RESPONSE_NULL:
        fputs("(nil)", out);
        break;
    case RESPONSE_TEXT:
        put_lines(out, node->bytes);
        break;
    default:
        if (as_lines) {
            put_lines(out, node->bytes);
        } else {
            put_quoted(out, node->bytes);
        }
    }
}

static void put_empty_list(FILE *out, enum response_type type)
{
    fputs(type == RESPONSE_MAP    ? "(empty map)"
          : type == RESPONSE_SET  ? "(empty set)"
          : type == RESPONSE_PUSH ? "(empty push)"
                                  : "(empty list)",
          out);
}

/* A list that is being printed. */
struct level {
    const struct response_node *list;
    size_t next; /* the child that comes next */
    int indent;  /* columns in front of its numbers */
    int digits;  /* of its largest number */
};

static int digits_of(size_t number)
{
    int digits = 1;
    for (; number >= 10; number /= 10) {
        digits++;
    }
    return digits;
}

/* What stands in front of a child: its number on a line of its own, or the arrow between
 * the two halves of a pair. */
static void put_lead(FILE *out, struct level *level)
{
    bool is_map = level->list->type == RESPONSE_MAP;
    size_t child = level->next++;
    if (is_map && child % 2 == 1) {
        fputs(" => ", out);
        return;
    }
    if (child > 0) {
        fprintf(out, "\n%*s", level->indent, "");
    }
    char mark = is_map ? '#' : level->list->type == RESPONSE_SET ? '~' : ')';
    fprintf(out, "%*zu%c ", level->digits, (is_map ? child / 2 : child) + 1, mark);
}

/* Nodes stand in the order they are printed in, so one pass is enough. */
static void show_typed(FILE *out, const struct response *response, bool as_lines)
{
    struct level levels[RESPONSE_DEPTH_MAX + 1];
    size_t depth = 0;
    for (size_t i = 0; i < response->count; i++) {
        const struct response_node *node = &response->nodes[i];
        while (depth > 0 && levels[depth - 1].list->end <= i) {
            depth--;
        }
        if (depth > 0) {
            put_lead(out, &levels[depth - 1]);
        }
        if (!is_list(node)) {
            put_typed_scalar(out, node, as_lines && i == 0);
        } else if (node->count == 0) {
            put_empty_list(out, node->type);
        } else {
            int indent =
                depth == 0 ? 0 : levels[depth - 1].indent + levels[depth - 1].digits + 2;
            levels[depth++] = (struct level){
                .list = node, .indent = indent, .digits = digits_of(node->count)};
        }
    }
    putc('\n', out);
}

/* The same lines whether the server speaks RESP2 or RESP3. */
static void show_raw(FILE *out, const struct response *response)
{
    for (size_t i = 0; i < response->count; i++) {
        const struct response_node *node = &response->nodes[i];
        if (is_list(node)) {
            if (node->count == 0) {
                putc('\n', out);
            }
            continue;
        }
        if (node->type == RESPONSE_BOOLEAN) {
            putc(node->integer ? '1' : '0', out);
        } else {
            put(out, node->bytes.data, node->bytes.len);
        }
        putc('\n', out);
    }
}

void show_response(FILE *out, const struct response *response, enum show_form form)
{
    if (form == SHOW_RAW) {
        show_raw(out, response);
    } else {
        show_typed(out, response, form == SHOW_LINES);
    }
}

/* ---- the words of the command table ---- */

/* "client|setname" as people write it. */
static void append_name(struct buf *out, const char *name, bool upper)
{
    for (const char *at = name; *at != '\0'; at++) {
        char c = *at == '|' ? ' ' : *at;
        buf_append_char(out, upper ? (char)toupper((unsigned char)c) : c);
    }
}

/* The row that words name, and how many of them are its name. */
static const struct command_row *row_find(const struct bytes *words, size_t count,
                                          size_t *name_words)
{
    const struct command_row *row = count > 0 ? command_find(words[0]) : NULL;
    *name_words = 1;
    if (row != NULL && count > 1 && (row->flags & COMMAND_CONTAINER)) {
        const struct command_row *sub = command_find_sub(row, words[1]);
        if (sub != NULL) {
            *name_words = 2;
            return sub;
        }
    }
    return row;
}

/* Prints a name and its arguments, broken at spaces and hanging where the arguments
 * begin. The column where it ended. */
static size_t put_usage(FILE *out, const struct command_row *row, unsigned width)
{
    struct buf name;
    buf_init(&name);
    append_name(&name, row->name, true);
    fprintf(out, "  %s", buf_c_string(&name));
    size_t column = 2 + name.len;
    size_t hang = column + 1;
    buf_fini(&name);
    for (const char *at = row->syntax; *at != '\0';) {
        size_t len = strcspn(at, " ");
        if (column + 1 + len > width && column >= hang) {
            fprintf(out, "\n%*s", (int)hang - 1, "");
            column = hang - 1;
        }
        fprintf(out, " %.*s", (int)len, at);
        column += 1 + len;
        at += len;
        at += *at == ' ';
    }
    return column;
}

static void show_row_short(FILE *out, const struct command_row *row, unsigned width)
{
    size_t column = put_usage(out, row, width);
    /* On a narrow terminal summaries stand below, or they would wrap. */
    bool is_wide = width >= SUMMARY_COLUMN + 40;
    size_t start = is_wide ? SUMMARY_COLUMN : 6;
    if (column + 2 > start) {
        putc('\n', out);
        column = 0;
    }
    fprintf(out, "%*s%s\n", (int)(start - column), "", row->summary);
}

static void show_subcommands(FILE *out, const struct command_row *row)
{
    fputs("  Subcommands:\n", out);
    size_t len = strlen(row->name);
    for (size_t i = 0; i < command_row_count; i++) {
        const struct command_row *sub = &command_rows[i];
        if (strncmp(sub->name, row->name, len) == 0 && sub->name[len] == '|') {
            fprintf(out, "    %-14s %s\n", sub->name + len + 1, sub->summary);
        }
    }
}

static void show_row(FILE *out, const struct command_row *row, unsigned width)
{
    putc('\n', out);
    put_usage(out, row, width);
    fprintf(out, "\n\n  %s.\n", row->summary);
    if (row->complexity[0] != '\0') {
        fprintf(out, "  Takes: %s\n", row->complexity);
    }
    bool is_own = strcmp(row->since, "memento") == 0;
    fprintf(out, "  Group: %s   Since: %s%s\n", command_group_name(row->group),
            is_own ? "" : "Redis ", row->since);
    if (row->flags & COMMAND_CONTAINER) {
        show_subcommands(out, row);
    }
    putc('\n', out);
}

static bool show_group(FILE *out, enum command_group group, unsigned width)
{
    bool is_first = true;
    for (size_t i = 0; i < command_row_count; i++) {
        const struct command_row *row = &command_rows[i];
        /* A container without arguments of its own says less than its subcommands. */
        if (row->group != group || strcmp(row->syntax, "subcommand") == 0) {
            continue;
        }
        if (is_first) {
            fprintf(out, "\n%s\n", command_group_name(group));
            is_first = false;
        }
        show_row_short(out, row, width);
    }
    return !is_first;
}

const char *show_nearest_command(struct bytes name)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < command_row_count && count < NAMES_MAX; i++) {
        if (!command_is_sub(&command_rows[i])) {
            names[count++] = command_rows[i].name;
        }
    }
    return nearest_name(name, names, count);
}

static void show_unknown(FILE *out, struct bytes name)
{
    const char *nearest = show_nearest_command(name);
    fputs("There is no command ", out);
    put_quoted(out, name);
    if (nearest != NULL) {
        fprintf(out, "; did you mean %s?", nearest);
    } else {
        putc('.', out);
    }
    fputs(" Type help to print the command list.\n", out);
}

bool show_help(FILE *out, const struct bytes *topic, size_t topic_words, unsigned width)
{
    if (topic_words == 0) {
        for (int group = GROUP_STRING; group <= GROUP_MEMENTO; group++) {
            show_group(out, (enum command_group)group, width);
        }
        fputs("\nhelp COMMAND says more about one. Ctrl-R searches the history, "
              "Tab completes, quit ends.\n\n",
              out);
        return true;
    }
    size_t name_words;
    const struct command_row *row = row_find(topic, topic_words, &name_words);
    if (row != NULL) {
        show_row(out, row, width);
        return true;
    }
    for (int group = GROUP_STRING; group <= GROUP_MEMENTO; group++) {
        if (bytes_is(topic[0], command_group_name((enum command_group)group))) {
            show_group(out, (enum command_group)group, width);
            putc('\n', out);
            return true;
        }
    }
    show_unknown(out, topic[0]);
    return false;
}

/* ---- hints and completions ---- */

#define WORDS_MAX 64

/* The words of a line that may end anywhere, quotes open or not; views of it. A quoted
 * word is one word, and that is all a hint needs to know. The number of words; *is_open
 * when the last one has not been ended by a space. */
static size_t words_typed(struct bytes line, struct bytes words[WORDS_MAX], bool *is_open)
{
    size_t count = 0;
    size_t at = 0;
    *is_open = false;
    while (at < line.len && count < WORDS_MAX) {
        while (at < line.len && (line.data[at] == ' ' || line.data[at] == '\t')) {
            at++;
        }
        size_t start = at;
        char quote = '\0';
        for (; at < line.len; at++) {
            char c = line.data[at];
            if (quote == '\0' && (c == ' ' || c == '\t')) {
                break;
            }
            if (quote != '\0' && c == '\\' && at + 1 < line.len) {
                at++;
            } else if (quote != '\0') {
                quote = c == quote ? '\0' : quote;
            } else if (c == '"' || c == '\'') {
                quote = c;
            }
        }
        if (at > start) {
            words[count++] = bytes_of(line.data + start, at - start);
            *is_open = at == line.len;
        }
    }
    return count;
}

/* The syntax behind its first `count` arguments; a bracketed one is one argument, and
 * stays: it may be left out, or come again. */
static const char *syntax_behind(const char *syntax, size_t count)
{
    const char *at = syntax;
    for (; count > 0 && *at != '\0' && *at != '['; count--) {
        at += strcspn(at, " ");
        at += *at == ' ';
    }
    return at;
}

void show_hint(struct bytes typed, struct buf *hint)
{
    struct bytes words[WORDS_MAX];
    bool is_open;
    size_t count = words_typed(typed, words, &is_open);
    size_t name_words;
    const struct command_row *row = row_find(words, count, &name_words);
    if (row == NULL) {
        return;
    }
    const char *rest = syntax_behind(row->syntax, count - name_words);
    if (*rest != '\0') {
        buf_appendf(hint, "%s%s", is_open ? " " : "", rest);
    }
}

static bool starts_with_nocase(const char *name, struct bytes prefix)
{
    size_t len = strlen(name);
    return len >= prefix.len && bytes_equal_nocase(bytes_of(name, prefix.len), prefix);
}

/* In the case of what has been typed, upper case when that is nothing. */
static void append_completion(struct buf *words, const char *name, struct bytes like)
{
    bool upper = like.len == 0 || isupper((unsigned char)like.data[0]);
    if (words->len > 0) {
        buf_append_char(words, ' ');
    }
    append_name(words, name, upper);
}

static void complete_name(struct bytes typed, struct buf *words)
{
    for (size_t i = 0; i < command_row_count; i++) {
        const struct command_row *row = &command_rows[i];
        if (!command_is_sub(row) && starts_with_nocase(row->name, typed)) {
            append_completion(words, row->name, typed);
        }
    }
}

static void complete_sub(const struct command_row *row, struct bytes like,
                         struct bytes typed, struct buf *words)
{
    size_t len = strlen(row->name);
    for (size_t i = 0; i < command_row_count; i++) {
        const char *name = command_rows[i].name;
        if (strncmp(name, row->name, len) == 0 && name[len] == '|' &&
            starts_with_nocase(name + len + 1, typed)) {
            append_completion(words, name + len + 1, typed.len > 0 ? typed : like);
        }
    }
}

void show_completions(struct bytes typed, struct buf *words, size_t *from)
{
    struct bytes given[WORDS_MAX];
    bool is_open;
    size_t count = words_typed(typed, given, &is_open);
    struct bytes last = is_open ? given[count - 1] : bytes_of(typed.data + typed.len, 0);
    size_t before = is_open ? count - 1 : count; /* words in front of the one completed */
    *from = typed.len - last.len;
    size_t first = before > 0 && bytes_is(given[0], "help") ? 1 : 0;
    const struct command_row *row = before > first ? command_find(given[first]) : NULL;
    if (before == first) {
        complete_name(last, words);
    } else if (before == first + 1 && row != NULL && (row->flags & COMMAND_CONTAINER)) {
        complete_sub(row, given[first], last, words);
    }
}
