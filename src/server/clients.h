/* clients.h - the registry of all connections, so that one worker can list or end those of
 * another. Its lock is taken when a client comes, goes, is renamed, or somebody asks. */
#pragma once

#include "base/annotate.h"
#include "base/list.h"
#include "base/lock.h"
#include "server/connection.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct clients {
    struct lock lock;
    struct list all; /* struct connection, of_clients */
    _Atomic uint64_t next_id;
    _Atomic uint64_t count;
};

void clients_init(struct clients *clients);
void clients_fini(struct clients *clients);
void clients_add(struct clients *clients, struct connection *connection);
void clients_remove(struct clients *clients, struct connection *connection);

/* Calls `visit` for every connection, under the lock: it may read what connection.h offers to
 * other threads, session.id, session.name, library_*, fd (getpeername), and nothing else. */
typedef void clients_visit(void *context, struct connection *connection);
void clients_each(struct clients *clients, clients_visit *visit, void *context);
