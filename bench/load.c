#include "load.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/os.h"
#include "base/random.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

/* One read takes as much as the kernel can have for a socket in nearly all set-ups. Behind
 * it, what usual_reply_skip may look at. */
#define IN_BYTES   (256 * 1024)
#define IN_PADDING 8

#define EVENTS_PER_TURN 256

/* A server that says nothing for so long, to anybody, is given up. */
#define SILENCE_MS_MAX 30000

#define PROGRESS_MS 250

struct connection {
    int fd; /* -1 once lost */
    bool waits_to_write;
    uint64_t in_flight, answered; /* of the batch under way */
    uint64_t sent_ns;
    uint64_t
        *requests; /* key << 1 | operation of each in flight; NULL when never asked */
    struct random random;
    struct scanner scanner;
    char pattern[SCANNER_PATTERN_BYTES]; /* of the value the scanner expects */
    struct buf unsent;
    size_t unsent_at;
};

/* What all threads are doing now. */
struct phase {
    enum operation only; /* OPERATIONS: a mix */
    bool is_fill;
    uint64_t requests; /* 0: until is_over */
    double seconds;    /* 0: until all requests are answered */
    bool is_over;      /* atomic: send no more */
};

struct CACHE_ALIGNED driver {
    struct load *load;
    struct thread thread;
    int epoll;
    struct connection *connections;
    uint64_t connection_count;
    char *in;
    struct batch batch;
    uint64_t quota;    /* requests it may still send */
    uint64_t next_key; /* to fill */
    uint64_t active;   /* connections with requests in flight */
    uint64_t answered; /* atomic: others read it, for the progress line */
    uint64_t end_ns;
    uint64_t lost;
    struct tally tallies[OPERATIONS];
    char first_error[TARGET_ERROR_BYTES];
};

struct load {
    const struct options *options;
    const struct target *target;
    const struct workload *workload;
    struct connection *connections;
    struct driver *drivers;
    struct phase phase;
    int ended; /* eventfd: one is added for every driver that has ended */
};

/* The stop flag: set by a signal, never cleared. */
static bool interrupted;

void load_interrupt(void)
{
    __atomic_store_n(&interrupted, true, __ATOMIC_RELAXED);
}

bool load_is_interrupted(void)
{
    return __atomic_load_n(&interrupted, __ATOMIC_RELAXED);
}

uint64_t measure_requests(const struct measure *measure)
{
    return measure->tallies[OPERATION_GET].latency.count +
           measure->tallies[OPERATION_SET].latency.count;
}

uint64_t measure_errors(const struct measure *measure)
{
    uint64_t errors = measure->lost;
    for (int operation = 0; operation < OPERATIONS; operation++) {
        errors += measure->tallies[operation].errors + measure->tallies[operation].wrong;
    }
    return errors;
}

static void note_error(struct driver *driver, const char *what)
{
    if (driver->first_error[0] == '\0') {
        snprintf(driver->first_error, sizeof(driver->first_error), "%.300s", what);
    }
}

static void connection_lose(struct driver *driver, struct connection *connection,
                            const char *why)
{
    note_error(driver, why);
    driver->lost++;
    if (connection->in_flight > 0) {
        driver->active--;
    }
    connection->in_flight = 0;
    os_close(connection->fd); /* and out of the epoll set with it */
    connection->fd = -1;
}

static bool connection_watch(struct driver *driver, struct connection *connection,
                             bool waits_to_write)
{
    uint32_t events = EPOLLIN | (waits_to_write ? EPOLLOUT : 0U);
    connection->waits_to_write = waits_to_write;
    if (os_epoll_ctl(driver->epoll, EPOLL_CTL_MOD, connection->fd, events, connection) !=
        0) {
        connection_lose(driver, connection, strerror(errno));
        return false;
    }
    return true;
}

/* Bytes written: fewer than `len` when the socket is full; -1 when it is lost. */
static ssize_t write_some(int fd, const char *data, size_t len)
{
    ssize_t written = os_write(fd, data, len);
    return written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : written;
}

/* The socket was full; goes on where it stopped. */
static void connection_write_rest(struct driver *driver, struct connection *connection)
{
    struct buf *unsent = &connection->unsent;
    ssize_t written = write_some(connection->fd, unsent->data + connection->unsent_at,
                                 unsent->len - connection->unsent_at);
    if (written < 0) {
        connection_lose(driver, connection, strerror(errno));
        return;
    }
    connection->unsent_at += (size_t)written;
    if (connection->unsent_at == unsent->len) {
        buf_reset(unsent, SIZE_MAX);
        connection->unsent_at = 0;
        (void)connection_watch(driver, connection, false);
    }
}

