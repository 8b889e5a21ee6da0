/* memento-benchmark: asks a server many things, and says how long they took. */
#include "base/heap.h"
#include "classic.h"
#include "load.h"
#include "options.h"
#include "probe.h"
#include "report.h"
#include "target.h"
#include "workload.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_FINE = 0, EXIT_ERRORS = 1, EXIT_USAGE = 2 };

static void on_signal(int number)
{
    (void)number;
    load_interrupt();
}

/* The first signal ends the run early, and what was measured is reported; a second one ends
 * the program. */
static void catch_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int complain(const char *error)
{
    fprintf(stderr, "memento-benchmark: %s\n", error);
    return EXIT_ERRORS;
}

static int run_load(const struct options *options, const struct target *target,
                    const struct workload *workload)
{
    char error[TARGET_ERROR_BYTES] = "out of memory";
    struct measure *fill = heap_alloc(sizeof(*fill));
    struct measure *run = heap_alloc(sizeof(*run));
    struct load *load = NULL;
    bool has_fill = false, has_run = false;
    enum memento_status status = MEMENTO_ERR_NO_MEMORY;
    if (fill == NULL || run == NULL) {
        goto done;
    }
    load = load_create(options, target, workload, error);
    if (load == NULL) {
        goto done;
    }
    status = MEMENTO_OK;
    if (options->load) {
        status = load_fill(load, fill);
        has_fill = status == MEMENTO_OK;
    }
    bool wants_run = options->requests > 0 || options->seconds > 0;
    if (status == MEMENTO_OK && wants_run && !load_is_interrupted()) {
        status = load_run(load, run);
        has_run = status == MEMENTO_OK;
    }
    if (status == MEMENTO_OK) {
        report_load(options, target, has_fill ? fill : NULL, has_run ? run : NULL);
    }
done:;
    int code = status != MEMENTO_OK                   ? complain(error)
               : has_fill && measure_errors(fill) > 0 ? EXIT_ERRORS
               : has_run && measure_errors(run) > 0   ? EXIT_ERRORS
                                                      : EXIT_FINE;
    load_destroy(load);
    heap_free(run);
    heap_free(fill);
    return code;
}

static int run_probe(const struct options *options, const struct target *target,
                     const struct workload *workload)
{
    struct probe *probe = heap_alloc(sizeof(*probe));
    if (probe == NULL) {
        return complain("out of memory");
    }
    int code = EXIT_FINE;
    if (probe_run(probe, options, target, workload) != MEMENTO_OK) {
        code = complain(probe->error);
    }
    if (probe->latency.count > 0) {
        report_probe(options, target, probe);
    }
    heap_free(probe);
    return code;
}

static int run_classic(const struct target *target)
{
    char error[TARGET_ERROR_BYTES];
    return classic_run(target, error) == MEMENTO_OK ? EXIT_FINE : complain(error);
}

static int run(const struct options *options, const struct target *target)
{
    if (options->mode == MODE_CLASSIC) {
        return run_classic(target);
    }
    struct workload workload;
    int code;
    if (workload_init(&workload, options) != MEMENTO_OK) {
        code = complain("out of memory");
    } else if (options->mode == MODE_PROBE) {
        code = run_probe(options, target, &workload);
    } else {
        code = run_load(options, target, &workload);
    }
    workload_fini(&workload);
    return code;
}

int main(int argc, char **argv)
{
    struct options options;
    struct target target;
    struct cpu_time time;
    char error[TARGET_ERROR_BYTES];
    int exit_code;
    if (!options_parse(&options, argc, argv, &exit_code)) {
        return exit_code;
    }
    if (options.pid != 0 && process_cpu_time(options.pid, &time) != MEMENTO_OK) {
        fprintf(stderr, "memento-benchmark: pid '%llu': no such process\n",
                (unsigned long long)options.pid);
        return EXIT_USAGE;
    }
    catch_signals();
    if (target_resolve(&target, &options, error) != MEMENTO_OK) {
        return complain(error);
    }
    int code = run(&options, &target);
    if (fflush(stdout) != 0) {
        return complain("stdout cannot be written");
    }
    return code;
}
