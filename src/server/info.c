/* info.c - INFO: gathering the numbers, and printing the rows of metrics.def; see info.h. */
#include "server/info.h"

#include <memento/version.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/number.h"
#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- gathering ---- */

static void keep_largest(uint64_t *largest, uint64_t value)
{
    *largest = value > *largest ? value : *largest;
}

static void sum_up(const struct server *server, struct info_totals *totals)
{
    *totals = (struct info_totals){
        .connections_received = load(&server->connections_received),
        .connections_rejected = load(&server->connections_rejected),
    };
    for (unsigned i = 0; i < server->worker_count; i++) {
        const struct worker_counters *counters = &server->workers[i].counters;
        const struct writer *writer = &server->workers[i].writer;
        totals->commands += load(&counters->commands);
        totals->errors += load(&counters->errors);
        totals->input_bytes += load(&counters->input_bytes);
        totals->output_bytes += load(&counters->output_bytes);
        totals->turns += load(&counters->turns);
        totals->clients_cut += load(&counters->clients_cut);
        totals->hits += load(&writer->hits);
        totals->misses += load(&writer->misses);
        totals->expired += load(&writer->expired);
        totals->changes += load(&writer->changes);
        keep_largest(&totals->longest_turn_us, load(&counters->longest_turn_us));
        keep_largest(&totals->longest_turn_cpu_us, load(&counters->longest_turn_cpu_us));
    }
}

void info_reset_totals(struct server *server)
{
    struct info_totals totals;
    sum_up(server, &totals);
    atomic_store(&server->baseline.commands, totals.commands);
    atomic_store(&server->baseline.connections_received, totals.connections_received);
    atomic_store(&server->baseline.connections_rejected, totals.connections_rejected);
    atomic_store(&server->baseline.hits, totals.hits);
    atomic_store(&server->baseline.misses, totals.misses);
    atomic_store(&server->baseline.expired, totals.expired);
    atomic_store(&server->baseline.input_bytes, totals.input_bytes);
    atomic_store(&server->baseline.output_bytes, totals.output_bytes);
    atomic_store(&server->baseline.errors, totals.errors);
}

/* A reset by another thread may be newer than the sum. */
static void subtract(uint64_t *total, const _Atomic uint64_t *baseline)
{
    uint64_t before = load(baseline);
    *total -= before < *total ? before : *total;
}

static void subtract_baseline(const struct server *server, struct info_totals *totals)
{
    subtract(&totals->commands, &server->baseline.commands);
    subtract(&totals->connections_received, &server->baseline.connections_received);
    subtract(&totals->connections_rejected, &server->baseline.connections_rejected);
    subtract(&totals->hits, &server->baseline.hits);
    subtract(&totals->misses, &server->baseline.misses);
    subtract(&totals->expired, &server->baseline.expired);
    subtract(&totals->input_bytes, &server->baseline.input_bytes);
    subtract(&totals->output_bytes, &server->baseline.output_bytes);
    subtract(&totals->errors, &server->baseline.errors);
}

