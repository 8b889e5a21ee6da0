/* workload.h - the requests: prebuilt templates in which only the digits of a key change.
 *
 * A batch of one kind of request is laid out once; after that, sending it again costs the
 * digits of its keys. Keys are numbers below the keyspace behind a prefix, padded with zeros.
 *
 * May use:    base/, options.h, scanner.h.
 * Thread:     a workload is any thread's to read; a batch is its owner's. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/random.h"
#include "options.h"
#include "scanner.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum operation { OPERATION_GET, OPERATION_SET, OPERATIONS };

struct template
{
    char *data;
    size_t len;
    size_t digits_end; /* where the digits of the key end */
    size_t value_at;   /* SET: where the value begins */
};

/* The reply that nearly all requests of a kind get: its first bytes, which no other reply
 * begins with and which settle its length. */
struct usual_reply {
    uint64_t head, mask;
    size_t len; /* SIZE_MAX when the first eight bytes do not settle it */
};

struct workload {
    enum dialect dialect;
    uint64_t keyspace;
    unsigned digits; /* that a key's number can have */
    size_t value_bytes;
    uint64_t gets, sets;
    bool verify;
    struct template templates[OPERATIONS];
    struct usual_reply usual[OPERATIONS];
};
/* ERR_NO_MEMORY; fini in any case. */
MUST_USE enum memento_status workload_init(struct workload *workload,
                                           const struct options *options);
void workload_fini(struct workload *workload);

/* The value of key number `key` repeats this in a verified run. */
void workload_pattern(uint64_t key, char pattern[SCANNER_PATTERN_BYTES]);

/* The next random operation and key: uniform, and by the ratio. */
enum operation workload_draw(const struct workload *workload, struct random *random,
                             uint64_t *key);

/* A batch under construction. While all its requests are of `laid_out`, their templates
 * already stand where they belong. */
struct batch {
    char *data;
    size_t len;
    uint64_t count;
    enum operation laid_out; /* OPERATIONS: none is */
};
/* Room for `count` requests, all of them `only`; or of any kind when that is OPERATIONS. */
MUST_USE enum memento_status batch_init(struct batch *batch,
                                        const struct workload *workload,
                                        enum operation only, uint64_t count);
void batch_fini(struct batch *batch);
void batch_clear(struct batch *batch);
void batch_append(struct batch *batch, const struct workload *workload,
                  enum operation operation, uint64_t key);

/* True, and skipped, when the usual reply to `operation` stands at *at. Eight bytes behind
 * `end` must be readable. */
static inline bool usual_reply_skip(const struct workload *workload,
                                    enum operation operation, const char **at,
                                    const char *end)
{
    const struct usual_reply *usual = &workload->usual[operation];
    if ((size_t)(end - *at) < usual->len) {
        return false;
    }
    uint64_t head;
    memcpy(&head, *at, sizeof(head));
    if ((head & usual->mask) != usual->head) {
        return false;
    }
    *at += usual->len;
    return true;
}
