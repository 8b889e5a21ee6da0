/* command_commands.c - COMMAND: the rows of commands.def as clients want to read them.
 *
 * Names, arity, key positions come from the rows; flags and categories are the words that
 * Redis has for what the rows say. */
#include "base/glob.h"
#include "command/handlers.h"
#include "command/help.h"
#include "command/key_specs.h"
#include "command/syntax.h"

/* ---- words for a row, in the order Redis gives them ---- */

#define WORDS_MAX 16

struct word_list {
    const char *words[WORDS_MAX];
    size_t count;
};

static void add_word(struct word_list *list, bool when, const char *word)
{
    if (when && list->count < WORDS_MAX) {
        list->words[list->count++] = word;
    }
}

static bool has(const struct command_row *row, uint32_t flag)
{
    return (row->flags & flag) != 0;
}

static bool is_named(const struct command_row *row, const char *name)
{
    return strcmp(row->name, name) == 0;
}

/* What a server that is busy with one client still runs for another. */
static bool is_allowed_when_busy(const struct command_row *row)
{
    return has(row, COMMAND_NO_AUTH) || is_named(row, "shutdown") ||
           (row->group == GROUP_TRANSACTIONS && has(row, COMMAND_FAST));
}

static struct word_list flags_of(const struct command_row *row)
{
    struct word_list list = {.count = 0};
    add_word(&list, has(row, COMMAND_WRITE), "write");
    add_word(&list, has(row, COMMAND_READONLY), "readonly");
    add_word(&list, has(row, COMMAND_DENYOOM), "denyoom");
    add_word(&list, has(row, COMMAND_ADMIN), "admin");
    add_word(&list, has(row, COMMAND_NOSCRIPT), "noscript");
    add_word(&list, has(row, COMMAND_LOADING), "loading");
    add_word(&list, has(row, COMMAND_STALE), "stale");
    add_word(&list, is_named(row, "exec"), "skip_slowlog");
    add_word(&list, has(row, COMMAND_FAST), "fast");
    add_word(&list, has(row, COMMAND_NO_AUTH), "no_auth");
    add_word(&list, has(row, COMMAND_NO_MULTI), "no_multi");
    add_word(&list, has(row, COMMAND_MOVABLE_KEYS), "movablekeys");
    add_word(&list, is_allowed_when_busy(row), "allow_busy");
    return list;
}

static bool is_about_command(const struct command_row *row)
{
    return is_named(row, "command") || strncmp(row->name, "command|", 8) == 0;
}

/* Containers do nothing themselves. */
static bool is_in_group(const struct command_row *row, enum command_group group)
{
    return row->group == group && !has(row, COMMAND_CONTAINER);
}

static bool is_about_keys(const struct command_row *row)
{
    return is_in_group(row, GROUP_GENERIC) || is_named(row, "flushall") ||
           is_named(row, "flushdb") || is_named(row, "swapdb") ||
           is_named(row, "dbsize") ||
           (row->group == GROUP_MEMENTO && has(row, COMMAND_WHOLE_KEYSPACE));
}

static bool is_about_connections(const struct command_row *row)
{
    return is_in_group(row, GROUP_CONNECTION) || is_about_command(row) ||
           (row->group == GROUP_MEMENTO && !has(row, COMMAND_READONLY | COMMAND_WRITE));
}

/* The categories of Redis' access control lists, without their "@". */
static struct word_list categories_of(const struct command_row *row)
{
    bool is_about_a_value =
        row->group == GROUP_STRING || (row->group == GROUP_MEMENTO && row->first_key > 0);
    struct word_list list = {.count = 0};
    add_word(&list, is_about_keys(row), "keyspace");
    add_word(&list, has(row, COMMAND_READONLY), "read");
    add_word(&list, has(row, COMMAND_WRITE), "write");
    add_word(&list, is_about_a_value, "string");
    add_word(&list, row->group == GROUP_BITMAP, "bitmap");
    add_word(&list, has(row, COMMAND_ADMIN), "admin");
    add_word(&list, has(row, COMMAND_FAST), "fast");
    add_word(&list, !has(row, COMMAND_FAST), "slow");
    add_word(&list, has(row, COMMAND_ADMIN | COMMAND_DANGEROUS), "dangerous");
    add_word(&list, is_about_connections(row), "connection");
    add_word(&list, row->group == GROUP_TRANSACTIONS, "transaction");
    return list;
}

