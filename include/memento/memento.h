/* memento.h - memento inside a program: keys, values, deadlines and a log, without a server.
 *
 * A handle is a data directory that is open: the same one memento-server uses (its database 0),
 * by one process at a time. All its data is in memory; every change is in the log before its call
 * returns, and on the disk when the policy says so.
 *
 * Threads: any number may use one handle at the same time; each call is atomic. A value, a batch
 * and a cursor belong to one thread at a time. After fork a child must not use its parent's
 * handles.
 *
 * Keys have 0 to MEMENTO_KEY_BYTES_MAX bytes, values 0 to MEMENTO_VALUE_BYTES_MAX, any bytes;
 * longer ones are answered with MEMENTO_ERR_TOO_LARGE. Times to live are milliseconds. A pointer
 * may be NULL where the number of bytes is 0.
 *
 * Failures that any call which changes something may give, beside those it names:
 *     ERR_NO_MEMORY   nothing was changed
 *     ERR_NO_SPACE    the disk is full; deletions are still taken
 *     ERR_LOG_FAILED  the log could not be written: memento_reopen_log, or close and open
 * The last two are given before anything is changed; a call that was under way when the trouble
 * began gives them too, and its change may then be found after the next open, or not. With
 * MEMENTO_SYNC_ALWAYS calls that read can give ERR_LOG_FAILED as well: what they found may be
 * gone after the next open. */
#pragma once

#include <memento/limits.h>
#include <memento/status.h>
#include <memento/version.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MEMENTO_API      __attribute__((visibility("default")))
#define MEMENTO_MUST_USE __attribute__((warn_unused_result))
#else
#define MEMENTO_API
#define MEMENTO_MUST_USE
#endif

/* The release of the library, which may be newer than MEMENTO_VERSION of this header. */
MEMENTO_API const char *memento_version(void);
/* A few words for people; never NULL. */
MEMENTO_API const char *memento_status_text(enum memento_status status);

/* ---- open and close ---- */

struct memento; /* a handle */

/* When a change reaches the disk. Until then a power loss may take it; the end of the process,
 * however it comes, takes nothing. */
enum memento_sync_policy {
    MEMENTO_SYNC_EVERY_SECOND =
        0,                   /* a second later at most; calls wait when it takes longer */
    MEMENTO_SYNC_ALWAYS = 1, /* before the call returns; threads share a sync */
    MEMENTO_SYNC_NEVER = 2   /* when the kernel likes */
};

/* All zeros but `size` are the defaults: struct memento_options o = {.size = sizeof(o)}; */
struct memento_options {
    size_t size; /* sizeof(struct memento_options): which fields there are */
    enum memento_sync_policy sync_policy;
    bool must_exist; /* an absent directory is NOT_FOUND, and is not made */
    bool
        compacts_on_call_only; /* memento_compact; by default also when half the log is garbage */
    unsigned load_threads; /* 0: one a core, at most 16 */
    /* Of a file of the log, two of which are filled with zeros at first; 0: 64 MiB. From 64 KiB
     * to 1 GiB. */
    uint64_t segment_bytes;
    uint64_t compaction_rate;     /* bytes a second that compaction writes; 0: 64 MiB */
    const char *backup_directory; /* NULL: "backups" in the data directory */
    /* A damaged directory is opened with what can be read, when this is its uuid, as the
     * refusal (ERR_CORRUPT) names it. NULL: refused. */
    const char *accept_data_loss;
};

/* Opens the directory, makes it when it is not there, and loads it. With NULL as its name the
 * data lives in memory only. `options` may be NULL. When it fails *handle is NULL and `why` (of
 * `why_size` bytes; may be NULL) says why in one line:
 *     NOT_FOUND        it is not there, and must_exist
 *     ERR_BUSY         a process has it open: this one or another
 *     ERR_CORRUPT      what is on disk is damaged; nothing was changed there
 *     ERR_UNSUPPORTED  a newer memento has written it
 *     ERR_INVALID      an option is out of range
 *     ERR_IO, ERR_NO_SPACE, ERR_NO_MEMORY */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_open(
    const char *directory, const struct memento_options *options, struct memento **handle,
    char *why, size_t why_size);

/* Makes everything durable and frees the handle, also when it answers ERR_IO: the end could
 * not be written, and the next open finds what had been durable. No call may be under way. NULL
 * is fine. Values, batches and their memory stay their owners'. */
MEMENTO_API enum memento_status memento_close(struct memento *handle);

/* ---- reading ---- */

/* A copy of what was stored, until memento_value_free. */
struct memento_value {
    const void *data;
    size_t size;
    void *internal;
};
MEMENTO_API void memento_value_free(struct memento_value *value); /* and empties it */

/* NOT_FOUND, with an empty value. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_get(struct memento *handle,
                                                             const void *key,
                                                             size_t key_size,
                                                             struct memento_value *value);
/* Into the caller's memory. *value_size is what the value has, also with ERR_TOO_LARGE: that is
 * more than `buffer_size`, and nothing was copied. NOT_FOUND. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_read(
    struct memento *handle, const void *key, size_t key_size, void *buffer,
    size_t buffer_size, size_t *value_size);
/* OK or NOT_FOUND. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_exists(struct memento *handle,
                                                                const void *key,
                                                                size_t key_size);
/* What the key has left; MEMENTO_FOREVER. NOT_FOUND. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_ttl(struct memento *handle,
                                                             const void *key,
                                                             size_t key_size,
                                                             int64_t *ttl_ms);
/* Keys, those that are due and not yet removed included. */
MEMENTO_API uint64_t memento_count(struct memento *handle);

/* ---- changing ---- */

#define MEMENTO_FOREVER  0  /* as a time to live: none */
#define MEMENTO_KEEP_TTL -1 /* what the key has already; none for a new key */

