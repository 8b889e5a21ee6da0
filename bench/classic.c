#include "classic.h"

#include "base/clock.h"
#include "base/os.h"
#include "base/thread.h"
#include "load.h"

#include <stdio.h>
#include <string.h>

#define CLASSIC_REQUESTS        100000
#define CLASSIC_THREADS         10
#define CLASSIC_THREAD_REQUESTS 8000

enum part { PART_SET, PART_GET, PART_GROW, PARTS };

/* The ten open their connections, and only then begin, together. */
struct visitor {
    const struct target *target;
    pthread_barrier_t *start;
    struct thread thread;
    double seconds[PARTS];
    char error[TARGET_ERROR_BYTES];
};

/* Text lines, as in the beginning; but for what the last part's keys are, each request of a
 * part is the same. */
static size_t write_request(char text[64], enum part part, int number)
{
    int len = 0;
    switch (part) {
    case PART_SET:
        len = snprintf(text, 64, "SET keyone valueone\r\n");
        break;
    case PART_GET:
        len = snprintf(text, 64, "GET keyone\r\n");
        break;
    case PART_GROW:
    case PARTS:
        len = snprintf(text, 64, "SET key%d value%d\r\n", number, number);
        break;
    }
    return (size_t)len;
}

static bool run_part(int fd, enum part part, int requests, double *seconds, char *error)
{
    struct scanner scanner;
    scanner_init(&scanner, DIALECT_TEXT);
    uint64_t start_ns = clock_monotonic_ns();
    for (int i = 0; i < requests; i++) {
        char text[64];
        size_t len = write_request(text, part, i);
        enum memento_status status = target_write(fd, text, len);
        if (status == MEMENTO_OK) {
            status = target_read(fd, &scanner);
        }
        if (status != MEMENTO_OK || load_is_interrupted()) {
            snprintf(error, TARGET_ERROR_BYTES,
                     "request %d of %d: the connection is over", i + 1, requests);
            return false;
        }
        if (scanner.outcome != OUTCOME_OK) {
            snprintf(error, TARGET_ERROR_BYTES, "request %d of %d was answered: %s",
                     i + 1, requests, scanner.line);
            return false;
        }
    }
    *seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    return true;
}

static const char *part_name(enum part part)
{
    return part == PART_GET ? "GET" : "SET";
}

static void visitor_main(void *context)
{
    struct visitor *visitor = context;
    int fd = target_connect(visitor->target, visitor->error);
    pthread_barrier_wait(visitor->start);
    bool going = fd >= 0;
    for (int part = 0; part < PARTS && going; part++) {
        going = run_part(fd, (enum part)part, CLASSIC_THREAD_REQUESTS,
                         &visitor->seconds[part], visitor->error);
    }
    if (fd >= 0) {
        os_close(fd);
    }
}

static void print_visitor(const struct visitor *visitor, int number)
{
    for (int part = 0; part < PARTS; part++) {
        printf(" [%s] - Thread: %d - Elapsed time: %f s  Op/s: %.2f\n",
               part_name((enum part)part), number, visitor->seconds[part],
               CLASSIC_THREAD_REQUESTS / visitor->seconds[part]);
    }
}

static enum memento_status run_visitors(const struct target *target, char *error)
{
    struct visitor visitors[CLASSIC_THREADS];
    pthread_barrier_t start;
    memset(visitors, 0, sizeof(visitors));
    pthread_barrier_init(&start, NULL, CLASSIC_THREADS);
    for (int i = 0; i < CLASSIC_THREADS; i++) {
        visitors[i].target = target;
        visitors[i].start = &start;
        if (thread_start(&visitors[i].thread, "classic", visitor_main, &visitors[i]) !=
            MEMENTO_OK) {
            /* Those before it wait at the barrier; the program ends, and they with it. */
            snprintf(error, TARGET_ERROR_BYTES, "cannot start a thread");
            return MEMENTO_ERR_IO;
        }
    }
    enum memento_status status = MEMENTO_OK;
    for (int i = 0; i < CLASSIC_THREADS; i++) {
        thread_join(&visitors[i].thread);
        if (visitors[i].error[0] != '\0') {
            memcpy(error, visitors[i].error, TARGET_ERROR_BYTES);
            status = MEMENTO_ERR_IO;
        }
    }
    pthread_barrier_destroy(&start);
    for (int i = 0; i < CLASSIC_THREADS && status == MEMENTO_OK; i++) {
        print_visitor(&visitors[i], i + 1);
    }
    return status;
}

static enum memento_status run_alone(int fd, char *error)
{
    for (int part = 0; part < PARTS; part++) {
        double seconds;
        if (!run_part(fd, (enum part)part, CLASSIC_REQUESTS, &seconds, error)) {
            return MEMENTO_ERR_IO;
        }
        printf(" [%s] - Elapsed time: %f s  Op/s: %.2f\n", part_name((enum part)part),
               seconds, CLASSIC_REQUESTS / seconds);
        fflush(stdout);
    }
    return MEMENTO_OK;
}

enum memento_status classic_run(const struct target *target, char *error)
{
    struct target text = *target;
    text.dialect = DIALECT_TEXT;
    int fd = target_connect(&text, error);
    if (fd < 0) {
        return MEMENTO_ERR_IO;
    }
    printf(
        "\n Nr. operations %d\n\n"
        " 1) SET keyone valueone\n"
        " 2) GET keyone\n"
        " 3) SET with growing keys\n"
        " 4) All previous operations in %d threads, each one performing %d requests per "
        "type\n\n",
        CLASSIC_REQUESTS, CLASSIC_THREADS, CLASSIC_THREAD_REQUESTS);
    fflush(stdout);
    enum memento_status status = run_alone(fd, error);
    os_close(fd);
    if (status == MEMENTO_OK) {
        printf(
            " ---------------------------------------------------------------------\n");
        status = run_visitors(&text, error);
    }
    if (status == MEMENTO_OK) {
        printf("\n");
    }
    return status;
}
