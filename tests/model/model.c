#include "model.h"

#include "base/number.h"
#include "support/test.h"

#include <stdio.h>

/* ---- entries ---- */

void model_init(struct model *model)
{
    memset(model, 0, sizeof(*model));
    for (unsigned db = 0; db < MODEL_DATABASES; db++) {
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            buf_init(&model->entries[db][key].value);
        }
    }
}

void model_fini(struct model *model)
{
    for (unsigned db = 0; db < MODEL_DATABASES; db++) {
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            buf_fini(&model->entries[db][key].value);
        }
    }
}

struct bytes model_key_name(unsigned index)
{
    static char names[MODEL_KEYS][4];
    assert_true(index < MODEL_KEYS);
    int len = snprintf(names[index], sizeof(names[index]), "k%u", index);
    return bytes_of(names[index], (size_t)len);
}

struct model_entry *model_find(struct model *model, unsigned database, unsigned key)
{
    struct model_entry *entry = &model->entries[database][key];
    if (entry->is_there && entry->deadline_ms <= model->now_ms) {
        entry->is_there = false;
        entry->changes++;
    }
    return entry->is_there ? entry : NULL;
}

/* ---- a request being run ---- */

struct run {
    struct model *model;
    const struct bytes *words;
    size_t count;
    struct reply *reply;
};

static int64_t number(const struct run *run, size_t at)
{
    int64_t value;
    assert_true(number_parse_int64(run->words[at], &value));
    return value;
}

static bool has_word(const struct run *run, size_t from, const char *word)
{
    for (size_t i = from; i < run->count; i++) {
        if (bytes_is(run->words[i], word)) {
            return true;
        }
    }
    return false;
}

/* The number behind an option; -1 without it. */
static int64_t option(const struct run *run, size_t from, const char *word)
{
    for (size_t i = from; i + 1 < run->count; i++) {
        if (bytes_is(run->words[i], word)) {
            return number(run, i + 1);
        }
    }
    return -1;
}

static unsigned key_index(const struct run *run, size_t at)
{
    int64_t index;
    struct bytes name = run->words[at];
    assert_true(name.len >= 2 && name.data[0] == 'k');
    assert_true(number_parse_int64(bytes_of(name.data + 1, name.len - 1), &index));
    return (unsigned)index;
}

static struct model_entry *entry_in(const struct run *run, unsigned database, size_t at)
{
    return &run->model->entries[database][key_index(run, at)];
}

static struct model_entry *find_in(const struct run *run, unsigned database, size_t at)
{
    return model_find(run->model, database, key_index(run, at));
}

static struct model_entry *find(const struct run *run, size_t at)
{
    return find_in(run, run->model->database, at);
}

static struct bytes value_of(const struct model_entry *entry)
{
    return entry == NULL ? bytes_of(NULL, 0) : buf_bytes(&entry->value);
}

static void store(struct model_entry *entry, struct bytes value, int64_t deadline_ms,
                  int64_t created_ms)
{
    struct buf copy;
    buf_init(&copy);
    buf_append_bytes(&copy, value);
    assert_false(copy.failed);
    buf_fini(&entry->value);
    entry->value = copy;
    entry->is_there = true;
    entry->deadline_ms = deadline_ms;
    entry->created_ms = created_ms;
    entry->changes++;
}

/* A new value for whatever is there: its times stay; without a key, as SET. */
static void change(const struct run *run, size_t at, struct bytes value)
{
    struct model_entry *old = find(run, at);
    store(entry_in(run, run->model->database, at), value,
          old != NULL ? old->deadline_ms : MODEL_FOREVER,
          old != NULL ? old->created_ms : run->model->now_ms);
}

static void set(const struct run *run, size_t at, struct bytes value)
{
    store(entry_in(run, run->model->database, at), value, MODEL_FOREVER,
          run->model->now_ms);
}

static void drop(struct model_entry *entry)
{
    entry->is_there = false;
    entry->changes++;
}

static void reply_value_or_null(const struct run *run, const struct model_entry *entry)
{
    if (entry == NULL) {
        reply_null(run->reply);
    } else {
        reply_value(run->reply, value_of(entry));
    }
}

/* ---- strings ---- */

