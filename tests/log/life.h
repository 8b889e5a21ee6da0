/* life.h - a log's life on a simulated disk, and what may be found there afterwards.
 *
 * Two writers commit frames whose records are known from the frame's number alone. Each frame's
 * fate is kept in calls of the disk: before which it was issued, after which it was
 * acknowledged, after which the log said that it is durable. So for a crash at any call it is
 * known what has to be there, what must not be, and what may be. One thread, beside those of
 * the log. */
#pragma once

#include "base/random.h"
#include "log/archive.h"
#include "log/log.h"
#include "support/simos.h"

#define LIFE_DIR             "/data"
#define LIFE_BACKUPS         "/backups"
#define LIFE_BACKUP          "one"
#define LIFE_FRAMES_MAX      1024
#define LIFE_RECORDS_MAX     4
#define LIFE_MAX_UNSYNCED_MS 1000
#define LIFE_NEVER           UINT64_MAX

struct life_frame {
    uint8_t records;  /* how many it has */
    uint64_t version; /* of its first record; the others follow */
    size_t writer;
    uint64_t number;    /* of its writer's frames */
    uint64_t need;      /* position that has to be durable; 0 until it is written */
    uint64_t issued_at; /* calls made when it was committed */
    uint64_t acked_at;  /* calls made when it was acknowledged, or LIFE_NEVER */
    int64_t acked_ms;
    uint64_t issued_tick, acked_tick; /* the order of both among all frames */
    uint64_t
        durable_at;    /* calls made when the log had said it is durable, or LIFE_NEVER */
    bool is_in_memory; /* what the engine would have */
    bool is_backed_up; /* it was written when life_backup began */
    bool is_over;      /* of an earlier run of the log: nothing more happens to it */
};

/* What a directory has: a bit for each record of each frame. */
struct life_found {
    uint8_t records[LIFE_FRAMES_MAX];
    enum archive_state state;
    uint64_t version_max;
    char wrong[160]; /* "": all that was read is what was written */
};

struct life {
    uint64_t seed;
    struct random random;
    enum log_policy policy;
    _Atomic int64_t now_ms; /* all clocks stand there, unless threads run */
    bool has_threads;       /* of the log's own; everything here stays one thread's */
    uint64_t last_version;
    uint64_t tick;
    struct life_frame frames[LIFE_FRAMES_MAX];
    size_t frame_count;
    uint64_t backup_at; /* calls made when life_backup was done, or LIFE_NEVER */
    size_t first_alive; /* frames before it are acknowledged or over */

    int dir, lock;
    struct log *log; /* NULL while it is closed */
    struct log_writer writers[2];
    struct life_found found; /* by the last life_open */
    bool is_busy;            /* the hook does nothing */
    unsigned hook_percent;   /* of calls during which the second writer commits */
    unsigned slow_percent;   /* of syncs that take seconds */
};

/* On the machine as it is; the seed decides everything. */
void life_begin(struct life *life, enum log_policy policy, uint64_t seed);

/* As a server starts: locks, reads all there is into life->found, opens the log; what was found is
 * in memory. On failure nothing is open. */
enum memento_status life_open(struct life *life);
enum memento_status life_close(struct life *life); /* cleanly */
void life_abandon(struct life *life);              /* as kill -9 does */

/* Commits a frame; records it. ERR_NO_MEMORY: nothing happened. */
enum memento_status life_write(struct life *life, size_t writer);
/* What may be acknowledged now is. */
void life_acknowledge(struct life *life);
/* Syncs until all that is written is durable, or the log has failed. */
void life_sync(struct life *life);
enum memento_status life_compact(struct life *life);
enum memento_status life_reopen(struct life *life);
/* Whatever state the log is in, READY afterwards. */
enum memento_status life_mend(struct life *life);
/* Once in a life, as LIFE_BACKUP. */
enum memento_status life_backup(struct life *life);
/* So many steps of everything that a server does. */
void life_work(struct life *life, unsigned steps);

/* Reads a directory without changing it. CORRUPT and other statuses as archive_open. */
enum memento_status life_read(const struct life *life, int dir, struct life_found *found);

/* The machine has stopped after `calls` calls, and another life of it begins: what happened later
 * did not happen. Then life_open. */
void life_stop(struct life *life, uint64_t calls);

/* How the machine stopped after `calls` calls. */
enum life_end { LIFE_KILLED, LIFE_LOST_POWER };
/* Fails the test when what was found is not allowed; `what` is printed with it. */
void life_check(const struct life *life, const struct life_found *found, uint64_t calls,
                enum life_end end, const char *what);
/* The backup is whole or not there; once it was done, it is there. */
void life_check_backup(const struct life *life, uint64_t calls, const char *what);
bool life_has(const struct life *life, const struct life_found *found, size_t frame);
