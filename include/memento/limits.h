/* limits.h - the limits that are fixed when memento is compiled.
 *
 * What an operator may change is an option (src/server/options.def). Each limit says its
 * unit, why it is what it is, and what the user is told on reaching it. */
#pragma once

/* Bytes of a key. Longer ones: "ERR key is longer than 65536 bytes". */
#define MEMENTO_KEY_BYTES_MAX 65536

/* Bytes of a value, as Redis' proto-max-bulk-len. Longer ones: "ERR string exceeds maximum
 * allowed size (proto-max-bulk-len)", or a protocol error when declared by a client. */
#define MEMENTO_VALUE_BYTES_MAX (512LL * 1024 * 1024)

/* Words of one request, the command included: 1024 * 1024 as in Redis, so that any client's
 * largest MSET fits. More: "ERR Protocol error: invalid multibulk length", then closed. */
#define MEMENTO_ARGS_MAX 1048576

/* Bytes of a text line beyond the largest value. Longer: "ERR Protocol error: too big inline
 * request"; the line is skipped to its end and the connection lives. */
#define MEMENTO_LINE_BYTES_MAX 65536

/* Before a client has given the password: RESP requests of at most so many words and bytes a
 * word. More: the protocol errors of Redis, then closed. */
#define MEMENTO_ARGS_MAX_UNAUTHENTICATED      10
#define MEMENTO_ARG_BYTES_MAX_UNAUTHENTICATED 16384

/* Databases a client can SELECT, as Redis' default. Outside: "ERR DB index is out of range". */
#define MEMENTO_DATABASES 16

/* Worker threads and shards: array sizes; far beyond what one machine uses well.
 * Asking for more is refused at start. Shards take 12 bits of a SCAN cursor. */
#define MEMENTO_WORKERS_MAX 256
#define MEMENTO_SHARDS_MAX  4096

/* Connections: 65,536 is what the largest useful `maxclients` can be.
 * Over `maxclients`: "ERR max number of clients reached", then closed. */
#define MEMENTO_CLIENTS_MAX 65536

/* Bytes of a glob pattern, so that matching stays bounded by pattern times text.
 * Longer: "ERR pattern is longer than 1024 bytes". */
#define MEMENTO_PATTERN_BYTES_MAX 1024