/* What a client that splits requests over several servers may do with the replies. */
static const struct tips {
    const char *name;
    const char *words[3];
} all_tips[] = {
    {"client|info", {"nondeterministic_output"}},
    {"client|list", {"nondeterministic_output"}},
    {"command", {"nondeterministic_output_order"}},
    {"command|docs", {"nondeterministic_output_order"}},
    {"command|info", {"nondeterministic_output_order"}},
    {"command|list", {"nondeterministic_output_order"}},
    {"config|set", {"request_policy:all_nodes", "response_policy:all_succeeded"}},
    {"dbsize", {"request_policy:all_shards", "response_policy:agg_sum"}},
    {"del", {"request_policy:multi_shard", "response_policy:agg_sum"}},
    {"exists", {"request_policy:multi_shard", "response_policy:agg_sum"}},
    {"flushall", {"request_policy:all_shards", "response_policy:all_succeeded"}},
    {"flushdb", {"request_policy:all_shards", "response_policy:all_succeeded"}},
    {"info",
     {"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}},
    {"keys", {"request_policy:all_shards", "nondeterministic_output_order"}},
    {"mget", {"request_policy:multi_shard"}},
    {"mset", {"request_policy:multi_shard", "response_policy:all_succeeded"}},
    {"msetnx", {"request_policy:multi_shard", "response_policy:agg_min"}},
    {"object|encoding", {"nondeterministic_output"}},
    {"object|freq", {"nondeterministic_output"}},
    {"object|idletime", {"nondeterministic_output"}},
    {"object|refcount", {"nondeterministic_output"}},
    {"ping", {"request_policy:all_shards", "response_policy:all_succeeded"}},
    {"pttl", {"nondeterministic_output"}},
    {"randomkey", {"request_policy:all_shards", "nondeterministic_output"}},
    {"scan", {"nondeterministic_output", "request_policy:special"}},
    {"time", {"nondeterministic_output"}},
    {"touch", {"request_policy:multi_shard", "response_policy:agg_sum"}},
    {"ttl", {"nondeterministic_output"}},
    {"unlink", {"request_policy:multi_shard", "response_policy:agg_sum"}},
};

static struct word_list tips_of(const struct command_row *row)
{
    struct word_list list = {.count = 0};
    for (size_t i = 0; i < ARRAY_LEN(all_tips); i++) {
        if (!is_named(row, all_tips[i].name)) {
            continue;
        }
        for (size_t j = 0; j < ARRAY_LEN(all_tips[i].words); j++) {
            add_word(&list, all_tips[i].words[j] != NULL, all_tips[i].words[j]);
        }
    }
    return list;
}

/* ---- rows and their subcommands ---- */

static size_t count_of_commands(void)
{
    size_t count = 0;
    for (size_t i = 0; i < command_row_count; i++) {
        count += !command_is_sub(&command_rows[i]);
    }
    return count;
}

/* The rows of a container's subcommands stand right behind it. */
static size_t count_of_subs(const struct command_row *row)
{
    size_t count = 0;
    if (has(row, COMMAND_CONTAINER)) {
        size_t at = (size_t)row->index + 1;
        while (at + count < command_row_count &&
               command_is_sub(&command_rows[at + count])) {
            count++;
        }
    }
    return count;
}

/* "get", and "client|setname" in one word. */
static const struct command_row *find_by_full_name(struct bytes name)
{
    const char *bar = name.len > 0 ? memchr(name.data, '|', name.len) : NULL;
    if (bar == NULL) {
        return command_find(name);
    }
    size_t len = (size_t)(bar - name.data);
    const struct command_row *container = command_find(bytes_of(name.data, len));
    if (container == NULL || !has(container, COMMAND_CONTAINER)) {
        return NULL;
    }
    return command_find_sub(container, bytes_of(bar + 1, name.len - len - 1));
}

/* ---- COMMAND and COMMAND INFO ---- */

static void reply_words_as_set(struct reply *reply, const char *words)
{
    size_t count = 1;
    for (const char *c = words; *c != '\0'; c++) {
        count += *c == ' ';
    }
    reply_set(reply, count);
    while (count-- > 0) {
        char word[32];
        size_t len = strcspn(words, " ");
        size_t shown = len < sizeof(word) - 1 ? len : sizeof(word) - 1;
        memcpy(word, words, shown);
        word[shown] = '\0';
        reply_simple(reply, word);
        words += len + (words[len] == ' ');
    }
}

static void reply_field(struct reply *reply, const char *name, int value)
{
    reply_string(reply, name);
    reply_integer(reply, value);
}

static void reply_key_spec(struct reply *reply, const struct key_spec *spec)
{
    reply_map(reply, 3);
    reply_string(reply, "flags");
    reply_words_as_set(reply, spec->flags);
    reply_string(reply, "begin_search");
    reply_map(reply, 2);
    reply_string(reply, "type");
    reply_string(reply, "index");
    reply_string(reply, "spec");
    reply_map(reply, 1);
    reply_field(reply, "index", spec->index);
    reply_string(reply, "find_keys");
    reply_map(reply, 2);
    reply_string(reply, "type");
    reply_string(reply, "range");
    reply_string(reply, "spec");
    reply_map(reply, 3);
    reply_field(reply, "lastkey", spec->last);
    reply_field(reply, "keystep", spec->step);
    reply_field(reply, "limit", 0);
}

static void reply_key_specs(struct reply *reply, const struct command_row *row)
{
    struct key_spec specs[KEY_SPECS_MAX];
    size_t count = key_specs_of(row, specs);
    reply_set(reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_key_spec(reply, &specs[i]);
    }
}

static void reply_categories(struct reply *reply, const struct command_row *row)
{
    struct word_list list = categories_of(row);
    reply_set(reply, list.count);
    for (size_t i = 0; i < list.count; i++) {
        char word[32] = "@";
        size_t len = strlen(list.words[i]);
        memcpy(word + 1, list.words[i], len < sizeof(word) - 2 ? len : sizeof(word) - 2);
        reply_simple(reply, word);
    }
}

/* All ten fields but the last: the subcommands, which are infos themselves. */
static void reply_nine_fields(struct reply *reply, const struct command_row *row)
{
    struct word_list flags = flags_of(row);
    struct word_list tips = tips_of(row);
    reply_list(reply, 10);
    reply_string(reply, row->name);
    reply_integer(reply, row->arity);
    reply_set(reply, flags.count);
    for (size_t i = 0; i < flags.count; i++) {
        reply_simple(reply, flags.words[i]);
    }
    reply_integer(reply, row->first_key);
    reply_integer(reply, row->last_key);
    reply_integer(reply, row->key_step);
    reply_categories(reply, row);
    reply_set(reply, tips.count);
    for (size_t i = 0; i < tips.count; i++) {
        reply_string(reply, tips.words[i]);
    }
    reply_key_specs(reply, row);
}

/* Redis gives a set of nothing, but a list of subcommands. */
static void reply_info(struct reply *reply, const struct command_row *row)
{
    size_t subs = count_of_subs(row);
    reply_nine_fields(reply, row);
    if (subs == 0) {
        reply_set(reply, 0);
        return;
    }
    reply_list(reply, subs);
    for (size_t i = 1; i <= subs; i++) {
        reply_nine_fields(reply, row + i);
        reply_set(reply, 0);
    }
}

static void reply_all_infos(struct reply *reply)
{
    reply_list(reply, count_of_commands());
    for (size_t i = 0; i < command_row_count; i++) {
        if (!command_is_sub(&command_rows[i])) {
            reply_info(reply, &command_rows[i]);
        }
    }
}

void command_command(struct call *call)
{
    if (call->count > 1) {
        help_reply_unknown(call);
    } else {
        reply_all_infos(call->reply);
    }
}

void command_command_info(struct call *call)
{
    if (call->count == 2) {
        reply_all_infos(call->reply);
        return;
    }
    reply_list(call->reply, call->count - 2);
    for (size_t at = 2; at < call->count; at++) {
        const struct command_row *row = find_by_full_name(call->args[at]);
        if (row == NULL) {
            reply_null(call->reply);
        } else {
            reply_info(call->reply, row);
        }
    }
}

void command_command_count(struct call *call)
{
    reply_integer(call->reply, (int64_t)count_of_commands());
}

void command_command_help(struct call *call)
{
    help_reply_subcommands(call);
}

/* ---- COMMAND DOCS ---- */

static const struct {
    const char *command; /* "": of any */
    const char *argument;
    const char *type;
} argument_types[] = {
    {"incrbyfloat", "increment", "double"},
    {"incf", "quantity", "double"},
    {"decf", "quantity", "double"},
    {"", "bit", "integer"},
    {"", "count", "integer"},
    {"", "cursor", "integer"},
    {"", "database", "integer"},
    {"", "db", "integer"},
    {"", "decrement", "integer"},
    {"", "end", "integer"},
    {"", "id", "integer"},
    {"", "increment", "integer"},
    {"", "index", "integer"},
    {"", "index1", "integer"},
    {"", "index2", "integer"},
    {"", "length", "integer"},
    {"", "milliseconds", "integer"},
    {"", "offset", "integer"},
    {"", "pattern", "pattern"},
    {"", "protover", "integer"},
    {"", "quantity", "integer"},
    {"", "seconds", "integer"},
    {"", "start", "integer"},
    {"", "unix-milliseconds", "unix-time"},
    {"", "unix-seconds", "unix-time"},
};

static const char *type_of(const struct command_row *row, const struct syntax_node *node)
{
    if (node->kind == SYNTAX_TOKEN) {
        return "pure-token";
    }
    if (node->kind == SYNTAX_ONE_OF) {
        return "oneof";
    }
    if (node->kind == SYNTAX_BLOCK) {
        return "block";
    }
    if (node->key_spec >= 0) {
        return "key";
    }
    for (size_t i = 0; i < ARRAY_LEN(argument_types); i++) {
        const char *command = argument_types[i].command;
        if ((command[0] == '\0' || is_named(row, command)) &&
            strcmp(argument_types[i].argument, node->name) == 0) {
            return argument_types[i].type;
        }
    }
    return "string";
}

/* Everything about an argument but those it is made of, which have to follow. */
static void reply_argument(struct reply *reply, const struct command_row *row,
                           const struct syntax_node *node)
{
    bool has_flags = node->is_optional || node->is_multiple;
    bool has_children = node->child >= 0;
    reply_map(reply, (size_t)2 + (node->key_spec >= 0) + (node->token.len > 0) +
                         has_flags + has_children);
    reply_string(reply, "name");
    reply_string(reply, node->name);
    reply_string(reply, "type");
    reply_string(reply, type_of(row, node));
    if (node->key_spec >= 0) {
        reply_field(reply, "key_spec_index", node->key_spec);
    }
    if (node->token.len > 0) {
        reply_string(reply, "token");
        reply_value(reply, node->token);
    }
    if (has_flags) {
        reply_string(reply, "flags");
        reply_set(reply, (size_t)node->is_optional + node->is_multiple);
        if (node->is_optional) {
            reply_simple(reply, "optional");
        }
        if (node->is_multiple) {
            reply_simple(reply, "multiple");
        }
    }
}

/* Down to the children, along the siblings, and back up: `path` holds where to go on. */
static void reply_arguments(struct reply *reply, const struct command_row *row,
                            const struct syntax *syntax)
{
    int path[SYNTAX_NODES_MAX];
    size_t depth = 0;
    int at = syntax->first;
    reply_string(reply, "arguments");
    reply_list(reply, syntax_length(syntax, at));
    while (at >= 0) {
        const struct syntax_node *node = &syntax->nodes[at];
        reply_argument(reply, row, node);
        at = node->next;
        if (node->child >= 0) {
            reply_string(reply, "arguments");
            reply_list(reply, syntax_length(syntax, node->child));
            path[depth++] = at;
            at = node->child;
        }
        while (at < 0 && depth > 0) {
            at = path[--depth];
        }
    }
}

static void reply_text_field(struct reply *reply, const char *name, const char *value)
{
    reply_string(reply, name);
    reply_string(reply, value);
}

/* The map of one row; its subcommands, when there are `subs`, have to follow. */
static void reply_doc(struct reply *reply, const struct command_row *row, size_t subs)
{
    struct syntax syntax;
    bool has_arguments = subs == 0 && syntax_read(&syntax, row) && syntax.first >= 0;
    bool has_complexity = row->complexity[0] != '\0';
    reply_string(reply, row->name);
    reply_map(reply, (size_t)3 + has_complexity + has_arguments + (subs > 0));
    reply_text_field(reply, "summary", row->summary);
    reply_text_field(reply, "since", row->since);
    reply_text_field(reply, "group", command_group_name(row->group));
    if (has_complexity) {
        reply_text_field(reply, "complexity", row->complexity);
    }
    if (has_arguments) {
        reply_arguments(reply, row, &syntax);
    }
}

static void reply_doc_with_subs(struct reply *reply, const struct command_row *row)
{
    size_t subs = count_of_subs(row);
    reply_doc(reply, row, subs);
    if (subs > 0) {
        reply_string(reply, "subcommands");
        reply_map(reply, subs);
        for (size_t i = 1; i <= subs; i++) {
            reply_doc(reply, row + i, 0);
        }
    }
}

void command_command_docs(struct call *call)
{
    if (call->count == 2) {
        reply_map(call->reply, count_of_commands());
        for (size_t i = 0; i < command_row_count; i++) {
            if (!command_is_sub(&command_rows[i])) {
                reply_doc_with_subs(call->reply, &command_rows[i]);
            }
        }
        return;
    }
    size_t found = 0;
    for (size_t at = 2; at < call->count; at++) {
        found += find_by_full_name(call->args[at]) != NULL;
    }
    reply_map(call->reply, found);
    for (size_t at = 2; at < call->count; at++) {
        const struct command_row *row = find_by_full_name(call->args[at]);
        if (row != NULL) {
            reply_doc_with_subs(call->reply, row);
        }
    }
}

/* ---- COMMAND LIST ---- */

static bool is_in_category(const struct command_row *row, struct bytes category)
{
    struct word_list list = categories_of(row);
    for (size_t i = 0; i < list.count; i++) {
        if (bytes_is(category, list.words[i])) {
            return true;
        }
    }
    return false;
}

enum list_filter { LIST_ALL, LIST_MODULE, LIST_CATEGORY, LIST_PATTERN };

static bool is_listed(const struct command_row *row, enum list_filter filter,
                      struct bytes wanted)
{
    switch (filter) {
    case LIST_ALL:
        return true;
    case LIST_MODULE:
        return false; /* there are no modules */
    case LIST_CATEGORY:
        return is_in_category(row, wanted);
    case LIST_PATTERN:
        return glob_match(wanted, bytes_of(row->name, row->name_len), true);
    }
    return false;
}

static bool parse_list_filter(struct call *call, enum list_filter *filter)
{
    if (call->count == 2) {
        *filter = LIST_ALL;
        return true;
    }
    if (call->count == 5 && call_is(call, 2, "FILTERBY")) {
        *filter = call_is(call, 3, "MODULE")    ? LIST_MODULE
                  : call_is(call, 3, "ACLCAT")  ? LIST_CATEGORY
                  : call_is(call, 3, "PATTERN") ? LIST_PATTERN
                                                : LIST_ALL;
        if (*filter != LIST_ALL) {
            return true;
        }
    }
    call_syntax_error(call);
    return false;
}

void command_command_list(struct call *call)
{
    enum list_filter filter;
    if (!parse_list_filter(call, &filter)) {
        return;
    }
    struct bytes wanted = filter == LIST_ALL ? BYTES("") : call->args[4];
    if (wanted.len > MEMENTO_PATTERN_BYTES_MAX) {
        reply_errorf(call->reply, "ERR pattern is longer than %d bytes",
                     MEMENTO_PATTERN_BYTES_MAX);
        return;
    }
    struct reply_mark mark = reply_list_begin(call->reply);
    size_t found = 0;
    for (size_t i = 0; i < command_row_count; i++) {
        if (is_listed(&command_rows[i], filter, wanted)) {
            reply_string(call->reply, command_rows[i].name);
            found++;
        }
    }
    reply_list_end(call->reply, mark, found);
}

/* ---- COMMAND GETKEYS ---- */

struct getkeys {
    const struct call *call;
    size_t found;
};

static void getkeys_count(void *context, size_t position)
{
    (void)position;
    struct getkeys *getkeys = context;
    getkeys->found++;
}

static void getkeys_reply(void *context, size_t position)
{
    struct getkeys *getkeys = context;
    reply_value(getkeys->call->reply, getkeys->call->args[2 + position]);
}

static const struct command_row *find_with_sub(const struct bytes *words, size_t count)
{
    const struct command_row *row = command_find(words[0]);
    if (row != NULL && has(row, COMMAND_CONTAINER) && count > 1) {
        return command_find_sub(row, words[1]);
    }
    return row;
}

void command_command_getkeys(struct call *call)
{
    size_t count = call->count - 2;
    const struct command_row *row = find_with_sub(call->args + 2, count);
    struct getkeys getkeys = {call, 0};
    if (row == NULL) {
        reply_error(call->reply, "ERR Invalid command specified");
    } else if (row->first_key == 0) {
        reply_error(call->reply, "ERR The command has no key arguments");
    } else if (row->arity >= 0 ? count != (size_t)row->arity
                               : count < (size_t)-row->arity) {
        reply_error(call->reply, "ERR Invalid number of arguments specified for command");
    } else if (!command_each_key(row, count, getkeys_count, &getkeys)) {
        reply_error(call->reply, "ERR Invalid arguments specified for command");
    } else {
        reply_list(call->reply, getkeys.found);
        (void)command_each_key(row, count, getkeys_reply, &getkeys);
    }
}
