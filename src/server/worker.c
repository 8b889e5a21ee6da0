/* worker.c - the thread around the turn: waiting, mail, time, coming and going of clients. */
#include "server/worker.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/os.h"
#include "base/socket.h"
#include "base/trace.h"
#include "server/batch.h"
#include "server/hold.h"
#include "server/server.h"
#include "server/wait.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>

#define EVENTS_MAX       512
#define MAILBOX_CAPACITY 4096
/* Due keys removed in one turn, so that it stays short. */
#define SWEEP_BUDGET 1024
/* Half a tick of the wheel: a key is gone at most a tick and this after its deadline. */
#define SWEEP_MS (EXPIRY_TICK_MS / 2)
/* See let_clients_run: a turn is thin when fewer sockets than this were ready, though the worker
 * has at least twice as many. */
#define THIN_TURN 8
/* How long a stopping worker waits for slow readers. */
#define DRAIN_MS 2000

static void release_large(void *owner)
{
    large_drop(owner);
}

enum memento_status worker_init(struct worker *worker, struct server *server,
                                unsigned index)
{
    bool in_memory = config_number(&server->config, OPTION_MEMORY_ONLY) != 0;
    *worker = (struct worker){.server = server,
                              .index = index,
                              .epoll = -1,
                              .has_data = in_memory, /* there is nothing to load */
                              .is_loaded = in_memory};
    list_init(&worker->connections);
    list_init(&worker->waiting);
    list_init(&worker->doomed);
    list_init(&worker->holding);
    list_init(&worker->jobs);
    buf_init(&worker->output);
    reply_init(&worker->reply, &worker->output, release_large);
    enum memento_status status = writer_init(&worker->writer, &server->engine);
    if (status == MEMENTO_OK) {
        status = mailbox_init(&worker->mailbox, MAILBOX_CAPACITY);
    }
    if (status == MEMENTO_OK) {
        status = batch_create(&worker->batch);
    }
    if (status == MEMENTO_OK) {
        worker->epoll = os_epoll_create();
        if (worker->epoll < 0 ||
            os_epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->mailbox.event_fd, EPOLLIN,
                         NULL) != 0) {
            status = MEMENTO_ERR_IO;
        }
    }
    return status;
}

void worker_fini(struct worker *worker)
{
    LIST_EACH (node, next, &worker->jobs) {
        job_destroy(CONTAINER_OF(node, struct job, of_worker));
    }
    batch_destroy(worker->batch);
    reply_fini(&worker->reply);
    buf_fini(&worker->output);
    writer_fini(&worker->writer);
    mailbox_fini(&worker->mailbox);
    if (worker->epoll >= 0) {
        os_close(worker->epoll);
    }
}

/* ---- clients come and go ---- */

void worker_doom(struct connection *connection)
{
    if (connection->is_closing) {
        return;
    }
    connection->is_closing = true;
    connection->has_waiting = false;
    list_remove(&connection->of_waiting);
    list_remove(&connection->of_holding);
    list_remove(&connection->of_worker);
    list_append(&connection->worker->doomed, &connection->of_worker);
}

static void count_connections(struct worker *worker, int change)
{
    atomic_fetch_add_explicit(&worker->counters.connections, (uint64_t)(int64_t)change,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&worker->server->clients.count, (uint64_t)(int64_t)change,
                              memory_order_relaxed);
}

/* At the end of the turn nothing refers to them any more. */
static void bury(struct worker *worker)
{
    LIST_EACH (node, next, &worker->doomed) {
        connection_destroy(CONTAINER_OF(node, struct connection, of_worker));
        count_connections(worker, -1);
    }
}

/* The connection was counted when main handed it over. */
static void welcome(struct worker *worker, int fd)
{
    uint64_t id = atomic_fetch_add_explicit(&worker->server->clients.next_id, 1,
                                            memory_order_relaxed);
    struct connection *connection = connection_create(worker, fd, id);
    if (connection == NULL) {
        trace_error("out of memory: a new client was refused");
        os_close(fd);
        count_connections(worker, -1);
        return;
    }
    list_append(&worker->connections, &connection->of_worker);
    connection->epoll_events = EPOLLIN;
    if (os_epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, EPOLLIN, connection) != 0) {
        trace_error("epoll_ctl: errno %d: a new client was refused", errno);
        worker_doom(connection);
    }
}

