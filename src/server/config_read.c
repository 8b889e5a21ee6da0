/* config_read.c - options from the configuration file and from the command line. */
#include "base/file.h"
#include "base/trace.h"
#include "protocol/request.h"
#include "server/config.h"
#include "server/config_rows.h"

#include <errno.h>
#include <string.h>

/* Bytes of a configuration file: a hundred times what all options with comments take. */
#define FILE_BYTES_MAX (1024 * 1024)

/* Bytes of a name or value that an error repeats. */
#define SHOWN_BYTES_MAX 80

static int shown(struct bytes word)
{
    return word.len < SHOWN_BYTES_MAX ? (int)word.len : SHOWN_BYTES_MAX;
}

static void say_unknown(struct buf *error, struct bytes name, const char *dashes,
                        const char *nearest)
{
    buf_appendf(error, "there is no option %s%.*s", dashes, shown(name), name.data);
    if (nearest != NULL) {
        buf_appendf(error, "; did you mean %s%s?", dashes, nearest);
    }
}

/* ---- the file ---- */

/* Several words are one value where the value is a list, as in "bind 127.0.0.1 ::1". */
static void join_words(const struct words *words, size_t first, struct buf *out)
{
    for (size_t i = first; i < words->count; i++) {
        buf_append_string(out, i > first ? " " : "");
        buf_append_bytes(out, words->items[i]);
    }
}

/* From a file it would hold for every start, and each would leave out what was written since. */
static bool may_stand_in_file(int id, const struct buf *value, struct buf *error)
{
    if (id != OPTION_RESTORE_TO || value->len == 0) {
        return true;
    }
    buf_append_string(error, "it is for one start, and stands on the command line only: "
                             "--restore-to");
    return false;
}

static enum memento_status set_from_words(struct config *config,
                                          const struct words *words, struct buf *error)
{
    const char *nearest;
    int id = config_find(words->items[0], &nearest);
    if (id < 0) {
        say_unknown(error, words->items[0], "", nearest);
        return MEMENTO_ERR_INVALID;
    }
    const struct option_row *row = &option_rows[id];
    if (words->count < 2) {
        buf_appendf(error, "%s: a value is missing; an empty one is written \"\"",
                    row->name);
        return MEMENTO_ERR_INVALID;
    }
    if (words->count > 2 && row->kind != OPTION_FIXED && id != OPTION_BIND) {
        buf_appendf(error, "%s: one value is expected; quote one that contains spaces",
                    row->name);
        return MEMENTO_ERR_INVALID;
    }
    struct buf value;
    buf_init(&value);
    join_words(words, 1, &value);
    buf_appendf(error, "%s: ", row->name);
    enum memento_status status = MEMENTO_ERR_NO_MEMORY;
    if (!may_stand_in_file(id, &value, error)) {
        status = MEMENTO_ERR_INVALID;
    } else if (!value.failed) {
        status = config_set(config, (enum option_id)id, buf_bytes(&value), error);
    }
    if (value.cap > 0) {
        explicit_bzero(value.data, value.cap);
    }
    buf_fini(&value);
    return status;
}

static enum memento_status read_line(struct config *config, char *line, size_t len,
                                     struct words *words, struct buf *error)
{
    size_t start = 0;
    while (start < len && (line[start] == ' ' || line[start] == '\t')) {
        start++;
    }
    if (start == len || line[start] == '#') {
        return MEMENTO_OK;
    }
    words->count = 0;
    if (!words_split(words, line, len)) {
        buf_append_string(error, "unbalanced quotes");
        return MEMENTO_ERR_INVALID;
    }
    return words->count == 0 ? MEMENTO_OK : set_from_words(config, words, error);
}

static enum memento_status read_lines(struct config *config, const char *path,
                                      struct buf *text, struct buf *error)
{
    struct words words;
    words_init(&words);
    enum memento_status status = MEMENTO_OK;
    size_t at = 0;
    for (size_t number = 1; at < text->len && status == MEMENTO_OK; number++) {
        char *line = text->data + at;
        const char *end = memchr(line, '\n', text->len - at);
        size_t len = end == NULL ? text->len - at : (size_t)(end - line);
        size_t error_from = error->len;
        buf_appendf(error, "%s:%zu: ", path, number);
        status = read_line(config, line, len, &words, error);
        if (status == MEMENTO_OK) {
            error->len = error_from;
        }
        at += len + 1;
    }
    words_fini(&words);
    return status;
}

