/* scan.c - visiting all keys: what a shard holds is gathered under its lock, and shown to the
 * visitor when no lock is held and the policy is content. */
#include "base/heap.h"
#include "embed/handle.h"

#include <string.h>

/* Buckets one call looks at, at most: so that a nearly empty keyspace is not walked in one go. */
#define SCAN_WORK_MAX 100000

/* What stands in the buffer for each key; then the key, and the value unless it is large. */
struct gathered {
    size_t key_size, value_size;
    struct large *large; /* one reference is the buffer's, or NULL */
    int64_t deadline_ms;
};

struct gathering {
    struct bytes prefix;
    struct buf buf;
};

static void gather(void *context, const struct item *item)
{
    struct gathering *gathering = context;
    struct bytes prefix = gathering->prefix;
    if (item->key.len < prefix.len ||
        (prefix.len > 0 && memcmp(item->key.data, prefix.data, prefix.len) != 0)) {
        return;
    }
    struct gathered head = {item->key.len, item->value.len, item->large,
                            item->deadline_ms};
    size_t inlined = item->large == NULL ? item->value.len : 0;
    if (!buf_reserve(&gathering->buf, sizeof(head) + item->key.len + inlined)) {
        return; /* the buffer has failed, and says so */
    }
    if (item->large != NULL) {
        large_take(item->large);
    }
    buf_append(&gathering->buf, &head, sizeof(head));
    buf_append_bytes(&gathering->buf, item->key);
    buf_append(&gathering->buf, item->value.data, inlined);
}

/* Shows what was gathered, unless `visit` is NULL, and lets it go. */
static void show(struct buf *buf, int64_t now_ms, memento_visit *visit, void *context)
{
    const char *at = buf->data;
    const char *end =
        buf->len == 0 ? at : at + buf->len; /* (NULL has nothing behind it) */
    while (at != end) {
        struct gathered head;
        memcpy(&head, at, sizeof(head));
        const char *key = at + sizeof(head);
        const char *value = head.large != NULL ? head.large->bytes : key + head.key_size;
        at = key + head.key_size + (head.large != NULL ? 0 : head.value_size);
        struct memento_item item = {key, head.key_size, value, head.value_size,
                                    ttl_of(now_ms, head.deadline_ms)};
        if (visit != NULL) {
            visit(context, &item);
        }
        large_drop(head.large);
    }
    buf_fini(buf);
}

enum memento_status memento_scan(struct memento *handle, uint64_t *cursor,
                                 const void *prefix, size_t prefix_size, size_t count,
                                 memento_visit *visit, void *context)
{
    if (count == 0) {
        return MEMENTO_ERR_INVALID;
    }
    struct seat *seat;
    enum memento_status status = turn_begin(handle, &seat);
    if (status != MEMENTO_OK) {
        return status;
    }
    struct gathering gathering = {.prefix = bytes_of(prefix, prefix_size)};
    buf_init(&gathering.buf);
    int64_t now_ms = seat->writer.now_ms;
    uint64_t next =
        engine_scan(&seat->writer, *cursor, 0, count, SCAN_WORK_MAX, gather, &gathering);
    status = turn_end(seat, gathering.buf.failed ? MEMENTO_ERR_NO_MEMORY : MEMENTO_OK);
    show(&gathering.buf, now_ms, status == MEMENTO_OK ? visit : NULL, context);
    if (status == MEMENTO_OK) {
        *cursor = next;
    }
    return status;
}