static void run_set(const struct run *run)
{
    struct model_entry *old = find(run, 1);
    bool may = !(has_word(run, 3, "NX") && old != NULL) &&
               !(has_word(run, 3, "XX") && old == NULL);
    int64_t deadline_ms = MODEL_FOREVER;
    if (has_word(run, 3, "KEEPTTL") && old != NULL) {
        deadline_ms = old->deadline_ms;
    } else if (option(run, 3, "PX") > 0) {
        deadline_ms = run->model->now_ms + option(run, 3, "PX");
    } else if (option(run, 3, "EX") > 0) {
        deadline_ms = run->model->now_ms + option(run, 3, "EX") * 1000;
    }
    if (has_word(run, 3, "GET")) {
        reply_value_or_null(run, old);
    } else if (may) {
        reply_ok(run->reply);
    } else {
        reply_null(run->reply);
    }
    if (may) {
        store(entry_in(run, run->model->database, 1), run->words[2], deadline_ms,
              run->model->now_ms);
    }
}

static void run_setnx(const struct run *run)
{
    bool may = find(run, 1) == NULL;
    if (may) {
        set(run, 1, run->words[2]);
    }
    reply_integer(run->reply, may);
}

static void run_get(const struct run *run)
{
    reply_value_or_null(run, find(run, 1));
}

static void run_getset(const struct run *run)
{
    reply_value_or_null(run, find(run, 1));
    set(run, 1, run->words[2]);
}

static void run_getdel(const struct run *run)
{
    struct model_entry *entry = find(run, 1);
    reply_value_or_null(run, entry);
    if (entry != NULL) {
        drop(entry);
    }
}

static void run_getex(const struct run *run)
{
    struct model_entry *entry = find(run, 1);
    reply_value_or_null(run, entry);
    if (entry != NULL && option(run, 2, "PX") > 0) {
        entry->deadline_ms = run->model->now_ms + option(run, 2, "PX");
        entry->changes++;
    } else if (entry != NULL && has_word(run, 2, "PERSIST") &&
               entry->deadline_ms != MODEL_FOREVER) {
        entry->deadline_ms = MODEL_FOREVER;
        entry->changes++;
    }
}

static void run_mget(const struct run *run)
{
    reply_list(run->reply, run->count - 1);
    for (size_t at = 1; at < run->count; at++) {
        reply_value_or_null(run, find(run, at));
    }
}

static void run_mset(const struct run *run)
{
    for (size_t at = 1; at < run->count; at += 2) {
        set(run, at, run->words[at + 1]);
    }
    reply_ok(run->reply);
}

static void run_msetnx(const struct run *run)
{
    bool may = true;
    for (size_t at = 1; at < run->count; at += 2) {
        may = may && find(run, at) == NULL;
    }
    for (size_t at = 1; at < run->count && may; at += 2) {
        set(run, at, run->words[at + 1]);
    }
    reply_integer(run->reply, may);
}

static void join(const struct run *run, struct bytes first, struct bytes second)
{
    struct buf joined;
    buf_init(&joined);
    buf_append_bytes(&joined, first);
    buf_append_bytes(&joined, second);
    change(run, 1, buf_bytes(&joined));
    reply_integer(run->reply, (int64_t)joined.len);
    buf_fini(&joined);
}

static void run_append(const struct run *run)
{
    join(run, value_of(find(run, 1)), run->words[2]);
}

static void run_prepend(const struct run *run)
{
    join(run, run->words[2], value_of(find(run, 1)));
}

static void run_strlen(const struct run *run)
{
    reply_integer(run->reply, (int64_t)value_of(find(run, 1)).len);
}

static void run_getrange(const struct run *run)
{
    struct bytes value = value_of(find(run, 1));
    int64_t len = (int64_t)value.len;
    int64_t start = number(run, 2), end = number(run, 3);
    bool is_backwards = start < 0 && end < 0 && start > end;
    start = start < 0 ? start + len : start;
    end = end < 0 ? end + len : end;
    start = start < 0 ? 0 : start;
    end = end < 0 ? 0 : end;
    end = end >= len ? len - 1 : end;
    if (is_backwards || start > end || len == 0) {
        reply_string(run->reply, "");
    } else {
        reply_value(run->reply, bytes_of(value.data + start, (size_t)(end - start + 1)));
    }
}

static void run_setrange(const struct run *run)
{
    struct bytes old = value_of(find(run, 1));
    size_t offset = (size_t)number(run, 2);
    struct bytes patch = run->words[3];
    if (patch.len == 0) {
        reply_integer(run->reply, (int64_t)old.len);
        return;
    }
    struct buf value;
    buf_init(&value);
    buf_append_bytes(&value, old);
    while (value.len < offset + patch.len) {
        buf_append_char(&value, '\0');
    }
    memcpy(value.data + offset, patch.data, patch.len);
    change(run, 1, buf_bytes(&value));
    reply_integer(run->reply, (int64_t)value.len);
    buf_fini(&value);
}

