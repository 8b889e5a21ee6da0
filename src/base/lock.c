#include "base/lock.h"

#include "base/check.h"

#include <time.h>

void lock_init(struct lock *lock)
{
    CHECK(pthread_mutex_init(&lock->mutex, NULL) == 0);
}

void lock_fini(struct lock *lock)
{
    CHECK(pthread_mutex_destroy(&lock->mutex) == 0); /* EBUSY: somebody still holds it */
}

void lock_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}
