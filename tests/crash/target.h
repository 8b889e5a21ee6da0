/* target.h - the server under test as a process: started, killed, stopped, looked at.
 *
 * A program with "redis" in its name is started with Redis' options, so that the tests can be
 * tried on a server whose behaviour is known. Everything lies in one folder:
 *   data/  its directory      server.log  what it printed, of all starts
 *
 * Thread: the main one (children die with the thread that made them). */
#pragma once

#include "base/buf.h"
#include "wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TARGET_ARGS_MAX 32

struct target {
    const char *server;                 /* path of the program */
    const char *check;                  /* path of memento-check; NULL: there is none */
    const char *policy;                 /* always, everysec or never */
    const char *extra[TARGET_ARGS_MAX]; /* further options */
    unsigned extra_count;
    unsigned segment_kb; /* 0: the server's own size */
    bool is_redis;
    char folder[4096];
    char data[4200];
    char log[4200];
    int port;
    pid_t pid; /* 0: not running */
    unsigned starts;
    long log_start; /* where in the log the last start begins */
};

/* Makes the folder (what is in it is removed) and chooses a port. False with `why`. */
bool target_init(struct target *target, const char *folder, struct buf *why);
/* Another server of the same kind on another directory; for backups. */
bool target_init_copy(struct target *copy, const struct target *target,
                      const char *folder, const char *data, struct buf *why);
/* Only the process; it may not answer yet. */
bool target_spawn(struct target *target, struct buf *why);
/* Until it answers PING with +PONG. False with `why`: it has ended, or takes for ever. */
bool target_wait_ready(struct target *target, struct buf *why);
/* SIGKILL. False with `why` when it had ended by itself before. */
bool target_kill(struct target *target, struct buf *why);
/* SIGTERM. False with `why` unless it exits with 0 within `limit_s`. */
bool target_stop(struct target *target, unsigned limit_s, unsigned *took_ms,
                 struct buf *why);
/* Whether what it printed since the last start has the text. */
bool target_has_said(const struct target *target, const char *text);
/* What memento-check says of the directory: its exit status; 0 without the program. */
int target_verify(const struct target *target);
/* Appends the last lines of its log. */
void target_show_log(const struct target *target, struct buf *out);

/* A command of the system, without a shell: its exit status. */
int run_program(const char *const *words, const char *output);
