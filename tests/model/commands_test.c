/* commands_test.c - random requests, answered by memento's handlers and by the model.
 *
 * The test owns the time: nothing expires but by the steps it takes. Every reply is
 * compared, and every now and then everything there is. A failure prints the seed and the
 * last requests; MEMENTO_SEED=n runs the same requests again. */
#include "base/clock.h"
#include "base/random.h"
#include "command/fixture.h"
#include "command/transaction.h"
#include "model.h"

#include <inttypes.h>
#include <stdlib.h>

#define BEGIN_MS    1700000000000
#define STEPS       60000
#define WORDS_MAX   12
#define QUEUE_MAX   12
#define WATCHES_MAX 3
#define LAST_MAX    20 /* requests printed on failure */
#define LOOK_EVERY  500

struct asked {
    struct buf text; /* of all words */
    size_t at[WORDS_MAX], len[WORDS_MAX];
    size_t count;
};

struct watched {
    unsigned database, key;
    uint64_t changes;
};

struct world {
    struct fixture *f;
    struct model model;
    struct random random;
    struct buf expected;
    struct reply reply;
    struct asked now;
    bool in_multi;
    struct asked queue[QUEUE_MAX];
    size_t queued;
    struct watched watches[WATCHES_MAX];
    size_t watched;
    char last[LAST_MAX][200];
    size_t step;
};

/* ---- making requests ---- */

static unsigned below(struct world *world, unsigned bound)
{
    return (unsigned)random_below(&world->random, bound);
}

static void begin(struct asked *request, const char *name)
{
    buf_reset(&request->text, SIZE_MAX);
    request->count = 0;
    size_t len = strlen(name);
    request->at[0] = 0;
    request->len[0] = len;
    request->count = 1;
    buf_append(&request->text, name, len);
}

static void add_bytes(struct asked *request, struct bytes word)
{
    assert_true(request->count < WORDS_MAX);
    request->at[request->count] = request->text.len;
    request->len[request->count] = word.len;
    request->count++;
    buf_append_bytes(&request->text, word);
}

static void add_word(struct asked *request, const char *word)
{
    add_bytes(request, bytes_of_string(word));
}

static void add_number(struct asked *request, int64_t value)
{
    char text[NUMBER_SHORT_MAX];
    add_bytes(request, bytes_of(text, number_format_int64(text, value)));
}

static void add_key(struct world *world)
{
    add_bytes(&world->now, model_key_name(below(world, MODEL_KEYS)));
}

static void add_keys(struct world *world)
{
    for (unsigned i = 1 + below(world, 5); i > 0; i--) {
        add_key(world);
    }
}

/* Numbers, and bytes of every size class up to the values that live in blocks of their
 * own. */
static void add_value(struct world *world)
{
    static const unsigned sizes[] = {4, 40, 300, 5000, 9000, 40000};
    static char bytes[40000];
    if (below(world, 3) == 0) {
        add_number(&world->now, (int64_t)random_next(&world->random) >> below(world, 63));
        return;
    }
    size_t len =
        1 + below(world, sizes[below(world, 2) == 0 ? below(world, 6) : below(world, 3)]);
    memset(bytes, 'a' + (int)below(world, 26), len);
    bytes[below(world, (unsigned)len)] = (char)below(world, 256);
    add_bytes(&world->now, bytes_of(bytes, len));
}

static int64_t some_ms(struct world *world)
{
    static const unsigned scales[] = {3, 100, 5000, 1000000};
    return 1 + (int64_t)below(world, scales[below(world, 4)]);
}

static void add_one_of(struct world *world, const char *const *words, unsigned count)
{
    const char *word = words[below(world, count)];
    if (word != NULL) {
        add_word(&world->now, word);
    }
}

static void make_set(struct world *world)
{
    static const char *const conditions[] = {NULL, NULL, NULL, "NX", "XX"};
    begin(&world->now, "SET");
    add_key(world);
    add_value(world);
    add_one_of(world, conditions, 5);
    switch (below(world, 6)) {
    case 0:
        add_word(&world->now, "PX");
        add_number(&world->now, some_ms(world));
        break;
    case 1:
        add_word(&world->now, "EX");
        add_number(&world->now, 1 + (int64_t)below(world, 100));
        break;
    case 2:
        add_word(&world->now, "KEEPTTL");
        break;
    default:
        break;
    }
    if (below(world, 4) == 0) {
        add_word(&world->now, "GET");
    }
}

static void make_with_key(struct world *world, const char *const *names, unsigned count)
{
    begin(&world->now, names[below(world, count)]);
    add_key(world);
}

static void make_read(struct world *world)
{
    static const char *const names[] = {"GET",  "GET",         "STRLEN",  "TYPE",
                                        "PTTL", "PEXPIRETIME", "GETRANGE"};
    make_with_key(world, names, 7);
    if (world->now.len[0] == strlen("GETRANGE")) {
        add_number(&world->now, (int64_t)below(world, 12000) - 6000);
        add_number(&world->now, (int64_t)below(world, 12000) - 6000);
    }
}

