/* turn.c - phases 2 to 5 of a turn: prefetch, execute, commit, answer; see batch.h. */
#include "base/counter.h"
#include "base/heap.h"
#include "base/trace.h"
#include "server/batch.h"
#include "server/server.h"

/* ---- 2 prefetch ---- */

/* The database a key will be looked up in is only a guess here: a SELECT may stand before it. */
static void prefetch(struct worker *worker, const struct parsed *requests, size_t count)
{
    const struct engine *engine = &worker->server->engine;
    uint64_t hashes[BATCH_PREFETCH];
    size_t keys = 0;
    for (size_t i = 0; i < count; i++) {
        if (LIKELY(requests[i].hash_known)) {
            unsigned database = requests[i].connection->session.database;
            uint8_t db = atomic_load_explicit(&engine->database_map[database],
                                              memory_order_relaxed);
            hashes[keys++] = key_hash_in_db(requests[i].key_hash, db);
        }
    }
    keyspace_prefetch(&engine->keyspace, hashes, keys);
}

/* ---- 5 answer ---- */

#define PARTS_ON_STACK 16

/* The output of a share, cut at the values that are sent from where they lie. */
static bool send_share(struct worker *worker, const struct share *share, size_t output_to,
                       size_t pins_to)
{
    const char *output = worker->output.data;
    size_t pins = pins_to - share->pins_from;
    if (LIKELY(pins == 0)) {
        struct part part = {
            bytes_of(output + share->output_from, output_to - share->output_from), NULL};
        return connection_send(share->connection, &part, 1);
    }
    bool alive = true;
    size_t at = share->output_from;
    struct pin *pin = &worker->reply.pins[share->pins_from];
    struct part parts[PARTS_ON_STACK];
    size_t count = 0;
    for (size_t i = 0; i < pins; i++) {
        parts[count++] = (struct part){bytes_of(output + at, pin[i].at - at), NULL};
        parts[count++] = (struct part){pin[i].bytes, pin[i].owner};
        at = pin[i].at;
        if (count + 3 > PARTS_ON_STACK) {
            alive = connection_send(share->connection, parts, count) && alive;
            count = 0;
        }
    }
    parts[count++] = (struct part){bytes_of(output + at, output_to - at), NULL};
    return connection_send(share->connection, parts, count) && alive;
}

/* Sends the output of shares [first, last], the last one's up to now. */
static void answer(struct worker *worker, size_t first, size_t last)
{
    struct batch *batch = worker->batch;
    counter_add(&worker->counters.output_bytes,
                worker->output.len + worker->reply.pinned_bytes);
    for (size_t i = first; i <= last; i++) {
        struct share *share = &batch->shares[i];
        bool is_last = i == last;
        size_t output_to =
            is_last ? worker->output.len : batch->shares[i + 1].output_from;
        size_t pins_to =
            is_last ? worker->reply.pin_count : batch->shares[i + 1].pins_from;
        bool has_output = output_to > share->output_from || pins_to > share->pins_from;
        if (LIKELY(has_output) && !send_share(worker, share, output_to, pins_to)) {
            worker_doom(share->connection);
        }
    }
    worker->reply.pin_count = 0;
    worker->reply.pinned_bytes = 0;
    worker->output.len = 0;
}

/* ---- 3 execute ---- */

/* A reply could not be written whole, so what is there of it must not be sent. */
static COLD void reply_failed(struct worker *worker, struct share *share)
{
    struct buf *output = &worker->output;
    trace_warning(
        "client %llu: a reply over client-output-limit, or no memory for it: cut",
        (unsigned long long)share->connection->session.id);
    while (worker->reply.pin_count > share->pins_from) {
        worker->reply.release(worker->reply.pins[--worker->reply.pin_count].owner);
    }
    output->len = share->output_from;
    output->failed = false;
    counter_add(&worker->counters.clients_cut, 1);
    worker_doom(share->connection);
}

/* Runs request `at` of the batch for its share. */
static ALWAYS_INLINE void execute_one(struct worker *worker, struct share *share,
                                      size_t at)
{
    struct batch *batch = worker->batch;
    struct parsed *parsed = &batch->requests[at];
    struct session *session = &share->connection->session;
    if (UNLIKELY(session->close_after_reply || share->connection->is_closing)) {
        return;
    }
    execute(worker, parsed,
            parsed->is_error ? NULL : &batch->words.items[parsed->first_word]);
    if (UNLIKELY(worker->output.failed)) {
        reply_failed(worker, share);
    }
}