static void run_setbit(const struct run *run)
{
    struct bytes old = value_of(find(run, 1));
    size_t offset = (size_t)number(run, 2);
    unsigned char mask = (unsigned char)(0x80u >> offset % 8);
    struct buf value;
    buf_init(&value);
    buf_append_bytes(&value, old);
    while (value.len < offset / 8 + 1) {
        buf_append_char(&value, '\0');
    }
    unsigned char byte = (unsigned char)value.data[offset / 8];
    reply_integer(run->reply, (byte & mask) != 0);
    byte = (unsigned char)(number(run, 3) != 0 ? byte | mask : byte & ~mask);
    value.data[offset / 8] = (char)byte;
    change(run, 1, buf_bytes(&value));
    buf_fini(&value);
}

static void add(const struct run *run, int64_t quantity)
{
    struct model_entry *entry = find(run, 1);
    int64_t value = 0;
    if (entry != NULL && !number_parse_int64(value_of(entry), &value)) {
        reply_error(run->reply, "ERR value is not an integer or out of range");
        return;
    }
    if (__builtin_add_overflow(value, quantity, &value)) {
        reply_error(run->reply, "ERR increment or decrement would overflow");
        return;
    }
    char text[NUMBER_SHORT_MAX];
    change(run, 1, bytes_of(text, number_format_int64(text, value)));
    reply_integer(run->reply, value);
}

static void run_incrby(const struct run *run)
{
    add(run, number(run, 2));
}

static void run_dec(const struct run *run)
{
    add(run, run->count > 2 ? -number(run, 2) : -1);
}

/* ---- keys ---- */

static void run_del(const struct run *run)
{
    int64_t gone = 0;
    for (size_t at = 1; at < run->count; at++) {
        struct model_entry *entry = find(run, at);
        if (entry != NULL) {
            drop(entry);
            gone++;
        }
    }
    reply_integer(run->reply, gone);
}

static void run_exists(const struct run *run)
{
    int64_t there = 0;
    for (size_t at = 1; at < run->count; at++) {
        there += find(run, at) != NULL;
    }
    reply_integer(run->reply, there);
}

static void run_type(const struct run *run)
{
    reply_simple(run->reply, find(run, 1) != NULL ? "string" : "none");
}

static void take_over(struct model_entry *to, const struct model_entry *from,
                      int64_t created_ms)
{
    store(to, value_of(from), from->deadline_ms, created_ms);
}

static void rename_key(const struct run *run, bool only_if_free)
{
    struct model_entry *from = find(run, 1);
    struct model_entry *to = entry_in(run, run->model->database, 2);
    if (from == NULL) {
        reply_error(run->reply, "ERR no such key");
        return;
    }
    bool may = !(only_if_free && find(run, 2) != NULL);
    if (may && from != to) {
        take_over(to, from, from->created_ms);
        drop(from);
    }
    if (only_if_free) {
        reply_integer(run->reply, may);
    } else {
        reply_ok(run->reply);
    }
}

static void run_rename(const struct run *run)
{
    rename_key(run, false);
}

static void run_renamenx(const struct run *run)
{
    rename_key(run, true);
}

static void run_copy(const struct run *run)
{
    int64_t database = option(run, 3, "DB");
    unsigned target = database < 0 ? run->model->database : (unsigned)database;
    struct model_entry *from = find(run, 1);
    struct model_entry *to = entry_in(run, target, 2);
    if (to == entry_in(run, run->model->database, 1)) {
        reply_error(run->reply, "ERR source and destination objects are the same");
        return;
    }
    bool may =
        from != NULL && (has_word(run, 3, "REPLACE") || find_in(run, target, 2) == NULL);
    if (may) {
        take_over(to, from, run->model->now_ms);
    }
    reply_integer(run->reply, may);
}

static void run_move(const struct run *run)
{
    unsigned target = (unsigned)number(run, 2);
    struct model_entry *from = find(run, 1);
    if (target == run->model->database) {
        reply_error(run->reply, "ERR source and destination objects are the same");
        return;
    }
    bool may = from != NULL && find_in(run, target, 1) == NULL;
    if (may) {
        take_over(entry_in(run, target, 1), from, from->created_ms);
        drop(from);
    }
    reply_integer(run->reply, may);
}