enum memento_status config_read_file(struct config *config, const char *path,
                                     struct buf *error)
{
    struct buf text;
    buf_init(&text);
    enum memento_status status = file_read_all(path, FILE_BYTES_MAX, &text);
    if (status == MEMENTO_OK) {
        status = read_lines(config, path, &text, error);
    } else {
        const char *reason = status == MEMENTO_ERR_IO          ? strerror(errno)
                             : status == MEMENTO_ERR_TOO_LARGE ? "it is larger than 1 MiB"
                                                               : "out of memory";
        buf_appendf(error, "%s cannot be read: %s", path, reason);
    }
    if (text.cap > 0) {
        explicit_bzero(text.data, text.cap); /* the password may have been in it */
    }
    buf_fini(&text);
    return status;
}

/* ---- the command line ---- */

const struct config_request config_requests[] = {
    {"config", 0, "file", CONFIG_RUN, "Read options from this file first"},
    {"print-config", 0, NULL, CONFIG_PRINT,
     "Print a configuration file with all options and their defaults"},
    {"version", 'v', NULL, CONFIG_VERSION, "Print the version"},
    {"help", 'h', NULL, CONFIG_HELP, "Print this text"},
    {"cluster", 'c', NULL, CONFIG_REFUSED, "Cluster mode: not there yet, refused"},
    {"cluster-file", 'f', "file", CONFIG_REFUSED,
     "Nodes of the cluster: not there yet, refused"},
    {"cluster-name", 'i', "name", CONFIG_REFUSED,
     "Name of this node in the cluster: not there yet, refused"},
};
const size_t config_request_count = ARRAY_LEN(config_requests);

/* One option or request, with its value, as it stands on the command line. */
struct argument {
    struct bytes typed; /* "--port", "-p": for errors */
    int id;             /* of the option; -1 for a request */
    const struct config_request *request;
    char *value; /* NULL: a request that takes none */
};

static bool find_long(struct bytes name, struct argument *argument, struct buf *error)
{
    const char *nearest;
    for (size_t i = 0; i < config_request_count; i++) {
        if (bytes_is(name, config_requests[i].name)) {
            argument->request = &config_requests[i];
            return true;
        }
    }
    argument->id = config_find(name, &nearest);
    if (argument->id < 0) {
        say_unknown(error, name, "--", nearest);
        buf_append_string(error, nearest == NULL ? "; --help lists them all" : "");
    }
    return argument->id >= 0;
}

static bool find_short(char letter, struct argument *argument, struct buf *error)
{
    for (size_t i = 0; i < config_request_count; i++) {
        if (config_requests[i].letter == letter) {
            argument->request = &config_requests[i];
            return true;
        }
    }
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (option_rows[i].letter == letter && letter != 0) {
            argument->id = i;
            return true;
        }
    }
    buf_appendf(error, "there is no option %.*s; --help lists them all",
                shown(argument->typed), argument->typed.data);
    return false;
}

/* A switch that stands alone is switched on. */
static bool stands_alone(int argc, char **argv, int at, const struct argument *argument)
{
    return argument->request == NULL && option_rows[argument->id].kind == OPTION_SWITCH &&
           (at == argc || argv[at][0] == '-');
}

/* The value: what is attached (`--port=1`, `-p1`), else the next word. */
static bool take_value(int argc, char **argv, int *at, char *attached,
                       struct argument *argument, struct buf *error)
{
    const char *wanted = argument->request != NULL ? argument->request->value
                                                   : option_rows[argument->id].unit;
    bool takes_one = argument->request == NULL || wanted != NULL;
    static char on[] = "yes";
    argument->value = attached;
    if (attached == NULL && stands_alone(argc, argv, *at, argument)) {
        argument->value = on;
    }
    if (takes_one && argument->value == NULL && *at < argc) {
        argument->value = argv[(*at)++];
    }
    if (takes_one == (argument->value != NULL)) {
        return true;
    }
    buf_appendf(error, takes_one ? "%.*s needs a value: <%s>" : "%.*s takes no value",
                shown(argument->typed), argument->typed.data, takes_one ? wanted : "");
    return false;
}

/* What stands at argv[*at], which it moves on behind it. False with `error`. */
static bool next_argument(int argc, char **argv, int *at, struct argument *argument,
                          struct buf *error)
{
    char *word = argv[(*at)++];
    *argument = (struct argument){.id = -1, .typed = bytes_of_string(word)};
    char *attached = NULL;
    if (word[0] == '-' && word[1] == '-' && word[2] != '\0') {
        attached = strchr(word, '=');
        if (attached != NULL) {
            argument->typed.len = (size_t)(attached - word);
            attached++;
        }
        struct bytes name = bytes_of(word + 2, argument->typed.len - 2);
        if (!find_long(name, argument, error)) {
            return false;
        }
    } else if (word[0] == '-' && word[1] != '\0' && word[1] != '-') {
        if (!find_short(word[1], argument, error)) {
            return false;
        }
        attached = word[2] != '\0' ? word + 2 : NULL;
        argument->typed.len = 2;
    } else {
        buf_appendf(error,
                    "%.*s is no option; options begin with -- and a file is named by "
                    "--config",
                    shown(argument->typed), word);
        return false;
    }
    return take_value(argc, argv, at, attached, argument, error);
}

