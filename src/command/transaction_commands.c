/* transaction_commands.c - MULTI, EXEC, DISCARD, WATCH, UNWATCH.
 *
 * EXEC holds the shards of everything its requests name, and of what is watched, from
 * before it looks at the watches until the last request has run: nobody sees half. */
#include "base/heap.h"
#include "command/handlers.h"
#include "command/transaction.h"

#include <string.h>

/* ---- the queue ---- */

static void drop_queue(struct session *session)
{
    for (size_t i = 0; i < session->queue_count; i++) {
        heap_free(session->queue[i].words);
    }
    heap_free(session->queue);
    session->queue = NULL;
    session->queue_count = session->queue_cap = 0;
    session->queue_bytes = 0;
}

static size_t bytes_to_queue(const struct call *call)
{
    size_t bytes = call->count * sizeof(struct bytes);
    for (size_t i = 0; i < call->count; i++) {
        bytes += call->args[i].len;
    }
    return bytes;
}

/* The words, and behind them what they point to, in one block. */
static struct bytes *copy_words(const struct call *call, size_t bytes)
{
    struct bytes *words = heap_alloc(bytes);
    if (words == NULL) {
        return NULL;
    }
    char *to = (char *)(words + call->count);
    for (size_t i = 0; i < call->count; i++) {
        words[i] = bytes_of(to, call->args[i].len);
        if (words[i].len > 0) {
            memcpy(to, call->args[i].data, words[i].len);
        }
        to += words[i].len;
    }
    return words;
}

static bool make_room(struct session *session)
{
    if (session->queue_count < session->queue_cap) {
        return true;
    }
    size_t cap = session->queue_cap == 0 ? 8 : session->queue_cap * 2;
    struct queued *queue = heap_realloc(session->queue, cap * sizeof(*queue));
    if (queue == NULL) {
        return false;
    }
    session->queue = queue;
    session->queue_cap = cap;
    return true;
}

static bool append(struct call *call, size_t bytes)
{
    struct session *session = call->session;
    struct bytes *words = make_room(session) ? copy_words(call, bytes) : NULL;
    if (words == NULL) {
        return false;
    }
    session->queue[session->queue_count++] =
        (struct queued){call->row, words, call->count};
    session->queue_bytes += bytes;
    return true;
}

bool transaction_queue(struct call *call)
{
    struct session *session = call->session;
    if (session->multi_broken) {
        reply_simple(call->reply,
                     "QUEUED"); /* EXEC will not run it: nothing to remember */
        return true;
    }
    size_t bytes = bytes_to_queue(call);
    if (session->queue_count >= MEMENTO_ARGS_MAX ||
        bytes > TRANSACTION_BYTES_MAX - session->queue_bytes) {
        reply_errorf(call->reply, "ERR a transaction is at most %d requests and %u bytes",
                     MEMENTO_ARGS_MAX, TRANSACTION_BYTES_MAX);
    } else if (!append(call, bytes)) {
        call_failed(call, MEMENTO_ERR_NO_MEMORY);
    } else {
        reply_simple(call->reply, "QUEUED");
        return true;
    }
    drop_queue(session);
    session->multi_broken = true;
    return false;
}

/* ---- the watches ---- */

/* Outside of a span, or while all of their shards are held. */
static void drop_watches(struct session *session, struct writer *writer)
{
    LIST_EACH (node, next, &session->watches) {
        list_remove(node);
        engine_unwatch(writer, CONTAINER_OF(node, struct watch, of_client));
    }
}

void transaction_forget(struct session *session, struct writer *writer)
{
    drop_queue(session);
    drop_watches(session, writer);
    session->in_multi = false;
    session->multi_broken = false;
}

/* How many keys are watched; *is_watched says whether this one is. */
static size_t count_watches(const struct session *session, const struct key *key,
                            bool *is_watched)
{
    size_t count = 0;
    *is_watched = false;
    LIST_EACH (node, next, &session->watches) {
        struct key watched =
            engine_watch_key(CONTAINER_OF(node, struct watch, of_client));
        count++;
        if (watched.hash == key->hash && watched.db == key->db &&
            bytes_equal(watched.bytes, key->bytes)) {
            *is_watched = true;
        }
    }
    return count;
}

static bool watch_word(struct call *call, size_t at)
{
    struct key key = call_key(call, at);
    bool is_watched;
    size_t count = count_watches(call->session, &key, &is_watched);
    if (is_watched) {
        return true;
    }
    if (count >= TRANSACTION_WATCHES_MAX) {
        reply_errorf(call->reply, "ERR a client may watch at most %u keys",
                     TRANSACTION_WATCHES_MAX);
        return false;
    }
    struct watch *watch = engine_watch(call->writer, &key);
    if (watch == NULL) {
        call_failed(call, MEMENTO_ERR_NO_MEMORY);
        return false;
    }
    list_append(&call->session->watches, &watch->of_client);
    return true;
}

