/* persist_fixture.h - an engine on a directory: opened, written to, closed or abandoned, opened
 * again. Without threads, so that everything happens in the order of the test. */
#pragma once

#include "engine/hook.h"
#include "engine/persist.h"
#include "support/test.h"

#include <stdio.h>

struct fixture {
    char path[TEST_PATH_MAX];
    struct persist_options options;
    struct engine engine;
    struct writer writer;
    unsigned shards;
};

static inline void wake_nobody(void *context)
{
    (void)context;
}

static inline void begin_turn(struct writer *writer)
{
    log_writer_wakes(&writer->log);
    writer->now_ms = engine_now_ms(writer->engine);
    log_writer_turn(&writer->log, (uint64_t)writer->now_ms << LOG_VERSION_SHIFT);
}

/* The keeper makes segments as they are needed; everything is written afterwards. */
static inline void end_turn(struct writer *writer)
{
    if (writer->log.log != NULL) {
        log_commit(&writer->log);
        while (log_keep_step(writer->log.log)) {
        }
        assert_true(atomic_load(&writer->log.written) == writer->log.committed);
        log_writer_sleeps(&writer->log);
    }
}

static inline void writer_open(struct fixture *f, struct writer *writer)
{
    assert_int_equal(writer_init(writer, &f->engine), MEMENTO_OK);
    assert_int_equal(writer_attach(writer, wake_nobody, NULL), MEMENTO_OK);
    begin_turn(writer);
}

static inline void writer_close(struct writer *writer)
{
    writer_detach(writer);
    writer_fini(writer);
}

static inline enum memento_status try_open(struct fixture *f, struct persist_error *error)
{
    struct hash_seed seed = {11, 12};
    assert_int_equal(engine_init(&f->engine, f->shards, &seed, 1000), MEMENTO_OK);
    enum memento_status status = engine_load(&f->engine, &f->options, NULL, error);
    if (status != MEMENTO_OK) {
        engine_fini(&f->engine);
    }
    return status;
}

static inline void open_engine(struct fixture *f)
{
    struct persist_error error;
    if (try_open(f, &error) != MEMENTO_OK) {
        fail_msg("%s", buf_c_string(&error.text));
    }
    buf_fini(&error.text);
    writer_open(f, &f->writer);
}

static inline void verify_engine(struct fixture *f) UNCHECKED_LOCKING
{
    engine_lock_all(&f->writer);
    for (unsigned i = 0; i < f->engine.keyspace.shard_count; i++) {
        shard_verify(&f->engine.keyspace.shards[i]);
    }
    engine_unlock_span(&f->writer);
}

static inline void close_engine(struct fixture *f)
{
    verify_engine(f);
    writer_close(&f->writer);
    assert_int_equal(engine_close(&f->engine), MEMENTO_OK);
    engine_fini(&f->engine);
}

/* As kill -9 leaves it: what was written is in the hands of the kernel. */
static inline void abandon_engine(struct fixture *f)
{
    verify_engine(f);
    writer_close(&f->writer);
    engine_abandon(&f->engine);
    engine_fini(&f->engine);
}

static inline void reopen(struct fixture *f, bool is_clean)
{
    if (is_clean) {
        close_engine(f);
    } else {
        abandon_engine(f);
    }
    open_engine(f);
}

static inline void fixture_options(struct fixture *f, const char *path)
{
    persist_options_default(&f->options);
    f->options.directory = path;
    f->options.segment_bytes = LOG_SEGMENT_BYTES_MIN;
    f->options.compaction_garbage_percent = 0;
    f->options.compaction_rate = 0;
    f->options.has_threads = false;
    f->shards = 4;
}

/* ---- single keys ---- */

static inline struct key named_bytes(struct fixture *f, unsigned database,
                                     struct bytes bytes)
{
    return engine_key(&f->engine, bytes, engine_hash(&f->engine, bytes), database);
}

static inline struct key named(struct fixture *f, unsigned database, const char *name)
{
    return named_bytes(f, database, bytes_of_string(name));
}

