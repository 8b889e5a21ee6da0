#include "base/clock.h"
#include "server/info.h"
#include "server/server.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

static void every_metric_has_a_name_of_its_own_and_a_meaning(void **state)
{
    (void)state;
    for (size_t i = 0; i < metric_row_count; i++) {
        assert_true(strlen(metric_rows[i].meaning) > 0);
        assert_true(i == 0 || metric_rows[i].section >= metric_rows[i - 1].section);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(metric_rows[i].name, metric_rows[j].name);
        }
    }
}

static void a_section_has_a_name_in_any_case(void **state)
{
    (void)state;
    assert_int_equal(info_section_named(B("SERVER")), 1u << INFO_SERVER);
    assert_int_equal(info_section_named(B("keyspace")), 1u << INFO_KEYSPACE);
    assert_int_equal(info_section_named(B("all")), INFO_EVERYTHING);
    assert_int_equal(info_section_named(B("default")), INFO_EVERYTHING);
    assert_int_equal(info_section_named(B("everything")), INFO_EVERYTHING);
    assert_int_equal(info_section_named(B("commandstats")), 0);
    assert_int_equal(info_section_named(B("")), 0);
}

static void assert_info(const struct info_sample *sample, unsigned sections,
                        const char *expected)
{
    struct buf out;
    buf_init(&out);
    info_print(sample, sections, &out);
    assert_bytes_equal(buf_bytes(&out), bytes_of_string(expected));
    buf_fini(&out);
}

static void sections_come_in_their_order_with_an_empty_line_between(void **state)
{
    (void)state;
    struct info_sample sample = {.run_id = "", .cpu_user_s = 1.25};
    sample.databases[0].keys = 3;
    sample.databases[0].keys_with_deadline = 1;
    sample.databases[15].keys = 1;
    assert_info(&sample, 0, "");
    assert_info(&sample, 1u << INFO_KEYSPACE | 1u << INFO_CPU | 1u << INFO_CLUSTER,
                "# CPU\r\nused_cpu_sys:0.000000\r\nused_cpu_user:1.250000\r\n\r\n"
                "# Cluster\r\ncluster_enabled:0\r\n\r\n"
                "# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=0\r\n"
                "db15:keys=1,expires=0,avg_ttl=0\r\n");
}

/* The value of a line, up to its end; NULL when there is no such line. */
static const char *line_of(struct buf *out, const char *name,
                           const struct info_sample *sample)
{
    char start[64];
    snprintf(start, sizeof(start), "\n%s:", name);
    out->len = 0;
    info_print(sample, INFO_EVERYTHING, out);
    const char *line = strstr(buf_c_string(out), start);
    if (line == NULL) {
        return NULL;
    }
    line += strlen(start);
    *strstr(line, "\r\n") = '\0';
    return line;
}

static void memory_is_told_for_machines_and_for_people(void **state)
{
    (void)state;
    struct info_sample sample = {.run_id = "",
                                 .used_memory = 1536 * 1024,
                                 .rss = 3 * 1024 * 1024,
                                 .entry_bytes = 100};
    sample.table_bytes = -1;
    struct buf out;
    buf_init(&out);
    assert_string_equal(line_of(&out, "used_memory", &sample), "1572864");
    assert_string_equal(line_of(&out, "used_memory_human", &sample), "1.50M");
    assert_string_equal(line_of(&out, "mem_fragmentation_ratio", &sample), "2.00");
    assert_string_equal(line_of(&out, "memory_entries", &sample), "100");
    assert_null(line_of(&out, "memory_tables", &sample)); /* not known: not told */
    sample.used_memory = 0;
    assert_string_equal(line_of(&out, "mem_fragmentation_ratio", &sample), "0.00");
    buf_fini(&out);
}

/* ---- sampling a server without threads ---- */

#define WORKERS 3

static int set_up(void **state)
{
    struct server *server = calloc(1, sizeof(*server));
    clock_freeze_ms(1000000);
    config_init(&server->config);
    clients_init(&server->clients);
    struct hash_seed seed = {1, 2};
    assert_int_equal(engine_init(&server->engine, 4, &seed, clock_wall_ms()), MEMENTO_OK);
    server->workers = aligned_alloc(64, WORKERS * sizeof(*server->workers));
    memset(server->workers, 0, WORKERS * sizeof(*server->workers));
    server->worker_count = WORKERS;
    server->started_ms = clock_wall_ms();
    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(writer_init(&server->workers[i].writer, &server->engine),
                         MEMENTO_OK);
        server->workers[i].writer.now_ms = clock_wall_ms();
    }
    *state = server;
    return 0;
}

static int tear_down(void **state)
{
    struct server *server = *state;
    for (size_t i = 0; i < WORKERS; i++) {
        writer_fini(&server->workers[i].writer);
    }
    free(server->workers);
    engine_fini(&server->engine);
    clients_fini(&server->clients);
    config_fini(&server->config);
    free(server);
    clock_freeze_ms(-1);
    return 0;
}