static void kill_client(struct worker *worker, uint64_t id)
{
    LIST_EACH (node, next, &worker->connections) {
        struct connection *connection = CONTAINER_OF(node, struct connection, of_worker);
        if (connection->session.id == id) {
            worker_doom(connection);
        }
    }
}

/* ---- the log ---- */

/* The log, from another thread: something that replies wait for may have come. */
static void wake(void *context)
{
    struct worker *worker = context;
    mailbox_wake(&worker->mailbox);
}

/* The time of the turn. The log has to know it before anything is changed, and that it is about
 * to change before the clock is read: see "settled versions" in log/README.md. */
static void read_clock(struct worker *worker)
{
    struct writer *writer = &worker->writer;
    if (UNLIKELY(!worker->is_loaded)) {
        worker->is_loaded = server_is_loaded(worker->server);
    }
    if (UNLIKELY(!worker->has_data)) {
        writer->now_ms = clock_wall_ms(); /* the engine's clock is being set */
        return;
    }
    if (writer->log.log == NULL) {
        writer->now_ms = engine_now_ms(writer->engine);
        return;
    }
    log_writer_wakes(&writer->log);
    writer->now_ms = engine_now_ms(writer->engine);
    log_writer_turn(&writer->log, (uint64_t)writer->now_ms << LOG_VERSION_SHIFT);
}

static void fall_asleep(struct worker *worker)
{
    struct log_writer *log = &worker->writer.log;
    if (log->log != NULL &&
        atomic_load_explicit(&log->written, memory_order_relaxed) == log->committed) {
        log_writer_sleeps(log);
    }
}

static void take_data(struct worker *worker)
{
    struct server *server = worker->server;
    if (config_number(&server->config, OPTION_MEMORY_ONLY) == 0) {
        if (writer_attach(&worker->writer, wake, worker) != MEMENTO_OK) {
            trace_error("out of memory: worker %u cannot write to the log",
                        worker->index);
            server_fail(server);
            return;
        }
        struct log *log = worker->writer.log.log;
        /* CONFIG SET may have come while it was loaded. */
        log_set_policy(
            log, (enum log_policy)config_number(&server->config, OPTION_FSYNC_POLICY));
        atomic_store(&server->log, log);
    }
    worker->has_data = true;
    server_note_loaded(server);
    read_clock(worker);
}

/* ---- mail ---- */

static void read_mail(struct worker *worker)
{
    mailbox_drain(&worker->mailbox);
    struct mail mail;
    while (mailbox_take(&worker->mailbox, &mail)) {
        switch ((enum worker_mail)mail.kind) {
        case MAIL_CONNECTION:
            welcome(worker, (int)mail.number);
            break;
        case MAIL_KILL:
            kill_client(worker, mail.number);
            break;
        case MAIL_LOADED:
            take_data(worker);
            break;
        case MAIL_STOP:
            worker->is_stopping = true;
            break;
        }
    }
    if (UNLIKELY(!list_is_empty(&worker->jobs))) {
        job_look(worker);
    }
}

/* ---- time ---- */

static void close_idle(struct worker *worker)
{
    int64_t timeout_s = config_number(&worker->server->config, OPTION_TIMEOUT);
    int64_t now_ms = worker->monotonic_ms;
    if (timeout_s == 0 || now_ms < worker->next_timeout_check_ms) {
        return;
    }
    worker->next_timeout_check_ms = now_ms + 1000;
    LIST_EACH (node, next, &worker->connections) {
        struct connection *connection = CONTAINER_OF(node, struct connection, of_worker);
        int64_t active_ms =
            atomic_load_explicit(&connection->active_ms, memory_order_relaxed);
        bool waits_for_us =
            connection->held_first != NULL || connection->wait.kind != WAIT_NOTHING;
        if (now_ms - active_ms >= timeout_s * 1000 && !waits_for_us) {
            trace_debug("client %llu: idle for %lld s: closed",
                        (unsigned long long)connection->session.id,
                        (long long)((now_ms - active_ms) / 1000));
            worker_doom(connection);
        }
    }
}

