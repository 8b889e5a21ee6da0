/* transaction_threads_test.c - transactions of several threads on one keyspace. What they
 * promise is checked from inside: no sum that another transaction reads is ever half
 * done. */
#include "base/check.h"
#include "base/thread.h"
#include "command/transaction.h"
#include "fixture.h"

#define ACCOUNTS  8
#define TRANSFERS 3000
#define THREADS   4

/* A fixture of its own, but the first one's keyspace. */
struct client {
    struct fixture *f;
    struct thread thread;
    unsigned index;
    unsigned done;
};

static struct client clients[THREADS];

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        struct fixture *f = fixture_create();
        fixture_add(f, "swapdb", command_swapdb);
        fixture_add(f, "select", command_select);
        if (i > 0) {
            assert_int_equal(writer_init(&f->writer, &clients[0].f->engine), MEMENTO_OK);
        }
        f->writer.now_ms = clock_wall_ms();
        clients[i] = (struct client){.f = f, .index = i};
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = THREADS; i-- > 0;) {
        transaction_forget(&clients[i].f->session, &clients[i].f->writer);
        fixture_destroy(clients[i].f);
    }
    return 0;
}

static void ask(struct fixture *f, const char *line)
{
    char copy[256];
    size_t len = strlen(line);
    CHECK(len < sizeof(copy));
    memcpy(copy, line, len);
    f->words.count = 0;
    CHECK(words_split(&f->words, copy, len));
    struct call call = {.row = fixture_find(f->words.items, f->words.count),
                        .args = f->words.items,
                        .count = f->words.count,
                        .session = &f->session,
                        .writer = &f->writer,
                        .reply = &f->reply};
    buf_reset(&f->out, SIZE_MAX);
    if (f->session.in_multi && (call.row->flags & COMMAND_MULTI_CONTROL) == 0) {
        CHECK(transaction_queue(&call));
    } else {
        f->handlers[call.row->index](&call);
    }
    (void)buf_c_string(&f->out);
}

static bool answers(struct fixture *f, const char *reply)
{
    return strcmp(f->out.data, reply) == 0;
}

static void transfer(struct fixture *f, unsigned from, unsigned to)
{
    char line[64];
    ask(f, "MULTI");
    snprintf(line, sizeof(line), "DECRBY account%u 1", from);
    ask(f, line);
    snprintf(line, sizeof(line), "INCRBY account%u 1", to);
    ask(f, line);
    ask(f, "EXEC");
    CHECK(f->out.data[0] == '*' && f->out.data[1] == '2');
}

/* The sum of all numbers in a reply to MGET inside EXEC; absent accounts are empty. */
static int64_t sum(struct fixture *f)
{
    ask(f, "MULTI");
    ask(f,
        "MGET account0 account1 account2 account3 account4 account5 account6 account7");
    ask(f, "EXEC");
    int64_t total = 0;
    const char *at = f->out.data;
    CHECK(strncmp(at, "*1\r\n*8\r\n", 8) == 0);
    for (at += 8; *at != '\0'; at = strchr(at, '\n') + 1) {
        if (*at == '$') {
            continue;
        }
        int64_t value;
        CHECK(number_parse_int64(bytes_of(at, strcspn(at, "\r")), &value));
        total += value;
    }
    return total;
}

static atomic_uint transferring;

/* The last client exchanges the databases under the feet of the others. */
static void transfer_and_look(void *context)
{
    struct client *client = context;
    struct random random;
    random_init(&random, client->index + 1);
    if (client->index == THREADS - 1) {
        while (atomic_load(&transferring) > 0) {
            ask(client->f, "SWAPDB 0 1");
        }
        return;
    }
    for (unsigned i = 0; i < TRANSFERS; i++) {
        unsigned from = (unsigned)random_below(&random, ACCOUNTS);
        unsigned to = (unsigned)random_below(&random, ACCOUNTS);
        transfer(client->f, from, to);
        CHECK(sum(client->f) == 0);
    }
    atomic_fetch_sub(&transferring, 1);
}

static void run_all(thread_body *body)
{
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(thread_start(&clients[i].thread, "client", body, &clients[i]),
                         MEMENTO_OK);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&clients[i].thread);
    }
}

static void nobody_sees_half_a_transaction(void **state)
{
    (void)state;
    atomic_store(&transferring, THREADS - 1);
    run_all(transfer_and_look);
    struct fixture *f = clients[0].f;
    assert_int_equal(sum(f), 0);
    ask(f, "SELECT 1");
    assert_int_equal(sum(f), 0);
}

/* Read, add one, write unless somebody was faster: the old way to count without INCR. */
static void count_with_watch(void *context)
{
    struct client *client = context;
    struct fixture *f = client->f;
    while (client->done < TRANSFERS) {
        ask(f, "WATCH counter");
        ask(f, "GET counter");
        int64_t value = 0;
        if (!answers(f, "$-1\r\n")) {
            const char *at = strchr(f->out.data, '\n') + 1;
            CHECK(number_parse_int64(bytes_of(at, strcspn(at, "\r")), &value));
        }
        char line[64];
        snprintf(line, sizeof(line), "SET counter %lld", (long long)value + 1);
        ask(f, "MULTI");
        ask(f, line);
        ask(f, "EXEC");
        if (!answers(f, "*-1\r\n")) {
            CHECK(answers(f, "*1\r\n+OK\r\n"));
            client->done++;
        }
    }
}

static void no_change_is_lost_between_watch_and_exec(void **state)
{
    (void)state;
    run_all(count_with_watch);
    ask(clients[0].f, "GET counter");
    assert_string_equal(clients[0].f->out.data, "$5\r\n12000\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_sees_half_a_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(no_change_is_lost_between_watch_and_exec, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
