#include "base/thread.h"

#include "base/check.h"
#include "base/os.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static void *thread_main(void *argument)
{
    struct thread *thread = argument;
    pthread_setname_np(pthread_self(), thread->name);
    thread->body(thread->context);
    return NULL;
}

/* All that others may send. The signals of a fault stay open: they hit the thread that
 * made it and nobody else could handle them. */
static void signals_to_block(sigset_t *signals)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGABRT, SIGTRAP, SIGSYS};
    sigfillset(signals);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        sigdelset(signals, faults[i]);
    }
}

enum memento_status thread_start(struct thread *thread, const char *name,
                                 thread_body *body, void *context)
{
    thread->body = body;
    thread->context = context;
    snprintf(thread->name, sizeof(thread->name), "%s", name);
    if (os_must_fail(OS_THREAD)) {
        return MEMENTO_ERR_IO;
    }

    /* A thread inherits the mask of its parent: blocked here, no signal can reach it even
     * in its first moments. */
    sigset_t blocked, before;
    signals_to_block(&blocked);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    int error = pthread_create(&thread->id, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        errno = error;
        return MEMENTO_ERR_IO;
    }
    return MEMENTO_OK;
}

void thread_join(struct thread *thread)
{
    CHECK(pthread_join(thread->id, NULL) == 0);
}

unsigned thread_cores(void)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
        int count = CPU_COUNT(&allowed);
        return count > 0 ? (unsigned)count : 1;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more cores than cpu_set_t has bits */
    return online > 0 ? (unsigned)online : 1;
}
