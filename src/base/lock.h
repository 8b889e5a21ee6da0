/* lock.h - mutual exclusion that clang can check. Lock order is in src/README.md. */
#pragma once

#include "base/annotate.h"

#include <pthread.h>

struct CAPABILITY("lock") lock {
    pthread_mutex_t mutex;
};

void lock_init(struct lock *lock);
void lock_fini(struct lock *lock);
/* A condition to wait for with a lock; timed waits are by the monotonic clock. Ended with
 * pthread_cond_destroy. */
void lock_condition_init(pthread_cond_t *condition);

static inline void lock_acquire(struct lock *lock) ACQUIRES(lock) UNCHECKED_LOCKING
{
    pthread_mutex_lock(&lock->mutex);
}

static inline void lock_release(struct lock *lock) RELEASES(lock) UNCHECKED_LOCKING
{
    pthread_mutex_unlock(&lock->mutex);
}
