/* client_commands.c - CLIENT: about connections, one's own and those of all workers. Texts and
 * order of checks are those of Redis. */
#include "base/heap.h"
#include "base/number.h"
#include "base/trace.h"
#include "command/handlers.h"
#include "command/help.h"
#include "server/client_names.h"
#include "server/client_text.h"
#include "server/server.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

void command_client(struct call *call)
{
    help_reply_unknown(call);
}

void command_client_help(struct call *call)
{
    help_reply_subcommands(call);
}

/* ---- names ---- */

void command_client_id(struct call *call)
{
    reply_integer(call->reply, (int64_t)call->session->id);
}

void command_client_getname(struct call *call)
{
    if (call->session->name.len > 0) {
        reply_value(call->reply, buf_bytes(&call->session->name));
    } else {
        reply_null(call->reply);
    }
}

void command_client_setname(struct call *call)
{
    if (client_name_is_valid(call, call->args[2]) &&
        client_set_text(call, &call->session->name, call->args[2])) {
        reply_ok(call->reply);
    }
}

void command_client_setinfo(struct call *call)
{
    struct bytes attribute = call->args[2], value = call->args[3];
    struct session *session = call->session;
    int shown = attribute.len < 900 ? (int)attribute.len : 900;
    struct buf *text = call_is(call, 2, "lib-name")  ? &session->library_name
                       : call_is(call, 2, "lib-ver") ? &session->library_version
                                                     : NULL;
    if (text == NULL) {
        reply_errorf(call->reply, "ERR Unrecognized option '%.*s'", shown,
                     attribute.data);
    } else if (!client_text_is_plain(value)) {
        reply_errorf(call->reply,
                     "ERR %.*s cannot contain spaces, newlines or special characters.",
                     shown, attribute.data);
    } else if (value.len > CLIENT_NAME_BYTES_MAX) {
        reply_errorf(call->reply, "ERR %.*s cannot be longer than %d bytes", shown,
                     attribute.data, CLIENT_NAME_BYTES_MAX);
    } else if (client_set_text(call, text, value)) {
        reply_ok(call->reply);
    }
}

/* ---- what one connection wants ---- */

static bool read_switch(const struct call *call, bool *on)
{
    *on = call_is(call, 2, "on");
    return *on || call_is(call, 2, "off");
}

static void accept_switch(struct call *call)
{
    bool on;
    if (read_switch(call, &on)) {
        reply_ok(call->reply);
    } else {
        call_syntax_error(call);
    }
}

/* No client is ever closed to make room, so that all are as safe as they can wish. */
void command_client_no_evict(struct call *call)
{
    accept_switch(call);
}

/* Nothing is evicted, so that it does not matter which reads count as use. */
void command_client_no_touch(struct call *call)
{
    accept_switch(call);
}

/* There is no CLIENT PAUSE, so that nothing is ever paused. */
void command_client_unpause(struct call *call)
{
    reply_ok(call->reply);
}

/* The answer to OFF and SKIP is taken back together with those that they suppress. */
void command_client_reply(struct call *call)
{
    struct session *session = call->session;
    if (call_is(call, 2, "on")) {
        session->reply_off = false;
        session->reply_skip = false;
        session->reply_skip_next = false;
    } else if (call_is(call, 2, "off")) {
        session->reply_off = true;
    } else if (call_is(call, 2, "skip")) {
        session->reply_skip = true;
        session->reply_skip_next = !session->reply_off;
    } else {
        call_syntax_error(call);
        return;
    }
    reply_ok(call->reply);
}

/* ---- INFO, LIST ---- */

/* What this very request has changed about its connection since the last turn. */
static void publish_own(struct call *call)
{
    struct connection *own = call_connection(call);
    atomic_store_explicit(&own->last_row, call->row, memory_order_relaxed);
    atomic_store_explicit(&own->active_ms, call_worker(call)->monotonic_ms,
                          memory_order_relaxed);
    atomic_store_explicit(&own->database, call->session->database, memory_order_relaxed);
    atomic_store_explicit(&own->dialect, (uint8_t)call->session->dialect,
                          memory_order_relaxed);
    atomic_store_explicit(&own->in_multi, call->session->in_multi, memory_order_relaxed);
}

static void reply_clients(struct call *call, struct buf *text)
{
    if (text->failed) {
        call_failed(call, MEMENTO_ERR_NO_MEMORY);
    } else {
        reply_text(call->reply, buf_bytes(text));
    }
    buf_fini(text);
}

void command_client_info(struct call *call)
{
    struct buf text;
    buf_init(&text);
    publish_own(call);
    struct clients *clients = &call_server(call)->clients;
    lock_acquire(&clients->lock);
    client_print(call_connection(call), call_worker(call)->monotonic_ms, &text);
    lock_release(&clients->lock);
    reply_clients(call, &text);
}

