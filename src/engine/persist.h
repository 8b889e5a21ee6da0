/* persist.h - the engine's life on disk: loading a data directory, going on with its log,
 * compacting it, backing it up.
 *
 * engine_init makes an engine that lives in memory. engine_load, before any writer has written,
 * fills it from a directory and gives it a log; from then on writers that have called
 * writer_attach stage what they change (engine.h). A thread of the engine's own compacts.
 *
 * Threads: as each says. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "base/thread.h"
#include "engine/engine.h"
#include "log/archive.h"
#include "log/log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* engine_load copies the strings that it goes on needing. */
struct persist_options {
    const char *directory;        /* made when it is not there */
    const char *backup_directory; /* BACKUP writes below it; NULL: `directory`/backups */
    enum log_policy policy;
    uint64_t segment_bytes;   /* of a log file, LOG_SEGMENT_BYTES_MIN or more */
    uint32_t max_unsynced_ms; /* everysec: what a power loss may take */
    uint64_t
        buffer_bytes_max; /* committed and not written: above it clients are held back */
    /* Compaction starts by itself when the log has so many bytes and so much of it, in per
     * cent, is garbage; 0 per cent: only on demand. Whatever the garbage, a log of
     * `compaction_log_max` bytes (0: never) starts it too. */
    uint64_t compaction_log_min;
    unsigned compaction_garbage_percent;
    uint64_t compaction_log_max;
    uint64_t compaction_rate; /* bytes a second; 0: no limit */
    unsigned load_threads;    /* 0: one a core, at most 16 */
    /* What to do with a log that ends badly. */
    struct archive_limit restore_to; /* {0, 0}: everything */
    /* The directory's uuid: a log that is damaged is cut off there. NULL: it is refused, as is
     * always damage that nothing can be cut behind: use memento-check repair. */
    const char *accept_data_loss;
    bool has_threads; /* false: tests call the steps; see engine_compact_now */
};
void persist_options_default(struct persist_options *options);

/* Where loading has got to; written by the loader, read by any thread. */
struct load_progress {
    _Atomic uint64_t bytes, bytes_total;
    _Atomic uint64_t records; /* applied or found outdated */
    _Atomic int64_t started_ms;
    _Atomic bool is_loading;
};

/* Why a directory was refused, and what a server should exit with. */
struct persist_error {
    enum memento_status status;
    int exit_code;   /* 1 cannot open or busy, 3 corrupt, 4 written by a newer memento */
    struct buf text; /* one line: what, file, offset, what to do */
};

/* While engine_load runs and afterwards; NULL for an engine in memory. Any thread. */
const struct load_progress *engine_load_progress(const struct engine *engine);

/* Locks the directory, loads it with several threads, opens its log, starts the threads. The
 * engine must be empty and nobody may use it meanwhile; long: traces its progress every second.
 * *stop (may be NULL) ends it early with MEMENTO_CLOSED. On failure the engine may only be
 * given to engine_fini. error->text is the caller's to buf_fini, whatever the outcome. */
MUST_USE enum memento_status engine_load(struct engine *engine,
                                         const struct persist_options *options,
                                         const atomic_bool *stop,
                                         struct persist_error *error);
/* After the last writer has been detached: ends the threads, seals the log. Does nothing for an
 * engine without a log. ERR_IO: the end could not be made durable (traced). */
MUST_USE enum memento_status engine_close(struct engine *engine);
/* As a crash would leave the directory. Tests. */
void engine_abandon(struct engine *engine);

/* The writer's thread, once, when the engine has been loaded; detach commits what is staged.
 * `wake` is called from other threads when something that the writer waits for may have come. */
MUST_USE enum memento_status writer_attach(struct writer *writer,
                                           void (*wake)(void *context), void *context);
void writer_detach(struct writer *writer);

/* ---- compaction; all ERR_INVALID for an engine in memory ---- */

/* Any thread: asks for one (BGREWRITEAOF, COMPACT). AGAIN: one is already running or asked for. */
MUST_USE enum memento_status engine_compact(struct engine *engine);
/* Embedders and tests: does it on the calling thread, or waits for the one that runs (SAVE). Not
 * for threads that own a writer with something staged. */
MUST_USE enum memento_status engine_compact_now(struct engine *engine);

/* ---- backup, repair: any thread but a worker; each waits for the disk ---- */

/* Hard links below the backup directory. A name has 1 to 64 letters, digits, '.', '_' or '-', and
 * does not begin with '.' (ERR_INVALID). `why` says what went wrong, for people. */
MUST_USE enum memento_status engine_backup(struct engine *engine, struct bytes name,
                                           struct buf *why);
/* LOG REOPEN: a snapshot of memory in new files, then the log takes writes again. */
MUST_USE enum memento_status engine_reopen_log(struct engine *engine, struct buf *why);
/* The same two as jobs of the compaction thread, for callers that must not wait: `done` is called
 * by that thread with the outcome. AGAIN when a job is already waiting. */
typedef void engine_done(void *context, enum memento_status status, struct bytes why);
MUST_USE enum memento_status engine_backup_job(struct engine *engine, struct bytes name,
                                               engine_done *done, void *context);
MUST_USE enum memento_status engine_reopen_job(struct engine *engine, engine_done *done,
                                               void *context);
MUST_USE enum memento_status engine_compact_job(struct engine *engine, engine_done *done,
                                                void *context);

/* ---- what INFO tells: any thread ---- */

struct persist_stats {
    struct log_stats log;
    enum log_state state;
    bool is_compacting, is_compaction_wanted;
    uint64_t compactions, compactions_failed;
    enum memento_status last_compaction; /* OK before the first */
    int64_t last_save_ms; /* wall: when the last snapshot came in force, or the load */
    int64_t last_compaction_ms;      /* how long the last one took; -1 none */
    uint64_t compaction_lock_us_max; /* longest hold of a shard, CPU time */
    uint64_t live_bytes;             /* estimate of what a snapshot would have */
    uint64_t load_ms, load_records;  /* of the start */
};
/* All zero, READY, for an engine in memory. Takes each shard's lock in turn: not for who holds
 * one. */
void engine_persist_stats(struct engine *engine, struct persist_stats *stats);
