/* config.c - the values of the options: from text, to text; see config.h. */
#include "server/config.h"

#include <memento/limits.h>

#include "base/check.h"
#include "base/nearest.h"
#include "base/number.h"
#include "base/trace.h"
#include "log/moment.h"
#include "server/config_rows.h"

/* A unix socket's path has to fit into its address with the NUL behind it. */
#define SOCKET_PATH_BYTES_MAX 107

/* Addresses to listen on: as many as Redis takes. */
#define ADDRESSES_MAX 16

const struct option_row option_rows[OPTION_COUNT] = {
#define OPTION(id, name, letter, kind, initial, low, high, settable, unit, summary) \
    {name, letter, OPTION_##kind, initial, low, high, settable, unit, summary},
#include "server/options.def"
};

const struct option_line option_lines[] = {
#define OPTION(id, name, letter, kind, initial, low, high, settable, unit, summary) \
    {NULL, OPTION_##id},
#define OPTION_GROUP(title) {title, OPTION_COUNT},
#include "server/options.def"
};
const size_t option_line_count = ARRAY_LEN(option_lines);

const struct option_alias option_aliases[] = {
#define OPTION_ALIAS(name, id) {name, OPTION_##id},
#include "server/options.def"
};
const size_t option_alias_count = ARRAY_LEN(option_aliases);

/* ---- names ---- */

static const char *nearest_option(struct bytes name)
{
    const char *names[OPTION_COUNT + ARRAY_LEN(option_aliases)];
    size_t count = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        names[count++] = option_rows[i].name;
    }
    for (size_t i = 0; i < option_alias_count; i++) {
        names[count++] = option_aliases[i].name;
    }
    return nearest_name(name, names, count);
}

int config_find(struct bytes name, const char **nearest)
{
    *nearest = NULL;
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (bytes_is(name, option_rows[i].name)) {
            return i;
        }
    }
    for (size_t i = 0; i < option_alias_count; i++) {
        if (bytes_is(name, option_aliases[i].name)) {
            return (int)option_aliases[i].id;
        }
    }
    *nearest = nearest_option(name);
    return -1;
}

/* ---- from text: the error texts are those that Redis' CONFIG SET gives ---- */

static bool is_invalid(struct buf *error, const char *text)
{
    buf_append_string(error, text);
    return false;
}

static bool is_in_range(const struct option_row *row, int64_t number, struct buf *error)
{
    if (number >= row->low && number <= row->high) {
        return true;
    }
    buf_appendf(error, "argument must be between %lld and %lld inclusive",
                (long long)row->low, (long long)row->high);
    return false;
}

static bool parse_number(const struct option_row *row, struct bytes value,
                         int64_t *number, struct buf *error)
{
    if (!number_parse_int64(value, number)) {
        return is_invalid(error, "argument couldn't be parsed into an integer");
    }
    return is_in_range(row, *number, error);
}

static bool parse_size(const struct option_row *row, struct bytes value, int64_t *number,
                       struct buf *error)
{
    uint64_t size;
    if (!number_parse_size(value, &size)) {
        return is_invalid(error, "argument must be a memory value");
    }
    *number = size > INT64_MAX ? INT64_MAX : (int64_t)size;
    return is_in_range(row, *number, error);
}

static bool parse_switch(struct bytes value, int64_t *number, struct buf *error)
{
    *number = bytes_is(value, "yes");
    if (*number == 0 && !bytes_is(value, "no")) {
        return is_invalid(error, "argument must be 'yes' or 'no'");
    }
    return true;
}

/* The next of the words between '|'; false behind the last one. */
static bool next_choice(const char **at, struct bytes *word)
{
    if (**at == '\0') {
        return false;
    }
    size_t len = strcspn(*at, "|");
    *word = bytes_of(*at, len);
    *at += len + ((*at)[len] == '|');
    return true;
}

static bool parse_choice(enum option_id id, struct bytes value, int64_t *number,
                         struct buf *error)
{
    struct bytes word;
    *number = 0;
    for (const char *at = option_rows[id].unit; next_choice(&at, &word); (*number)++) {
        if (bytes_equal_nocase(value, word)) {
            return true;
        }
    }
    enum trace_level level; /* knows the names that Redis has for levels, too */
    if (id == OPTION_LOGLEVEL && trace_parse_level(value, &level)) {
        *number = (int64_t)level;
        return true;
    }
    if (id == OPTION_FSYNC_POLICY && bytes_is(value, "no")) { /* appendfsync's word */
        return parse_choice(id, BYTES("never"), number, error);
    }
    buf_append_string(error, "argument(s) must be one of the following: ");
    const char *comma = "";
    for (const char *at = option_rows[id].unit; next_choice(&at, &word); comma = ", ") {
        buf_append_string(error, comma);
        buf_append_bytes(error, word);
    }
    return false;
}

