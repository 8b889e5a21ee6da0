/* main.c - crash_test: kills a server and judges what is left. README.md tells the modes. */
#include "base/random.h"
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* After so many, more of the same tell nothing new. */
#define SHOWN_FINDINGS 5
#define CLIENTS_MAX    64

static const char usage[] =
    "usage: crash_test --mode kill|stop|history --server PATH --folder DIR [options]\n"
    "  --policy always|everysec|never   of the server (always)\n"
    "  --check PATH        memento-check, to look at directories after a kill\n"
    "  --cycles N          kills, stops, or rounds of a history (20)\n"
    "  --operations N      of a history, over all rounds (100000)\n"
    "  --clients N         (kill 8, stop 50, history 16)\n"
    "  --seed N            (from the clock)\n"
    "  --limit N           seconds to exit in after SIGTERM (5)\n"
    "  --check-every N     cycles between memento-check and a try of a backup (10)\n"
    "  --server-arg WORD   for the server; may be repeated\n";

void sleep_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

void run_random(const struct run *run, struct random *random, unsigned cycle,
                unsigned purpose)
{
    random_init(random, run->seed * 1000003 + (uint64_t)cycle * 10007 + purpose);
}

void run_fail(struct run *run, enum finding finding, const char *format, ...)
{
    va_list arguments;
    pthread_mutex_lock(&run->lock);
    uint64_t *const counters[] = {&run->lost, &run->phantoms, &run->other};
    static const char *const names[] = {"LOST", "PHANTOM", "VIOLATION"};
    ++*counters[finding];
    if (run->lost + run->phantoms + run->other <= SHOWN_FINDINGS) {
        printf("%s: ", names[finding]);
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
        printf("\n");
        fflush(stdout);
    }
    pthread_mutex_unlock(&run->lock);
}

bool run_has_failed(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    bool has = run->lost + run->phantoms + run->other > 0;
    pthread_mutex_unlock(&run->lock);
    return has;
}

static uint64_t number_of(const char *text)
{
    char *end = NULL;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0) {
        fprintf(stderr, "crash_test: '%s' is not a number\n%s", text, usage);
        exit(2);
    }
    return number;
}

static const char *parse(struct run *run, int argc, char **argv)
{
    static const struct option options[] = {{"mode", 1, NULL, 'm'},
                                            {"server", 1, NULL, 's'},
                                            {"folder", 1, NULL, 'f'},
                                            {"policy", 1, NULL, 'p'},
                                            {"check", 1, NULL, 'k'},
                                            {"cycles", 1, NULL, 'n'},
                                            {"operations", 1, NULL, 'o'},
                                            {"clients", 1, NULL, 'c'},
                                            {"seed", 1, NULL, 'S'},
                                            {"limit", 1, NULL, 'l'},
                                            {"check-every", 1, NULL, 'e'},
                                            {"server-arg", 1, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    const char *folder = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'm':
            run->mode = optarg;
            break;
        case 's':
            run->target.server = optarg;
            break;
        case 'f':
            folder = optarg;
            break;
        case 'p':
            run->target.policy = optarg;
            break;
        case 'k':
            run->target.check = optarg;
            break;
        case 'n':
            run->cycles = (unsigned)number_of(optarg);
            break;
        case 'o':
            run->operations = number_of(optarg);
            break;
        case 'c':
            run->clients = (unsigned)number_of(optarg);
            break;
        case 'S':
            run->seed = number_of(optarg);
            break;
        case 'l':
            run->limit_s = (unsigned)number_of(optarg);
            break;
        case 'e':
            run->check_every = (unsigned)number_of(optarg);
            break;
        case 'a':
            if (run->target.extra_count < TARGET_ARGS_MAX) {
                run->target.extra[run->target.extra_count++] = optarg;
            }
            break;
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
    if (run->mode == NULL || run->target.server == NULL || folder == NULL ||
        run->cycles == 0 || run->check_every == 0 || run->clients > CLIENTS_MAX) {
        fputs(usage, stderr);
        exit(2);
    }
    return folder;
}

static void print_result(const struct run *run)
{
    printf("RESULT mode=%s policy=%s seed=%" PRIu64
           " kills=%u early=%u starts=%u answered=%" PRIu64 " unknown=%" PRIu64
           " lost=%" PRIu64 " phantoms=%" PRIu64 " other=%" PRIu64
           " compactions=%u backups=%u flushes=%u checks=%u torn=%u stop_ms=%u\n",
           run->mode, run->target.policy, run->seed, run->kills, run->early_kills,
           run->target.starts, run->answered, run->unknown, run->lost, run->phantoms,
           run->other, run->compactions, run->backups, run->flushes, run->checks,
           run->torn, run->stop_ms_max);
}

/* The folder is kept; the seed may have come from the clock. */
static void print_how_to_repeat(const struct run *run, int argc, char **argv)
{
    printf("kept: %s\nagain:", run->target.folder);
    for (int i = 0; i < argc; i++) {
        printf(" %s", argv[i]);
    }
    printf(" --seed %" PRIu64 "\n", run->seed);
}

struct mode {
    const char *name;
    void (*run)(struct run *run);
    unsigned clients; /* unless it is said */
};

static const struct mode *mode_of_name(const char *name)
{
    static const struct mode modes[] = {
        {"kill", run_kill, 8}, {"stop", run_stop, 50}, {"history", run_history, 16}};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(name, modes[i].name) == 0) {
            return &modes[i];
        }
    }
    fputs(usage, stderr);
    exit(2);
}

/* The server of the last cycle, whether it is still alive or not. */
static void end_target(struct target *target)
{
    struct buf ignored;
    buf_init(&ignored);
    (void)target_kill(target, &ignored);
    buf_fini(&ignored);
}

int main(int argc, char **argv)
{
    static struct run run = {.cycles = 20,
                             .operations = 100000,
                             .limit_s = 5,
                             .check_every = 10,
                             .target = {.policy = "always"}};
    struct timespec now;
    struct buf why;
    signal(SIGPIPE, SIG_IGN);
    clock_gettime(CLOCK_REALTIME, &now);
    run.seed = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    pthread_mutex_init(&run.lock, NULL);
    const char *folder = parse(&run, argc, argv);
    const struct mode *mode = mode_of_name(run.mode);
    run.clients = run.clients == 0 ? mode->clients : run.clients;
    buf_init(&why);
    if (!target_init(&run.target, folder, &why)) {
        fprintf(stderr, "crash_test: %s\n", buf_c_string(&why));
        return 2;
    }
    buf_fini(&why);
    printf("seed %" PRIu64 "\n", run.seed);
    mode->run(&run);
    end_target(&run.target);
    print_result(&run);
    if (run_has_failed(&run)) {
        print_how_to_repeat(&run, argc, argv);
        return 1;
    }
    return 0;
}
