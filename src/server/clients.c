/* clients.c - the registry; see clients.h. */
#include "server/clients.h"

void clients_init(struct clients *clients)
{
    lock_init(&clients->lock);
    list_init(&clients->all);
    atomic_init(&clients->next_id, 1);
    atomic_init(&clients->count, 0);
}

void clients_fini(struct clients *clients)
{
    lock_fini(&clients->lock);
}

void clients_add(struct clients *clients, struct connection *connection)
{
    lock_acquire(&clients->lock);
    list_append(&clients->all, &connection->of_clients);
    lock_release(&clients->lock);
}

void clients_remove(struct clients *clients, struct connection *connection)
{
    lock_acquire(&clients->lock);
    list_remove(&connection->of_clients);
    lock_release(&clients->lock);
}

void clients_each(struct clients *clients, clients_visit *visit, void *context)
{
    lock_acquire(&clients->lock);
    LIST_EACH (node, next, &clients->all) {
        visit(context, CONTAINER_OF(node, struct connection, of_clients));
    }
    lock_release(&clients->lock);
}
