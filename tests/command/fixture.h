/* fixture.h - runs a command line against an engine of its own and gives the reply's
 * text.
 *
 *     struct fixture *f = fixture_create();
 *     assert_string_equal(run(f, "SET k v EX 10"), "+OK\r\n");
 *     fixture_destroy(f);
 *
 * The rows of string and bitmap commands are there; those of generic commands and
 * transactions too, unless FIXTURE_STRINGS_ONLY is defined before this file. Any other
 * handler a test needs it adds itself: fixture_add(f, "dbsize", command_dbsize). The
 * gates of the server are not here, only the check of a request's length. */
#pragma once

#include "base/clock.h"
#include "base/heap.h"
#include "base/number.h"
#include "command/handlers.h"
#include "protocol/request.h"
#include "store/large.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#define FIXTURE_ROWS_MAX 512

struct fixture {
    struct engine engine;
    struct writer writer;
    struct session session;
    struct buf out; /* as the handler left it */
    struct buf
        text; /* the last reply, values that were not copied included; ends in NUL */
    struct reply reply;
    struct words words;
    command_handler *handlers[FIXTURE_ROWS_MAX];
};

/* EXEC has only the call to find a handler by. */
static struct fixture *fixture_now;

static inline void fixture_add(struct fixture *f, const char *name,
                               command_handler *handler)
{
    for (size_t i = 0; i < command_row_count; i++) {
        if (strcmp(command_rows[i].name, name) == 0) {
            f->handlers[i] = handler;
            return;
        }
    }
    fail_msg("no command %s", name);
}

static inline void fixture_run_call(struct call *call)
{
    command_handler *handler = fixture_now->handlers[call->row->index];
    assert_non_null(handler); /* fixture_add it */
    handler(call);
}

static inline void fixture_release(void *owner)
{
    large_drop(owner);
}

#define FIXTURE_GROUP_STRING(name, handler) fixture_add(f, name, handler);
#define FIXTURE_GROUP_BITMAP(name, handler) fixture_add(f, name, handler);
#ifdef FIXTURE_STRINGS_ONLY
#define FIXTURE_GROUP_GENERIC(name, handler)
#define FIXTURE_GROUP_TRANSACTIONS(name, handler)
#else
#define FIXTURE_GROUP_GENERIC(name, handler)      fixture_add(f, name, handler);
#define FIXTURE_GROUP_TRANSACTIONS(name, handler) fixture_add(f, name, handler);
#endif
#define FIXTURE_GROUP_CONNECTION(name, handler)
#define FIXTURE_GROUP_SERVER(name, handler)
#define FIXTURE_GROUP_MEMENTO(name, handler)

static inline void fixture_add_rows(struct fixture *f)
{
    assert_true(command_row_count <= FIXTURE_ROWS_MAX);
#define COMMAND(name, handler, arity, flags, first, last, step, group, since, syntax, \
                complexity, summary)                                                  \
    FIXTURE_##group(name, handler)
#include "command/commands.def"
#undef COMMAND
}

/* RESP2, database 0, the time of now. f->writer.now_ms may be moved by the test. */
static inline struct fixture *fixture_create(void)
{
    struct fixture *f = heap_alloc_zeroed(1, sizeof(*f));
    assert_non_null(f);
    struct hash_seed seed = {1, 2};
    int64_t now_ms = clock_wall_ms();
    assert_int_equal(engine_init(&f->engine, 4, &seed, now_ms), MEMENTO_OK);
    assert_int_equal(writer_init(&f->writer, &f->engine), MEMENTO_OK);
    f->writer.now_ms = now_ms;
    session_init(&f->session, 1, DIALECT_RESP2);
    buf_init(&f->out);
    buf_init(&f->text);
    reply_init(&f->reply, &f->out, fixture_release);
    f->reply.dialect = DIALECT_RESP2;
    words_init(&f->words);
    fixture_add_rows(f);
    call_run = fixture_run_call;
    fixture_now = f;
    return f;
}