/* Removes due keys from this worker's share of the shards, a bounded number at a time; every
 * SWEEP_MS, or at once while there are more. */
static void sweep(struct worker *worker)
{
    int64_t now_ms = worker->writer.now_ms;
    if (UNLIKELY(!worker->has_data)) {
        return;
    }
    if (now_ms < worker->next_sweep_ms && worker->next_sweep_ms - now_ms <= SWEEP_MS) {
        return; /* (a clock that was set back must not stop the sweep) */
    }
    bool more = engine_sweep(&worker->writer, worker->index, worker->server->worker_count,
                             SWEEP_BUDGET);
    worker->next_sweep_ms = more ? now_ms : now_ms + SWEEP_MS;
}

/* How long the worker may sleep when no socket is ready. */
static int sleep_ms(const struct worker *worker)
{
    bool busy = !list_is_empty(&worker->waiting) ||
                (worker->has_data && worker->next_sweep_ms <= worker->writer.now_ms);
    return busy ? 0 : SWEEP_MS;
}

/* Requests that had to wait for the one before them (AUTH, HELLO) to run. */
static void run_waiting(struct worker *worker)
{
    struct list now;
    list_init(&now);
    LIST_EACH (node, next, &worker->waiting) {
        list_remove(node);
        list_append(&now, node);
    }
    LIST_EACH (node, next, &now) {
        gather_waiting(worker, CONTAINER_OF(node, struct connection, of_waiting));
    }
    batch_run(worker);
}

/* ---- the turn ---- */

