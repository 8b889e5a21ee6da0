/* config_commands.c - CONFIG: options while the server runs. Texts and order of checks are those
 * of Redis. */
#include "base/check.h"
#include "base/glob.h"
#include "base/trace.h"
#include "command/handlers.h"
#include "command/help.h"
#include "server/config_rows.h"
#include "server/info.h"
#include "server/server.h"

#include <sys/resource.h>

/* Descriptors that are no client's: listeners, epolls, mailboxes, the trace file. */
#define OWN_DESCRIPTORS 64

void command_config(struct call *call)
{
    help_reply_unknown(call);
}

void command_config_help(struct call *call)
{
    help_reply_subcommands(call);
}

/* ---- GET ---- */

/* Names of options and aliases, one numbering for both; there are few aliases. */
#define NAMES_MAX (OPTION_COUNT + 16)

static size_t names_count(void)
{
    CHECK(option_alias_count <= NAMES_MAX - OPTION_COUNT);
    return OPTION_COUNT + option_alias_count;
}

static const char *name_at(size_t at, enum option_id *id)
{
    if (at < OPTION_COUNT) {
        *id = (enum option_id)at;
        return option_rows[at].name;
    }
    *id = option_aliases[at - OPTION_COUNT].id;
    return option_aliases[at - OPTION_COUNT].name;
}

static bool has_glob(struct bytes pattern)
{
    for (size_t i = 0; i < pattern.len; i++) {
        if (strchr("*?[\\", pattern.data[i]) != NULL && pattern.data[i] != '\0') {
            return true;
        }
    }
    return false;
}

/* Every name is given once; one that was asked for by name is spelled as it was asked for. */
static size_t match_names(const struct call *call, struct bytes shown[NAMES_MAX])
{
    size_t matched = 0;
    for (size_t at = 0; at < names_count(); at++) {
        enum option_id id;
        struct bytes name = bytes_of_string(name_at(at, &id));
        shown[at] = bytes_of(NULL, 0);
        for (size_t i = 2; i < call->count && shown[at].len == 0; i++) {
            if (bytes_equal_nocase(call->args[i], name)) {
                shown[at] = call->args[i];
            } else if (has_glob(call->args[i]) && glob_match(call->args[i], name, true)) {
                shown[at] = name;
            }
        }
        matched += shown[at].len > 0;
    }
    return matched;
}

void command_config_get(struct call *call)
{
    struct bytes shown[NAMES_MAX];
    reply_map(call->reply, match_names(call, shown));
    struct buf value;
    buf_init(&value);
    for (size_t at = 0; at < names_count(); at++) {
        enum option_id id;
        const char *name = name_at(at, &id);
        if (shown[at].len > 0) {
            buf_reset(&value, SIZE_MAX);
            config_print_as(&call_server(call)->config, name, id, &value);
            reply_value(call->reply, shown[at]);
            reply_value(call->reply, buf_bytes(&value));
        }
    }
    buf_fini(&value);
}

/* ---- SET ---- */

static void reply_set_failed(const struct call *call, const char *name,
                             const char *reason)
{
    reply_errorf(call->reply,
                 "ERR CONFIG SET failed (possibly related to argument '%s') - %s", name,
                 reason);
}

