/* main.c - memento-server: reads its options, starts the workers, accepts, and ends cleanly.
 *
 * The main thread owns the listeners and the signals: SIGTERM and SIGINT drain and end,
 * SIGHUP opens the trace file again, SIGPIPE and SIGXFSZ are ignored. */
#include <memento/version.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/os.h"
#include "base/trace.h"
#include "engine/persist.h"
#include "server/acceptor.h"
#include "server/execute.h"
#include "server/info.h"
#include "server/process.h"
#include "server/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

/* The other exit statuses are in config_print.c, for --help. */
#define EXIT_USAGE 2

static const int sampling_ms = 250;

void server_stop(struct server *server)
{
    atomic_store(&server->stop_wanted, true);
    mailbox_wake(&server->main_mailbox);
}

void server_fail(struct server *server)
{
    atomic_store(&server->has_failed, true);
    server_stop(server);
}

static bool is_in_memory(const struct server *server)
{
    return config_number(&server->config, OPTION_MEMORY_ONLY) != 0;
}

void server_note_loaded(struct server *server)
{
    unsigned loaded = atomic_fetch_add(&server->workers_loaded, 1) + 1;
    if (loaded < server->worker_count) {
        return;
    }
    if (is_in_memory(server)) {
        trace_info("ready");
        return;
    }
    struct buf policy;
    buf_init(&policy);
    config_print(&server->config, OPTION_FSYNC_POLICY, &policy);
    trace_info("ready; fsync-policy %s", buf_c_string(&policy));
    buf_fini(&policy);
}

/* To the terminal, and to the traces. */
static int complain(const char *what, struct buf *error)
{
    trace_error("%s%s", what, buf_c_string(error));
    fprintf(stderr, "memento-server: %s%s\n", what, buf_c_string(error));
    return EXIT_FAILURE;
}

/* ---- starting ---- */

static unsigned power_of_two(unsigned value)
{
    unsigned power = 1;
    while (power < value) {
        power *= 2;
    }
    return power;
}

static enum memento_status start_keyspace(struct server *server)
{
    struct config *config = &server->config;
    unsigned workers = (unsigned)config_number(config, OPTION_WORKERS);
    server->worker_count = workers == 0 ? thread_cores() : workers;
    if (server->worker_count > MEMENTO_WORKERS_MAX) {
        server->worker_count = MEMENTO_WORKERS_MAX;
    }
    unsigned shards = (unsigned)config_number(config, OPTION_SHARDS);
    if (shards == 0) {
        shards = 8 * server->worker_count < 16 ? 16 : 8 * server->worker_count;
    }
    struct hash_seed seed;
    enum memento_status status = random_bytes(&seed, sizeof(seed));
    if (status == MEMENTO_OK) {
        status =
            engine_init(&server->engine, power_of_two(shards), &seed, clock_wall_ms());
    }
    return status;
}

static enum memento_status name_this_run(struct server *server)
{
    unsigned char bytes[20];
    enum memento_status status = random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes) && status == MEMENTO_OK; i++) {
        snprintf(&server->run_id[2 * i], 3, "%02x", bytes[i]);
    }
    return status;
}

static enum memento_status start_workers(struct server *server)
{
    server->workers =
        heap_alloc_aligned(64, server->worker_count * sizeof(*server->workers));
    if (server->workers == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    enum memento_status status = MEMENTO_OK;
    for (unsigned i = 0; i < server->worker_count && status == MEMENTO_OK; i++) {
        status = worker_init(&server->workers[i], server, i);
    }
    for (unsigned i = 0; i < server->worker_count && status == MEMENTO_OK; i++) {
        status = worker_start(&server->workers[i]);
    }
    return status;
}

/* Descriptors for maxclients and for ourselves; lowers maxclients when the system refuses. */
static void fit_descriptors(struct server *server)
{
    const uint64_t own = 64;
    uint64_t clients = (uint64_t)config_number(&server->config, OPTION_MAXCLIENTS);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= clients + own) {
        return;
    }
    limit.rlim_cur = clients + own < limit.rlim_max ? clients + own : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= clients + own) {
        return;
    }
    uint64_t possible = limit.rlim_cur > own ? limit.rlim_cur - own : 1;
    trace_warning("the system allows %llu open files: maxclients is %llu, not %llu",
                  (unsigned long long)limit.rlim_cur, (unsigned long long)possible,
                  (unsigned long long)clients);
    atomic_store(&server->config.numbers[OPTION_MAXCLIENTS], (int64_t)possible);
}

static void announce(struct server *server, struct acceptor *acceptor)
{
    struct config *config = &server->config;
    trace_info("memento %s, pid %d", MEMENTO_VERSION, (int)getpid());
    trace_info("listening on %s", buf_c_string(&acceptor->described));
    trace_info("%u workers, %u shards, at most %lld clients, values up to %lld MiB",
               server->worker_count, server->engine.keyspace.shard_count,
               (long long)config_number(config, OPTION_MAXCLIENTS),
               (long long)config_number(config, OPTION_MAX_VALUE_SIZE) >> 20);
    if (is_in_memory(server)) {
        trace_warning("the data lives in memory only: it is gone when the server ends");
    }
}

