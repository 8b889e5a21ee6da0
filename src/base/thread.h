/* thread.h - threads with a name; all signals are blocked in them, main handles those.
 * Only the signals of a thread's own faults (SIGSEGV, SIGABRT and their like) stay
 * open. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"

#include <pthread.h>

typedef void thread_body(void *context);

struct thread {
    pthread_t id;
    thread_body *body;
    void *context;
    char name[16]; /* as ps -L shows it */
};

/* The struct must stay where it is until thread_join. ERR_IO with errno when the system
 * has no thread to give. A name longer than 15 bytes is cut. */
MUST_USE enum memento_status thread_start(struct thread *thread, const char *name,
                                          thread_body *body, void *context);
void thread_join(struct thread *thread);

/* Cores this process may run on; at least 1. */
unsigned thread_cores(void);
