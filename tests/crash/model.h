/* model.h - what one client's keys must hold, and the requests that change them.
 *
 * Nobody else touches a client's keys, and a server executes what comes over one connection
 * in order. So every reply is known beforehand, and after a crash the keys must be as some
 * number of the unanswered requests left them: a prefix, with nothing answered missing, nothing
 * half done and nothing that was never sent. That is the whole oracle.
 *
 * A request is made from random numbers alone, never from what the keys hold: the same seed
 * gives the same requests, whenever the server was killed.
 *
 * Thread: the owner of the model. */
#pragma once

#include "base/buf.h"
#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Keys by what is done to them: any bytes; numbers; values that end soon; values that a log
 * stages by reference (16 KiB and more). */
#define MODEL_PLAIN    32
#define MODEL_NUMBERS  8
#define MODEL_EXPIRING 8
#define MODEL_LARGE    4
#define MODEL_KEYS     (MODEL_PLAIN + MODEL_NUMBERS + MODEL_EXPIRING + MODEL_LARGE)

#define MODEL_NAME_BYTES 32

struct cell {
    bool exists;
    int64_t deadline_ms; /* wall clock; 0: none */
    struct buf value;
};

struct model {
    unsigned client;
    struct cell cells[MODEL_KEYS];
};

enum step_kind {
    STEP_SET,
    STEP_SET_UNTIL, /* with a deadline */
    STEP_GET,
    STEP_DEL,
    STEP_GETDEL,
    STEP_INCR,
    STEP_APPEND,
    STEP_SETRANGE,
    STEP_EXPIRE, /* PEXPIREAT */
    STEP_PERSIST,
    STEP_FLUSHDB
};

/* One change. Its value is made of (client, number, len) when it is needed. */
struct step {
    enum step_kind kind;
    unsigned key;
    uint64_t number; /* of the client's steps */
    unsigned len;
    unsigned offset; /* SETRANGE */
    int64_t deadline_ms;
};

/* How its steps are sent: as one command, or as several that count as one. */
enum request_form { FORM_PLAIN, FORM_MSET, FORM_MGET, FORM_DEL, FORM_EXEC, FORM_CAS };

#define REQUEST_STEPS_MAX 8

struct request {
    enum request_form form;
    unsigned count;
    struct step steps[REQUEST_STEPS_MAX];
};

/* What may be asked besides. */
struct request_rules {
    bool may_flush;   /* FLUSHDB: the client has a database of its own */
    int64_t begin_ms; /* wall clock: far deadlines are counted from here */
};

void model_init(struct model *model, unsigned client);
void model_fini(struct model *model);
void model_clear(struct model *model); /* FLUSHALL */
void model_copy(struct model *to, const struct model *from);
/* Of all that does not end soon. */
uint64_t model_digest(const struct model *model);

/* "c3:k7"; the length. */
size_t model_key_name(const struct model *model, unsigned key,
                      char name[MODEL_NAME_BYTES]);
/* The key of a name, or -1. */
int model_key_of_name(const struct model *model, struct bytes name);
bool model_key_ends_soon(unsigned key);

/* *number counts the client's steps. */
void request_make(struct request *request, struct random *random, uint64_t *number,
                  const struct request_rules *rules);
/* As RESP. */
void request_print(const struct request *request, const struct model *model,
                   struct buf *out);
/* Executes it, and appends the exact bytes of the reply; reply may be NULL. */
void model_apply(struct model *model, const struct request *request, struct buf *reply);

/* What was read back between two moments; the same cells, with deadlines. */
struct sight {
    struct model model;
    int64_t from_ms, to_ms;
};
/* The first key in which they differ, or -1. What ends between the two moments, give or take
 * the clocks' difference, may be there or not. */
int model_differs(const struct model *model, const struct sight *sight);