/* ---- running ---- */

/* Commands of the last second, from a ring of samples. */
struct samples {
    uint64_t commands[16];
    uint64_t at_ns[16];
    unsigned count;
};

static void sample(struct server *server, struct samples *samples)
{
    uint64_t commands = 0;
    for (unsigned i = 0; i < server->worker_count; i++) {
        commands += atomic_load_explicit(&server->workers[i].counters.commands,
                                         memory_order_relaxed);
    }
    unsigned now = samples->count % ARRAY_LEN(samples->commands);
    samples->commands[now] = commands;
    samples->at_ns[now] = clock_monotonic_ns();
    samples->count++;
    const unsigned back = 4;
    if (samples->count > back) {
        unsigned then = (samples->count - 1 - back) % ARRAY_LEN(samples->commands);
        uint64_t passed_ns = samples->at_ns[now] - samples->at_ns[then];
        uint64_t done = commands - samples->commands[then];
        atomic_store_explicit(&server->ops_per_second,
                              passed_ns == 0 ? 0 : done * 1000000000u / passed_ns,
                              memory_order_relaxed);
    }
}

/* ---- the data and the log ---- */

/* Each worker attaches itself to the log, on its own thread. */
static void tell_loaded(struct server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct mail loaded = {MAIL_LOADED, 0, NULL};
        while (mailbox_post(&server->workers[i].mailbox, loaded) != MEMENTO_OK) {
            usleep(1000); /* full of new clients; the worker is taking them */
        }
    }
}

/* The loader has ended with a reason why the directory is not taken. */
static bool is_refused(const struct server *server)
{
    const struct loader *loader = &server->loader;
    return !is_in_memory(server) && !loader->is_running && loader->status != MEMENTO_OK &&
           loader->status != MEMENTO_CLOSED;
}

/* What the loader has brought: the data, or the reason to end. */
static void take_loaded(struct server *server)
{
    struct loader *loader = &server->loader;
    if (!loader->is_running || !atomic_load(&loader->is_done)) {
        return;
    }
    loader_join(loader, false);
    if (loader->status == MEMENTO_OK) {
        tell_loaded(server);
        return;
    }
    if (is_refused(server)) {
        (void)complain("", &loader->error.text);
    }
    atomic_store(&server->stop_wanted, true);
}

/* A few times a second, however many clients come: the clock that deadlines are measured with, the log's state. */
static void look_after_data(struct server *server, uint64_t *looked_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (server->loader.is_running ||
        now_ns - *looked_ns < (uint64_t)sampling_ms * 1000000) {
        return;
    }
    *looked_ns = now_ns;
    int64_t forth_ms = ttl_clock_follow(&server->engine.clock);
    if (forth_ms > 0) {
        trace_warning("the wall clock was set forth: time to live follows by %lld ms",
                      (long long)forth_ms);
    }
    info_note_save(server);
    struct log *log = atomic_load(&server->log);
    if (log != NULL && log_state(log) == LOG_FAILED &&
        config_number(&server->config, OPTION_ON_LOG_FAILURE) != 0 &&
        !atomic_load(&server->has_failed)) {
        trace_error("the log failed and on-log-failure is exit: ending");
        server_fail(server);
    }
}

static void take_signal(struct server *server, int signal)
{
    switch (process_take_signal(signal)) {
    case PROCESS_STOP:
        trace_info("asked to stop by a signal");
        atomic_store(&server->stop_wanted, true);
        break;
    case PROCESS_REOPEN:
        if (trace_reopen() != MEMENTO_OK) {
            trace_error("cannot open the trace file again: %s", strerror(errno));
        }
        break;
    case PROCESS_NOTHING:
        break;
    }
}

static bool watch(int epoll, int fd)
{
    return os_epoll_ctl(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, (void *)(intptr_t)fd) == 0;
}

static bool serve(struct server *server, struct acceptor *acceptor, int signals)
{
    int epoll = os_epoll_create();
    bool ok = epoll >= 0 && watch(epoll, signals) &&
              watch(epoll, server->main_mailbox.event_fd);
    for (unsigned i = 0; i < acceptor->count && ok; i++) {
        ok = watch(epoll, acceptor->listeners[i]);
    }
    struct samples samples = {0};
    uint64_t looked_ns = 0;
    while (ok && !atomic_load(&server->stop_wanted)) {
        struct epoll_event events[LISTENERS_MAX + 2];
        int ready = os_epoll_wait(epoll, events, (int)ARRAY_LEN(events), sampling_ms);
        for (int i = 0; i < ready; i++) {
            int fd = (int)(intptr_t)events[i].data.ptr;
            if (fd == signals) {
                take_signal(server, signals);
            } else if (fd == server->main_mailbox.event_fd) {
                mailbox_drain(&server->main_mailbox);
                take_loaded(server);
            } else {
                acceptor_accept(acceptor, fd);
            }
        }
        sample(server, &samples);
        info_note_memory(server);
        look_after_data(server, &looked_ns);
    }
    if (epoll >= 0) {
        os_close(epoll);
    }
    return ok;
}

