/* turn.c - phases 2 to 5 of a turn: prefetch, execute, commit, answer; see batch.h. */
#include "base/counter.h"
#include "base/heap.h"
#include "base/trace.h"
#include "server/batch.h"
#include "server/hold.h"
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

/* ---- 4 commit ---- */

/* What was changed since the last one becomes a frame, which the log writes now or, when another
 * worker is writing, with what that one has. */
static void commit(struct worker *worker)
{
    if (worker->staged != 0) {
        log_commit(&worker->writer.log);
        worker->staged = 0;
    }
}

/* ---- 5 answer ---- */

#define PARTS_ON_STACK 16

/* A stretch of the worker's output with the pins in it. */
struct stretch {
    size_t from, to;
    size_t pins_from, pins_to;
};

static inline bool is_empty(const struct stretch *stretch)
{
    return stretch->from == stretch->to && stretch->pins_from == stretch->pins_to;
}

/* Sends it, cut at the values that are sent from where they lie. */
static bool send_stretch(struct worker *worker, struct connection *connection,
                         const struct stretch *stretch)
{
    const char *output = worker->output.data;
    size_t pins = stretch->pins_to - stretch->pins_from;
    if (LIKELY(pins == 0)) {
        struct part part = {bytes_of(output + stretch->from, stretch->to - stretch->from),
                            NULL};
        return connection_send(connection, &part, 1);
    }
    bool alive = true;
    size_t at = stretch->from;
    struct pin *pin = &worker->reply.pins[stretch->pins_from];
    struct part parts[PARTS_ON_STACK];
    size_t count = 0;
    for (size_t i = 0; i < pins; i++) {
        parts[count++] = (struct part){bytes_of(output + at, pin[i].at - at), NULL};
        parts[count++] = (struct part){pin[i].bytes, pin[i].owner};
        at = pin[i].at;
        if (count + 3 > PARTS_ON_STACK) {
            alive = connection_send(connection, parts, count) && alive;
            count = 0;
        }
    }
    parts[count++] = (struct part){bytes_of(output + at, stretch->to - at), NULL};
    return connection_send(connection, parts, count) && alive;
}

/* Keeps it until the log has reached what it needs. */
static COLD bool hold_stretch(struct worker *worker, const struct share *share,
                              const struct need *need, const struct stretch *stretch)
{
    struct connection *connection = share->connection;
    bool kept = hold_open(connection, need, share->waits_replies);
    size_t at = stretch->from;
    for (size_t i = stretch->pins_from; i < stretch->pins_to; i++) {
        struct pin *pin = &worker->reply.pins[i];
        kept = kept && hold_add(connection,
                                bytes_of(worker->output.data + at, pin->at - at), NULL);
        at = pin->at;
        if (kept) {
            kept = hold_add(connection, pin->bytes, pin->owner);
        } else {
            worker->reply.release(pin->owner);
        }
    }
    return kept && hold_add(connection,
                            bytes_of(worker->output.data + at, stretch->to - at), NULL);
}

/* A share that has written, or has shown what is not on disk yet. Most often the log has its
 * frame by now, and that is all it needs. */
static COLD bool send_when_allowed(struct worker *worker, struct share *share,
                                   struct stretch *stretch)
{
    struct connection *connection = share->connection;
    const struct log_writer *log = &worker->writer.log;
    struct need need = {.version = share->waits_version, .policy = share->waits_policy};
    if (share->has_written) {
        need.frame = log->committed;
        connection->last_write = (struct need){.frame = need.frame, .policy = LOG_ALWAYS};
        connection->is_uncommitted = false;
    }
    if (need_look(&need, log) == NEED_MET) {
        return is_empty(stretch) || send_stretch(worker, connection, stretch);
    }
    struct stretch free = *stretch, held = *stretch;
    free.to = held.from = share->waits_from;
    free.pins_to = held.pins_from = share->waits_pins_from;
    bool sent = is_empty(&free) || send_stretch(worker, connection, &free);
    /* Without replies (CLIENT REPLY OFF) a group is held only so that the client is not read. */
    bool is_nothing = is_empty(&held) && !log_is_crowded(log->log);
    bool kept = is_nothing || hold_stretch(worker, share, &need, &held);
    return sent && kept;
}

