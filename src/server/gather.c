/* gather.c - phase 1 of a turn: bytes from sockets become parsed requests; see batch.h. */
#include "base/counter.h"
#include "base/heap.h"
#include "base/os.h"
#include "base/trace.h"
#include "server/batch.h"
#include "server/server.h"

#include <errno.h>

/* A connection in the middle of a request reads behind what it has; this much at least. */
#define OWN_READ_BYTES (16 * 1024)
/* ... and this much at most a turn, so that a large value does not hold up the others. */
#define OWN_READ_BYTES_MAX (256 * 1024)

enum memento_status batch_create(struct batch **batch)
{
    struct batch *b = heap_alloc_zeroed(1, sizeof(*b));
    if (b == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    words_init(&b->words);
    buf_init(&b->errors);
    b->input = heap_alloc(BATCH_INPUT_BYTES);
    if (b->input == NULL) {
        batch_destroy(b);
        return MEMENTO_ERR_NO_MEMORY;
    }
    *batch = b;
    return MEMENTO_OK;
}

void batch_destroy(struct batch *batch)
{
    if (batch == NULL) {
        return;
    }
    words_fini(&batch->words);
    buf_fini(&batch->errors);
    heap_free(batch->input);
    heap_free(batch->requests);
    heap_free(batch->shares);
    heap_free(batch);
}

static bool grow(void **items, size_t *cap, size_t item_bytes)
{
    size_t more = *cap == 0 ? 256 : *cap * 2;
    void *grown = heap_realloc(*items, more * item_bytes);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *cap = more;
    return true;
}

static struct parsed *add_request(struct batch *batch)
{
    if (UNLIKELY(batch->request_count == batch->request_cap) &&
        !grow((void **)&batch->requests, &batch->request_cap, sizeof(*batch->requests))) {
        return NULL;
    }
    return &batch->requests[batch->request_count++];
}

/* Looks the command up and hashes its first key: the only time that key is hashed. */
static ALWAYS_INLINE void recognise(struct worker *worker, struct parsed *parsed,
                                    const struct request *request)
{
    const struct bytes *words = &worker->batch->words.items[request->first];
    parsed->row = command_find(words[0]);
    parsed->first_word = request->first;
    parsed->word_count = (uint32_t)request->count;
    parsed->is_resp = request->is_resp;
    parsed->hash_known = false;
    parsed->is_error = false;
    if (LIKELY(parsed->row != NULL && parsed->row->first_key > 0 &&
               (size_t)parsed->row->first_key < request->count)) {
        parsed->key_hash =
            engine_hash(&worker->server->engine, words[parsed->row->first_key]);
        parsed->hash_known = true;
    }
}

static COLD void parse_error(struct worker *worker, struct parsed *parsed,
                             const struct request *request, bool broken)
{
    struct batch *batch = worker->batch;
    parsed->row = NULL;
    parsed->first_word = 0;
    parsed->word_count = 0;
    parsed->is_resp = request->is_resp;
    parsed->hash_known = false;
    parsed->is_error = true;
    parsed->is_broken = broken;
    /* An offset until the batch runs: the buffer may still move. */
    parsed->error_at = batch->errors.len;
    buf_append(&batch->errors, request->error, strlen(request->error) + 1);
}

/* A password that CONFIG SET has taken away binds nobody any more. */
static bool is_trusted(const struct connection *connection)
{
    return connection->session.is_authenticated ||
           !config_has_secret(&connection->worker->server->config, OPTION_REQUIREPASS);
}

/* Parses what stands at input[0, len): the bytes used. *more: requests are left that may only
 * be parsed after those before them have run. */
static size_t parse_all(struct worker *worker, struct connection *connection, char *input,
                        size_t len, bool *more)
{
    struct batch *batch = worker->batch;
    size_t used = 0;
    *more = false;
    while (used < len) {
        const struct request_limits *limits = LIKELY(is_trusted(connection))
                                                  ? &batch->limits
                                                  : &batch->limits_unauthenticated;
        struct request request;
        size_t consumed;
        enum request_status status =
            request_parse(&connection->parser, input + used, len - used, limits,
                          &batch->words, &request, &consumed);
        used += consumed;
        if (status == REQUEST_PARTIAL) {
            break;
        }
        if (UNLIKELY(status == REQUEST_EMPTY)) {
            continue;
        }
        struct parsed *parsed = add_request(batch);
        if (UNLIKELY(parsed == NULL)) {
            worker_doom(connection);
            return len;
        }
        parsed->connection = connection;
        if (UNLIKELY(status != REQUEST_READY)) {
            parse_error(worker, parsed, &request, status == REQUEST_BROKEN);
            if (status == REQUEST_BROKEN) {
                return len; /* what follows has no meaning any more */
            }
            continue;
        }
        recognise(worker, parsed, &request);
        if (UNLIKELY(parsed->row != NULL &&
                     (parsed->row->flags & COMMAND_BARRIER) != 0)) {
            *more = used < len;
            break;
        }
    }
    return used;
}

/* Parses and enters the connection's share. The bytes lie in the worker's input area, or in
 * the connection's own buffer, where the requests' words stay valid until the batch has run. */
static void take_share(struct worker *worker, struct connection *connection, char *input,
                       size_t len, bool is_own)
{
    struct batch *batch = worker->batch;
    if (UNLIKELY(batch->share_count == batch->share_cap) &&
        !grow((void **)&batch->shares, &batch->share_cap, sizeof(*batch->shares))) {
        worker_doom(connection);
        return;
    }
    struct share *share = &batch->shares[batch->share_count++];
    *share = (struct share){.connection = connection};
    share->first_request = batch->request_count;
    bool more;
    size_t used = parse_all(worker, connection, input, len, &more);
    share->request_count = batch->request_count - share->first_request;
    share->own_consumed = is_own ? used : 0;
    if (!is_own && used < len) {
        buf_append(&connection->in, input + used, len - used);
        if (connection->in.failed) {
            worker_doom(connection);
        }
    }
    connection->has_waiting = more;
    list_remove(&connection->of_waiting);
    if (UNLIKELY(more)) {
        list_append(&worker->waiting, &connection->of_waiting);
    }
}

/* Room for the next read behind an unfinished request. What a client has declared is believed
 * only as far as twice the bytes that have come. */
static size_t own_room(struct connection *connection)
{
    struct buf *in = &connection->in;
    const struct config *config = &connection->worker->server->config;
    if (in->len >= (uint64_t)config_number(config, OPTION_CLIENT_QUERY_LIMIT)) {
        trace_warning(
            "client %llu: a request of more than client-query-buffer-limit: closed",
            (unsigned long long)connection->session.id);
        return 0;
    }
    size_t wants = parser_wants(&connection->parser);
    size_t missing = wants > in->len ? wants - in->len : 0;
    size_t room = missing > OWN_READ_BYTES ? missing : OWN_READ_BYTES;
    if (room > in->len + OWN_READ_BYTES) {
        room = in->len + OWN_READ_BYTES;
    }
    if (!buf_reserve(in, room)) {
        return 0;
    }
    room = in->cap - in->len;
    return room < OWN_READ_BYTES_MAX ? room : OWN_READ_BYTES_MAX;
}

/* True when a batch holds so much that it has to run before anything else is read. */
static bool is_full(const struct batch *batch)
{
    return batch->input_used + BATCH_READ_BYTES > BATCH_INPUT_BYTES ||
           batch->own_bytes > BATCH_OWN_BYTES || batch->request_count > BATCH_REQUESTS;
}

/* Says what a read gave: true when there are bytes to parse. */
static bool received(struct worker *worker, struct connection *connection, ssize_t got)
{
    if (LIKELY(got > 0)) {
        atomic_store_explicit(&connection->active_ms, worker->monotonic_ms,
                              memory_order_relaxed);
        uint64_t total =
            atomic_load_explicit(&worker->counters.input_bytes, memory_order_relaxed);
        atomic_store_explicit(&worker->counters.input_bytes, total + (uint64_t)got,
                              memory_order_relaxed);
        return true;
    }
    if (got == 0) {
        connection->input_ended = true; /* replies may still be on their way */
    } else if (errno != EAGAIN) {
        worker_doom(connection);
    }
    return false;
}

static void read_own(struct worker *worker, struct connection *connection)
{
    struct buf *in = &connection->in;
    size_t room = own_room(connection);
    if (room == 0) {
        worker_doom(connection);
        return;
    }
    ssize_t got = os_receive(connection->fd, in->data + in->len, room);
    if (received(worker, connection, got)) {
        in->len += (size_t)got;
        worker->batch->own_bytes += (size_t)got;
        take_share(worker, connection, in->data, in->len, true);
    }
}

bool gather_read(struct worker *worker, struct connection *connection)
{
    struct batch *batch = worker->batch;
    if (UNLIKELY(is_full(batch))) {
        return false;
    }
    if (UNLIKELY(connection->in.len > 0)) {
        read_own(worker, connection);
        return true;
    }
    char *input = batch->input + batch->input_used;
    ssize_t got = os_receive(connection->fd, input, BATCH_READ_BYTES);
    if (received(worker, connection, got)) {
        batch->input_used += (size_t)got;
        take_share(worker, connection, input, (size_t)got, false);
    }
    return true;
}

void gather_waiting(struct worker *worker, struct connection *connection)
{
    take_share(worker, connection, connection->in.data, connection->in.len, true);
}