static bool is_named_before(const enum option_id *ids, size_t count, enum option_id id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* Tools set what is so already ("appendonly no"): that needs no change, so it may be said. */
static bool is_its_value(const struct call *call, int id, struct bytes value)
{
    struct buf now;
    buf_init(&now);
    config_print(&call_server(call)->config, (enum option_id)id, &now);
    bool is_same =
        option_rows[id].kind == OPTION_FIXED && bytes_equal(buf_bytes(&now), value);
    buf_fini(&now);
    return is_same;
}

/* All names are looked at before any value. Names cannot repeat, so there are at most as many
 * pairs as options. */
static bool find_options(const struct call *call, enum option_id ids[OPTION_COUNT])
{
    for (size_t i = 2, count = 0; i < call->count; i += 2, count++) {
        struct bytes name = call->args[i];
        const char *nearest;
        int id = config_find(name, &nearest);
        if (id < 0) {
            int shown = name.len < 128 ? (int)name.len : 128;
            reply_errorf(
                call->reply,
                "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                shown, name.data);
            return false;
        }
        if (!option_rows[id].settable && !is_its_value(call, id, call->args[i + 1])) {
            reply_set_failed(call, option_rows[id].name, "can't set immutable config");
            return false;
        }
        if (is_named_before(ids, count, (enum option_id)id)) {
            reply_set_failed(call, option_rows[id].name, "duplicate parameter");
            return false;
        }
        ids[count] = (enum option_id)id;
    }
    return true;
}

/* More clients need more descriptors, which the system may refuse. */
static bool descriptors_suffice(uint64_t clients, struct buf *error)
{
    struct rlimit limit;
    uint64_t wanted = clients + OWN_DESCRIPTORS;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return true;
    }
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = wanted;
    if (wanted <= limit.rlim_max && setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        return true;
    }
    uint64_t possible = limit.rlim_max > before ? limit.rlim_max : before;
    buf_appendf(
        error,
        "The operating system is not able to handle the specified number of clients, "
        "try with %llu",
        (unsigned long long)(possible > OWN_DESCRIPTORS ? possible - OWN_DESCRIPTORS
                                                        : 1));
    return false;
}

static bool prepare_one(enum option_id id, struct bytes value,
                        struct config_change *change, struct buf *error)
{
    if (option_rows[id].kind == OPTION_FIXED) {
        *change = (struct config_change){.id = id}; /* it has this value: find_options */
        return true;
    }
    if (config_prepare(id, value, change, error) != MEMENTO_OK) {
        return false;
    }
    if (id == OPTION_MAXCLIENTS &&
        !descriptors_suffice((uint64_t)change->number, error)) {
        config_drop(change);
        return false;
    }
    return true;
}

static bool prepare_all(const struct call *call, const enum option_id *ids,
                        struct config_change *changes, size_t count)
{
    struct buf error;
    buf_init(&error);
    size_t prepared = 0;
    while (prepared < count && prepare_one(ids[prepared], call->args[3 + 2 * prepared],
                                           &changes[prepared], &error)) {
        prepared++;
    }
    bool done = prepared == count;
    if (!done) {
        reply_set_failed(call, option_rows[ids[prepared]].name, buf_c_string(&error));
        while (prepared > 0) {
            config_drop(&changes[--prepared]);
        }
    }
    buf_fini(&error);
    return done;
}

/* What does not ask for its option every time has to be told. */
static void take_effect(const struct call *call, enum option_id id)
{
    const struct config *config = &call_server(call)->config;
    struct log *log = call->writer->log.log;
    if (id == OPTION_LOGLEVEL) {
        trace_set_level((enum trace_level)config_number(config, id));
    } else if (id == OPTION_FSYNC_POLICY && log != NULL) {
        log_set_policy(log, (enum log_policy)config_number(config, id));
    }
}

void command_config_set(struct call *call)
{
    if (call->count % 2 != 0) {
        call_syntax_error(call);
        return;
    }
    enum option_id ids[OPTION_COUNT];
    struct config_change changes[OPTION_COUNT];
    size_t count = (call->count - 2) / 2;
    if (!find_options(call, ids) || !prepare_all(call, ids, changes, count)) {
        return;
    }
    struct config *config = &call_server(call)->config;
    for (size_t i = 0; i < count; i++) {
        if (option_rows[ids[i]].kind != OPTION_FIXED) {
            config_apply(config, &changes[i]);
        }
        take_effect(call, ids[i]);
        trace_info("client %llu: CONFIG SET %s", (unsigned long long)call->session->id,
                   option_rows[ids[i]].name);
    }
    reply_ok(call->reply);
}

void command_config_resetstat(struct call *call)
{
    info_reset_totals(call_server(call));
    reply_ok(call->reply);
}