/* Understands every word, changes nothing; finds the file and what else is asked for. */
static enum config_wish find_wish(int argc, char **argv, const char **path,
                                  struct buf *error)
{
    for (int at = 1; at < argc;) {
        struct argument argument;
        if (!next_argument(argc, argv, &at, &argument, error)) {
            return CONFIG_REFUSED;
        }
        if (argument.request == NULL) {
            continue;
        }
        if (argument.request->wish == CONFIG_REFUSED) {
            buf_append_string(error, "cluster mode is not there yet");
        }
        if (argument.request->wish != CONFIG_RUN) {
            return argument.request->wish;
        }
        if (*path != NULL) {
            buf_append_string(error, "--config can be given once");
            return CONFIG_REFUSED;
        }
        *path = argument.value;
    }
    return CONFIG_RUN;
}

static enum memento_status add_address(struct config *config, const char *value,
                                       struct buf *error)
{
    struct buf all;
    buf_init(&all);
    config_text(config, OPTION_BIND, &all);
    buf_appendf(&all, " %s", value);
    enum memento_status status = MEMENTO_ERR_NO_MEMORY;
    if (!all.failed) {
        status = config_set(config, OPTION_BIND, buf_bytes(&all), error);
    }
    buf_fini(&all);
    return status;
}

static bool set_options(struct config *config, int argc, char **argv, struct buf *error)
{
    bool has_address = false;
    for (int at = 1; at < argc;) {
        struct argument argument;
        if (!next_argument(argc, argv, &at, &argument, error)) {
            return false; /* find_wish has said so before */
        }
        if (argument.request != NULL) {
            continue;
        }
        size_t error_from = error->len;
        buf_appendf(error, "%.*s: ", shown(argument.typed), argument.typed.data);
        enum memento_status status;
        if (argument.id == OPTION_BIND && has_address) {
            status = add_address(config, argument.value, error);
        } else {
            status = config_set(config, (enum option_id)argument.id,
                                bytes_of_string(argument.value), error);
            has_address |= argument.id == OPTION_BIND;
        }
        if (status != MEMENTO_OK) {
            return false;
        }
        error->len = error_from;
    }
    return true;
}

/* Others on this machine read the command line of every process. */
static bool wipe_secrets(int argc, char **argv)
{
    bool had_secret = false;
    struct buf ignored;
    buf_init(&ignored);
    for (int at = 1; at < argc;) {
        struct argument argument;
        bool understood = next_argument(argc, argv, &at, &argument, &ignored);
        if (understood && argument.request == NULL &&
            option_rows[argument.id].kind == OPTION_SECRET) {
            explicit_bzero(argument.value, strlen(argument.value));
            had_secret = true;
        }
    }
    buf_fini(&ignored);
    return had_secret;
}

/* Options that are right one by one and make no sense together. */
static bool fits_together(struct config *config, struct buf *error)
{
    struct buf path;
    buf_init(&path);
    config_text(config, OPTION_UNIXSOCKET, &path);
    bool reachable = config_number(config, OPTION_PORT) != 0 || path.len > 0;
    buf_fini(&path);
    if (!reachable) {
        buf_append_string(error, "port 0 and no unixsocket: no client could connect");
    }
    return reachable;
}

enum config_wish config_read_arguments(struct config *config, int argc, char **argv,
                                       struct buf *error)
{
    const char *path = NULL;
    enum config_wish wish = find_wish(argc, argv, &path, error);
    if (wish == CONFIG_RUN) {
        bool fine = path == NULL || config_read_file(config, path, error) == MEMENTO_OK;
        fine = fine && set_options(config, argc, argv, error);
        fine = fine && fits_together(config, error);
        if (fine && config_number(config, OPTION_MEMORY_ONLY) != 0) {
            config_tell_fixed(config, OPTION_APPENDONLY, "no");
        }
        wish = fine ? CONFIG_RUN : CONFIG_REFUSED;
    }
    bool had_secret = wipe_secrets(argc, argv);
    if (had_secret && wish == CONFIG_RUN) {
        trace_warning(
            "a password on the command line was there for all to read until now: "
            "better write requirepass into a file and name it by --config");
    }
    return wish;
}
