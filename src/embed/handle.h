/* handle.h - what a handle of the library is made of.
 *
 * A call is a turn of a writer, as a worker of the server has turns: it takes a seat, which has a
 * writer, changes things, commits them to the log, waits for what the policy wants, and gives the
 * seat back. Seats are made when all are taken, and kept.
 *
 * May use:    base/, engine/.
 * Invariants: a seat's writer is used by the one thread that has the seat; what a seat that is
 *             free has committed was written, unless the log cannot be written. */
#pragma once

#include <memento/memento.h>

#include "base/annotate.h"
#include "base/lock.h"
#include "base/thread.h"
#include "engine/engine.h"
#include "engine/persist.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Calls under way at once; more wait for a seat. Each sync looks at all writers. */
#define SEATS_MAX 128

struct CACHE_ALIGNED seat {
    struct writer writer;
    struct memento *handle;
    struct lock lock;
    pthread_cond_t woken;
    bool is_woken;      /* under lock: by the log, since the seat's thread looked last */
    uint64_t committed; /* before this turn */
    _Atomic bool is_late; /* free, with a frame that was not written */
    _Atomic bool is_taken;
};

struct memento {
    struct engine engine;
    bool is_logged; /* false: in memory only */
    enum log_policy policy;

    struct seat *_Atomic seats[SEATS_MAX];
    _Atomic unsigned seat_count;
    struct lock seats_lock;    /* to add a seat, and to wait for one */
    pthread_cond_t seat_given; /* back */
    _Atomic unsigned waiting;  /* threads without a seat */

    struct thread sweeper;  /* removes due keys, and follows the wall clock */
    struct writer sweeping; /* its own */
    struct lock sweeper_lock;
    pthread_cond_t sweeper_woken;
    bool is_stopping; /* under sweeper_lock */
    bool has_sweeper;
};

/* ---- turns: any thread ---- */

/* Begins a turn that only reads. ERR_NO_MEMORY. */
MUST_USE enum memento_status turn_begin(struct memento *handle, struct seat **seat);
/* One that changes something: waits while the log is behind. ERR_NO_MEMORY; ERR_LOG_FAILED;
 * ERR_NO_SPACE, but not for deletions. */
MUST_USE enum memento_status turn_begin_change(struct memento *handle, bool is_deletion,
                                               struct seat **seat);
/* Commits, waits for what the policy wants of `status`, the turn's answer, and gives the seat
 * back. That answer, or why it is not known to last. */
MUST_USE enum memento_status turn_end(struct seat *seat, enum memento_status status);

/* ---- the seats: by who opens and closes ---- */

void seats_init(struct memento *handle);
void seats_fini(struct memento *handle);
/* The sweeper: looks after seats that were given back before their frames were written. */
void seats_rest(struct memento *handle);

/* ---- what callers give ---- */

MUST_USE enum memento_status check_sizes(size_t key_size, size_t value_size);
/* The moment a time to live ends. ERR_INVALID. */
MUST_USE enum memento_status deadline_of(int64_t now_ms, int64_t ttl_ms,
                                         int64_t *deadline_ms);
/* Nothing may come as NULL; inside it is a place all the same. */
static inline struct bytes given(const void *data, size_t size)
{
    return size > 0 ? bytes_of(data, size) : bytes_of("", 0);
}
static inline struct key key_of(const struct memento *handle, const void *key,
                                size_t size)
{
    struct bytes bytes = given(key, size);
    return engine_key(&handle->engine, bytes, engine_hash(&handle->engine, bytes), 0);
}
/* Milliseconds left of a deadline, at least 1; MEMENTO_FOREVER without one. */
int64_t ttl_of(int64_t now_ms, int64_t deadline_ms);
/* One line, cut where it must be, with its NUL; `why` may be NULL. */
void tell(char *why, size_t why_size, struct bytes text);