static void counters_of_all_workers_are_summed_and_maxima_kept(void **state)
{
    struct server *server = *state;
    for (unsigned i = 0; i < WORKERS; i++) {
        atomic_store(&server->workers[i].counters.commands, 10 + i);
        atomic_store(&server->workers[i].counters.longest_turn_us, 100 * (i % 2) + i);
        atomic_store(&server->workers[i].writer.hits, 5);
    }
    struct info_sample sample;
    info_take(server, true, &sample);
    assert_int_equal(sample.totals.commands, 33);
    assert_int_equal(sample.totals.hits, 15);
    assert_int_equal(sample.totals.longest_turn_us, 101);
    assert_int_equal(sample.workers, WORKERS);
    assert_int_equal(sample.shards, 4);
}

static void a_reset_makes_counts_begin_again(void **state)
{
    struct server *server = *state;
    atomic_store(&server->workers[1].counters.commands, 10);
    atomic_store(&server->workers[1].counters.turns, 4);
    atomic_store(&server->connections_received, 2);
    info_reset_totals(server);
    atomic_store(&server->workers[2].counters.commands, 7);
    struct info_sample sample;
    info_take(server, true, &sample);
    assert_int_equal(sample.totals.commands, 7);
    assert_int_equal(sample.totals.connections_received, 0);
    assert_int_equal(sample.totals.turns, 4); /* since the start */
}

static void put(struct server *server, unsigned database, struct bytes name,
                struct bytes value, int64_t deadline_ms)
{
    struct writer *writer = &server->workers[0].writer;
    struct key key =
        engine_key(&server->engine, name, engine_hash(&server->engine, name), database);
    struct engine_value stored;
    assert_int_equal(engine_value_make(value, &stored), MEMENTO_OK);
    struct shard *shard = engine_lock(writer, &key);
    assert_int_equal(
        engine_set(writer, shard, &key, &stored, deadline_ms, ENGINE_CREATED_NOW),
        MEMENTO_OK);
    engine_unlock(writer, shard);
    engine_value_drop(&stored);
}

static void keys_are_counted_by_database_and_memory_by_kind(void **state)
{
    struct server *server = *state;
    static char large[100000];
    struct info_sample before, after;
    info_take(server, true, &before);
    put(server, 0, B("a"), B("1"), ENTRY_NO_DEADLINE);
    put(server, 0, B("b"), B("2"), clock_wall_ms() + 5000);
    put(server, 3, B("c"), bytes_of(large, sizeof(large)), ENTRY_NO_DEADLINE);
    info_take(server, true, &after);
    assert_int_equal(after.databases[0].keys, 2);
    assert_int_equal(after.databases[0].keys_with_deadline, 1);
    assert_int_equal(after.databases[3].keys, 1);
    assert_int_equal(after.databases[1].keys, 0);
    assert_true(after.entry_bytes > before.entry_bytes);
    assert_true(after.large_bytes >= before.large_bytes + (int64_t)sizeof(large));
    assert_true(after.used_memory >= before.used_memory + sizeof(large));
    assert_int_equal(after.used_memory, after.pages_bytes + after.heap_bytes);
    assert_true(after.rss > 0);
}

static void the_peak_stays_when_memory_is_given_back(void **state)
{
    struct server *server = *state;
    static char large[1000000];
    struct info_sample sample;
    put(server, 0, B("a"), bytes_of(large, sizeof(large)), ENTRY_NO_DEADLINE);
    info_note_memory(server);
    uint64_t peak = atomic_load(&server->memory_peak);
    assert_int_equal(engine_flush(&server->workers[0].writer, -1), MEMENTO_OK);
    info_take(server, true, &sample);
    assert_true(sample.used_memory + sizeof(large) <= peak);
    assert_int_equal(sample.memory_peak, peak);
}

/* EXEC holds shards while INFO runs: asking for them again would wait for ever. */
static void while_shards_are_held_their_memory_is_not_known(void **state)
{
    struct server *server = *state;
    struct writer *writer = &server->workers[0].writer;
    struct info_sample sample;
    engine_lock_all(writer);
    info_take(server, false, &sample);
    engine_unlock_span(writer);
    assert_true(sample.entry_bytes < 0 && sample.table_bytes < 0 &&
                sample.large_bytes < 0);
    assert_true(sample.used_memory > 0);
}

static void uptime_is_counted_from_the_start(void **state)
{
    struct server *server = *state;
    struct info_sample sample;
    clock_freeze_ms(1000000 + 90061999);
    info_take(server, true, &sample);
    assert_int_equal(sample.uptime_s, 90061);
    clock_freeze_ms(999999); /* a clock that was set back */
    info_take(server, true, &sample);
    assert_int_equal(sample.uptime_s, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_metric_has_a_name_of_its_own_and_a_meaning),
        cmocka_unit_test(a_section_has_a_name_in_any_case),
        cmocka_unit_test(sections_come_in_their_order_with_an_empty_line_between),
        cmocka_unit_test(memory_is_told_for_machines_and_for_people),
        TEST(counters_of_all_workers_are_summed_and_maxima_kept),
        TEST(a_reset_makes_counts_begin_again),
        TEST(keys_are_counted_by_database_and_memory_by_kind),
        TEST(the_peak_stays_when_memory_is_given_back),
        TEST(while_shards_are_held_their_memory_is_not_known),
        TEST(uptime_is_counted_from_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