static void connection_write(struct driver *driver, struct connection *connection)
{
    const struct batch *batch = &driver->batch;
    ssize_t written = write_some(connection->fd, batch->data, batch->len);
    if (written < 0) {
        connection_lose(driver, connection, strerror(errno));
        return;
    }
    if ((size_t)written == batch->len) {
        return;
    }
    buf_append(&connection->unsent, batch->data + written, batch->len - (size_t)written);
    if (connection->unsent.failed) {
        connection_lose(driver, connection, "out of memory");
        return;
    }
    (void)connection_watch(driver, connection, true);
}

static bool phase_is_over(const struct load *load)
{
    return __atomic_load_n(&load->phase.is_over, __ATOMIC_RELAXED) ||
           load_is_interrupted();
}

/* The next batch, or none when nothing is left to send. */
static void connection_send(struct driver *driver, struct connection *connection,
                            uint64_t now_ns)
{
    const struct workload *workload = driver->load->workload;
    uint64_t count = driver->load->options->pipeline;
    count = count < driver->quota ? count : driver->quota;
    if (count == 0 || phase_is_over(driver->load)) {
        driver->active -= connection->in_flight > 0;
        connection->in_flight = 0;
        return;
    }
    batch_clear(&driver->batch);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t key;
        enum operation operation = OPERATION_SET;
        if (driver->load->phase.is_fill) {
            key = driver->next_key++;
        } else {
            operation = workload_draw(workload, &connection->random, &key);
        }
        batch_append(&driver->batch, workload, operation, key);
        if (connection->requests != NULL) {
            connection->requests[i] = key << 1 | (uint64_t)operation;
        }
    }
    driver->quota -= count;
    driver->active += connection->in_flight == 0;
    connection->in_flight = count;
    connection->answered = 0;
    connection->sent_ns = now_ns;
    connection_write(driver, connection);
}

static enum operation awaited_operation(const struct driver *driver,
                                        const struct connection *connection)
{
    if (driver->load->phase.only != OPERATIONS) {
        return driver->load->phase.only;
    }
    return (enum operation)(connection->requests[connection->answered] & 1);
}

static void expect_value(struct connection *connection, enum operation operation,
                         size_t value_bytes)
{
    if (operation == OPERATION_SET) {
        scanner_expect(&connection->scanner, NULL, 0);
        return;
    }
    workload_pattern(connection->requests[connection->answered] >> 1,
                     connection->pattern);
    scanner_expect(&connection->scanner, connection->pattern, value_bytes);
}

static void count_outcome(struct driver *driver, const struct connection *connection,
                          enum operation operation)
{
    struct tally *tally = &driver->tallies[operation];
    const struct options *options = driver->load->options;
    switch (connection->scanner.outcome) {
    case OUTCOME_OK:
        break;
    case OUTCOME_MISS:
        tally->misses++;
        if (options->verify && options->load) {
            tally->wrong++; /* every key was set before */
            note_error(driver, "a key that was set is not there");
        }
        break;
    case OUTCOME_WRONG:
        tally->wrong++;
        note_error(driver, "a value is not the one that was set");
        break;
    case OUTCOME_ERROR:
        tally->errors++;
        note_error(driver, connection->scanner.line);
        break;
    }
}

/* Counts the replies in [at, end). False when they are none. */
static bool connection_take(struct driver *driver, struct connection *connection,
                            const char *at, const char *end, uint64_t latency_ns)
{
    const struct workload *workload = driver->load->workload;
    uint64_t counts[OPERATIONS] = {0};
    enum memento_status status = MEMENTO_OK;
    while (at < end && status == MEMENTO_OK) {
        if (connection->answered == connection->in_flight) {
            status = MEMENTO_ERR_INVALID; /* nobody has asked for this */
            break;
        }
        enum operation operation = awaited_operation(driver, connection);
        if (!connection->scanner.is_idle ||
            !usual_reply_skip(workload, operation, &at, end)) {
            if (workload->verify && connection->scanner.is_idle) {
                expect_value(connection, operation, workload->value_bytes);
            }
            status = scanner_next(&connection->scanner, &at, end);
            if (status != MEMENTO_OK) {
                break;
            }
            count_outcome(driver, connection, operation);
        }
        counts[operation]++;
        connection->answered++;
    }
    for (int operation = 0; operation < OPERATIONS; operation++) {
        if (counts[operation] > 0) {
            histogram_record(&driver->tallies[operation].latency, latency_ns,
                             counts[operation]);
        }
    }
    uint64_t answered = driver->answered + counts[OPERATION_GET] + counts[OPERATION_SET];
    __atomic_store_n(&driver->answered, answered, __ATOMIC_RELAXED);
    return status >= MEMENTO_OK;
}

