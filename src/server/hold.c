/* hold.c - replies that wait for the log; see hold.h. */
#include "server/hold.h"

#include "base/counter.h"
#include "base/heap.h"
#include "protocol/reply.h"
#include "server/server.h"
#include "server/wait.h"

/* Replies that wait together, in their parts. */
struct held {
    struct held *next;
    struct need need;
    uint32_t replies; /* to be told when the need is lost; 0: it has none of its own */
    uint8_t dialect;
    struct unsent *first, **last;
    size_t copied_bytes, pinned_bytes;
};

/* ---- needs ---- */

static enum need_state look_at_frame(struct need *need, const struct log_writer *writer)
{
    if (atomic_load_explicit(&writer->written, memory_order_acquire) < need->frame) {
        return NEED_WRITE;
    }
    if (need->position == 0) {
        /* The end of a frame that is not earlier than ours. It is not asked for again: under
         * load it would run away from us. */
        need->position = atomic_load_explicit(&writer->written_end, memory_order_relaxed);
    }
    bool must_be_durable = need->policy == LOG_ALWAYS ||
                           (need->policy == LOG_EVERYSEC && log_is_overdue(writer->log));
    bool is_met = !must_be_durable || log_durable_end(writer->log) >= need->position;
    return is_met ? NEED_MET : NEED_SYNC;
}

enum need_state need_look(struct need *need, const struct log_writer *writer)
{
    enum need_state state = NEED_MET;
    if (need->frame != 0) {
        state = look_at_frame(need, writer);
    }
    if (state == NEED_MET && need->version != 0 &&
        log_settled_version(writer->log) < need->version) {
        state = NEED_SYNC;
    }
    if (UNLIKELY(state != NEED_MET) && log_state(writer->log) == LOG_FAILED) {
        return NEED_LOST;
    }
    return state;
}

enum log_policy hold_policy(const struct connection *connection)
{
    int64_t policy =
        config_number(&connection->worker->server->config, OPTION_FSYNC_POLICY);
    int64_t wanted = connection->session.durability;
    return (enum log_policy)(wanted < policy ? wanted : policy);
}

/* ---- groups ---- */

bool hold_open(struct connection *connection, const struct need *need, uint32_t replies)
{
    struct held *held = heap_alloc_zeroed(1, sizeof(*held));
    if (held == NULL) {
        return false;
    }
    held->need = *need;
    held->replies = replies;
    held->dialect = (uint8_t)connection->session.dialect;
    held->last = &held->first;
    if (connection->held_first == NULL) {
        connection->held_first = held;
        list_remove(&connection->of_holding);
        list_append(&connection->worker->holding, &connection->of_holding);
    } else {
        connection->held_last->next = held;
    }
    connection->held_last = held;
    connection->held_bytes += sizeof(*held);
    return true;
}

bool hold_add(struct connection *connection, struct bytes bytes, void *owner)
{
    struct held *held = connection->held_last;
    if (bytes.len == 0) {
        large_drop(owner);
        return true;
    }
    struct unsent *unsent = unsent_create(bytes, owner);
    if (unsent == NULL) {
        large_drop(owner);
        return false;
    }
    size_t copied = sizeof(*unsent) + (owner == NULL ? bytes.len : 0);
    size_t pinned = owner == NULL ? 0 : bytes.len;
    *held->last = unsent;
    held->last = &unsent->next;
    held->copied_bytes += copied;
    held->pinned_bytes += pinned;
    connection->held_bytes += copied;
    connection->held_pinned_bytes += pinned;
    return true;
}

bool hold_follow(struct connection *connection, struct bytes bytes, void *owner)
{
    static const struct need nothing;
    bool has_place = connection->held_last->replies == 0;
    if (!has_place && !hold_open(connection, &nothing, 0)) {
        large_drop(owner);
        return false;
    }
    return hold_add(connection, bytes, owner);
}

static void drop_parts(struct held *held)
{
    while (held->first != NULL) {
        struct unsent *unsent = held->first;
        held->first = unsent->next;
        large_drop(unsent->owner);
        heap_free(unsent);
    }
    held->last = &held->first;
}

