/* batch.c - several changes as one: their shards are held together, and their records are one
 * frame of the log.
 *
 * A change that fails in the middle is rare (memory has run out) and must leave nothing behind:
 * what each change replaces is kept until all are done. */
#include "base/check.h"
#include "base/heap.h"
#include "embed/handle.h"

#include <string.h>

/* Keys and values of one batch: far below what one frame of the log can hold. */
#define BATCH_BYTES_MAX (1ull << 30)

struct change {
    bool is_deletion;
    size_t key_at, key_size; /* in the batch's bytes */
    size_t value_at, value_size;
    int64_t ttl_ms;
};

struct memento_batch {
    struct buf changes; /* of struct change */
    struct buf bytes;
};

static size_t batch_count(const struct memento_batch *batch)
{
    return batch->changes.len / sizeof(struct change);
}

static const struct change *batch_at(const struct memento_batch *batch, size_t index)
{
    return (const struct change *)(const void *)batch->changes.data + index;
}

enum memento_status memento_batch_create(struct memento_batch **batch)
{
    *batch = heap_alloc(sizeof(**batch));
    if (*batch == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    buf_init(&(*batch)->changes);
    buf_init(&(*batch)->bytes);
    return MEMENTO_OK;
}

void memento_batch_destroy(struct memento_batch *batch)
{
    if (batch != NULL) {
        buf_fini(&batch->changes);
        buf_fini(&batch->bytes);
        heap_free(batch);
    }
}

void memento_batch_clear(struct memento_batch *batch)
{
    batch->changes.len = 0;
    batch->bytes.len = 0;
}

static enum memento_status add(struct memento_batch *batch, struct change change,
                               struct bytes key, struct bytes value)
{
    enum memento_status status = check_sizes(key.len, value.len);
    if (status == MEMENTO_OK &&
        batch->bytes.len + key.len + value.len > BATCH_BYTES_MAX) {
        status = MEMENTO_ERR_TOO_LARGE;
    }
    if (status != MEMENTO_OK) {
        return status;
    }
    if (!buf_reserve(&batch->bytes, key.len + value.len) ||
        !buf_reserve(&batch->changes, sizeof(change))) {
        batch->bytes.failed = batch->changes.failed = false; /* what is there stays */
        return MEMENTO_ERR_NO_MEMORY;
    }
    change.key_at = batch->bytes.len;
    change.key_size = key.len;
    buf_append_bytes(&batch->bytes, key);
    change.value_at = batch->bytes.len;
    change.value_size = value.len;
    buf_append_bytes(&batch->bytes, value);
    buf_append(&batch->changes, &change, sizeof(change));
    return MEMENTO_OK;
}

enum memento_status memento_batch_set(struct memento_batch *batch, const void *key,
                                      size_t key_size, const void *value,
                                      size_t value_size, int64_t ttl_ms)
{
    if (ttl_ms < MEMENTO_KEEP_TTL) {
        return MEMENTO_ERR_INVALID;
    }
    return add(batch, (struct change){.ttl_ms = ttl_ms}, given(key, key_size),
               given(value, value_size));
}

enum memento_status memento_batch_delete(struct memento_batch *batch, const void *key,
                                         size_t key_size)
{
    return add(batch, (struct change){.is_deletion = true}, given(key, key_size),
               given(NULL, 0));
}

/* ---- committing ---- */

/* One change and what it replaces. */
struct step {
    struct engine_value value; /* what is set */
    int64_t deadline_ms;       /* and until when, unless it is kept */
    bool is_done;
    bool was_there;
    struct engine_value old; /* large: one reference is ours; otherwise `old_copy` */
    char *old_copy;
    int64_t old_deadline_ms, old_created_ms;
};

struct commit {
    const struct memento_batch *batch;
    struct writer *writer;
    struct key *keys;
    struct step *steps;
    size_t count;
};

/* Everything that can be done before a shard is held. */
static enum memento_status prepare(struct commit *commit, struct memento *handle)
{
    for (size_t i = 0; i < commit->count; i++) {
        const struct change *change = batch_at(commit->batch, i);
        const char *bytes = commit->batch->bytes.len > 0 ? commit->batch->bytes.data : "";
        struct step *step = &commit->steps[i];
        commit->keys[i] = key_of(handle, bytes + change->key_at, change->key_size);
        enum memento_status status = MEMENTO_OK;
        if (!change->is_deletion) {
            status = engine_value_make(
                given(bytes + change->value_at, change->value_size), &step->value);
        }
        if (status == MEMENTO_OK && change->ttl_ms != MEMENTO_KEEP_TTL) {
            status =
                deadline_of(commit->writer->now_ms, change->ttl_ms, &step->deadline_ms);
        }
        if (status != MEMENTO_OK) {
            return status;
        }
    }
    return MEMENTO_OK;
}

static enum memento_status keep_old(struct step *step, const struct item *item)
{
    step->old_deadline_ms = item->deadline_ms;
    step->old_created_ms = item->created_ms;
    if (item->large != NULL) {
        step->old = (struct engine_value){item->value, large_take(item->large)};
        return MEMENTO_OK;
    }
    step->old_copy = heap_copy(item->value.data, item->value.len);
    step->old.bytes = bytes_of(step->old_copy, item->value.len);
    return step->old_copy != NULL ? MEMENTO_OK : MEMENTO_ERR_NO_MEMORY;
}

static enum memento_status do_step(struct commit *commit, size_t index)
{
    const struct change *change = batch_at(commit->batch, index);
    struct step *step = &commit->steps[index];
    struct key *key = &commit->keys[index];
    struct writer *writer = commit->writer;
    struct shard *shard = engine_lock(writer, key);
    struct item item;
    step->was_there = engine_find(writer, shard, key, &item) == MEMENTO_OK;
    enum memento_status status = step->was_there ? keep_old(step, &item) : MEMENTO_OK;
    if (status == MEMENTO_OK && change->is_deletion) {
        status = engine_delete(writer, shard, key);
        status = status == MEMENTO_NOT_FOUND ? MEMENTO_OK : status;
    } else if (status == MEMENTO_OK) {
        bool keeps = change->ttl_ms == MEMENTO_KEEP_TTL;
        int64_t old_ms = step->was_there ? item.deadline_ms : ENTRY_NO_DEADLINE;
        status = engine_set(writer, shard, key, &step->value,
                            keeps ? old_ms : step->deadline_ms, ENGINE_CREATED_NOW);
    }
    step->is_done = status == MEMENTO_OK;
    engine_unlock(writer, shard);
    return status;
}

/* Puts back what was there; `mark` is where the log stands, and again afterwards. The chunk it had
 * is free again and its shard still ours, so there is memory for it; were there none, memory would
 * differ from the log from here on, and the log is what counts. */
static void undo_step(struct commit *commit, size_t index, struct log_mark mark)
{
    struct step *step = &commit->steps[index];
    struct key *key = &commit->keys[index];
    struct writer *writer = commit->writer;
    struct shard *shard = engine_lock(writer, key);
    enum memento_status status;
    if (step->was_there) {
        status = engine_set(writer, shard, key, &step->old, step->old_deadline_ms,
                            step->old_created_ms);
    } else {
        status = engine_delete(writer, shard, key);
        status = status == MEMENTO_NOT_FOUND ? MEMENTO_OK : status;
    }
    CHECK(status == MEMENTO_OK);
    log_unstage(&writer->log, mark);
    engine_unlock(writer, shard);
}

/* All of them, or none: then nothing is left to be logged either. */
static enum memento_status do_all(struct commit *commit)
{
    struct writer *writer = commit->writer;
    struct log_mark mark = log_staged(&writer->log);
    enum memento_status status = MEMENTO_OK;
    engine_lock_keys(writer, commit->keys, commit->count);
    for (size_t i = 0; i < commit->count && status == MEMENTO_OK; i++) {
        status = do_step(commit, i);
    }
    if (status != MEMENTO_OK) {
        log_unstage(&writer->log, mark);
        for (size_t i = commit->count; i-- > 0;) {
            if (commit->steps[i].is_done) {
                undo_step(commit, i, mark);
            }
        }
    }
    engine_unlock_span(writer);
    return status;
}

static void commit_fini(struct commit *commit)
{
    for (size_t i = 0; commit->steps != NULL && i < commit->count; i++) {
        engine_value_drop(&commit->steps[i].value);
        engine_value_drop(&commit->steps[i].old);
        heap_free(commit->steps[i].old_copy);
    }
    heap_free(commit->steps);
    heap_free(commit->keys);
}

static bool only_deletes(const struct memento_batch *batch)
{
    for (size_t i = 0; i < batch_count(batch); i++) {
        if (!batch_at(batch, i)->is_deletion) {
            return false;
        }
    }
    return true;
}

enum memento_status memento_batch_commit(struct memento *handle,
                                         const struct memento_batch *batch)
{
    struct seat *seat;
    struct commit commit = {.batch = batch, .count = batch_count(batch)};
    if (commit.count == 0) {
        return MEMENTO_OK;
    }
    enum memento_status status = turn_begin_change(handle, only_deletes(batch), &seat);
    if (status != MEMENTO_OK) {
        return status;
    }
    commit.writer = &seat->writer;
    commit.keys = heap_alloc_zeroed(commit.count, sizeof(*commit.keys));
    commit.steps = heap_alloc_zeroed(commit.count, sizeof(*commit.steps));
    status = commit.keys == NULL || commit.steps == NULL ? MEMENTO_ERR_NO_MEMORY
                                                         : prepare(&commit, handle);
    if (status == MEMENTO_OK) {
        status = do_all(&commit);
    }
    status = turn_end(seat, status);
    commit_fini(&commit);
    return status;
}