static inline void set_bytes(struct fixture *f, struct writer *writer, unsigned database,
                             const char *name, struct bytes bytes, int64_t deadline_ms,
                             int64_t created_ms)
{
    struct key key = named(f, database, name);
    struct engine_value value;
    assert_int_equal(engine_value_make(bytes, &value), MEMENTO_OK);
    struct shard *shard = engine_lock(writer, &key);
    assert_int_equal(engine_set(writer, shard, &key, &value, deadline_ms, created_ms),
                     MEMENTO_OK);
    engine_unlock(writer, shard);
    engine_value_drop(&value);
}

static inline void set(struct fixture *f, unsigned database, const char *name,
                       const char *text)
{
    begin_turn(&f->writer);
    set_bytes(f, &f->writer, database, name, bytes_of_string(text), ENTRY_NO_DEADLINE,
              ENGINE_CREATED_NOW);
    end_turn(&f->writer);
}

static inline enum memento_status drop_by(struct fixture *f, struct writer *writer,
                                          unsigned database, const char *name)
{
    struct key key = named(f, database, name);
    struct shard *shard = engine_lock(writer, &key);
    enum memento_status status = engine_delete(writer, shard, &key);
    engine_unlock(writer, shard);
    return status;
}

static inline void drop(struct fixture *f, unsigned database, const char *name)
{
    begin_turn(&f->writer);
    assert_int_equal(drop_by(f, &f->writer, database, name), MEMENTO_OK);
    end_turn(&f->writer);
}

static inline enum memento_status touch_by(struct fixture *f, struct writer *writer,
                                           unsigned database, const char *name,
                                           int64_t deadline_ms)
{
    struct key key = named(f, database, name);
    struct shard *shard = engine_lock(writer, &key);
    enum memento_status status = engine_set_deadline(writer, shard, &key, deadline_ms);
    engine_unlock(writer, shard);
    return status;
}

static inline void touch(struct fixture *f, unsigned database, const char *name,
                         int64_t deadline_ms)
{
    begin_turn(&f->writer);
    assert_int_equal(touch_by(f, &f->writer, database, name, deadline_ms), MEMENTO_OK);
    end_turn(&f->writer);
}

/* Makes the value so much longer; with 0 the edit changes nothing. */
static inline void append_by(struct fixture *f, struct writer *writer, unsigned database,
                             const char *name, struct bytes more)
{
    struct key key = named(f, database, name);
    struct shard *shard = engine_lock(writer, &key);
    struct item item;
    assert_int_equal(engine_find(writer, shard, &key, &item), MEMENTO_OK);
    size_t old_len = item.value.len;
    char *bytes;
    assert_int_equal(engine_edit(writer, shard, &key, old_len + more.len, &bytes),
                     MEMENTO_OK);
    if (more.len > 0) {
        memcpy(bytes + old_len, more.data, more.len);
    }
    engine_edited(writer, shard, &key, more.len > 0);
    engine_unlock(writer, shard);
}

static inline void append(struct fixture *f, unsigned database, const char *name,
                          struct bytes more)
{
    begin_turn(&f->writer);
    append_by(f, &f->writer, database, name, more);
    end_turn(&f->writer);
}

/* What is stored; its views are good until the next change. NOT_FOUND. */
static inline enum memento_status look(struct fixture *f, unsigned database,
                                       const char *name, struct item *item)
{
    f->writer.now_ms = engine_now_ms(&f->engine);
    struct key key = named(f, database, name);
    struct shard *shard = engine_lock(&f->writer, &key);
    enum memento_status status = engine_find(&f->writer, shard, &key, item);
    engine_unlock(&f->writer, shard);
    return status;
}

static inline bool has(struct fixture *f, unsigned database, const char *name,
                       const char *text)
{
    struct item item;
    return look(f, database, name, &item) == MEMENTO_OK &&
           bytes_equal(item.value, bytes_of_string(text));
}

static inline bool is_absent(struct fixture *f, unsigned database, const char *name)
{
    struct item item;
    return look(f, database, name, &item) == MEMENTO_NOT_FOUND;
}
