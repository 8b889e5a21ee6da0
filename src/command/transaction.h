/* transaction.h - what MULTI queues and WATCH watches, for the gates and for RESET.
 *
 * A queued request has passed all gates; EXEC only runs it. Its words are copies, owned
 * by the session. */
#pragma once

#include "base/annotate.h"
#include "command/call.h"

#include <stdbool.h>

/* Bytes of all words one transaction may queue: more is refused, and EXEC then aborts. */
#define TRANSACTION_BYTES_MAX (64u << 20)
/* Keys one client may watch: a change in a watched shard looks at all watches there. */
#define TRANSACTION_WATCHES_MAX 16384u

/* Its worker. Queues the request and answers QUEUED; or answers why it cannot and spoils
 * the transaction: false then. */
bool transaction_queue(struct call *call);

/* What EXEC answers when a gate refuses EXEC itself: `reason` is an error without its
 * code. The transaction is over. */
void transaction_abort(struct call *call, const char *reason);

/* Drops queue and watches: RESET, and a connection that closes. No shard is held. */
void transaction_forget(struct session *session, struct writer *writer);
