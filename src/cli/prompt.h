/* prompt.h - lines that a person types: editing, history, search, completion, hints.
 *
 * On a terminal lines are edited in place; they wrap, and one that is longer than the
 * screen shows the part around the cursor. Where there is no terminal, or a dumb one,
 * lines are read as they come. Between two calls keys are not echoed, and kept for the
 * next; prompt_destroy leaves the terminal as it was.
 *
 * May use:    base/.
 * Thread:     main. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Bytes of a line that is edited; reaching it rings the bell. Lines that are only read
 * end at PROMPT_READ_BYTES_MAX: a value of the largest size, quoted. */
#define PROMPT_LINE_BYTES_MAX (1024 * 1024)
#define PROMPT_READ_BYTES_MAX (2LL * 1024 * 1024 * 1024)

/* Lines of the history, and bytes of one that goes to its file: together 4 MiB. Longer
 * lines are remembered until the program ends. */
#define HISTORY_LINES_MAX      1000
#define HISTORY_LINE_BYTES_MAX 4096

enum prompt_result {
    PROMPT_LINE,
    PROMPT_CANCELLED, /* Ctrl-C: the line was given up */
    PROMPT_END,       /* Ctrl-D on an empty line, or the end of the input */
    PROMPT_FAILED     /* the line is too long, or no memory */
};

struct prompt_hooks {
    /* What may follow `typed`, to be shown in grey. */
    void (*hint)(struct bytes typed, struct buf *hint);
    /* Words that may complete what has been typed, separated by spaces, and where in it
     * the word begins that they replace. */
    void (*complete)(struct bytes typed, struct buf *words, size_t *from);
};

struct prompt;

/* Reads from stdin and draws on stdout; edits lines when both are terminals that
 * understand how. NULL without memory. */
MUST_USE struct prompt *prompt_create(struct prompt_hooks hooks);
/* Accepts NULL. */
void prompt_destroy(struct prompt *prompt);

/* Reads the file's lines, and from now on adds to it what prompt_remember gets. It is
 * made (or made to be) readable for its owner only; a symbolic link is left alone. */
void prompt_open_history(struct prompt *prompt, const char *path);
/* Adds a line to the history, unless it is the last one again. */
void prompt_remember(struct prompt *prompt, struct bytes line);

/* The next line, without its end, in `line` (emptied first). `title` stands in front of
 * it; NULL when nobody is looking. */
MUST_USE enum prompt_result prompt_read(struct prompt *prompt, const char *title,
                                        struct buf *line);
/* A line that is not shown. */
MUST_USE enum prompt_result prompt_read_secret(struct prompt *prompt, const char *title,
                                               struct buf *secret);
/* Columns of the terminal. */
unsigned prompt_width(void);