/* Every client is a normal one: the other types are known and nobody is of them. */
static bool read_type(const struct call *call, size_t at, bool *is_normal)
{
    static const char *const others[] = {"master", "slave", "replica", "pubsub"};
    *is_normal = call_is(call, at, "normal");
    bool known = *is_normal;
    for (size_t i = 0; i < ARRAY_LEN(others) && !known; i++) {
        known = call_is(call, at, others[i]);
    }
    if (!known) {
        int shown = call->args[at].len < 900 ? (int)call->args[at].len : 900;
        reply_errorf(call->reply, "ERR Unknown client type '%.*s'", shown,
                     call->args[at].data);
    }
    return known;
}

struct listing {
    int64_t now_ms;
    struct buf text;
    /* CLIENT LIST ID: who is wanted, in ascending order, and where the lines of those who
     * were found stand in the text. */
    const int64_t *ids;
    size_t id_count;
    struct buf found; /* struct found_line */
};

struct found_line {
    int64_t id;
    size_t at, len;
};

static int compare_ids(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* A found_line begins with its id. */
static_assert(offsetof(struct found_line, id) == 0, "compare_ids reads both");

static void list_client(void *context, struct connection *connection)
{
    struct listing *listing = context;
    client_print(connection, listing->now_ms, &listing->text);
}

static void list_wanted(void *context, struct connection *connection)
{
    struct listing *listing = context;
    int64_t id = (int64_t)connection->session.id;
    if (bsearch(&id, listing->ids, listing->id_count, sizeof(id), compare_ids) == NULL) {
        return;
    }
    struct found_line line = {.id = id, .at = listing->text.len};
    client_print(connection, listing->now_ms, &listing->text);
    line.len = listing->text.len - line.at;
    buf_append(&listing->found, &line, sizeof(line));
}

static void list_all(struct call *call, bool anybody)
{
    struct listing listing = {.now_ms = call_worker(call)->monotonic_ms};
    buf_init(&listing.text);
    publish_own(call);
    if (anybody) {
        clients_each(&call_server(call)->clients, list_client, &listing);
    }
    reply_clients(call, &listing.text);
}

static bool read_ids(const struct call *call, int64_t *ids)
{
    for (size_t i = 3; i < call->count; i++) {
        if (!number_parse_int64(call->args[i], &ids[i - 3])) {
            reply_error(call->reply, "ERR Invalid client ID");
            return false;
        }
    }
    return true;
}

/* The lines in the order of the ids as they were asked for. */
static void print_in_order(const struct call *call, struct listing *listing,
                           struct buf *out)
{
    size_t found = listing->found.len / sizeof(struct found_line);
    if (found == 0) {
        return;
    }
    qsort(listing->found.data, found, sizeof(struct found_line), compare_ids);
    for (size_t i = 3; i < call->count; i++) {
        int64_t id;
        (void)number_parse_int64(call->args[i], &id); /* read_ids has done so */
        const struct found_line *line =
            bsearch(&id, listing->found.data, found, sizeof(*line), compare_ids);
        if (line != NULL) {
            buf_append(out, listing->text.data + line->at, line->len);
        }
    }
}

static void list_by_id(struct call *call)
{
    size_t count = call->count - 3;
    int64_t *ids = heap_alloc(count * sizeof(*ids));
    if (ids == NULL) {
        call_failed(call, MEMENTO_ERR_NO_MEMORY);
        return;
    }
    if (!read_ids(call, ids)) {
        heap_free(ids);
        return;
    }
    qsort(ids, count, sizeof(*ids), compare_ids);
    struct listing listing = {
        .now_ms = call_worker(call)->monotonic_ms, .ids = ids, .id_count = count};
    buf_init(&listing.text);
    buf_init(&listing.found);
    publish_own(call);
    clients_each(&call_server(call)->clients, list_wanted, &listing);
    struct buf ordered;
    buf_init(&ordered);
    ordered.failed = listing.text.failed || listing.found.failed;
    print_in_order(call, &listing, &ordered);
    reply_clients(call, &ordered);
    buf_fini(&listing.text);
    buf_fini(&listing.found);
    heap_free(ids);
}

void command_client_list(struct call *call)
{
    bool is_normal;
    if (call->count == 2) {
        list_all(call, true);
    } else if (call->count == 4 && call_is(call, 2, "type")) {
        if (read_type(call, 3, &is_normal)) {
            list_all(call, is_normal);
        }
    } else if (call->count > 3 && call_is(call, 2, "id")) {
        list_by_id(call);
    } else {
        call_syntax_error(call);
    }
}

/* ---- KILL ---- */

struct kill {
    int64_t id;                        /* 0: any */
    struct bytes address, own_address; /* data NULL: any */
    bool nobody;                       /* a type that no client is of */
    bool skip_me;
    struct connection *me;
    struct buf scratch;
    uint64_t killed;
    bool killed_me;
};

static bool address_differs(struct kill *kill, const struct connection *connection,
                            void (*print)(const struct connection *, struct buf *),
                            struct bytes wanted)
{
    if (wanted.data == NULL) {
        return false;
    }
    buf_reset(&kill->scratch, SIZE_MAX);
    print(connection, &kill->scratch);
    return !bytes_equal(buf_bytes(&kill->scratch), wanted);
}

static bool is_spared(struct kill *kill, const struct connection *connection)
{
    return kill->nobody || (kill->skip_me && connection == kill->me) ||
           (kill->id != 0 && (uint64_t)kill->id != connection->session.id) ||
           address_differs(kill, connection, client_print_address, kill->address) ||
           address_differs(kill, connection, client_print_own_address, kill->own_address);
}

static void kill_visit(void *context, struct connection *connection)
{
    struct kill *kill = context;
    if (is_spared(kill, connection)) {
        return;
    }
    kill->killed++;
    if (connection == kill->me) {
        kill->killed_me = true; /* after the answer */
        return;
    }
    struct mail mail = {MAIL_KILL, connection->session.id, NULL};
    if (mailbox_post(&connection->worker->mailbox, mail) != MEMENTO_OK) {
        /* The mailbox is full: its worker will find the socket ended. The registry's lock
         * keeps the descriptor open meanwhile. */
        shutdown(connection->fd, SHUT_RDWR);
    }
}

static void run_kill(struct call *call, struct kill *kill)
{
    kill->me = call_connection(call);
    buf_init(&kill->scratch);
    clients_each(&call_server(call)->clients, kill_visit, kill);
    buf_fini(&kill->scratch);
    call->session->close_after_reply |= kill->killed_me;
    trace_info("client %llu: CLIENT KILL of %llu clients",
               (unsigned long long)call->session->id, (unsigned long long)kill->killed);
}

/* The form of old: CLIENT KILL ip:port */
static void kill_address(struct call *call)
{
    struct kill kill = {.address = call->args[2]};
    run_kill(call, &kill);
    if (kill.killed > 0) {
        reply_ok(call->reply);
    } else {
        reply_error(call->reply, "ERR No such client");
    }
}

static bool read_kill_id(const struct call *call, size_t at, struct kill *kill)
{
    if (!number_parse_int64(call->args[at], &kill->id) || kill->id < 1) {
        reply_error(call->reply, "ERR client-id should be greater than 0");
        return false;
    }
    return true;
}

static bool read_kill_type(const struct call *call, size_t at, struct kill *kill)
{
    bool is_normal;
    if (!read_type(call, at, &is_normal)) {
        return false;
    }
    kill->nobody = !is_normal;
    return true;
}

static bool read_kill_user(const struct call *call, size_t at)
{
    if (bytes_equal(call->args[at], BYTES("default"))) {
        return true;
    }
    int shown = call->args[at].len < 900 ? (int)call->args[at].len : 900;
    reply_errorf(call->reply, "ERR No such user '%.*s'", shown, call->args[at].data);
    return false;
}

/* One filter: its name in args[at], its value behind it. */
static bool read_kill_filter(const struct call *call, size_t at, struct kill *kill)
{
    bool has_value = at + 1 < call->count;
    if (has_value && call_is(call, at, "id")) {
        return read_kill_id(call, at + 1, kill);
    }
    if (has_value && call_is(call, at, "type")) {
        return read_kill_type(call, at + 1, kill);
    }
    if (has_value && call_is(call, at, "user")) {
        return read_kill_user(call, at + 1);
    }
    if (has_value && call_is(call, at, "addr")) {
        kill->address = call->args[at + 1];
        return true;
    }
    if (has_value && call_is(call, at, "laddr")) {
        kill->own_address = call->args[at + 1];
        return true;
    }
    if (has_value && call_is(call, at, "skipme")) {
        kill->skip_me = call_is(call, at + 1, "yes");
        if (kill->skip_me || call_is(call, at + 1, "no")) {
            return true;
        }
    }
    call_syntax_error(call);
    return false;
}

void command_client_kill(struct call *call)
{
    if (call->count == 3) {
        kill_address(call);
        return;
    }
    struct kill kill = {.skip_me = true};
    for (size_t at = 2; at < call->count; at += 2) {
        if (!read_kill_filter(call, at, &kill)) {
            return;
        }
    }
    run_kill(call, &kill);
    reply_integer(call->reply, (int64_t)kill.killed);
}
