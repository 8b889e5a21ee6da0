/* call.h - one request on its way through a handler.
 *
 * A handler finds its words in args (args[0] is the command as typed), has been spared wrong
 * arity, missing rights and unknown names by the gates, answers exactly once through `reply`,
 * and never waits.
 *
 * May use:    base/, engine/, protocol/. */
#pragma once

#include "base/bytes.h"
#include "command/session.h"
#include "command/spec.h"
#include "engine/engine.h"
#include "protocol/reply.h"

#include <stdbool.h>
#include <stdint.h>

struct call {
    const struct command_row *row;
    const struct bytes *args;
    size_t count;
    uint64_t
        first_key_hash; /* of the bytes of args[row->first_key]; valid when hash_known */
    bool hash_known;
    bool is_line; /* came as a text line, not as RESP */
    struct session *session;
    struct writer *writer;
    struct reply *reply;
};

typedef void command_handler(struct call *call);

/* The key in args[at], in the session's database. The first key's hash is not computed twice. */
struct key call_key(const struct call *call, size_t at);
/* False, and the error is answered, when args[at] is no int64. */
bool call_integer(const struct call *call, size_t at, int64_t *value);
/* The error reply for a failure of the engine, in words; constant. */
const char *call_failure(enum memento_status status);
/* Answers it. */
void call_failed(const struct call *call, enum memento_status status);
/* OK, or the failure. */
void call_answer(const struct call *call, enum memento_status status);
/* "ERR syntax error" */
void call_syntax_error(const struct call *call);
/* False, and the error is answered, when a value of `len` bytes is over the limit. */
bool call_value_fits(const struct call *call, uint64_t len);
/* Case-insensitive compare of a word with a literal. */
static inline bool call_is(const struct call *call, size_t at, const char *word)
{
    return bytes_is(call->args[at], word);
}
/* Answers a value found under a lock: copies it, or pins its block. */
void call_reply_found(const struct call *call, struct bytes value, struct large *large);

/* Runs a request that has passed the gates, its reply included; EXEC uses it for what MULTI
 * queued. Set once at start by the server, which alone knows the handlers. */
extern void (*call_run)(struct call *call);
