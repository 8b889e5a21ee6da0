/* info.h - what the server tells about itself: a sample of all numbers, printed in sections.
 *
 * The rows of metrics.def say what there is, in which order, and what it means. */
#pragma once

#include <memento/limits.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "engine/persist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;

enum info_section {
#define METRIC_SECTION(id, title) INFO_##id,
#include "server/metrics.def"
    INFO_SECTION_COUNT
};

/* Sums over all workers and main. */
struct info_totals {
    uint64_t commands, connections_received, connections_rejected, hits, misses, expired,
        input_bytes, output_bytes, errors;
    /* These go on counting over CONFIG RESETSTAT. */
    uint64_t changes, turns, clients_cut, longest_turn_us, longest_turn_cpu_us;
};

struct info_sample {
    char os[256];
    const char *run_id;
    uint64_t process_id, tcp_port, now_us, uptime_s, workers, shards;
    uint64_t connected, maxclients;
    uint64_t used_memory, rss, memory_peak, pages_bytes, heap_bytes;
    int64_t entry_bytes, table_bytes, large_bytes; /* negative: not known now */
    uint64_t ops_per_second;
    struct info_totals totals;
    struct info_persistence {
        bool is_loading, has_log;
        /* While it loads; negative otherwise. */
        int64_t loading_start_s, loading_bytes, loading_bytes_total, loading_records,
            loading_eta_s;
        uint64_t last_save_s, changes_since_save;
        char uuid[2 * 16 + 1];
        struct persist_stats stats;
    } persistence;
    double cpu_system_s, cpu_user_s;
    struct {
        uint64_t keys, keys_with_deadline;
    } databases[MEMENTO_DATABASES];
};

struct metric_row {
    enum info_section section;
    const char *name;
    const char *meaning;
    /* Appends the value; false when there is none to tell. */
    bool (*print)(const struct info_sample *sample, struct buf *out);
};
extern const struct metric_row metric_rows[];
extern const size_t metric_row_count;

/* Any thread. With `may_lock` each shard is locked for a moment, which a thread that holds
 * some of them must not do; without, what needs it is not known. */
void info_take(struct server *server, bool may_lock, struct info_sample *sample);

/* Sections are a set of bits, 1 << INFO_SERVER and so on. */
#define INFO_EVERYTHING ((1u << INFO_SECTION_COUNT) - 1)
/* The section of a name in any case, or all that "all", "default" and "everything" mean; 0
 * when there is none. */
unsigned info_section_named(struct bytes name);
/* "# Server\r\nname:value\r\n...", an empty line between sections. */
void info_print(const struct info_sample *sample, unsigned sections, struct buf *out);

/* Remembers the memory in use when it is the most so far. Any thread; main calls it as often
 * as it samples. */
void info_note_memory(struct server *server);
/* Takes a look at the data on disk, and how many changes the snapshot in force has. Main. */
void info_note_save(struct server *server);
/* With a log that is loaded. Without `may_lock` it is what main saw last, a moment ago. */
void info_persist_stats(struct server *server, bool may_lock,
                        struct persist_stats *stats);

/* CONFIG RESETSTAT: counts begin again at zero. Any thread. */
void info_reset_totals(struct server *server);
