/* kill.c - C1 and C2: a real server, clients that write, SIGKILL at a random time, again and
 * again on the same directory. C19: the same with SIGTERM.
 *
 * A cycle: start (and now and then kill it while it starts) - read everything back and judge it -
 * load - kill. So the time between start and load, when nobody writes, is when things are
 * compared, and the next cycle begins from what was seen. */
#include "load.h"
#include "run.h"

#include <stdio.h>
#include <string.h>

#define PURPOSE_MAIN 2000

static void fail_with_log(struct run *run, const char *what, struct buf *why)
{
    target_show_log(&run->target, why);
    run_fail(run, FINDING_OTHER, "%s: %s", what, buf_c_string(why));
}

/* Up to three starts that do not live until they answer. */
static void kill_while_it_starts(struct run *run, struct random *random)
{
    struct buf why;
    buf_init(&why);
    unsigned times =
        random_below(random, 4) == 0 ? 1 + (unsigned)random_below(random, 3) : 0;
    for (unsigned i = 0; i < times && !run_has_failed(run); i++) {
        bool is_fine = target_spawn(&run->target, &why);
        sleep_ms((unsigned)random_below(random, 40));
        is_fine = target_kill(&run->target, &why) && is_fine;
        if (!is_fine) {
            fail_with_log(run, "while starting", &why);
        }
        run->early_kills++;
    }
    buf_fini(&why);
}

static bool start(struct run *run)
{
    struct buf why;
    buf_init(&why);
    bool is_ready =
        target_spawn(&run->target, &why) && target_wait_ready(&run->target, &why);
    if (!is_ready) {
        fail_with_log(run, "start", &why);
    }
    buf_fini(&why);
    return is_ready;
}

static void check_directory(struct run *run)
{
    int status = target_verify(&run->target);
    run->checks++;
    run->torn += status == 1;
    if (status != 0 && status != 1) {
        run_fail(run, FINDING_OTHER, "memento-check verify: exit %d, see %s", status,
                 run->target.log);
    }
}

/* Starts a server on a copy of the last backup. */
static void try_backup(struct run *run, struct load *load)
{
    char folder[4200], from[4400], data[4300];
    struct buf why;
    struct target copy;
    buf_init(&why);
    snprintf(folder, sizeof(folder), "%s/restored", run->target.folder);
    snprintf(data, sizeof(data), "%s/data", folder);
    snprintf(from, sizeof(from), "%s/backups/%s", run->target.data, load->backup.name);
    const char *const removal[] = {"rm", "-rf", folder, NULL};
    const char *const making[] = {"mkdir", "-p", folder, NULL};
    const char *const copying[] = {"cp", "-r", from, data, NULL};
    run_program(removal, "/dev/null");
    run_program(making, "/dev/null");
    bool is_ready = run_program(copying, run->target.log) == 0 &&
                    target_init_copy(&copy, &run->target, folder, data, &why);
    is_ready = is_ready && target_spawn(&copy, &why) && target_wait_ready(&copy, &why);
    if (is_ready) {
        load_judge_backup(load, copy.port);
        (void)target_kill(&copy, &why);
    } else {
        run_fail(run, FINDING_OTHER, "backup %s does not start: %s", load->backup.name,
                 buf_c_string(&why));
    }
    buf_fini(&why);
}

/* Backups are kept only until the next cycle. */
static void forget_backups(const struct run *run)
{
    char folder[4300];
    snprintf(folder, sizeof(folder), "%s/backups", run->target.data);
    const char *const removal[] = {"rm", "-rf", folder, NULL};
    run_program(removal, "/dev/null");
}

static void load_under_kill(struct run *run, struct load *load, unsigned cycle,
                            struct random *random)
{
    struct buf why;
    buf_init(&why);
    load_fill(load);
    load_start(load, cycle);
    sleep_ms(1 + (unsigned)random_below(random, random_below(random, 4) == 0 ? 300 : 80));
    if (!target_kill(&run->target, &why)) {
        fail_with_log(run, "under load", &why);
    }
    load_join(load);
    run->kills++;
    buf_fini(&why);
}

static void kill_cycle(struct run *run, struct load *load, unsigned cycle)
{
    struct random random;
    static const unsigned segments_kb[] = {1024, 1024, 4096};
    run_random(run, &random, cycle, PURPOSE_MAIN);
    run->target.segment_kb = segments_kb[random_below(&random, 3)];
    bool is_checked = cycle % run->check_every == 0;
    if (is_checked && cycle > 0) {
        check_directory(run);
    }
    kill_while_it_starts(run, &random);
    if (run_has_failed(run) || !start(run)) {
        return;
    }
    load_judge(load, cycle);
    if (is_checked && load->backup.name[0] != '\0' && !run_has_failed(run)) {
        try_backup(run, load);
    }
    forget_backups(run);
    if (cycle < run->cycles) { /* the last one only judges */
        load_under_kill(run, load, cycle, &random);
    }
}

void run_kill(struct run *run)
{
    static struct load load; /* too large for a stack */
    load_init(&load, run, run->clients, true);
    for (unsigned cycle = 0; cycle <= run->cycles && !run_has_failed(run); cycle++) {
        kill_cycle(run, &load, cycle);
    }
    load_fini(&load);
}

static void stop_cycle(struct run *run, struct load *load, unsigned cycle)
{
    struct random random;
    struct buf why;
    unsigned took_ms = 0;
    run_random(run, &random, cycle, PURPOSE_MAIN);
    buf_init(&why);
    if (start(run)) {
        if (cycle > 0 && !run->target.is_redis &&
            !target_has_said(&run->target, "clean")) {
            run_fail(run, FINDING_OTHER, "the start after a SIGTERM does not say clean");
        }
        load_judge(load, cycle);
        load_fill(load);
        load_start(load, cycle);
        /* Only now is there somebody to disappoint. */
        sleep_ms(50 + (unsigned)random_below(&random, 300));
        if (!target_stop(&run->target, run->limit_s, &took_ms, &why)) {
            fail_with_log(run, "SIGTERM", &why);
        }
        load_join(load);
        if (target_verify(&run->target) != 0) {
            run_fail(run, FINDING_OTHER,
                     "memento-check does not call the directory clean");
        }
        run->stop_ms_max = took_ms > run->stop_ms_max ? took_ms : run->stop_ms_max;
    }
    buf_fini(&why);
}

void run_stop(struct run *run)
{
    static struct load load;
    load_init(&load, run, run->clients, false);
    for (unsigned cycle = 0; cycle <= run->cycles && !run_has_failed(run); cycle++) {
        stop_cycle(run, &load, cycle);
    }
    load_fini(&load);
}
