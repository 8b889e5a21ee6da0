/* config_print.c - the rows for people: conf/memento.conf and --help. */
#include <memento/version.h>

#include "server/config.h"
#include "server/config_rows.h"

#define COLUMNS 90

/* Words of `text` in lines of at most COLUMNS, each behind `margin`. */
static void print_wrapped(struct buf *out, const char *margin, const char *text)
{
    size_t column = 0;
    for (const char *at = text; *at != '\0';) {
        size_t len = strcspn(at, " ");
        if (column > 0 && column + 1 + len > COLUMNS) {
            buf_append_char(out, '\n');
            column = 0;
        }
        const char *between = column == 0 ? margin : " ";
        buf_append_string(out, between);
        buf_append(out, at, len);
        column += strlen(between) + len;
        at += len + (at[len] == ' ');
    }
    buf_append_char(out, '\n');
}

/* "seconds, 0 to 2147483647" */
static void print_range(const struct option_row *row, struct buf *out)
{
    buf_append_string(out, row->unit);
    if (row->kind == OPTION_NUMBER) {
        buf_appendf(out, ", %lld to %lld", (long long)row->low, (long long)row->high);
    } else if (row->kind == OPTION_SIZE) {
        buf_appendf(out, " (kb, mb, gb), %lld to %lld", (long long)row->low,
                    (long long)row->high);
    }
}

/* ---- conf/memento.conf ---- */

static const char file_head[] =
    "# memento.conf - the options of memento-server, each with its default.\n"
    "#\n"
    "# Start the server with --config and the path of this file. A line is the name of an\n"
    "# option and its value; quote a value that contains spaces: \"two words\". A line that\n"
    "# begins with # says nothing: take it away to change a default. What stands on the\n"
    "# command line (--port 7000) wins over what stands here.\n"
    "#\n"
    "# This file is printed by memento-server --print-config.\n\n";

static void print_file_option(enum option_id id, struct buf *out)
{
    const struct option_row *row = &option_rows[id];
    struct buf about;
    buf_init(&about);
    buf_appendf(&about, "%s. Value: ", row->summary);
    print_range(row, &about);
    buf_append_string(&about, row->settable ? "; CONFIG SET changes it at once."
                                            : "; changed by a restart.");
    print_wrapped(out, "# ", buf_c_string(&about));
    buf_fini(&about);
    bool is_empty = row->initial[0] == '\0';
    buf_appendf(out, "# %s %s\n\n", row->name, is_empty ? "\"\"" : row->initial);
}

void config_print_file(struct buf *out)
{
    buf_append_string(out, file_head);
    const char *title = "";
    for (size_t i = 0; i < option_line_count; i++) {
        const struct option_line *line = &option_lines[i];
        if (line->title != NULL) {
            title = line->title;
        } else if (option_rows[line->id].kind != OPTION_FIXED) {
            /* A group of which nothing can be chosen has no title here. */
            if (title[0] != '\0') {
                buf_appendf(out, "# ---- %s ----\n\n", title);
                title = "";
            }
            print_file_option(line->id, out);
        }
    }
    out->len -= out->len > 0; /* the last blank line */
}

/* ---- --help ---- */

static void print_help_line(char letter, const char *name, const char *value,
                            const char *summary, const char *initial, struct buf *out)
{
    if (letter != 0) {
        buf_appendf(out, "  -%c, --%s", letter, name);
    } else {
        buf_appendf(out, "      --%s", name);
    }
    if (value != NULL) {
        buf_appendf(out, " <%s>", value);
    }
    buf_append_char(out, '\n');
    struct buf about;
    buf_init(&about);
    buf_append_string(&about, summary);
    if (initial != NULL && initial[0] != '\0') {
        buf_appendf(&about, " (default %s)", initial);
    }
    print_wrapped(out, "          ", buf_c_string(&about));
    buf_fini(&about);
}

void config_print_help(struct buf *out)
{
    buf_append_string(
        out, "memento-server " MEMENTO_VERSION
             " - a key/value server that keeps its keys in memory, and on disk\n\n"
             "usage: memento-server [--config <file>] [--<option> <value> ...]\n");
    for (size_t i = 0; i < config_request_count; i++) {
        const struct config_request *request = &config_requests[i];
        print_help_line(request->letter, request->name, request->value, request->summary,
                        NULL, out);
    }
    const char *title = "";
    for (size_t i = 0; i < option_line_count; i++) {
        const struct option_line *line = &option_lines[i];
        if (line->title != NULL) {
            title = line->title;
            continue;
        }
        const struct option_row *row = &option_rows[line->id];
        if (row->kind == OPTION_FIXED) {
            continue;
        }
        if (title[0] != '\0') {
            buf_appendf(out, "\n%s\n", title);
            title = "";
        }
        print_help_line(row->letter, row->name, row->unit, row->summary, row->initial,
                        out);
    }
    buf_append_string(
        out, "\nexit status\n"
             "  0 ended as asked\n"
             "  1 could not start, or the end of the log could not be written\n"
             "  2 wrong usage\n"
             "  3 the data directory is damaged: the message says what and where\n"
             "  4 the data directory was written by a newer memento\n");
}