/* Takes the first group out of the queue; it is still to be freed. */
static struct held *take_first(struct connection *connection)
{
    struct held *held = connection->held_first;
    connection->held_first = held->next;
    connection->held_bytes -= sizeof(*held) + held->copied_bytes;
    connection->held_pinned_bytes -= held->pinned_bytes;
    if (connection->held_first == NULL) {
        connection->held_last = NULL;
    }
    return held;
}

void hold_drop(struct connection *connection)
{
    while (connection->held_first != NULL) {
        struct held *held = take_first(connection);
        drop_parts(held);
        heap_free(held);
    }
    list_remove(&connection->of_holding);
}

/* ---- letting go ---- */

/* The replies of a group that will never be met, each replaced by an error: what was asked for may
 * have been done, and may be gone after a crash. */
static bool tell_lost(struct connection *connection, struct held *held)
{
    struct log *log = connection->worker->writer.log.log;
    struct buf why, out;
    buf_init(&why);
    buf_init(&out);
    log_state_reason(log, &why);
    struct reply reply;
    reply_init(&reply, &out, NULL);
    reply.dialect = (enum dialect)held->dialect;
    for (uint32_t i = 0; i < held->replies; i++) {
        reply_errorf(&reply, "MISCONF outcome unknown: the log could not be written (%s)",
                     buf_c_string(&why));
    }
    counter_add(&connection->worker->counters.errors, held->replies);
    drop_parts(held);
    struct unsent *unsent = out.failed ? NULL : unsent_create(buf_bytes(&out), NULL);
    if (unsent != NULL) {
        unsent_append(connection, unsent);
    }
    reply_fini(&reply);
    buf_fini(&out);
    buf_fini(&why);
    return unsent != NULL;
}

static void move_parts(struct connection *connection, struct held *held)
{
    while (held->first != NULL) {
        struct unsent *unsent = held->first;
        held->first = unsent->next;
        unsent_append(connection, unsent);
    }
}

/* Moves what may go to the unsent parts. False: an answer is lost for want of memory. */
static bool let_go(struct connection *connection, bool *wants_sync)
{
    bool ok = true;
    while (ok && connection->held_first != NULL) {
        struct need *need = &connection->held_first->need;
        enum need_state state = need_look(need, &connection->worker->writer.log);
        if (state == NEED_WRITE || state == NEED_SYNC) {
            *wants_sync = *wants_sync || state == NEED_SYNC;
            break;
        }
        struct held *held = take_first(connection);
        if (state == NEED_MET) {
            move_parts(connection, held);
        } else {
            ok = tell_lost(connection, held);
        }
        heap_free(held);
    }
    return ok;
}

bool hold_stalls(const struct connection *connection)
{
    if (connection->wait.kind != WAIT_NOTHING) {
        return true;
    }
    return connection->held_first != NULL &&
           (connection->held_bytes + connection->held_pinned_bytes > HELD_BYTES_MAX ||
            log_is_crowded(connection->worker->writer.log.log));
}

/* ---- the turn ---- */

static void look_at_connection(struct connection *connection, bool *wants_sync)
{
    if (connection->is_closing) {
        list_remove(&connection->of_holding);
        return;
    }
    bool alive = let_go(connection, wants_sync) && wait_look(connection, wants_sync) &&
                 connection_flush(connection);
    if (connection->held_first == NULL && connection->wait.kind == WAIT_NOTHING) {
        list_remove(&connection->of_holding);
    }
    if (!alive) {
        worker_doom(connection);
    }
    connection_settle(connection);
}

static bool look_at_all(struct worker *worker)
{
    bool wants_sync = false;
    LIST_EACH (node, next, &worker->holding) {
        look_at_connection(CONTAINER_OF(node, struct connection, of_holding),
                           &wants_sync);
    }
    return wants_sync;
}

void hold_turn(struct worker *worker)
{
    if (LIKELY(list_is_empty(&worker->holding)) || !look_at_all(worker)) {
        return;
    }
    /* What the wish is for may have come between the look and the wish: then nobody wakes us. */
    log_want_sync(&worker->writer.log);
    (void)look_at_all(worker);
}
