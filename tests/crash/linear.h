/* linear.h - whether what clients saw of one key can be explained by operations that happened
 * one after another, each between its invocation and its return (Herlihy, Wing).
 *
 * The method is Wing and Gong's search with Lowe's memory of configurations, in the form that
 * goes with time: a configuration is a state of the key and the set of open operations that
 * have taken effect. At the return of an operation every configuration is followed, through
 * other open operations where need be, to those in which this one has taken effect; none
 * left means that no order explains the history. A key without open operations has only its
 * possible states left, so a history may be judged in parts, each going on from the last.
 *
 * An operation without an answer may have taken effect until its return time, or never: whoever
 * records it puts there the moment after which it cannot any more (its server is dead).
 *
 * Pure: no threads, no files. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key's value as far as histories tell values apart: a number, or the hash and length of a
 * text. All fields are 0 when it does not exist. */
struct value {
    uint64_t hash;
    uint32_t len;
    uint32_t exists;
};

enum event_kind {
    EVENT_READ,   /* seen */
    EVENT_WRITE,  /* wanted */
    EVENT_DELETE, /* seen.exists: whether there was something */
    EVENT_INCR,   /* seen.hash: the new number */
    EVENT_APPEND, /* wanted.hash: the token, wanted.len; seen.len: the new length */
    EVENT_CAS /* seen: what it has to be, wanted; only those that said yes are recorded */
};

struct event {
    int64_t invoked_ns, returned_ns;
    struct value wanted, seen;
    uint8_t kind;
    bool is_answered; /* otherwise `seen` is known of CAS only, and it may never happen */
    uint16_t key;
    uint32_t client;
};

/* The value after a token has been added to it. */
struct value value_append(struct value value, uint64_t token, uint32_t len);
/* What the event makes of a value; false when it could not have said what it said. */
bool event_apply(const struct event *event, struct value value, struct value *after);

/* The states a key may have when nothing is open. */
struct frontier {
    struct value *values;
    size_t count, cap;
};
void frontier_init(struct frontier *frontier); /* the key does not exist */
void frontier_fini(struct frontier *frontier);

enum verdict {
    LINEARIZABLE,
    NOT_LINEARIZABLE, /* *culprit: the event whose return nothing explains */
    UNDECIDED         /* too many operations at once: more than 64 open, or no memory */
};
/* Judges the events of one key, in any order; on LINEARIZABLE the frontier has moved on. */
enum verdict linear_check(struct frontier *frontier, const struct event *const *events,
                          size_t count, const struct event **culprit);

/* One line for people. */
void event_show(const struct event *event, int64_t origin_ns, struct buf *out);