/* Sends the output of shares [first, last], the last one's up to now. */
static void answer(struct worker *worker, size_t first, size_t last)
{
    struct batch *batch = worker->batch;
    commit(worker);
    counter_add(&worker->counters.output_bytes,
                worker->output.len + worker->reply.pinned_bytes);
    for (size_t i = first; i <= last; i++) {
        struct share *share = &batch->shares[i];
        const struct share *next = i == last ? NULL : &batch->shares[i + 1];
        struct stretch stretch = {
            .from = share->output_from,
            .to = next == NULL ? worker->output.len : next->output_from,
            .pins_from = share->pins_from,
            .pins_to = next == NULL ? worker->reply.pin_count : next->pins_from,
        };
        bool alive = true;
        if (UNLIKELY(share->waits)) {
            alive = send_when_allowed(worker, share, &stretch);
        } else if (LIKELY(!is_empty(&stretch))) {
            alive = send_stretch(worker, share->connection, &stretch);
        }
        if (UNLIKELY(!alive)) {
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
    share->waits_from = share->output_from;
    share->waits_pins_from = share->pins_from;
    counter_add(&worker->counters.clients_cut, 1);
    worker_doom(share->connection);
}

/* A request that has changed something, or has shown a change: whether its reply, and what the
 * share answers behind it, have to wait is found out when the log has it. */
static void note_need(struct worker *worker, struct share *share, size_t output_from,
                      size_t pins_from, size_t staged)
{
    struct writer *writer = &worker->writer;
    bool has_written = staged != worker->staged;
    worker->staged = staged;
    bool shows = writer->tracks_reads && writer->version_read > share->waits_version &&
                 writer->version_read > log_settled_version(writer->log.log);
    if (shows) {
        share->waits_version = writer->version_read;
    }
    writer->version_read = 0;
    if (has_written) {
        /* Behind it RESET, or CONFIG SET, may ask for less. */
        enum log_policy policy = hold_policy(share->connection);
        bool is_stronger = !share->has_written || policy < share->waits_policy;
        share->waits_policy = is_stronger ? policy : share->waits_policy;
        share->has_written = true;
        share->connection->is_uncommitted = true;
    }
    if (!share->waits && (has_written || shows)) {
        share->waits = true;
        share->waits_from = output_from;
        share->waits_pins_from = pins_from;
    }
    bool has_answered =
        worker->output.len > output_from || worker->reply.pin_count > pins_from;
    share->waits_replies += share->waits && has_answered;
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
    size_t output_from = worker->output.len;
    size_t pins_from = worker->reply.pin_count;
    execute(worker, parsed,
            parsed->is_error ? NULL : &batch->words.items[parsed->first_word]);
    if (LIKELY(worker->writer.log.log != NULL)) {
        size_t staged = log_staged_bytes(&worker->writer.log);
        if (staged != worker->staged || share->waits ||
            worker->writer.version_read != 0) {
            note_need(worker, share, output_from, pins_from, staged);
        }
    }
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

/* Under always a reply may not show what a crash can still take back. */
static inline void track_reads(struct worker *worker, const struct share *share)
{
    struct writer *writer = &worker->writer;
    if (writer->log.log != NULL) {
        writer->tracks_reads = hold_policy(share->connection) == LOG_ALWAYS;
        writer->version_read = 0;
    }
}

/* All that the share had was answered, in the middle of it. */
static void begin_again(struct share *share)
{
    share->output_from = 0;
    share->pins_from = 0;
    share->waits = share->has_written = false;
    share->waits_replies = 0;
    share->waits_version = 0;
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
        track_reads(worker, share);
        size_t end = share->first_request + share->request_count;
        for (size_t at = share->first_request; at < end; at++) {
            if (at == prefetched) {
                size_t ahead = batch->request_count - at;
                ahead = ahead < BATCH_PREFETCH ? ahead : BATCH_PREFETCH;
                prefetch(worker, &batch->requests[at], ahead);
                prefetched += ahead;
            }
            execute_one(worker, share, at);
            if (UNLIKELY(worker->staged >= BATCH_FRAME_BYTES)) {
                commit(worker);
            }
            if (UNLIKELY(worker->output.len + worker->reply.pinned_bytes >
                         BATCH_OUTPUT_BYTES)) {
                answer(worker, unanswered, i);
                unanswered = i;
                begin_again(share);
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