/* ---- ending ---- */

static void stop_workers(struct server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct mail stop = {MAIL_STOP, 0, NULL};
        while (mailbox_post(&server->workers[i].mailbox, stop) != MEMENTO_OK) {
            usleep(1000); /* full of new clients; the worker is taking them */
        }
    }
    for (unsigned i = 0; i < server->worker_count; i++) {
        thread_join(&server->workers[i].thread);
    }
}

/* When no background thread can know them any more. */
static void free_workers(struct server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++) {
        worker_fini(&server->workers[i]);
    }
    heap_free(server->workers);
}

static enum memento_status start_loading(struct server *server)
{
    return is_in_memory(server) ? MEMENTO_OK : loader_start(&server->loader, server);
}

/* The workers have their last turns, then the log is sealed. The exit status. */
static int end(struct server *server)
{
    struct loader *loader = &server->loader;
    bool is_told = is_refused(server);
    loader_join(loader, true);
    if (is_refused(server) && !is_told) {
        (void)complain("", &loader->error.text); /* it came while we were stopping */
    }
    stop_workers(server);
    int result = atomic_load(&server->has_failed) ? EXIT_FAILURE : EXIT_SUCCESS;
    if (is_refused(server)) {
        result = loader->error.exit_code;
    } else if (engine_close(&server->engine) != MEMENTO_OK) {
        trace_error("the end of the log could not be written: the next start recovers "
                    "what is there");
        result = EXIT_FAILURE;
    }
    free_workers(server);
    engine_fini(&server->engine);
    if (!is_in_memory(server)) {
        loader_fini(loader);
    }
    trace_info("ended");
    return result;
}

static int run(struct server *server)
{
    struct buf error;
    buf_init(&error);
    struct acceptor acceptor;
    int signals = process_prepare();
    if (signals < 0 || mailbox_init(&server->main_mailbox, 16) != MEMENTO_OK) {
        return complain("cannot prepare the process: out of descriptors or memory",
                        &error);
    }
    fit_descriptors(server);
    int result;
    if (acceptor_open(&acceptor, server, &error) != MEMENTO_OK) {
        result = complain("", &error);
        acceptor_close(&acceptor);
    } else if (name_this_run(server) != MEMENTO_OK ||
               start_keyspace(server) != MEMENTO_OK ||
               start_workers(server) != MEMENTO_OK ||
               start_loading(server) != MEMENTO_OK) {
        /* Threads may be running: leaving the process is the clean way out. */
        complain("cannot start: out of memory or threads", &error);
        acceptor_close(&acceptor);
        exit(EXIT_FAILURE);
    } else {
        announce(server, &acceptor);
        if (!serve(server, &acceptor, signals)) {
            complain("cannot wait for clients: epoll failed", &error);
            exit(EXIT_FAILURE); /* the workers still use what would be freed below */
        }
        if (!is_refused(server)) {
            trace_info("stopping: answering what has arrived");
        }
        acceptor_close(&acceptor);
        result = end(server);
    }
    mailbox_fini(&server->main_mailbox);
    os_close(signals);
    buf_fini(&error);
    return result;
}

static int print(void (*printer)(struct buf *out))
{
    struct buf text;
    buf_init(&text);
    printer(&text);
    fwrite(text.data, 1, text.len, stdout);
    buf_fini(&text);
    return EXIT_SUCCESS;
}

/* The traces' level and file come from the options. */
static bool open_traces(struct server *server)
{
    struct buf path;
    buf_init(&path);
    config_text(&server->config, OPTION_LOGFILE, &path);
    trace_set_level((enum trace_level)config_number(&server->config, OPTION_LOGLEVEL));
    bool ok = trace_open(buf_c_string(&path)) == MEMENTO_OK;
    if (!ok) {
        fprintf(stderr, "memento-server: logfile: cannot open %s: %s\n",
                buf_c_string(&path), strerror(errno));
    }
    buf_fini(&path);
    return ok;
}

int main(int argc, char **argv)
{
    static struct server server;
    call_run = execute_call;
    server.started_ms = clock_wall_ms();
    config_init(&server.config);
    clients_init(&server.clients);
    lock_init(&server.persist_lock);
    struct buf error;
    buf_init(&error);
    int result = EXIT_USAGE;
    switch (config_read_arguments(&server.config, argc, argv, &error)) {
    case CONFIG_HELP:
        result = print(config_print_help);
        break;
    case CONFIG_PRINT:
        result = print(config_print_file);
        break;
    case CONFIG_VERSION:
        printf("memento-server %s\n", MEMENTO_VERSION);
        result = EXIT_SUCCESS;
        break;
    case CONFIG_REFUSED:
        fprintf(stderr, "memento-server: %s\n", buf_c_string(&error));
        break;
    case CONFIG_RUN:
        result = open_traces(&server) ? run(&server) : EXIT_FAILURE;
        break;
    }
    buf_fini(&error);
    lock_fini(&server.persist_lock);
    clients_fini(&server.clients);
    config_fini(&server.config);
    return result;
}