static void connection_read(struct driver *driver, struct connection *connection)
{
    ssize_t got = os_read(connection->fd, driver->in, IN_BYTES);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return;
    }
    if (got <= 0) {
        connection_lose(driver, connection,
                        got == 0 ? "the server closed a connection" : strerror(errno));
        return;
    }
    uint64_t now_ns = clock_monotonic_ns();
    if (!connection_take(driver, connection, driver->in, driver->in + got,
                         now_ns - connection->sent_ns)) {
        connection_lose(driver, connection, "a reply that the protocol does not know");
        return;
    }
    if (connection->answered == connection->in_flight) {
        connection_send(driver, connection, now_ns);
    }
}

static void driver_begin(struct driver *driver)
{
    uint64_t now_ns = clock_monotonic_ns();
    for (uint64_t i = 0; i < driver->connection_count; i++) {
        struct connection *connection = &driver->connections[i];
        if (connection->fd >= 0) {
            connection->in_flight = 0;
            connection_send(driver, connection, now_ns);
        }
    }
}

static void driver_give_up(struct driver *driver)
{
    for (uint64_t i = 0; i < driver->connection_count; i++) {
        struct connection *connection = &driver->connections[i];
        if (connection->fd >= 0 && connection->in_flight > 0) {
            connection_lose(driver, connection, "no reply for 30 seconds");
        }
    }
}

static void driver_turn(struct driver *driver, const struct epoll_event *events,
                        int count)
{
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) != 0 && connection->waits_to_write) {
            connection_write_rest(driver, connection);
        }
        if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0 && connection->fd >= 0) {
            connection_read(driver, connection);
        }
    }
}

static void driver_main(void *context)
{
    struct driver *driver = context;
    struct epoll_event events[EVENTS_PER_TURN];
    int silence_ms = 0;
    driver_begin(driver);
    while (driver->active > 0) {
        int count = os_epoll_wait(driver->epoll, events, EVENTS_PER_TURN, 1000);
        silence_ms = count == 0 ? silence_ms + 1000 : 0;
        if (silence_ms >= SILENCE_MS_MAX) {
            driver_give_up(driver);
        }
        driver_turn(driver, events, count);
    }
    driver->end_ns = clock_monotonic_ns();
    uint64_t one = 1;
    ssize_t written = os_write(driver->load->ended, &one, sizeof(one));
    (void)written; /* the counter of an eventfd has room for more drivers than exist */
}

static enum memento_status driver_prepare(struct driver *driver, uint64_t index)
{
    const struct load *load = driver->load;
    uint64_t threads = load->options->threads;
    uint64_t requests = load->phase.requests;
    uint64_t first = requests / threads * index +
                     (index < requests % threads ? index : requests % threads);
    driver->quota =
        requests == 0 ? UINT64_MAX : requests / threads + (index < requests % threads);
    driver->next_key = first;
    driver->active = 0;
    driver->lost = 0;
    driver->answered = 0;
    driver->first_error[0] = '\0';
    memset(driver->tallies, 0, sizeof(driver->tallies));
    batch_fini(&driver->batch);
    return batch_init(&driver->batch, load->workload, load->phase.only,
                      load->options->pipeline);
}

static uint64_t answered_so_far(const struct load *load)
{
    uint64_t answered = 0;
    for (uint64_t i = 0; i < load->options->threads; i++) {
        answered += __atomic_load_n(&load->drivers[i].answered, __ATOMIC_RELAXED);
    }
    return answered;
}

static void show_progress(const struct load *load, double seconds)
{
    uint64_t answered = answered_so_far(load);
    fprintf(stderr, "\r%s %.1f s  %llu requests  %.0f op/s \033[K",
            load->phase.is_fill ? "load" : "run ", seconds, (unsigned long long)answered,
            (double)answered / seconds);
}