static void make_change(struct world *world)
{
    static const char *const names[] = {"APPEND", "PREPEND", "GETSET", "SETNX"};
    static const unsigned offsets[] = {10, 300, 9000, 20000};
    unsigned dice = below(world, 4);
    if (dice == 1 && world->watched > 0) {
        dice = 0; /* whether setting a bit to what it is breaks a WATCH is left open */
    }
    switch (dice) {
    case 0:
        begin(&world->now, "SETRANGE");
        add_key(world);
        add_number(&world->now, (int64_t)below(world, offsets[below(world, 4)]));
        add_value(world);
        break;
    case 1:
        begin(&world->now, "SETBIT");
        add_key(world);
        add_number(&world->now, (int64_t)below(world, 8 * offsets[below(world, 3)]));
        add_number(&world->now, (int64_t)below(world, 2));
        break;
    default:
        make_with_key(world, names, 4);
        add_value(world);
        break;
    }
}

static void make_number(struct world *world)
{
    begin(&world->now, below(world, 2) == 0 ? "INCRBY" : "DEC");
    add_key(world);
    bool is_dec = world->now.len[0] == 3;
    if (!is_dec || below(world, 2) == 0) {
        int64_t quantity = (int64_t)random_next(&world->random) >> (1 + below(world, 62));
        add_number(&world->now, quantity);
    }
}

static void make_many(struct world *world)
{
    static const char *const reads[] = {"MGET", "EXISTS", "TOUCH"};
    static const char *const drops[] = {"DEL", "UNLINK"};
    switch (below(world, 4)) {
    case 0:
        begin(&world->now, drops[below(world, 2)]);
        add_keys(world);
        break;
    case 1:
        begin(&world->now, below(world, 3) == 0 ? "MSETNX" : "MSET");
        for (unsigned i = 1 + below(world, 4); i > 0; i--) {
            add_key(world);
            add_value(world);
        }
        break;
    default:
        begin(&world->now, reads[below(world, 3)]);
        add_keys(world);
        break;
    }
}

static void make_expiry(struct world *world)
{
    static const char *const conditions[] = {NULL, NULL, NULL, "NX", "XX", "GT", "LT"};
    static const char *const takes[] = {"PERSIST", "GETDEL", "GETEX", "GETEX"};
    switch (below(world, 5)) {
    case 0:
        make_with_key(world, takes, 4);
        if (world->now.len[0] == strlen("GETEX") && below(world, 2) == 0) {
            add_word(&world->now, "PERSIST");
        } else if (world->now.len[0] == strlen("GETEX")) {
            add_word(&world->now, "PX");
            add_number(&world->now, some_ms(world));
        }
        return;
    case 1:
        begin(&world->now, "EXPIRE");
        add_key(world);
        add_number(&world->now, (int64_t)below(world, 100) - 5);
        break;
    case 2:
        begin(&world->now, "PEXPIREAT");
        add_key(world);
        add_number(&world->now, world->model.now_ms + some_ms(world) - 50);
        break;
    default:
        begin(&world->now, "PEXPIRE");
        add_key(world);
        add_number(&world->now, some_ms(world) - (int64_t)below(world, 20));
        break;
    }
    add_one_of(world, conditions, 7);
}

static void make_two_keys(struct world *world)
{
    static const char *const names[] = {"RENAME", "RENAME", "RENAMENX", "COPY", "COPY"};
    make_with_key(world, names, 5);
    add_key(world);
    if (world->now.len[0] == strlen("COPY")) {
        if (below(world, 2) == 0) {
            add_word(&world->now, "REPLACE");
        }
        if (below(world, 3) == 0) {
            add_word(&world->now, "DB");
            add_number(&world->now, (int64_t)below(world, MODEL_DATABASES));
        }
    }
}

static void make_database(struct world *world)
{
    switch (below(world, 10)) {
    case 0:
        begin(&world->now, "FLUSHDB");
        break;
    case 1:
    case 2:
    case 3:
        begin(&world->now, "MOVE");
        add_key(world);
        add_number(&world->now, (int64_t)below(world, MODEL_DATABASES));
        break;
    default:
        begin(&world->now, "SELECT");
        add_number(&world->now, (int64_t)below(world, MODEL_DATABASES));
        break;
    }
}

static void make_request(struct world *world)
{
    unsigned dice = below(world, 100);
    if (dice < 15) {
        make_set(world);
    } else if (dice < 35) {
        make_read(world);
    } else if (dice < 50) {
        make_change(world);
    } else if (dice < 58) {
        make_number(world);
    } else if (dice < 70) {
        make_many(world);
    } else if (dice < 84) {
        make_expiry(world);
    } else if (dice < 97) {
        make_two_keys(world);
    } else {
        make_database(world);
    }
}

