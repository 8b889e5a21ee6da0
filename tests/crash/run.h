/* run.h - what a run was asked to do, and what it found.
 *
 * Findings are counted and printed at once, with what is needed to run the same again; the
 * folder is kept. Threads of a run report by run_fail, any thread. */
#pragma once

#include "base/annotate.h"
#include "base/random.h"
#include "target.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct run {
    /* Asked for. */
    const char *mode;
    uint64_t seed;
    unsigned cycles;
    uint64_t operations;
    unsigned clients;
    unsigned limit_s;     /* after SIGTERM */
    unsigned check_every; /* cycles between memento-check and tries of a backup */
    struct target target;
    /* Found. */
    pthread_mutex_t lock;
    uint64_t answered, unknown;
    uint64_t lost;     /* answered, and not there any more */
    uint64_t phantoms; /* there, and explained by nothing that was sent */
    uint64_t other;    /* wrong replies, servers that end or hang, refused directories */
    unsigned kills, early_kills; /* early: before it was ready */
    unsigned compactions, backups, flushes, checks, torn;
    unsigned stop_ms_max;
};

enum finding { FINDING_LOST, FINDING_PHANTOM, FINDING_OTHER };

void run_fail(struct run *run, enum finding finding, const char *format, ...)
    PRINTF_LIKE(3, 4);
bool run_has_failed(struct run *run);
/* A generator for one purpose of one cycle: the same for the same seed. */
void run_random(const struct run *run, struct random *random, unsigned cycle,
                unsigned purpose);

/* The modes. Each returns when its cycles are over or something was found. */
void run_kill(struct run *run); /* C1, C2: kill -9 under load, every reply remembered */
void run_stop(struct run *run); /* C19: SIGTERM under load */
void run_history(struct run *run); /* C11: linearizable across kill -9 */

void sleep_ms(unsigned ms);
