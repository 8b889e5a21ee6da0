/* loader.h - the data at the start: a thread that fills the engine from the data directory while
 * main and the workers answer what needs no data.
 *
 * Thread: main, but for the thread itself. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "base/thread.h"
#include "engine/persist.h"

#include <stdatomic.h>
#include <stdbool.h>

struct server;

struct loader {
    struct thread thread;
    struct server *server;
    struct buf directory, backup_directory, accept_data_loss;
    struct persist_options options;
    struct persist_error error;
    enum memento_status status;
    atomic_bool stop;    /* asks it to end early */
    atomic_bool is_done; /* status and error are there; main's mailbox was woken */
    bool is_running;     /* not joined yet */
};

/* ERR_NO_MEMORY, ERR_IO: there is no thread to give. */
MUST_USE enum memento_status loader_start(struct loader *loader, struct server *server);
/* Waits for its end; with `stop` asks it to give up first. */
void loader_join(struct loader *loader, bool stop);
void loader_fini(struct loader *loader);