static void run_flushdb(const struct run *run)
{
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        struct model_entry *entry = model_find(run->model, run->model->database, key);
        if (entry != NULL) {
            drop(entry);
        }
    }
    reply_ok(run->reply);
}

static void run_select(const struct run *run)
{
    run->model->database = (unsigned)number(run, 1);
    reply_ok(run->reply);
}

/* ---- expiry ---- */

static bool condition_holds(const struct run *run, int64_t old_ms, int64_t new_ms)
{
    bool is_forever = old_ms == MODEL_FOREVER;
    return !(has_word(run, 3, "NX") && !is_forever) &&
           !(has_word(run, 3, "XX") && is_forever) &&
           !(has_word(run, 3, "GT") && new_ms <= old_ms) &&
           !(has_word(run, 3, "LT") && new_ms >= old_ms);
}

static void expire(const struct run *run, int64_t deadline_ms)
{
    struct model_entry *entry = find(run, 1);
    bool may = entry != NULL && condition_holds(run, entry->deadline_ms, deadline_ms);
    if (may && deadline_ms <= run->model->now_ms) {
        drop(entry);
    } else if (may) {
        entry->deadline_ms = deadline_ms;
        entry->changes++;
    }
    reply_integer(run->reply, may);
}

static void run_expire(const struct run *run)
{
    expire(run, run->model->now_ms + number(run, 2) * 1000);
}

static void run_pexpire(const struct run *run)
{
    expire(run, run->model->now_ms + number(run, 2));
}

static void run_pexpireat(const struct run *run)
{
    expire(run, number(run, 2));
}

static void run_persist(const struct run *run)
{
    struct model_entry *entry = find(run, 1);
    bool may = entry != NULL && entry->deadline_ms != MODEL_FOREVER;
    if (may) {
        entry->deadline_ms = MODEL_FOREVER;
        entry->changes++;
    }
    reply_integer(run->reply, may);
}

static void run_pttl(const struct run *run)
{
    const struct model_entry *entry = find(run, 1);
    if (entry == NULL || entry->deadline_ms == MODEL_FOREVER) {
        reply_integer(run->reply, entry == NULL ? -2 : -1);
    } else {
        reply_integer(run->reply, entry->deadline_ms - run->model->now_ms);
    }
}

static void run_pexpiretime(const struct run *run)
{
    const struct model_entry *entry = find(run, 1);
    if (entry == NULL || entry->deadline_ms == MODEL_FOREVER) {
        reply_integer(run->reply, entry == NULL ? -2 : -1);
    } else {
        reply_integer(run->reply, entry->deadline_ms);
    }
}

static void run_unwatch(const struct run *run)
{
    reply_ok(run->reply);
}

static const struct {
    const char *name;
    void (*run)(const struct run *run);
} commands[] = {
    {"APPEND", run_append},
    {"COPY", run_copy},
    {"DEC", run_dec},
    {"DEL", run_del},
    {"EXISTS", run_exists},
    {"EXPIRE", run_expire},
    {"FLUSHDB", run_flushdb},
    {"GET", run_get},
    {"GETDEL", run_getdel},
    {"GETEX", run_getex},
    {"GETRANGE", run_getrange},
    {"GETSET", run_getset},
    {"INCRBY", run_incrby},
    {"MGET", run_mget},
    {"MOVE", run_move},
    {"MSET", run_mset},
    {"MSETNX", run_msetnx},
    {"PERSIST", run_persist},
    {"PEXPIRE", run_pexpire},
    {"PEXPIREAT", run_pexpireat},
    {"PEXPIRETIME", run_pexpiretime},
    {"PREPEND", run_prepend},
    {"PTTL", run_pttl},
    {"RENAME", run_rename},
    {"RENAMENX", run_renamenx},
    {"SELECT", run_select},
    {"SET", run_set},
    {"SETBIT", run_setbit},
    {"SETNX", run_setnx},
    {"SETRANGE", run_setrange},
    {"STRLEN", run_strlen},
    {"TOUCH", run_exists},
    {"TYPE", run_type},
    {"UNLINK", run_del},
    {"UNWATCH", run_unwatch},
};

void model_run(struct model *model, const struct bytes *words, size_t count,
               struct reply *reply)
{
    struct run run = {model, words, count, reply};
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (bytes_is(words[0], commands[i].name)) {
            commands[i].run(&run);
            return;
        }
    }
    fail_msg("the model does not know %.*s", (int)words[0].len, words[0].data);
}
