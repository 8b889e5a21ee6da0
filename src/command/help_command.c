/* help_command.c - HELP, and the HELP of every container: printed from the rows. */
#include "base/nearest.h"
#include "command/handlers.h"
#include "command/help.h"

#include <stdio.h>

/* Where the summaries begin; a longer command has its summary on a line of its own. */
#define SUMMARY_COLUMN 44

static char upper(char c)
{
    return (char)(c >= 'a' && c <= 'z' ? c - ('a' - 'A') : c);
}

/* "CLIENT SETNAME" for "client|setname"; how many bytes it has. */
static size_t append_name(struct buf *text, const char *name)
{
    size_t len = 0;
    for (; name[len] != '\0'; len++) {
        buf_append_char(text, name[len] == '|' ? ' ' : upper(name[len]));
    }
    return len;
}

static void append_spaces(struct buf *text, size_t count)
{
    for (; count > 0; count--) {
        buf_append_char(text, ' ');
    }
}

/* Lines of a reply end in \r\n, as in INFO. */
static void append_line_end(struct buf *text)
{
    buf_append_string(text, "\r\n");
}

static void append_row(struct buf *text, const struct command_row *row)
{
    buf_append_string(text, "  ");
    size_t column = 2 + append_name(text, row->name);
    if (row->syntax[0] != '\0') {
        buf_appendf(text, " %s", row->syntax);
        column += 1 + strlen(row->syntax);
    }
    if (column + 2 > SUMMARY_COLUMN) {
        append_line_end(text);
        column = 0;
    }
    append_spaces(text, SUMMARY_COLUMN - column);
    buf_append_string(text, row->summary);
    append_line_end(text);
}

/* A container says nothing that its subcommands, right behind it, do not say. */
static bool is_listed(const struct command_row *row)
{
    return (row->flags & COMMAND_CONTAINER) == 0 || row->arity == -1;
}

static void append_all(struct buf *text)
{
    for (unsigned group = 0; group <= GROUP_MEMENTO; group++) {
        if (group > 0) {
            append_line_end(text);
        }
        buf_appendf(text, "%s:", command_group_name((enum command_group)group));
        append_line_end(text);
        for (size_t i = 0; i < command_row_count; i++) {
            if (command_rows[i].group == group && is_listed(&command_rows[i])) {
                append_row(text, &command_rows[i]);
            }
        }
    }
}

static void append_fact(struct buf *text, const char *name, const char *fact)
{
    if (fact[0] != '\0') {
        buf_appendf(text, "  %-12s%s", name, fact);
        append_line_end(text);
    }
}

static void append_about(struct buf *text, const struct command_row *row)
{
    append_name(text, row->name);
    if (row->syntax[0] != '\0') {
        buf_appendf(text, " %s", row->syntax);
    }
    append_line_end(text);
    append_fact(text, "summary:", row->summary);
    append_fact(text, "group:", command_group_name(row->group));
    append_fact(text, "since:", row->since);
    append_fact(text, "complexity:", row->complexity);
    if ((row->flags & COMMAND_CONTAINER) == 0) {
        return;
    }
    append_line_end(text);
    for (const struct command_row *sub = row + 1;
         sub < command_rows + command_row_count && command_is_sub(sub); sub++) {
        append_row(text, sub);
    }
}

#define NAMES_MAX 512

static void reply_no_such_command(struct call *call, struct bytes name)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < command_row_count && count < NAMES_MAX; i++) {
        if (!command_is_sub(&command_rows[i])) {
            names[count++] = command_rows[i].name;
        }
    }
    int shown = name.len < 128 ? (int)name.len : 128;
    const char *nearest = nearest_name(name, names, count);
    reply_errorf(call->reply, "ERR no help for '%.*s'%s%s%s", shown, name.data,
                 nearest != NULL ? ". Did you mean '" : "",
                 nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
}

static void reply_buf(struct call *call, const struct buf *text)
{
    if (text->failed) {
        call_failed(call, MEMENTO_ERR_NO_MEMORY);
    } else {
        reply_text(call->reply, buf_bytes(text));
    }
}

void command_help(struct call *call)
{
    if (call->count > 3) {
        call_syntax_error(call);
        return;
    }
    const struct command_row *row = NULL;
    if (call->count > 1) {
        row = command_find(call->args[1]);
        if (row != NULL && call->count == 3) {
            row = command_find_sub(row, call->args[2]);
        }
        if (row == NULL) {
            reply_no_such_command(call, call->args[call->count - 1]);
            return;
        }
    }
    struct buf text;
    buf_init(&text);
    if (row == NULL) {
        append_all(&text);
    } else {
        append_about(&text, row);
    }
    reply_buf(call, &text);
    buf_fini(&text);
}

/* ---- the HELP of containers ---- */

static void reply_line(struct call *call, struct buf *line)
{
    reply_simple(call->reply, buf_c_string(line));
    buf_reset(line, SIZE_MAX);
}

static void reply_sub(struct call *call, const struct command_row *sub, struct buf *line)
{
    append_name(line, strchr(sub->name, '|') + 1);
    if (sub->syntax[0] != '\0') {
        buf_appendf(line, " %s", sub->syntax);
    }
    reply_line(call, line);
    buf_appendf(line, "    %s.", sub->summary);
    reply_line(call, line);
}

void help_reply_subcommands(struct call *call)
{
    const struct command_row *container = command_find(call->args[0]);
    const struct command_row *sub = container + 1;
    size_t count = 0;
    while (sub + count < command_rows + command_row_count &&
           command_is_sub(sub + count)) {
        count++;
    }
    struct buf line;
    buf_init(&line);
    reply_list(call->reply, 1 + 2 * count);
    append_name(&line, container->name);
    buf_append_string(&line,
                      " subcommand [argument ...], where the subcommand is one of:");
    reply_line(call, &line);
    for (size_t i = 0; i < count; i++) {
        reply_sub(call, sub + i, &line);
    }
    buf_fini(&line);
}

void help_reply_unknown(struct call *call)
{
    struct buf name;
    buf_init(&name);
    append_name(&name, call->row->name);
    struct bytes sub = call->args[1];
    int shown = sub.len < 128 ? (int)sub.len : 128;
    reply_errorf(call->reply, "ERR unknown subcommand '%.*s'. Try %s HELP.", shown,
                 sub.data, buf_c_string(&name));
    buf_fini(&name);
}