/* For CLIENT LIST, which other workers may ask for. */
static void publish(struct worker *worker, struct share *share)
{
    if (UNLIKELY(share->request_count == 0)) {
        return;
    }
    struct connection *connection = share->connection;
    struct session *session = &connection->session;
    const struct parsed *last =
        &worker->batch->requests[share->first_request + share->request_count - 1];
    counter_add(&connection->commands, share->request_count);
    atomic_store_explicit(&connection->last_row, last->row, memory_order_relaxed);
    atomic_store_explicit(&connection->database, session->database, memory_order_relaxed);
    atomic_store_explicit(&connection->dialect, (uint8_t)session->dialect,
                          memory_order_relaxed);
    atomic_store_explicit(&connection->in_multi, session->in_multi, memory_order_relaxed);
}

static void execute_batch(struct worker *worker)
{
    struct batch *batch = worker->batch;
    size_t prefetched = 0;
    size_t unanswered = 0; /* first share with output that was not sent */
    for (size_t i = 0; i < batch->share_count; i++) {
        struct share *share = &batch->shares[i];
        share->output_from = worker->output.len;
        share->pins_from = worker->reply.pin_count;
        size_t end = share->first_request + share->request_count;
        for (size_t at = share->first_request; at < end; at++) {
            if (at == prefetched) {
                size_t ahead = batch->request_count - at;
                ahead = ahead < BATCH_PREFETCH ? ahead : BATCH_PREFETCH;
                prefetch(worker, &batch->requests[at], ahead);
                prefetched += ahead;
            }
            execute_one(worker, share, at);
            if (UNLIKELY(worker->output.len + worker->reply.pinned_bytes >
                         BATCH_OUTPUT_BYTES)) {
                answer(worker, unanswered, i);
                unanswered = i;
                share->output_from = 0;
                share->pins_from = 0;
                (void)connection_is_within_limit(share->connection);
            }
        }
        publish(worker, share);
    }
    counter_add(&worker->counters.commands, batch->request_count);
    answer(worker, unanswered, batch->share_count - 1);
}

/* ---- the whole batch ---- */

static void finish_share(struct share *share)
{
    struct connection *connection = share->connection;
    if (UNLIKELY(share->own_consumed > 0)) {
        buf_consume(&connection->in, share->own_consumed);
    }
    if (UNLIKELY(connection->in.cap > 0 && connection->in.len == 0)) {
        buf_fini(&connection->in);
        buf_init(&connection->in);
    }
    connection_settle(connection);
}

/* Empty again. What an unusual batch has made large is given back. */
static void batch_reset(struct batch *batch)
{
    batch->input_used = 0;
    batch->own_bytes = 0;
    batch->words.count = 0;
    batch->request_count = 0;
    batch->share_count = 0;
    if (UNLIKELY(batch->errors.cap > 0)) {
        buf_reset(&batch->errors, BATCH_READ_BYTES);
    }
    if (UNLIKELY(batch->words.cap > 8 * BATCH_REQUESTS)) {
        words_fini(&batch->words);
    }
    if (UNLIKELY(batch->request_cap > 4 * BATCH_REQUESTS)) {
        heap_free(batch->requests);
        batch->requests = NULL;
        batch->request_cap = 0;
    }
}

void batch_run(struct worker *worker)
{
    struct batch *batch = worker->batch;
    if (batch->share_count > 0) {
        worker->reply.errors = 0;
        worker->output.max =
            (size_t)config_number(&worker->server->config, OPTION_CLIENT_OUTPUT_LIMIT) +
            BATCH_OUTPUT_BYTES;
        execute_batch(worker);
        counter_add(&worker->counters.errors, worker->reply.errors);
        for (size_t i = 0; i < batch->share_count; i++) {
            finish_share(&batch->shares[i]);
        }
    }
    batch_reset(batch);
    if (UNLIKELY(worker->output.cap > 4 * BATCH_OUTPUT_BYTES)) {
        buf_reset(&worker->output, 0);
    }
}