void command_watch(struct call *call)
{
    if (call->session->in_multi) {
        reply_error(call->reply, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    for (size_t at = 1; at < call->count; at++) {
        if (!watch_word(call, at)) {
            return;
        }
    }
    reply_ok(call->reply);
}

void command_unwatch(struct call *call)
{
    drop_watches(call->session, call->writer);
    reply_ok(call->reply);
}

/* ---- what EXEC locks ---- */

/* Beyond so many keys EXEC takes all shards: most of them would be among theirs. */
#define LOCK_KEYS_MAX 1024

struct lock_keys {
    struct call call; /* the queued request whose keys are being collected */
    size_t count;
    struct key keys[LOCK_KEYS_MAX];
};

static void collect_key(void *context, size_t position)
{
    struct lock_keys *lock = context;
    if (lock->count < LOCK_KEYS_MAX) {
        lock->keys[lock->count] = call_key(&lock->call, position);
    }
    lock->count++;
}

/* False: the keys cannot be told one by one, or they are too many. */
static bool collect_of_requests(struct lock_keys *lock, const struct session *session)
{
    for (size_t i = 0; i < session->queue_count; i++) {
        const struct queued *queued = &session->queue[i];
        if ((queued->row->flags & COMMAND_WHOLE_KEYSPACE) != 0 ||
            strcmp(queued->row->name, "select") == 0) {
            return false;
        }
        lock->call.row = queued->row;
        lock->call.args = queued->words;
        lock->call.count = queued->count;
        if (!command_each_key(queued->row, queued->count, collect_key, lock) ||
            lock->count > LOCK_KEYS_MAX) {
            return false;
        }
    }
    return true;
}

static bool collect_of_watches(struct lock_keys *lock, const struct session *session)
{
    LIST_EACH (node, next, &session->watches) {
        if (lock->count == LOCK_KEYS_MAX) {
            return false;
        }
        lock->keys[lock->count++] =
            engine_watch_key(CONTAINER_OF(node, struct watch, of_client));
    }
    return true;
}

static bool try_to_lock_keys(const struct call *call)
{
    struct lock_keys *lock = heap_alloc(sizeof(*lock));
    if (lock == NULL) {
        return false;
    }
    lock->count = 0;
    lock->call = (struct call){.session = call->session, .writer = call->writer};
    bool is_locked = collect_of_requests(lock, call->session) &&
                     collect_of_watches(lock, call->session);
    if (is_locked) {
        engine_lock_keys(call->writer, lock->keys, lock->count);
    }
    heap_free(lock);
    return is_locked;
}

/* ---- MULTI, DISCARD, EXEC ---- */

void command_multi(struct call *call)
{
    if (call->session->in_multi) {
        reply_error(call->reply, "ERR MULTI calls can not be nested");
        return;
    }
    call->session->in_multi = true;
    reply_ok(call->reply);
}

void command_discard(struct call *call)
{
    if (!call->session->in_multi) {
        reply_error(call->reply, "ERR DISCARD without MULTI");
        return;
    }
    transaction_forget(call->session, call->writer);
    reply_ok(call->reply);
}

void transaction_abort(struct call *call, const char *reason)
{
    transaction_forget(call->session, call->writer);
    reply_errorf(call->reply, "EXECABORT Transaction discarded because of: %s", reason);
}

static bool is_any_watch_broken(const struct call *call)
{
    LIST_EACH (node, next, &call->session->watches) {
        struct watch *watch = CONTAINER_OF(node, struct watch, of_client);
        if (engine_watch_is_broken(call->writer, watch)) {
            return true;
        }
    }
    return false;
}

static void run_queue(struct call *call)
{
    struct session *session = call->session;
    reply_list(call->reply, session->queue_count);
    for (size_t i = 0; i < session->queue_count; i++) {
        const struct queued *queued = &session->queue[i];
        struct call inner = {
            .row = queued->row,
            .args = queued->words,
            .count = queued->count,
            .session = session,
            .writer = call->writer,
            .reply = call->reply,
        };
        call_run(&inner);
    }
}

void command_exec(struct call *call)
{
    struct session *session = call->session;
    if (!session->in_multi) {
        reply_error(call->reply, "ERR EXEC without MULTI");
        return;
    }
    if (session->multi_broken) {
        transaction_forget(session, call->writer);
        reply_error(call->reply,
                    "EXECABORT Transaction discarded because of previous errors.");
        return;
    }
    if (!try_to_lock_keys(call)) {
        engine_lock_all(call->writer);
    }
    bool is_broken = is_any_watch_broken(call);
    drop_watches(session, call->writer);
    if (is_broken) {
        reply_null_list(call->reply);
    } else {
        run_queue(call);
    }
    engine_unlock_span(call->writer);
    drop_queue(session);
    session->in_multi =
        false; /* until here CLIENT INFO shows the transaction, as in Redis */
}