enum memento_condition {
    MEMENTO_IF_ANY = 0,
    MEMENTO_IF_ABSENT = 1, /* otherwise MEMENTO_EXISTS, and nothing is changed */
    MEMENTO_IF_PRESENT = 2 /* otherwise MEMENTO_NOT_FOUND */
};

/* Whatever was there; without a time to live. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_set(struct memento *handle,
                                                             const void *key,
                                                             size_t key_size,
                                                             const void *value,
                                                             size_t value_size);
/* ttl_ms: above 0, or one of the two words. ERR_INVALID. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_set_if(
    struct memento *handle, enum memento_condition condition, const void *key,
    size_t key_size, const void *value, size_t value_size, int64_t ttl_ms);
/* OK when there was one, NOT_FOUND otherwise. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_delete(struct memento *handle,
                                                                const void *key,
                                                                size_t key_size);
/* Another time to live, above 0, or MEMENTO_FOREVER. NOT_FOUND; ERR_INVALID. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_expire(struct memento *handle,
                                                                const void *key,
                                                                size_t key_size,
                                                                int64_t ttl_ms);
/* Adds to a decimal number; an absent key counts as 0, and its time to live stays. *result (may
 * be NULL) is the sum. ERR_INVALID: the value is no integer of 64 bits, or the sum is none. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_increment(struct memento *handle,
                                                                   const void *key,
                                                                   size_t key_size,
                                                                   int64_t quantity,
                                                                   int64_t *result);
/* Adds to the end; an absent key counts as empty, and its time to live stays. *value_size (may
 * be NULL) is the new size. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_append(
    struct memento *handle, const void *key, size_t key_size, const void *data,
    size_t data_size, size_t *value_size);
/* Every key. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_clear(struct memento *handle);

/* ---- several changes as one: all of them or none, for other threads and on the disk ---- */

struct memento_batch;

MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_batch_create(
    struct memento_batch **batch);
MEMENTO_API void memento_batch_destroy(struct memento_batch *batch); /* NULL is fine */
/* Keys and values are copied. ttl_ms as memento_set_if has it. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_batch_set(
    struct memento_batch *batch, const void *key, size_t key_size, const void *value,
    size_t value_size, int64_t ttl_ms);
/* A key that is not there is fine. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_batch_delete(
    struct memento_batch *batch, const void *key, size_t key_size);
MEMENTO_API void memento_batch_clear(struct memento_batch *batch);
/* Does them in order. The batch stays as it is: it may be committed again, cleared or
 * destroyed. ERR_TOO_LARGE: together they have more than 1 GiB. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_batch_commit(
    struct memento *handle, const struct memento_batch *batch);

/* ---- visiting all keys ---- */

struct memento_item {
    const void *key;
    size_t key_size;
    const void *value;
    size_t value_size;
    int64_t ttl_ms; /* or MEMENTO_FOREVER */
};
/* What the item points to is good until it returns. It may use the handle. */
typedef void memento_visit(void *context, const struct memento_item *item);

/* Visits those of the next `count` (or a few more) keys that begin with the prefix: maybe none.
 * *cursor is 0 at first, and 0 again when all have been visited. Every key that is there from
 * the first call to the last is visited exactly once; others at most once. ERR_INVALID: `count`
 * is 0; ERR_NO_MEMORY: none was visited, *cursor is unchanged. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_scan(
    struct memento *handle, uint64_t *cursor, const void *prefix, size_t prefix_size,
    size_t count, memento_visit *visit, void *context);

/* ---- the directory ---- */

/* Waits until everything that was changed before this call is on the disk. ERR_LOG_FAILED. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_sync(struct memento *handle);
/* Writes the data anew, without what has been overwritten and deleted, and drops the old log.
 * Other threads go on meanwhile. ERR_IO, ERR_NO_SPACE: the old files stay in force. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_compact(struct memento *handle);
/* A copy of what is durable now, as directory `name` in the backup directory; hard links, so
 * both have to be on one file system. Names are [A-Za-z0-9._-], at most 64 bytes, and do not
 * begin with a dot. ERR_INVALID; ERR_IO with `why`. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_backup(struct memento *handle,
                                                                const char *name,
                                                                char *why,
                                                                size_t why_size);
/* After ERR_LOG_FAILED, when the cause is gone: writes all that is in memory to new files. Changes
 * are taken again when it answers OK. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_reopen_log(
    struct memento *handle, char *why, size_t why_size);

struct memento_stats {
    enum memento_status
        state; /* OK, ERR_NO_SPACE or ERR_LOG_FAILED: what changes would get */
    uint64_t keys;
    uint64_t log_bytes, snapshot_bytes; /* used on disk */
    uint64_t unsynced_bytes;            /* what a power loss may take now */
    uint64_t syncs, compactions;        /* since it was opened */
    uint64_t load_ms, load_records;     /* of opening */
};
/* `size` is sizeof(*stats): which fields there are. */
MEMENTO_API void memento_get_stats(struct memento *handle, struct memento_stats *stats,
                                   size_t size);

/* ---- what memento says ---- */

enum memento_trace_level {
    MEMENTO_TRACE_INFO = 1,
    MEMENTO_TRACE_WARNING = 2,
    MEMENTO_TRACE_ERROR = 3,
    MEMENTO_TRACE_NOTHING = 4
};
/* Lines for the operator about all handles of the process, appended to a file, or to stdout with
 * NULL. Until this is called nothing is said. Before other threads use memento. ERR_IO. */
MEMENTO_API MEMENTO_MUST_USE enum memento_status memento_trace(
    const char *path, enum memento_trace_level level);

#ifdef __cplusplus
}
#endif