static bool parse_mode(struct bytes value, int64_t *number, struct buf *error)
{
    *number = 0;
    bool is_octal = value.len > 0 && value.len <= 4;
    for (size_t i = 0; i < value.len && is_octal; i++) {
        is_octal = value.data[i] >= '0' && value.data[i] <= '7';
        *number = *number * 8 + (value.data[i] - '0');
    }
    if (!is_octal || *number > 0777) {
        return is_invalid(error, "argument must be an octal mode from 0 to 777");
    }
    return true;
}

static bool addresses_are_valid(struct bytes value, struct buf *error)
{
    size_t count = 0;
    for (size_t i = 0; i < value.len; i++) {
        count += value.data[i] != ' ' && (i == 0 || value.data[i - 1] == ' ');
    }
    if (count == 0) {
        return is_invalid(error, "argument must name an address to listen on");
    }
    if (count > ADDRESSES_MAX) {
        buf_appendf(error, "argument must name at most %d addresses", ADDRESSES_MAX);
        return false;
    }
    return true;
}

static bool moment_is_valid(struct bytes value, struct buf *error)
{
    struct archive_limit limit;
    if (moment_parse(value, &limit)) {
        return true;
    }
    return is_invalid(error, "argument must be seq:<number>, a time in UTC as "
                             "2026-01-31T12:34:56Z, or unix seconds or milliseconds");
}

/* Names of files and addresses go to the system as C strings and into traces. */
static bool text_is_valid(enum option_id id, struct bytes value, struct buf *error)
{
    size_t max = id == OPTION_UNIXSOCKET ? SOCKET_PATH_BYTES_MAX : CONFIG_TEXT_BYTES_MAX;
    if (value.len > max) {
        buf_appendf(error, "argument is longer than %zu bytes", max);
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        if ((unsigned char)value.data[i] < 0x20 || value.data[i] == 0x7f) {
            return is_invalid(error, "argument must not contain control characters");
        }
    }
    switch (id) {
    case OPTION_BIND:
        return addresses_are_valid(value, error);
    case OPTION_RESTORE_TO:
        return value.len == 0 || moment_is_valid(value, error);
    case OPTION_DIR:
        return value.len > 0 || is_invalid(error, "argument must name a directory");
    default:
        return true;
    }
}

static bool secret_is_valid(struct bytes value, struct buf *error)
{
    if (value.len > CONFIG_SECRET_BYTES_MAX) {
        buf_appendf(error, "argument is longer than %d bytes", CONFIG_SECRET_BYTES_MAX);
        return false;
    }
    return true;
}

static bool fixed_is_valid(const struct option_row *row, struct bytes value,
                           struct buf *error)
{
    if (bytes_is(value, row->initial)) {
        return true;
    }
    buf_appendf(error, "argument can only be '%s': %s", row->initial, row->summary);
    return false;
}

static bool parse(enum option_id id, struct bytes value, int64_t *number,
                  struct buf *error)
{
    const struct option_row *row = &option_rows[id];
    switch (row->kind) {
    case OPTION_NUMBER:
        return parse_number(row, value, number, error);
    case OPTION_SIZE:
        return parse_size(row, value, number, error);
    case OPTION_SWITCH:
        return parse_switch(value, number, error);
    case OPTION_CHOICE:
        return parse_choice(id, value, number, error);
    case OPTION_MODE:
        return parse_mode(value, number, error);
    case OPTION_TEXT:
        return text_is_valid(id, value, error);
    case OPTION_SECRET:
        return secret_is_valid(value, error);
    case OPTION_FIXED:
        return fixed_is_valid(row, value, error);
    }
    return false;
}

/* ---- values ---- */

static bool is_text(enum option_id id)
{
    enum option_kind kind = option_rows[id].kind;
    return kind == OPTION_TEXT || kind == OPTION_SECRET || kind == OPTION_MODE;
}

static void forget_text(struct buf *text)
{
    if (text->cap > 0) {
        explicit_bzero(text->data, text->cap); /* it may be a password */
    }
    buf_fini(text);
}

