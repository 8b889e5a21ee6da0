/* persist_parts.h - inside the engine: what its life on disk is made of.
 *
 *   persist.c   opening and closing, writers
 *   recover.c   from an archive into an empty keyspace
 *   compact.c   from the keyspace into a snapshot
 *   jobs.c      the thread that does it, and what else it is asked for
 */
#pragma once

#include "base/lock.h"
#include "engine/hook.h"
#include "engine/persist.h"

enum job_kind { JOB_NONE, JOB_COMPACT, JOB_BACKUP, JOB_REOPEN };

/* What the compaction thread was asked to do. */
struct job {
    enum job_kind kind;
    char name[BACKUP_NAME_MAX + 1];
    engine_done *done;
    void *context;
};

struct compactor {
    struct persist *persist;
    struct thread thread;
    bool has_thread;
    engine_hook *hook;
    void *hook_context;

    struct lock lock;
    pthread_cond_t changed; /* of anything below */
    _Atomic bool is_stopping;
    /* Somebody compacts, backs up or reopens: these exclude one another. */
    bool is_busy;
    bool is_compacting;
    bool is_wanted;
    struct job job; /* waiting; JOB_NONE */
    uint64_t compactions, failed;
    enum memento_status last;
    int64_t last_save_ms, last_compaction_ms;
    uint64_t hold_us_max;
    /* After a failure none begins by itself before this time, which moves away. */
    uint64_t retry_ns;
    uint32_t retry_ms;
};

struct persist {
    struct engine *engine;
    struct persist_options options; /* its strings are ours */
    struct log *_Atomic log;        /* set when everything has been loaded */
    int dir, lock;                  /* -1: not open */
    struct load_progress progress;
    uint64_t load_ms;
    struct compactor compactor;
};

/* The log has been closed or abandoned; accepts NULL. */
void persist_destroy(struct persist *persist);

/* The databases as the record of a SWAPDB has them; a shard is held. */
void engine_read_map(const struct engine *engine, char map[MEMENTO_DATABASES]);

/* ---- recover.c ---- */

struct recovered {
    uint64_t version_max;
    int64_t newest_ms; /* of all frames and the manifest */
};
/* Reads every file of the archive into the empty keyspace and sets its clocks and its map.
 * MEMENTO_CLOSED: *stop was set. Otherwise `why` says what is wrong. */
MUST_USE enum memento_status recover(struct engine *engine, struct archive *archive,
                                     const struct persist_options *options,
                                     struct load_progress *progress,
                                     const atomic_bool *stop, struct recovered *recovered,
                                     struct buf *why);

/* ---- compact.c: the caller is busy, without the lock ---- */

MUST_USE enum memento_status compaction_run(struct compactor *compactor);
MUST_USE enum memento_status compaction_reopen(struct compactor *compactor,
                                               struct buf *why);
/* About what a snapshot would have. Takes each shard's lock in turn. */
uint64_t compaction_live_bytes(struct engine *engine);

/* ---- jobs.c ---- */

static inline bool compactor_is_stopping(const struct compactor *compactor)
{
    return atomic_load_explicit(&compactor->is_stopping, memory_order_relaxed);
}
/* Until something changes, or so long. */
void compactor_wait_ns(struct compactor *compactor, uint64_t ns)
    REQUIRES(compactor->lock);
void compactor_init(struct compactor *compactor, struct persist *persist);
void compactor_fini(struct compactor *compactor);
MUST_USE enum memento_status compactor_start(struct compactor *compactor);
/* What runs is given up; what waits is answered MEMENTO_CLOSED. */
void compactor_stop(struct compactor *compactor);