/* ---- running them ---- */

static void view(const struct asked *request, struct bytes words[WORDS_MAX])
{
    for (size_t i = 0; i < request->count; i++) {
        words[i] = bytes_of(request->text.data + request->at[i], request->len[i]);
    }
}

static void note(struct world *world)
{
    char *line = world->last[world->step % LAST_MAX];
    size_t len = (size_t)snprintf(line, sizeof(world->last[0]), "%zu:", world->step);
    struct bytes words[WORDS_MAX];
    view(&world->now, words);
    for (size_t i = 0; i < world->now.count && len < sizeof(world->last[0]); i++) {
        int shown = words[i].len < 24 ? (int)words[i].len : 24;
        len += (size_t)snprintf(line + len, sizeof(world->last[0]) - len, " %.*s%s",
                                shown, words[i].data, words[i].len > 24 ? "…" : "");
    }
}

static void compare(struct world *world)
{
    if (bytes_equal(buf_bytes(&world->f->text), buf_bytes(&world->expected))) {
        return;
    }
    for (size_t i = 0; i < LAST_MAX; i++) {
        print_error("%s\n", world->last[(world->step + 1 + i) % LAST_MAX]);
    }
    assert_bytes_equal(buf_bytes(&world->f->text), buf_bytes(&world->expected));
}

static void expect(struct world *world)
{
    buf_reset(&world->expected, SIZE_MAX);
}

static void run_now(struct world *world)
{
    struct bytes words[WORDS_MAX];
    view(&world->now, words);
    expect(world);
    model_run(&world->model, words, world->now.count, &world->reply);
    run_words(world->f, words, world->now.count);
    compare(world);
}

static void queue_now(struct world *world)
{
    struct fixture *f = world->f;
    struct bytes words[WORDS_MAX];
    view(&world->now, words);
    struct call call = {.row = fixture_find(words, world->now.count),
                        .args = words,
                        .count = world->now.count,
                        .session = &f->session,
                        .writer = &f->writer,
                        .reply = &f->reply};
    buf_reset(&f->out, SIZE_MAX);
    assert_true(transaction_queue(&call));
    fixture_collect(f);
    expect(world);
    reply_simple(&world->reply, "QUEUED");
    compare(world);
    struct asked *queued = &world->queue[world->queued++];
    struct asked empty = *queued;
    *queued = world->now; /* the two exchange their buffers */
    world->now = empty;
}

static void simple(struct world *world, const char *name)
{
    begin(&world->now, name);
    note(world);
    expect(world);
    reply_ok(&world->reply);
    struct bytes word = bytes_of_string(name);
    run_words(world->f, &word, 1);
    compare(world);
}

static bool is_watch_broken(struct world *world)
{
    bool is_broken = false;
    for (size_t i = 0; i < world->watched; i++) {
        const struct watched *watched = &world->watches[i];
        (void)model_find(&world->model, watched->database, watched->key);
        const struct model_entry *entry =
            &world->model.entries[watched->database][watched->key];
        is_broken = is_broken || entry->changes != watched->changes;
    }
    return is_broken;
}

static void exec(struct world *world)
{
    bool is_broken = is_watch_broken(world);
    expect(world);
    if (is_broken) {
        reply_null_list(&world->reply);
    } else {
        reply_list(&world->reply, world->queued);
    }
    for (size_t i = 0; i < world->queued && !is_broken; i++) {
        struct bytes words[WORDS_MAX];
        view(&world->queue[i], words);
        model_run(&world->model, words, world->queue[i].count, &world->reply);
    }
    begin(&world->now, "EXEC");
    note(world);
    struct bytes word = B("EXEC");
    run_words(world->f, &word, 1);
    compare(world);
    world->in_multi = false;
    world->queued = world->watched = 0;
}

static void watch(struct world *world)
{
    begin(&world->now, "WATCH");
    unsigned key = below(world, MODEL_KEYS);
    add_bytes(&world->now, model_key_name(key));
    note(world);
    struct bytes words[WORDS_MAX];
    view(&world->now, words);
    expect(world);
    reply_ok(&world->reply);
    run_words(world->f, words, world->now.count);
    compare(world);
    (void)model_find(&world->model, world->model.database, key);
    world->watches[world->watched++] =
        (struct watched){world->model.database, key,
                         world->model.entries[world->model.database][key].changes};
}

