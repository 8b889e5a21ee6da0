/* client_text.h - one client as a line of CLIENT LIST, and its addresses as CLIENT KILL compares
 * them. */
#pragma once

#include "base/buf.h"
#include "server/connection.h"

#include <stdint.h>

/* "127.0.0.1:52878", "[::1]:52878", "/path:0" on a unix socket, whose clients have no address
 * of their own; "?:0" when the socket is gone. Appended. Under the lock of the registry. */
void client_print_address(const struct connection *connection, struct buf *out);
void client_print_own_address(const struct connection *connection, struct buf *out);

/* "id=4 addr=127.0.0.1:52878 ... lib-ver=\n", as Redis writes it, without what memento does not
 * know (oll). Under the lock of the registry: it may be another worker's. */
void client_print(const struct connection *connection, int64_t now_ms, struct buf *out);