/* Pages of main memory: the second number of /proc/self/statm. 0 when it cannot be read. */
static uint64_t resident_bytes(void)
{
    struct buf text;
    buf_init(&text);
    uint64_t pages = 0;
    if (file_read_all("/proc/self/statm", 4096, &text) == MEMENTO_OK) {
        const char *second = strchr(buf_c_string(&text), ' ');
        pages = second == NULL ? 0 : strtoull(second, NULL, 10);
    }
    buf_fini(&text);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t note_peak(struct server *server, uint64_t used)
{
    uint64_t peak = load(&server->memory_peak);
    while (used > peak) {
        if (atomic_compare_exchange_weak(&server->memory_peak, &peak, used)) {
            return used;
        }
    }
    return peak;
}

static uint64_t pages_bytes(const struct server *server)
{
    return pages_bytes_used(server->engine.keyspace.pages);
}

void info_note_memory(struct server *server)
{
    (void)note_peak(server, pages_bytes(server) + heap_bytes_used());
}

static void take_memory(struct server *server, bool may_lock, struct info_sample *sample)
{
    sample->pages_bytes = pages_bytes(server);
    sample->heap_bytes = heap_bytes_used();
    sample->used_memory = sample->pages_bytes + sample->heap_bytes;
    sample->memory_peak = note_peak(server, sample->used_memory);
    sample->rss = resident_bytes();
    sample->entry_bytes = sample->table_bytes = sample->large_bytes = -1;
    if (may_lock) {
        struct keyspace_memory memory;
        keyspace_memory(&server->engine.keyspace, &memory);
        sample->entry_bytes = (int64_t)memory.entry_bytes;
        sample->table_bytes = (int64_t)memory.table_bytes;
        sample->large_bytes = (int64_t)memory.large_bytes;
    }
}

/* ---- the data on disk ---- */

static uint64_t changes_of_all(const struct server *server)
{
    uint64_t changes = 0;
    for (unsigned i = 0; i < server->worker_count; i++) {
        changes += load(&server->workers[i].writer.changes);
    }
    return changes;
}

void info_note_save(struct server *server)
{
    if (atomic_load(&server->log) == NULL) {
        return;
    }
    struct persist_stats stats;
    engine_persist_stats(&server->engine, &stats);
    lock_acquire(&server->persist_lock);
    bool is_new = stats.last_save_ms != server->persist_seen.last_save_ms;
    server->persist_seen = stats;
    lock_release(&server->persist_lock);
    if (is_new) {
        atomic_store(&server->changes_at_save, changes_of_all(server));
    }
}

void info_persist_stats(struct server *server, bool may_lock, struct persist_stats *stats)
{
    if (may_lock) {
        engine_persist_stats(&server->engine, stats);
        return;
    }
    lock_acquire(&server->persist_lock);
    *stats = server->persist_seen;
    lock_release(&server->persist_lock);
}

/* At the rate until now; 0 when it cannot be told. */
static int64_t seconds_left(const struct info_persistence *loading, int64_t passed_ms)
{
    int64_t left = loading->loading_bytes_total - loading->loading_bytes;
    if (loading->loading_bytes <= 0 || left <= 0 || passed_ms <= 0) {
        return 0;
    }
    double rate = (double)loading->loading_bytes / (double)passed_ms;
    return (int64_t)((double)left / rate / 1000) + 1;
}

static void take_loading(const struct server *server, struct info_persistence *out)
{
    const struct load_progress *progress = engine_load_progress(&server->engine);
    out->is_loading = true;
    if (progress == NULL) { /* it begins in this moment */
        out->loading_start_s = server->started_ms / 1000;
        out->loading_bytes = out->loading_bytes_total = out->loading_records = 0;
        out->loading_eta_s = 0;
        return;
    }
    int64_t started_ms = atomic_load(&progress->started_ms);
    out->loading_start_s = started_ms / 1000;
    out->loading_bytes = (int64_t)atomic_load(&progress->bytes);
    out->loading_bytes_total = (int64_t)atomic_load(&progress->bytes_total);
    out->loading_records = (int64_t)atomic_load(&progress->records);
    out->loading_eta_s = seconds_left(out, clock_wall_ms() - started_ms);
}

static void print_uuid(const struct log *log, char *text)
{
    unsigned char uuid[UUID_BYTES];
    log_uuid(log, uuid);
    for (size_t i = 0; i < UUID_BYTES; i++) {
        snprintf(text + 2 * i, 3, "%02x", uuid[i]);
    }
}

static void take_persistence(struct server *server, bool may_lock,
                             struct info_persistence *out)
{
    struct log *log = atomic_load(&server->log);
    out->loading_start_s = out->loading_bytes = out->loading_bytes_total = -1;
    out->loading_records = out->loading_eta_s = out->stats.last_compaction_ms = -1;
    out->last_save_s = (uint64_t)server->started_ms / 1000;
    out->changes_since_save = changes_of_all(server);
    out->has_log = config_number(&server->config, OPTION_MEMORY_ONLY) == 0;
    if (log != NULL) {
        info_persist_stats(server, may_lock, &out->stats);
        out->last_save_s = (uint64_t)out->stats.last_save_ms / 1000;
        out->changes_since_save -= load(&server->changes_at_save);
        print_uuid(log, out->uuid);
    } else if (out->has_log) {
        take_loading(server, out);
    }
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void take_process(struct info_sample *sample)
{
    struct utsname system;
    if (uname(&system) == 0) {
        snprintf(sample->os, sizeof(sample->os), "%.64s %.64s %.64s", system.sysname,
                 system.release, system.machine);
    }
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        sample->cpu_system_s = seconds(usage.ru_stime);
        sample->cpu_user_s = seconds(usage.ru_utime);
    }
    sample->process_id = (uint64_t)getpid();
}

void info_take(struct server *server, bool may_lock, struct info_sample *sample)
{
    *sample = (struct info_sample){
        .run_id = server->run_id,
        .tcp_port = (uint64_t)config_number(&server->config, OPTION_PORT),
        .now_us = (uint64_t)clock_wall_us(),
        .workers = server->worker_count,
        .shards = server->engine.keyspace.shard_count,
        .connected = load(&server->clients.count),
        .maxclients = (uint64_t)config_number(&server->config, OPTION_MAXCLIENTS),
        .ops_per_second = load(&server->ops_per_second),
    };
    int64_t uptime_ms = clock_wall_ms() - server->started_ms;
    sample->uptime_s = uptime_ms > 0 ? (uint64_t)uptime_ms / 1000 : 0;
    take_process(sample);
    take_memory(server, may_lock, sample);
    take_persistence(server, may_lock, &sample->persistence);
    sum_up(server, &sample->totals);
    subtract_baseline(server, &sample->totals);
    for (unsigned i = 0; i < MEMENTO_DATABASES; i++) {
        sample->databases[i].keys = engine_count(&server->engine, i);
        sample->databases[i].keys_with_deadline =
            engine_count_with_deadline(&server->engine, i);
    }
}

/* ---- printing ---- */

static bool print_NUMBER(struct buf *out, uint64_t value)
{
    buf_appendf(out, "%llu", (unsigned long long)value);
    return true;
}

static bool print_KNOWN(struct buf *out, int64_t value)
{
    return value >= 0 && print_NUMBER(out, (uint64_t)value);
}

static bool print_TEXT(struct buf *out, const char *value)
{
    buf_append_string(out, value);
    return true;
}

static bool print_HUMAN(struct buf *out, uint64_t value)
{
    char text[NUMBER_SHORT_MAX];
    buf_append(out, text, number_format_size(text, value));
    return true;
}

static bool print_RATIO(struct buf *out, double value)
{
    buf_appendf(out, "%.2f", value);
    return true;
}

static bool print_SECONDS(struct buf *out, double value)
{
    buf_appendf(out, "%.6f", value);
    return true;
}

static bool print_SIGNED(struct buf *out, int64_t value)
{
    buf_append_integer(out, value);
    return true;
}

static bool print_PERCENT(struct buf *out, double value)
{
    return value >= 0 && print_RATIO(out, value);
}

static const char *info_log_state(const struct info_persistence *persistence)
{
    static const char *const states[] = {
        [LOG_READY] = "ready", [LOG_NO_SPACE] = "no-space", [LOG_FAILED] = "failed"};
    if (!persistence->has_log) {
        return "none";
    }
    return persistence->is_loading ? "loading" : states[persistence->stats.state];
}

static double info_percent(int64_t part, int64_t whole)
{
    return part < 0 || whole < 0 ? -1
           : whole == 0          ? 0
                                 : 100.0 * (double)part / (double)whole;
}

/* -1 stays -1: never. */
static int64_t info_seconds(int64_t ms)
{
    return ms < 0 ? -1 : ms / 1000;
}

static const char *info_status(enum memento_status status)
{
    return status == MEMENTO_OK ? "ok" : "err";
}

static double info_ratio(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

#define METRIC(section, name, kind, expression, meaning)                   \
    static bool print_##name(const struct info_sample *s, struct buf *out) \
    {                                                                      \
        (void)s;                                                           \
        return print_##kind(out, expression);                              \
    }
#include "server/metrics.def"

const struct metric_row metric_rows[] = {
#define METRIC(section, name, kind, expression, meaning) \
    {INFO_##section, #name, meaning, print_##name},
#include "server/metrics.def"
};
const size_t metric_row_count = ARRAY_LEN(metric_rows);

static const char *const section_titles[INFO_SECTION_COUNT] = {
#define METRIC_SECTION(id, title) title,
#include "server/metrics.def"
};

unsigned info_section_named(struct bytes name)
{
    if (bytes_is(name, "all") || bytes_is(name, "default") ||
        bytes_is(name, "everything")) {
        return INFO_EVERYTHING;
    }
    for (unsigned i = 0; i < INFO_SECTION_COUNT; i++) {
        if (bytes_is(name, section_titles[i])) {
            return 1u << i;
        }
    }
    return 0;
}

static void print_row(const struct metric_row *row, const struct info_sample *sample,
                      struct buf *out)
{
    size_t from = out->len;
    buf_appendf(out, "%s:", row->name);
    if (row->print(sample, out)) {
        buf_append_string(out, "\r\n");
    } else {
        out->len = from;
    }
}

/* avg_ttl is what Redis prints when it has no estimate: memento makes none. */
static void print_databases(const struct info_sample *sample, struct buf *out)
{
    for (unsigned i = 0; i < MEMENTO_DATABASES; i++) {
        if (sample->databases[i].keys > 0) {
            buf_appendf(out, "db%u:keys=%llu,expires=%llu,avg_ttl=0\r\n", i,
                        (unsigned long long)sample->databases[i].keys,
                        (unsigned long long)sample->databases[i].keys_with_deadline);
        }
    }
}

static void print_section(const struct info_sample *sample, enum info_section section,
                          struct buf *out)
{
    buf_appendf(out, "# %s\r\n", section_titles[section]);
    for (size_t i = 0; i < metric_row_count; i++) {
        if (metric_rows[i].section == section) {
            print_row(&metric_rows[i], sample, out);
        }
    }
    if (section == INFO_KEYSPACE) {
        print_databases(sample, out);
    }
}

void info_print(const struct info_sample *sample, unsigned sections, struct buf *out)
{
    const char *between = "";
    for (unsigned i = 0; i < INFO_SECTION_COUNT; i++) {
        if ((sections & 1u << i) != 0) {
            buf_append_string(out, between);
            print_section(sample, (enum info_section)i, out);
            between = "\r\n";
        }
    }
}