static void take_event(struct worker *worker, const struct epoll_event *event)
{
    struct connection *connection = event->data.ptr;
    if (connection == NULL) {
        read_mail(worker);
        return;
    }
    if (UNLIKELY(connection->is_closing)) {
        return;
    }
    if (UNLIKELY((event->events & EPOLLOUT) != 0)) {
        if (!connection_flush(connection)) {
            worker_doom(connection);
            return;
        }
        connection_settle(connection);
    }
    bool readable = (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
    if (UNLIKELY(connection->is_closing)) {
        return;
    }
    bool has_ended = connection->input_ended && !connection->has_waiting;
    if (UNLIKELY(has_ended || connection->is_stalled)) {
        if ((event->events & (EPOLLHUP | EPOLLERR)) != 0) {
            worker_doom(connection); /* nobody is there to read the rest */
        }
        return;
    }
    if (UNLIKELY(!readable || connection->has_waiting)) {
        return;
    }
    if (UNLIKELY(!gather_read(worker, connection))) {
        batch_run(worker);
        CHECK(gather_read(worker, connection));
    }
    if (UNLIKELY(connection->input_ended)) {
        connection_settle(connection);
    }
}

/* The limits in force for this turn; CONFIG SET may have changed them. */
static void load_limits(struct worker *worker)
{
    struct batch *batch = worker->batch;
    size_t value_max =
        (size_t)config_number(&worker->server->config, OPTION_MAX_VALUE_SIZE);
    worker->writer.value_bytes_max = value_max;
    batch->limits = (struct request_limits){
        .words_max = MEMENTO_ARGS_MAX,
        .word_bytes_max = value_max,
        .line_bytes_max = value_max + MEMENTO_LINE_BYTES_MAX,
    };
    batch->limits_unauthenticated = (struct request_limits){
        .words_max = MEMENTO_ARGS_MAX_UNAUTHENTICATED,
        .word_bytes_max = MEMENTO_ARG_BYTES_MAX_UNAUTHENTICATED,
        .line_bytes_max = MEMENTO_LINE_BYTES_MAX,
        .unauthenticated = true,
    };
}

static void note_turn(struct worker *worker, uint64_t began_ns, uint64_t cpu_began_ns)
{
    uint64_t wall_us = (clock_monotonic_ns() - began_ns) / 1000;
    struct worker_counters *counters = &worker->counters;
    if (wall_us >
        atomic_load_explicit(&counters->longest_turn_us, memory_order_relaxed)) {
        atomic_store_explicit(&counters->longest_turn_us, wall_us, memory_order_relaxed);
    }
    if (cpu_began_ns != 0) {
        uint64_t cpu_us = (clock_thread_cpu_ns() - cpu_began_ns) / 1000;
        if (cpu_us >
            atomic_load_explicit(&counters->longest_turn_cpu_us, memory_order_relaxed)) {
            atomic_store_explicit(&counters->longest_turn_cpu_us, cpu_us,
                                  memory_order_relaxed);
        }
    }
    counter_add(&counters->turns, 1);
}

/* When clients and workers share cores, a worker that sleeps is woken by the first request that
 * comes and takes the core from the client that was about to send more: many turns, each of them
 * for two or three requests. Letting others run first makes the turns larger, which costs less a
 * request and serves more of them. On a core of its own a worker comes straight back. */
static void let_clients_run(const struct worker *worker)
{
    uint64_t connections =
        atomic_load_explicit(&worker->counters.connections, memory_order_relaxed);
    if (worker->ready_last > 0 && worker->ready_last < THIN_TURN &&
        connections >= 2 * THIN_TURN) {
        sched_yield();
    }
}

/* One turn; false when nothing was ready and nothing waited. */
static bool turn(struct worker *worker, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    let_clients_run(worker);
    if (timeout_ms != 0) {
        fall_asleep(worker);
    }
    int ready = os_epoll_wait(worker->epoll, events, EVENTS_MAX, timeout_ms);
    CHECK(ready >= 0 || errno == EINTR);
    worker->ready_last = ready;

    uint64_t began_ns = clock_monotonic_ns();
    bool measure = config_number(&worker->server->config, OPTION_MEASURE_TURNS) != 0;
    uint64_t cpu_began_ns = measure ? clock_thread_cpu_ns() : 0;
    worker->monotonic_ms = (int64_t)(began_ns / 1000000);
    read_clock(worker);
    load_limits(worker);

    if (UNLIKELY(!list_is_empty(&worker->waiting))) {
        run_waiting(worker);
    }
    for (int i = 0; i < ready; i++) {
        take_event(worker, &events[i]);
    }
    batch_run(worker);
    hold_turn(worker);
    sweep(worker);
    close_idle(worker);
    bury(worker);
    note_turn(worker, began_ns, cpu_began_ns);
    return ready > 0 || !list_is_empty(&worker->waiting);
}

static int64_t monotonic_ms(void)
{
    return (int64_t)(clock_monotonic_ns() / 1000000);
}

/* Nothing more is read from anybody; true while there are replies that were not taken, or that
 * the log has not let go. */
static bool has_unsent(struct worker *worker)
{
    bool unsent = false;
    LIST_EACH (node, next, &worker->connections) {
        struct connection *connection = CONTAINER_OF(node, struct connection, of_worker);
        connection->input_ended = true;
        connection_settle(connection);
        bool has_some =
            connection->unsent_first != NULL || connection->held_first != NULL;
        unsent = unsent || (!connection->is_closing && has_some);
    }
    bury(worker);
    return unsent;
}

/* Answers what has arrived, and gives slow readers a moment to take their replies. */
static void drain(struct worker *worker)
{
    int64_t until_ms = monotonic_ms() + DRAIN_MS;
    while (turn(worker, 0) && monotonic_ms() < until_ms) {
    }
    while (has_unsent(worker) && monotonic_ms() < until_ms) {
        turn(worker, 10);
    }
    LIST_EACH (node, next, &worker->connections) {
        worker_doom(CONTAINER_OF(node, struct connection, of_worker));
    }
    bury(worker);
}

static void worker_main(void *context)
{
    struct worker *worker = context;
    while (!worker->is_stopping) {
        turn(worker, sleep_ms(worker));
    }
    drain(worker);
    if (worker->writer.log.log != NULL) {
        writer_detach(&worker->writer);
    }
}

enum memento_status worker_start(struct worker *worker)
{
    char name[16];
    snprintf(name, sizeof(name), "worker-%u", worker->index);
    return thread_start(&worker->thread, name, worker_main, worker);
}
