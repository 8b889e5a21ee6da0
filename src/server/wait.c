/* wait.c - replies that are made later; see wait.h. */
#include "server/wait.h"

#include "base/heap.h"
#include "server/server.h"

/* ---- answering out of turn ---- */

/* The connection stops being read at the end of its share. */
static void begin(struct call *call, enum wait_kind kind)
{
    struct connection *connection = call_connection(call);
    struct session *session = call->session;
    connection->wait.kind = kind;
    connection->wait.is_silent = session->reply_off || session->reply_skip;
    list_remove(&connection->of_holding);
    list_append(&connection->worker->holding, &connection->of_holding);
}

/* Ends the waiting with what the reply has written. */
static bool finish(struct connection *connection, struct buf *out)
{
    bool is_silent = connection->wait.is_silent;
    connection->wait = (struct wait){.kind = WAIT_NOTHING};
    struct part part = {buf_bytes(out), NULL};
    bool sent = !out->failed && (is_silent || connection_send(connection, &part, 1));
    buf_fini(out);
    return sent;
}

static void begin_reply(const struct connection *connection, struct reply *reply,
                        struct buf *out)
{
    buf_init(out);
    reply_init(reply, out, NULL);
    reply->dialect = connection->session.dialect;
}

/* ---- jobs ---- */

struct job *job_create(struct worker *worker, uint64_t client)
{
    struct job *job = heap_alloc_zeroed(1, sizeof(*job));
    if (job != NULL) {
        job->worker = worker;
        job->client = client;
        buf_init(&job->why);
        buf_init(&job->made);
        atomic_init(&job->is_done, false);
        list_append(&worker->jobs, &job->of_worker);
    }
    return job;
}

void job_destroy(struct job *job)
{
    list_remove(&job->of_worker);
    buf_fini(&job->why);
    buf_fini(&job->made);
    heap_free(job);
}

void job_done(void *context, enum memento_status status, struct bytes why)
{
    struct job *job = context;
    struct worker *worker = job->worker;
    job->status = status;
    buf_append_bytes(&job->why, why);
    /* From here on the worker may free it. */
    atomic_store_explicit(&job->is_done, true, memory_order_release);
    mailbox_wake(&worker->mailbox);
}

void wait_for_job(struct call *call)
{
    begin(call, WAIT_JOB);
}

static void answer_job(struct connection *connection, struct job *job)
{
    struct buf out;
    struct reply reply;
    begin_reply(connection, &reply, &out);
    if (job->status == MEMENTO_OK) {
        reply_ok(&reply);
    } else if (job->why.len > 0) {
        reply_errorf(&reply, "ERR %s", buf_c_string(&job->why));
    } else {
        reply_error(&reply, call_failure(job->status));
    }
    reply_fini(&reply);
    if (!finish(connection, &out)) {
        worker_doom(connection);
    }
    connection_settle(connection);
}

static struct connection *find_waiting(struct worker *worker, uint64_t client)
{
    LIST_EACH (node, next, &worker->holding) {
        struct connection *connection = CONTAINER_OF(node, struct connection, of_holding);
        if (connection->session.id == client && connection->wait.kind == WAIT_JOB) {
            return connection;
        }
    }
    return NULL;
}

void job_look(struct worker *worker)
{
    LIST_EACH (node, next, &worker->jobs) {
        struct job *job = CONTAINER_OF(node, struct job, of_worker);
        if (!atomic_load_explicit(&job->is_done, memory_order_acquire)) {
            continue;
        }
        struct connection *connection = find_waiting(worker, job->client);
        if (connection != NULL) {
            answer_job(connection, job);
        }
        job_destroy(job);
    }
}

/* ---- WAITAOF ---- */

enum need_state wait_state(struct connection *connection)
{
    if (connection->is_uncommitted) {
        return NEED_WRITE;
    }
    struct need *last = &connection->last_write;
    return last->frame == 0 ? NEED_MET /* it has never written */
                            : need_look(last, &connection->worker->writer.log);
}

void wait_for_log(struct call *call, int64_t wanted_local, int64_t wanted_replicas,
                  int64_t timeout_ms)
{
    struct connection *connection = call_connection(call);
    int64_t now_ms = connection->worker->monotonic_ms;
    begin(call, WAIT_LOG);
    connection->wait.wants_local = wanted_local > 0;
    connection->wait.wants_replicas = wanted_replicas > 0;
    /* Far beyond any clock is for ever. */
    connection->wait.until_ms = timeout_ms == 0 || timeout_ms > INT64_MAX - now_ms
                                    ? INT64_MAX
                                    : now_ms + timeout_ms;
}

static void reply_reached(struct reply *reply, const struct wait *wait,
                          enum need_state state)
{
    if (wait->wants_local && state == NEED_LOST) {
        reply_error(reply, "MISCONF the log failed: what this connection has written "
                           "may be gone after a crash");
        return;
    }
    reply_list(reply, 2);
    reply_integer(reply, state == NEED_MET);
    reply_integer(reply, 0); /* there are no replicas */
}

bool wait_look(struct connection *connection, bool *wants_sync)
{
    const struct wait *wait = &connection->wait;
    if (wait->kind != WAIT_LOG) {
        return true;
    }
    enum need_state state = wait_state(connection);
    bool is_decided = !wait->wants_local || state == NEED_MET || state == NEED_LOST;
    bool is_over = connection->worker->monotonic_ms >= wait->until_ms;
    if (!is_over && (!is_decided || wait->wants_replicas)) {
        *wants_sync = *wants_sync || state == NEED_SYNC;
        return true;
    }
    struct buf out;
    struct reply reply;
    begin_reply(connection, &reply, &out);
    reply_reached(&reply, wait, state);
    reply_fini(&reply);
    return finish(connection, &out);
}