static inline void fixture_destroy(struct fixture *f)
{
    words_fini(&f->words);
    reply_fini(&f->reply);
    buf_fini(&f->text);
    buf_fini(&f->out);
    buf_fini(&f->session.name);
    buf_fini(&f->session.library_name);
    buf_fini(&f->session.library_version);
    writer_fini(&f->writer);
    engine_fini(&f->engine);
    heap_free(f);
    fixture_now = NULL;
}

static inline void fixture_dialect(struct fixture *f, enum dialect dialect)
{
    f->session.dialect = dialect;
    f->reply.dialect = dialect;
}

static inline const struct command_row *fixture_find(const struct bytes *words,
                                                     size_t count)
{
    const struct command_row *row = command_find(words[0]);
    if (row != NULL && (row->flags & COMMAND_CONTAINER) != 0 && count > 1) {
        const struct command_row *sub = command_find_sub(row, words[1]);
        row = sub != NULL ? sub : row;
    }
    return row;
}

/* Puts the values that were not copied where they belong, and gives their owners back. */
static inline void fixture_collect(struct fixture *f)
{
    size_t done = 0;
    buf_reset(&f->text, SIZE_MAX);
    for (size_t i = 0; i < f->reply.pin_count; i++) {
        struct pin *pin = &f->reply.pins[i];
        buf_append(&f->text, f->out.data + done, pin->at - done);
        buf_append_bytes(&f->text, pin->bytes);
        done = pin->at;
        large_drop(pin->owner);
    }
    f->reply.pin_count = 0;
    buf_append(&f->text, f->out.data + done, f->out.len - done);
}

/* The reply; good until the next run. f->text has it with its length. */
static inline const char *run_words(struct fixture *f, const struct bytes *words,
                                    size_t count)
{
    const struct command_row *row = fixture_find(words, count);
    if (row == NULL) {
        fail_msg("no command %.*s", (int)words[0].len, words[0].data);
    }
    buf_reset(&f->out, SIZE_MAX);
    struct call call = {
        .row = row,
        .args = words,
        .count = count,
        .session = &f->session,
        .writer = &f->writer,
        .reply = &f->reply,
    };
    if (row->arity >= 0 ? count != (size_t)row->arity : count < (size_t)-row->arity) {
        reply_errorf(&f->reply, "ERR wrong number of arguments for '%s' command",
                     row->name);
    } else {
        fixture_run_call(&call);
    }
    assert_int_equal(f->reply.depth, 0); /* every list got all its elements */
    assert_int_equal(f->writer.span_depth, 0);
    fixture_collect(f);
    return buf_c_string(&f->text);
}

/* Words as in a text line: quotes and \x00 escapes work. */
static inline const char *run(struct fixture *f, const char *line)
{
    char copy[4096];
    size_t len = strlen(line);
    assert_true(len < sizeof(copy));
    memcpy(copy, line, len);
    f->words.count = 0;
    assert_true(words_split(&f->words, copy, len));
    assert_true(f->words.count > 0);
    return run_words(f, f->words.items, f->words.count);
}

/* assert_replies(f, "GET k", "$1\r\nv\r\n") says which line it was when it fails. */
#define assert_replies(f, line, reply) \
    fixture_assert_replies((f), (line), B(reply), __FILE__, __LINE__)
static inline void fixture_assert_replies(struct fixture *f, const char *line,
                                          struct bytes reply, const char *file, int at)
{
    run(f, line);
    if (!bytes_equal(buf_bytes(&f->text), reply)) {
        print_error("%s\n", line);
        test_bytes_equal(buf_bytes(&f->text), reply, file, at);
    }
}

/* For cmocka_unit_test_setup_teardown. */
static inline int fixture_setup(void **state)
{
    *state = fixture_create();
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fixture_destroy(*state);
    return 0;
}

#define FIXTURE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
