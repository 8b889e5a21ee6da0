/* config.h - the options of options.def with their values.
 *
 * Main fills it before any other thread starts. Options marked settable may change while the
 * server runs (CONFIG SET): numbers are relaxed atomics that each reader loads when it needs
 * them, texts are guarded by the lock and read as copies. The others never change again.
 *
 * Sources, later ones win: built-in default, --config FILE, command line. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/lock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_id {
#define OPTION(id, name, letter, kind, initial, low, high, settable, unit, summary) \
    OPTION_##id,
#include "server/options.def"
    OPTION_COUNT
};

enum option_kind {
    OPTION_NUMBER, /* decimal, low..high */
    OPTION_SIZE,   /* bytes; kb mb gb accepted */
    OPTION_SWITCH, /* yes or no */
    OPTION_CHOICE, /* one of the words in `unit`, separated by '|'; value is its position */
    OPTION_TEXT,   /* any words */
    OPTION_SECRET, /* as text, shown masked */
    OPTION_MODE,   /* octal mode of a file: text, and the number it means */
    OPTION_FIXED   /* cannot be changed: what CONFIG GET tells tools that ask */
};

struct option_row {
    const char *name; /* long form, and in the file */
    char letter;      /* short form, or 0 */
    enum option_kind kind;
    const char *initial; /* as it would be written */
    int64_t low, high;
    bool settable; /* by CONFIG SET */
    const char *unit;
    const char *summary;
};
extern const struct option_row option_rows[OPTION_COUNT];

struct config {
    _Atomic int64_t numbers[OPTION_COUNT]; /* number, size, switch, choice, mode */
    struct lock lock;
    struct buf texts[OPTION_COUNT]; /* text, secret, mode; cap 0: the default */
};

/* Bytes of a secret, as in Redis; of any other text: the longest path. */
#define CONFIG_SECRET_BYTES_MAX 512
#define CONFIG_TEXT_BYTES_MAX   4095

void config_init(struct config *config); /* built-in defaults */
void config_fini(struct config *config);

/* Any thread. */
static inline int64_t config_number(const struct config *config, enum option_id id)
{
    return atomic_load_explicit(&config->numbers[id], memory_order_relaxed);
}
/* Appends the text of any option, as it would be written. Secrets come masked ("" stays "").
 * Any thread. */
void config_print(struct config *config, enum option_id id, struct buf *out);
/* The true text of a text or secret option, appended. Any thread. */
void config_text(struct config *config, enum option_id id, struct buf *out);
/* Whether a secret is set, and whether `given` is it (constant time). Any thread. */
bool config_has_secret(struct config *config, enum option_id id);
bool config_secret_is(struct config *config, enum option_id id, struct bytes given);

/* What CONFIG GET shows under this name, the row's own or an alias: appendfsync has another word
 * for never. Appended. */
void config_print_as(struct config *config, const char *name, enum option_id id,
                     struct buf *out);

/* Sets one option from its written form. ERR_INVALID with `error` (what is wrong and what would
 * be right). Any thread for settable ones, main before the start for the others. */
MUST_USE enum memento_status config_set(struct config *config, enum option_id id,
                                        struct bytes value, struct buf *error);
/* The same in two steps, so that several options change together or not at all: prepare may
 * fail, apply cannot. What was prepared is then either applied or dropped. */
struct config_change {
    enum option_id id;
    int64_t number;
    struct buf text;
};
MUST_USE enum memento_status config_prepare(enum option_id id, struct bytes value,
                                            struct config_change *change,
                                            struct buf *error);
void config_apply(struct config *config, struct config_change *change);
void config_drop(struct config_change *change);

/* What a FIXED option tells from now on: it follows from others. Main, before the start. */
void config_tell_fixed(struct config *config, enum option_id id, const char *value);

/* The option of a name or alias in any case. -1 when there is none; *nearest is then a likely
 * name or NULL. */
int config_find(struct bytes name, const char **nearest);

/* The file: `name value` lines, '#' comments, quotes as in the text dialect. Errors name file
 * and line, and the nearest known option. */
MUST_USE enum memento_status config_read_file(struct config *config, const char *path,
                                              struct buf *error);

/* What the command line asks for besides options. */
enum config_wish {
    CONFIG_RUN,
    CONFIG_HELP,
    CONFIG_VERSION,
    CONFIG_PRINT,
    CONFIG_REFUSED
};
/* Reads the whole command line, and the file it names. REFUSED: `error` says what to do, exit
 * with 2. Secrets are wiped from argv. */
enum config_wish config_read_arguments(struct config *config, int argc, char **argv,
                                       struct buf *error);

/* conf/memento.conf and the text of --help, printed from the rows. */
void config_print_file(struct buf *out);
void config_print_help(struct buf *out);