/* Until all drivers have ended; says when they shall. */
static void wait_for_drivers(struct load *load, uint64_t start_ns)
{
    bool is_shown = isatty(STDERR_FILENO) && !load->options->quiet;
    uint64_t ended = 0;
    while (ended < load->options->threads) {
        double seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
        double left_ms = (load->phase.seconds - seconds) * 1000;
        int wait_ms = PROGRESS_MS;
        if (load->phase.seconds > 0 && left_ms < PROGRESS_MS) {
            if (left_ms <= 0) {
                __atomic_store_n(&load->phase.is_over, true, __ATOMIC_RELAXED);
            } else {
                wait_ms = (int)left_ms + 1;
            }
        }
        struct pollfd event = {.fd = load->ended, .events = POLLIN};
        uint64_t more;
        if (poll(&event, 1, wait_ms) == 1 &&
            os_read(load->ended, &more, sizeof(more)) == sizeof(more)) {
            ended += more;
        } else if (is_shown) {
            show_progress(load, (double)(clock_monotonic_ns() - start_ns) / 1e9);
        }
    }
    if (is_shown) {
        fprintf(stderr, "\r\033[K");
    }
}

static void collect(const struct load *load, uint64_t start_ns, struct measure *measure)
{
    uint64_t end_ns = start_ns;
    for (uint64_t i = 0; i < load->options->threads; i++) {
        const struct driver *driver = &load->drivers[i];
        for (int operation = 0; operation < OPERATIONS; operation++) {
            struct tally *tally = &measure->tallies[operation];
            tally->misses += driver->tallies[operation].misses;
            tally->errors += driver->tallies[operation].errors;
            tally->wrong += driver->tallies[operation].wrong;
            histogram_merge(&tally->latency, &driver->tallies[operation].latency);
        }
        measure->lost += driver->lost;
        if (measure->first_error[0] == '\0') {
            memcpy(measure->first_error, driver->first_error, TARGET_ERROR_BYTES);
        }
        end_ns = driver->end_ns > end_ns ? driver->end_ns : end_ns;
    }
    measure->seconds = (double)(end_ns - start_ns) / 1e9;
}

/* Starts the drivers, waits for them, and measures from the first to the last. */
static enum memento_status run_phase(struct load *load, struct measure *measure)
{
    uint64_t threads = load->options->threads;
    enum memento_status status = MEMENTO_OK;
    memset(measure, 0, sizeof(*measure));
    for (uint64_t i = 0; i < threads && status == MEMENTO_OK; i++) {
        status = driver_prepare(&load->drivers[i], i);
    }
    if (status != MEMENTO_OK) {
        return status;
    }
    uint64_t pid = load->options->pid;
    struct cpu_time server, server_after;
    struct cpu_time own = process_own_cpu_time();
    measure->has_server = pid != 0 && process_cpu_time(pid, &server) == MEMENTO_OK;
    uint64_t start_ns = clock_monotonic_ns();
    uint64_t started = 0;
    while (started < threads && status == MEMENTO_OK) {
        struct driver *driver = &load->drivers[started];
        status = thread_start(&driver->thread, "load", driver_main, driver);
        started += status == MEMENTO_OK;
    }
    if (status == MEMENTO_OK) {
        wait_for_drivers(load, start_ns);
    }
    __atomic_store_n(&load->phase.is_over, true, __ATOMIC_RELAXED);
    for (uint64_t i = 0; i < started; i++) {
        thread_join(&load->drivers[i].thread);
    }
    measure->client_cpu = cpu_time_since(process_own_cpu_time(), own);
    measure->has_server =
        measure->has_server && process_cpu_time(pid, &server_after) == MEMENTO_OK;
    if (measure->has_server) {
        measure->server_cpu = cpu_time_since(server_after, server);
    }
    collect(load, start_ns, measure);
    return status;
}

enum memento_status load_fill(struct load *load, struct measure *measure)
{
    load->phase = (struct phase){
        .only = OPERATION_SET, .is_fill = true, .requests = load->options->keyspace};
    return run_phase(load, measure);
}

enum memento_status load_run(struct load *load, struct measure *measure)
{
    const struct options *options = load->options;
    enum operation only = options->sets == 0   ? OPERATION_GET
                          : options->gets == 0 ? OPERATION_SET
                                               : OPERATIONS;
    if (options->warmup > 0) {
        load->phase = (struct phase){.only = only, .seconds = options->warmup};
        enum memento_status status = run_phase(load, measure);
        if (status != MEMENTO_OK || measure_errors(measure) > 0) {
            return status; /* what fails while warming up shall be seen */
        }
    }
    load->phase =
        (struct phase){.only = only,
                       .seconds = options->seconds,
                       .requests = options->seconds > 0 ? 0 : options->requests};
    return run_phase(load, measure);
}

