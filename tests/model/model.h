/* model.h - the keyspace as anybody would write it who did not care for speed: an array
 * of keys with their values, and one plain function for each command.
 *
 * It understands what the generator of commands_test.c makes, nothing more: requests of
 * right arity whose numbers are numbers. */
#pragma once

#include "base/buf.h"
#include "protocol/reply.h"

#include <stdbool.h>
#include <stdint.h>

#define MODEL_KEYS      24
#define MODEL_DATABASES 3
#define MODEL_FOREVER   INT64_MAX

struct model_entry {
    bool is_there;
    struct buf value;
    int64_t deadline_ms; /* or MODEL_FOREVER */
    int64_t created_ms;
    uint64_t changes; /* how often anything happened to it, for WATCH */
};

struct model {
    struct model_entry entries[MODEL_DATABASES][MODEL_KEYS];
    unsigned database;
    int64_t now_ms;
};

void model_init(struct model *model);
void model_fini(struct model *model);

/* The name of key `index`; "k0" to "k23". */
struct bytes model_key_name(unsigned index);
/* NULL when it is absent or has expired. */
struct model_entry *model_find(struct model *model, unsigned database, unsigned key);

/* Runs a request; the reply is what memento must answer. */
void model_run(struct model *model, const struct bytes *words, size_t count,
               struct reply *reply);