void config_init(struct config *config)
{
    lock_init(&config->lock);
    for (int i = 0; i < OPTION_COUNT; i++) {
        int64_t number = 0;
        struct buf error;
        buf_init(&error);
        (void)parse((enum option_id)i, bytes_of_string(option_rows[i].initial), &number,
                    &error); /* a test reads every default back */
        buf_fini(&error);
        atomic_init(&config->numbers[i], number);
        buf_init(&config->texts[i]);
    }
}

void config_fini(struct config *config)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        forget_text(&config->texts[i]);
    }
    lock_fini(&config->lock);
}

enum memento_status config_prepare(enum option_id id, struct bytes value,
                                   struct config_change *change, struct buf *error)
{
    *change = (struct config_change){.id = id};
    buf_init(&change->text);
    if (!parse(id, value, &change->number, error)) {
        return MEMENTO_ERR_INVALID;
    }
    if (is_text(id)) {
        (void)buf_reserve(&change->text, value.len + 1); /* an empty text is one, too */
        buf_append_bytes(&change->text, value);
    }
    if (change->text.failed) {
        buf_append_string(error, "out of memory");
        buf_fini(&change->text);
        return MEMENTO_ERR_NO_MEMORY;
    }
    return MEMENTO_OK;
}

void config_apply(struct config *config, struct config_change *change)
{
    lock_acquire(&config->lock);
    atomic_store_explicit(&config->numbers[change->id], change->number,
                          memory_order_relaxed);
    struct buf old = config->texts[change->id];
    config->texts[change->id] = change->text;
    lock_release(&config->lock);
    forget_text(&old);
    buf_init(&change->text);
}

void config_drop(struct config_change *change)
{
    forget_text(&change->text);
}

enum memento_status config_set(struct config *config, enum option_id id,
                               struct bytes value, struct buf *error)
{
    struct config_change change;
    enum memento_status status = config_prepare(id, value, &change, error);
    if (status == MEMENTO_OK) {
        config_apply(config, &change);
    }
    return status;
}

void config_tell_fixed(struct config *config, enum option_id id, const char *value)
{
    CHECK(option_rows[id].kind == OPTION_FIXED);
    struct config_change change = {.id = id};
    buf_init(&change.text);
    buf_append_string(&change.text, value);
    config_apply(config, &change); /* without memory for the word, the default is told */
}

/* ---- to text ---- */

/* Under the lock. */
static struct bytes text_of(const struct config *config, enum option_id id)
{
    const struct buf *text = &config->texts[id];
    return text->cap > 0 ? buf_bytes(text) : bytes_of_string(option_rows[id].initial);
}

void config_text(struct config *config, enum option_id id, struct buf *out)
{
    lock_acquire(&config->lock);
    buf_append_bytes(out, text_of(config, id));
    lock_release(&config->lock);
}

bool config_has_secret(struct config *config, enum option_id id)
{
    lock_acquire(&config->lock);
    bool has = text_of(config, id).len > 0;
    lock_release(&config->lock);
    return has;
}

bool config_secret_is(struct config *config, enum option_id id, struct bytes given)
{
    lock_acquire(&config->lock);
    bool is = bytes_equal_constant_time(given, text_of(config, id));
    lock_release(&config->lock);
    return is;
}

static void print_choice(enum option_id id, int64_t position, struct buf *out)
{
    struct bytes word = BYTES("");
    const char *at = option_rows[id].unit;
    while (next_choice(&at, &word) && position > 0) {
        position--;
    }
    buf_append_bytes(out, word);
}

void config_print(struct config *config, enum option_id id, struct buf *out)
{
    int64_t number = config_number(config, id);
    switch (option_rows[id].kind) {
    case OPTION_NUMBER:
    case OPTION_SIZE:
        buf_append_integer(out, number);
        break;
    case OPTION_SWITCH:
        buf_append_string(out, number != 0 ? "yes" : "no");
        break;
    case OPTION_CHOICE:
        print_choice(id, number, out);
        break;
    case OPTION_SECRET:
        buf_append_string(out, config_has_secret(config, id) ? "********" : "");
        break;
    case OPTION_TEXT:
    case OPTION_MODE:
    case OPTION_FIXED:
        config_text(config, id, out);
        break;
    }
}

void config_print_as(struct config *config, const char *name, enum option_id id,
                     struct buf *out)
{
    size_t from = out->len;
    config_print(config, id, out);
    bool is_alias = strcmp(name, "appendfsync") == 0 && out->len > from;
    if (is_alias && bytes_is(bytes_of(out->data + from, out->len - from), "never")) {
        out->len = from;
        buf_append_string(out, "no");
    }
}