/* Each connection costs a descriptor, and the usual limit is 1024. Only an attempt: when it
 * fails, connecting says so. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool connection_open(struct load *load, uint64_t index, struct driver *driver,
                            char *error)
{
    const struct options *options = load->options;
    struct connection *connection = &load->connections[index];
    connection->fd = target_connect(load->target, error);
    if (connection->fd < 0) {
        return false;
    }
    snprintf(error, TARGET_ERROR_BYTES, "out of memory");
    scanner_init(&connection->scanner, options->dialect);
    random_init(&connection->random, options->seed + (index << 32));
    if (options->verify || (options->gets > 0 && options->sets > 0)) {
        connection->requests = heap_alloc(options->pipeline * sizeof(uint64_t));
        if (connection->requests == NULL) {
            return false;
        }
    }
    socket_set_nonblocking(connection->fd, true);
    return os_epoll_ctl(driver->epoll, EPOLL_CTL_ADD, connection->fd, EPOLLIN,
                        connection) == 0;
}

static bool driver_open(struct load *load, uint64_t index, char *error)
{
    struct driver *driver = &load->drivers[index];
    uint64_t threads = load->options->threads;
    uint64_t rest = load->options->connections % threads;
    uint64_t first =
        load->options->connections / threads * index + (index < rest ? index : rest);
    driver->load = load;
    driver->connections = &load->connections[first];
    driver->connection_count = load->options->connections / threads + (index < rest);
    driver->epoll = os_epoll_create();
    driver->in = heap_alloc_zeroed(1, IN_BYTES + IN_PADDING);
    if (driver->epoll < 0 || driver->in == NULL) {
        snprintf(error, TARGET_ERROR_BYTES, "no resources for a thread");
        return false;
    }
    for (uint64_t i = 0; i < driver->connection_count; i++) {
        if (!connection_open(load, first + i, driver, error)) {
            return false;
        }
    }
    return true;
}

/* Memory for everything, and no descriptor open yet. */
static struct load *load_allocate(const struct options *options)
{
    struct load *load = heap_alloc_zeroed(1, sizeof(*load));
    if (load == NULL) {
        return NULL;
    }
    size_t drivers_bytes = options->threads * sizeof(*load->drivers);
    load->options = options;
    load->ended = os_eventfd();
    load->connections =
        heap_alloc_zeroed(options->connections, sizeof(*load->connections));
    load->drivers = heap_alloc_aligned(_Alignof(struct driver), drivers_bytes);
    if (load->drivers != NULL) {
        memset(load->drivers, 0, drivers_bytes);
    }
    for (uint64_t i = 0; i < options->threads && load->drivers != NULL; i++) {
        load->drivers[i].epoll = -1;
    }
    for (uint64_t i = 0; i < options->connections && load->connections != NULL; i++) {
        load->connections[i].fd = -1;
        buf_init(&load->connections[i].unsent);
    }
    return load;
}

struct load *load_create(const struct options *options, const struct target *target,
                         const struct workload *workload, char *error)
{
    raise_descriptor_limit();
    struct load *load = load_allocate(options);
    if (load == NULL || load->ended < 0 || load->connections == NULL ||
        load->drivers == NULL) {
        snprintf(error, TARGET_ERROR_BYTES, "out of memory");
        load_destroy(load);
        return NULL;
    }
    load->target = target;
    load->workload = workload;
    for (uint64_t i = 0; i < options->threads; i++) {
        if (!driver_open(load, i, error)) {
            load_destroy(load);
            return NULL;
        }
    }
    return load;
}

static void close_if_open(int fd)
{
    if (fd >= 0) {
        os_close(fd);
    }
}

void load_destroy(struct load *load)
{
    if (load == NULL) {
        return;
    }
    for (uint64_t i = 0; i < load->options->connections && load->connections != NULL;
         i++) {
        close_if_open(load->connections[i].fd);
        buf_fini(&load->connections[i].unsent);
        heap_free(load->connections[i].requests);
    }
    for (uint64_t i = 0; i < load->options->threads && load->drivers != NULL; i++) {
        close_if_open(load->drivers[i].epoll);
        heap_free(load->drivers[i].in);
        batch_fini(&load->drivers[i].batch);
    }
    close_if_open(load->ended);
    heap_free(load->connections);
    heap_free(load->drivers);
    heap_free(load);
}