/* Inside MULTI: queue more, or end it. Outside: begin one, watch, or just run. */
static void step(struct world *world)
{
    unsigned dice = below(world, 100);
    if (world->in_multi && (world->queued == QUEUE_MAX || dice < 15)) {
        exec(world);
    } else if (world->in_multi && dice < 18) {
        simple(world, "DISCARD");
        world->in_multi = false;
        world->queued = world->watched = 0;
    } else if (!world->in_multi && dice < 4) {
        simple(world, "MULTI");
        world->in_multi = true;
    } else if (!world->in_multi && dice < 7 && world->watched < WATCHES_MAX) {
        watch(world);
    } else if (!world->in_multi && dice < 8) {
        simple(world, "UNWATCH");
        world->watched = 0;
    } else {
        make_request(world);
        note(world);
        if (world->in_multi) {
            queue_now(world);
        } else {
            run_now(world);
        }
    }
}

/* ---- looking at everything ---- */

static void look_at(struct world *world, unsigned database, unsigned index)
{
    struct fixture *f = world->f;
    const struct model_entry *entry = model_find(&world->model, database, index);
    struct bytes name = model_key_name(index);
    struct key key =
        engine_key(&f->engine, name, engine_hash(&f->engine, name), database);
    struct item item;
    struct shard *shard = engine_lock(&f->writer, &key);
    enum memento_status status = engine_find(&f->writer, shard, &key, &item);
    assert_int_equal(status == MEMENTO_OK, entry != NULL);
    if (entry != NULL) {
        assert_bytes_equal(item.value, buf_bytes(&entry->value));
        assert_int_equal(item.deadline_ms, entry->deadline_ms);
        assert_int_equal(item.created_ms, entry->created_ms);
    }
    engine_unlock(&f->writer, shard);
}

static void count_keys(void *context, const struct item *item)
{
    (void)item;
    ++*(size_t *)context;
}

static void look(struct world *world)
{
    struct fixture *f = world->f;
    for (unsigned database = 0; database < MODEL_DATABASES; database++) {
        size_t there = 0, scanned = 0;
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            look_at(world, database, key);
            there += model_find(&world->model, database, key) != NULL;
        }
        uint64_t cursor = 0;
        do {
            cursor = engine_scan(&f->writer, cursor, database, 10, SIZE_MAX, count_keys,
                                 &scanned);
        } while (cursor != 0);
        assert_int_equal(scanned, there);
    }
    for (unsigned i = 0; i < f->engine.keyspace.shard_count; i++) {
        struct shard *shard = &f->engine.keyspace.shards[i];
        shard_lock(shard);
        shard_verify(shard);
        assert_int_equal(shard->expired_late, 0);
        shard_unlock(shard);
    }
}

/* Between two requests time passes, and somebody may sweep. */
static void pass_time(struct world *world)
{
    static const unsigned steps[] = {1, 5, 200, 20000};
    if (below(world, 3) == 0) {
        world->model.now_ms += (int64_t)below(world, steps[below(world, 4)]);
        world->f->writer.now_ms = world->model.now_ms;
        clock_freeze_ms(world->model.now_ms);
    }
    if (below(world, 20) == 0) {
        (void)engine_sweep(&world->f->writer, 0, 1, 1 + below(world, 100));
    }
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void open_world(struct world *world)
{
    uint64_t seed;
    assert_int_equal(random_bytes(&seed, sizeof(seed)), MEMENTO_OK);
    seed = setting("MEMENTO_SEED", seed % 1000000);
    print_message("MEMENTO_SEED=%" PRIu64 "\n", seed);
    random_init(&world->random, seed);
    clock_freeze_ms(BEGIN_MS);
    world->f = fixture_create();
    fixture_add(world->f, "select", command_select);
    fixture_add(world->f, "flushdb", command_flushdb);
    fixture_add(world->f, "dec", command_dec);
    fixture_add(world->f, "prepend", command_prepend);
    model_init(&world->model);
    world->model.now_ms = world->f->writer.now_ms;
    reply_init(&world->reply, &world->expected, NULL);
    world->reply.dialect = DIALECT_RESP2;
}

static void close_world(struct world *world)
{
    transaction_forget(&world->f->session, &world->f->writer);
    for (size_t i = 0; i < QUEUE_MAX; i++) {
        buf_fini(&world->queue[i].text);
    }
    buf_fini(&world->now.text);
    buf_fini(&world->expected);
    reply_fini(&world->reply);
    model_fini(&world->model);
    fixture_destroy(world->f);
    clock_freeze_ms(-1);
}

static void memento_and_the_model_agree(void **state)
{
    (void)state;
    static struct world world; /* zeroed buffers are empty ones */
    size_t heap_before = heap_bytes_used();
    open_world(&world);
    uint64_t steps = setting("MEMENTO_STEPS", STEPS);
    for (world.step = 0; world.step < steps; world.step++) {
        pass_time(&world);
        step(&world);
        if (world.step % LOOK_EVERY == 0) {
            look(&world);
        }
    }
    look(&world);
    close_world(&world);
    assert_int_equal(heap_bytes_used(), heap_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(memento_and_the_model_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
