/* store_bench.c - what the store costs: bytes a key, nanoseconds an operation, the longest
 * single put while growing, and what a second thread adds.
 *
 *   store_bench [bytes] [speed] [growth] [threads] [sweep] [--keys N] [--rounds N]
 *
 * Everything is measured here and now, in this process; nothing is compared with a limit.
 * Timed operations include hashing the key (SipHash-1-3) and the shard's lock, as in the
 * server; a batch of 1 is one command at a time, others prefetch buckets, then entries. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/number.h"
#include "base/random.h"
#include "base/thread.h"
#include "store/keyspace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW_MS        1700000000000
#define SHARDS        16
#define KEY_MAX       32
#define VALUE_MAX     256
#define ROUNDS_MAX    99
#define BATCH_MAX     64
#define OPERATIONS    1000000u /* timed in one round */
#define GROWTH_KEYS   10000000u
#define HISTOGRAM_LEN 32
#define SETTLE_S      5

struct shape {
    unsigned key_bytes;
    unsigned value_bytes;
    int64_t ttl_ms; /* 0 = none */
};

struct options {
    uint64_t keys;
    unsigned rounds;
};

static const struct hash_seed seed = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static NORETURN void fail(const char *what)
{
    fprintf(stderr, "store_bench: %s\n", what);
    exit(1);
}

static size_t rss_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) {
        fail("cannot read /proc/self/statm");
    }
    fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Of the calling thread. */
static long page_faults(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0) {
        fail("cannot read the thread's usage");
    }
    return usage.ru_minflt + usage.ru_majflt;
}

/* "key:000000000017": the number in as many digits as fill the key. */
static struct bytes key_write(char *text, unsigned key_bytes, uint64_t number)
{
    memcpy(text, "key:", 4);
    for (unsigned i = key_bytes; i > 4; i--) {
        text[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    return bytes_of(text, key_bytes);
}

static struct keyspace *keyspace_new(void)
{
    struct keyspace *keyspace = heap_alloc(sizeof(*keyspace));
    if (keyspace == NULL ||
        keyspace_init(keyspace, SHARDS, &seed, NOW_MS) != MEMENTO_OK) {
        fail("no memory");
    }
    return keyspace;
}

static void keyspace_delete(struct keyspace *keyspace)
{
    keyspace_fini(keyspace);
    heap_free(keyspace);
}

static void put(struct keyspace *keyspace, const struct key *key, struct bytes value,
                int64_t deadline_ms)
{
    struct shard *shard = keyspace_shard(keyspace, key->hash);
    struct shard_value stored = {
        .bytes = value, .deadline_ms = deadline_ms, .created_ms = SHARD_CREATED_NOW};
    shard_lock(shard);
    uint64_t version = shard_next_version(shard, NOW_MS);
    enum memento_status status = shard_put(shard, key, &stored, version, NOW_MS);
    shard_unlock(shard);
    if (status != MEMENTO_OK) {
        fail("no memory");
    }
}

static size_t get(struct keyspace *keyspace, const struct key *key, char *out)
{
    struct shard *shard = keyspace_shard(keyspace, key->hash);
    struct bytes value = {NULL, 0};
    struct large *large;
    shard_lock(shard);
    if (shard_find_value(shard, key, NOW_MS, &value, &large) == MEMENTO_OK) {
        memcpy(out, value.data, value.len);
    }
    shard_unlock(shard);
    return value.len;
}

static int64_t shape_deadline(const struct shape *shape, uint64_t number)
{
    /* Spread over the hour before the end, as real deadlines are. */
    return shape->ttl_ms == 0
               ? ENTRY_NO_DEADLINE
               : NOW_MS + shape->ttl_ms - (int64_t)(number * 7919 % 3600000);
}

static void fill(struct keyspace *keyspace, const struct shape *shape, uint64_t keys)
{
    char text[KEY_MAX];
    char value[VALUE_MAX];
    memset(value, 'v', sizeof(value));
    for (uint64_t i = 0; i < keys; i++) {
        struct key key = key_make(&seed, key_write(text, shape->key_bytes, i), 0);
        put(keyspace, &key, bytes_of(value, shape->value_bytes),
            shape_deadline(shape, i));
    }
}

static void bytes_of_shape(const struct shape *shape, uint64_t keys)
{
    size_t before = rss_bytes();
    struct keyspace *keyspace = keyspace_new();
    fill(keyspace, shape, keys);
    /* Memory kept ahead for a stream of new keys is given back when the stream ends. */
    sleep(SETTLE_S);
    struct keyspace_memory memory;
    keyspace_memory(keyspace, &memory);
    size_t grown = rss_bytes() - before;
    double payload = shape->key_bytes + shape->value_bytes;
    double n = (double)keys;
    printf("%8.1fM keys  %u+%-3u %-4s %9.1f %9.1f %9.1f %9.1f %9.1f\n", n / 1e6,
           shape->key_bytes, shape->value_bytes, shape->ttl_ms ? "ttl" : "",
           (double)grown / n - payload, (double)memory.pages_bytes / n - payload,
           (double)memory.entry_bytes / n - payload, (double)memory.table_bytes / n,
           (double)(grown - memory.pages_bytes) / n);
    fflush(stdout);
    keyspace_delete(keyspace);
}

/* In a child, so that each begins with the memory of a fresh process. */
static void in_child(void (*work)(const struct shape *, uint64_t),
                     const struct shape *shape, uint64_t keys)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        work(shape, keys);
        _exit(0);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
        fail("a child failed");
    }
}

static void measure_bytes(const struct options *options)
{
    (void)options;
    static const struct shape shapes[] = {
        {16, 32, 0}, {20, 100, 0}, {16, 32, 86400000}, {20, 100, 86400000}};
    printf("bytes a key beyond key and value\n%-27s %9s %9s %9s %9s %9s\n", "", "RSS",
           "pages", "chunks", "table", "reserve");
    for (unsigned i = 0; i < ARRAY_LEN(shapes); i++) {
        in_child(bytes_of_shape, &shapes[i], 1000000);
        in_child(bytes_of_shape, &shapes[i], 5000000);
    }
}

/* Uniformly random keys, written out before the clock runs. */
struct workload {
    struct keyspace *keyspace;
    char *names; /* OPERATIONS of them */
    unsigned key_bytes;
    unsigned value_bytes;
    unsigned batch;
    bool is_set;
    uint64_t bytes_got; /* so that nothing is optimised away */
};

static void workload_names(struct workload *work, uint64_t keys, uint64_t number)
{
    struct random random;
    random_init(&random, number);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        (void)key_write(work->names + (size_t)i * work->key_bytes, work->key_bytes,
                        random_below(&random, keys));
    }
}

static void workload_run(struct workload *work)
{
    char value[VALUE_MAX];
    memset(value, 'w', sizeof(value));
    struct key keys[BATCH_MAX];
    uint64_t hashes[BATCH_MAX];
    for (unsigned done = 0; done < OPERATIONS; done += work->batch) {
        unsigned count =
            OPERATIONS - done < work->batch ? OPERATIONS - done : work->batch;
        for (unsigned i = 0; i < count; i++) {
            const char *name = work->names + (size_t)(done + i) * work->key_bytes;
            keys[i] = key_make(&seed, bytes_of(name, work->key_bytes), 0);
            hashes[i] = keys[i].hash;
        }
        if (count > 1) {
            keyspace_prefetch(work->keyspace, hashes, count);
        }
        for (unsigned i = 0; i < count; i++) {
            if (work->is_set) {
                put(work->keyspace, &keys[i], bytes_of(value, work->value_bytes),
                    ENTRY_NO_DEADLINE);
            } else {
                work->bytes_got += get(work->keyspace, &keys[i], value);
            }
        }
    }
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), compare_doubles);
    return values[count / 2];
}

static struct workload workload_new(struct keyspace *keyspace, const struct shape *shape,
                                    bool is_set, unsigned batch)
{
    struct workload work = {.keyspace = keyspace,
                            .key_bytes = shape->key_bytes,
                            .value_bytes = shape->value_bytes,
                            .batch = batch,
                            .is_set = is_set};
    work.names = heap_alloc((size_t)OPERATIONS * shape->key_bytes);
    if (work.names == NULL) {
        fail("no memory");
    }
    return work;
}

static void measure_speed(const struct options *options)
{
    static const struct shape shape = {16, 32, 0};
    static const unsigned batches[] = {1, 16, 64};
    struct keyspace *keyspace = keyspace_new();
    uint64_t fill_begin = clock_thread_cpu_ns();
    fill(keyspace, &shape, options->keys);
    printf(
        "ns of thread CPU time an operation, %.1fM keys of 16+32, median of %u rounds\n",
        (double)options->keys / 1e6, options->rounds);
    printf("  fill, batch 1 %8.1f (once)\n",
           (double)(clock_thread_cpu_ns() - fill_begin) / (double)options->keys);
    double times[2][ARRAY_LEN(batches)][ROUNDS_MAX];
    for (unsigned round = 0; round < options->rounds; round++) {
        for (unsigned i = 0; i < 2 * ARRAY_LEN(batches); i++) {
            unsigned is_set = i % 2;
            struct workload work = workload_new(keyspace, &shape, is_set, batches[i / 2]);
            workload_names(&work, options->keys, round * 100 + i);
            uint64_t begin = clock_thread_cpu_ns();
            workload_run(&work);
            times[is_set][i / 2][round] =
                (double)(clock_thread_cpu_ns() - begin) / OPERATIONS;
            heap_free(work.names);
        }
    }
    for (unsigned is_set = 0; is_set < 2; is_set++) {
        for (unsigned i = 0; i < ARRAY_LEN(batches); i++) {
            printf("  %s batch %-3u %8.1f\n", is_set ? "set" : "get", batches[i],
                   median(times[is_set][i], options->rounds));
        }
    }
    keyspace_delete(keyspace);
}

/* What this machine takes away from a thread that does nothing but read the clock for so
 * long: the longest of its readings, counted as the thread's own CPU time. */
static uint64_t longest_of_nothing(uint64_t for_ns)
{
    uint64_t longest = 0;
    uint64_t begin = clock_thread_cpu_ns();
    for (uint64_t before = begin; before - begin < for_ns;) {
        uint64_t after = clock_thread_cpu_ns();
        longest = after - before > longest ? after - before : longest;
        before = after;
    }
    return longest;
}

/* Each put by itself: thread CPU time, so that the neighbours on this machine do not count. */
static void measure_growth(const struct options *options)
{
    (void)options;
    static const struct shape shape = {16, 32, 0};
    struct keyspace *keyspace = keyspace_new();
    uint64_t histogram[HISTOGRAM_LEN] = {0};
    uint64_t longest = 0;
    uint64_t total = 0;
    char text[KEY_MAX];
    char value[VALUE_MAX];
    memset(value, 'v', sizeof(value));
    long faults = page_faults();
    uint64_t before = clock_thread_cpu_ns();
    for (uint64_t i = 0; i < GROWTH_KEYS; i++) {
        struct key key = key_make(&seed, key_write(text, shape.key_bytes, i), 0);
        put(keyspace, &key, bytes_of(value, shape.value_bytes), ENTRY_NO_DEADLINE);
        uint64_t after = clock_thread_cpu_ns();
        uint64_t took = after - before;
        before = after;
        longest = took > longest ? took : longest;
        total += took;
        histogram[took < 2 ? 0 : 63 - __builtin_clzll(took)]++;
    }
    printf(
        "growth to %.0fM keys, one put at a time: mean %.0f ns (with reading the clock), "
        "longest %.1f us, %ld page faults in all\n",
        GROWTH_KEYS / 1e6, (double)total / GROWTH_KEYS, (double)longest / 1e3,
        page_faults() - faults);
    printf("  as long doing nothing but reading the clock: longest %.1f us\n",
           (double)longest_of_nothing(total) / 1e3);
    for (unsigned i = 0; i < HISTOGRAM_LEN; i++) {
        if (histogram[i] > 0) {
            printf("  %9.1f us to %9.1f us %10llu\n", (double)(1ull << i) / 1e3,
                   (double)(2ull << i) / 1e3, (unsigned long long)histogram[i]);
        }
    }
    keyspace_delete(keyspace);
}

struct runner {
    struct thread thread;
    struct workload work;
    pthread_barrier_t *barrier;
    uint64_t took_ns;
    uint64_t cpu_ns;
};

static void runner_body(void *context)
{
    struct runner *runner = context;
    pthread_barrier_wait(runner->barrier);
    uint64_t begin = clock_monotonic_ns();
    uint64_t cpu_begin = clock_thread_cpu_ns();
    workload_run(&runner->work);
    runner->cpu_ns = clock_thread_cpu_ns() - cpu_begin;
    runner->took_ns = clock_monotonic_ns() - begin;
}

/* What `count` threads together do. */
struct rate {
    double per_s[ROUNDS_MAX];  /* operations, by the slowest thread */
    double cpu_ns[ROUNDS_MAX]; /* of an operation: what contention costs beyond waiting */
};

static void run_threads(struct keyspace *keyspace, const struct shape *shape,
                        uint64_t keys, bool is_set, unsigned count, unsigned round,
                        struct rate *rate)
{
    uint64_t number = round * 4 + is_set * 2 + count;
    struct runner runners[2];
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, count);
    for (unsigned i = 0; i < count; i++) {
        runners[i] = (struct runner){.barrier = &barrier};
        runners[i].work = workload_new(keyspace, shape, is_set, BATCH_MAX);
        workload_names(&runners[i].work, keys, number * 2 + i);
    }
    for (unsigned i = 0; i < count; i++) {
        if (thread_start(&runners[i].thread, "bench", runner_body, &runners[i]) !=
            MEMENTO_OK) {
            fail("no thread");
        }
    }
    uint64_t slowest = 0;
    uint64_t cpu_ns = 0;
    for (unsigned i = 0; i < count; i++) {
        thread_join(&runners[i].thread);
        cpu_ns += runners[i].cpu_ns;
        slowest = runners[i].took_ns > slowest ? runners[i].took_ns : slowest;
        heap_free(runners[i].work.names);
    }
    pthread_barrier_destroy(&barrier);
    rate->per_s[round] = (double)count * OPERATIONS / ((double)slowest / 1e9);
    rate->cpu_ns[round] = (double)cpu_ns / count / OPERATIONS;
}

static void measure_threads(const struct options *options)
{
    static const struct shape shape = {16, 32, 0};
    struct keyspace *keyspace = keyspace_new();
    fill(keyspace, &shape, options->keys);
    printf("%u shards, %.1fM keys, batches of %u, medians of %u rounds\n", SHARDS,
           (double)options->keys / 1e6, BATCH_MAX, options->rounds);
    static struct rate rates[2][2];
    for (unsigned round = 0; round < options->rounds; round++) {
        for (unsigned i = 0; i < 4; i++) {
            run_threads(keyspace, &shape, options->keys, i / 2, i % 2 + 1, round,
                        &rates[i / 2][i % 2]);
        }
    }
    for (unsigned is_set = 0; is_set < 2; is_set++) {
        double one = median(rates[is_set][0].per_s, options->rounds);
        double two = median(rates[is_set][1].per_s, options->rounds);
        double cpu_one = median(rates[is_set][0].cpu_ns, options->rounds);
        double cpu_two = median(rates[is_set][1].cpu_ns, options->rounds);
        printf("  %s million a second: 1 thread %.1f, 2 threads %.1f, ratio %.2f; "
               "CPU ns each: %.1f, %.1f, ratio %.2f\n",
               is_set ? "set" : "get", one / 1e6, two / 1e6, two / one, cpu_one, cpu_two,
               cpu_two / cpu_one);
    }
    keyspace_delete(keyspace);
}

static void count_visited(void *context, const struct item *item)
{
    *(uint64_t *)context += item->value.len > 0;
}

/* A scan over all keys, then their end: deadlines spread over an hour, a call a tick. */
static void measure_sweep(const struct options *options)
{
    static const struct shape shape = {16, 32, 2 * 3600000};
    struct keyspace *keyspace = keyspace_new();
    fill(keyspace, &shape, options->keys);
    uint64_t visited = 0;
    uint64_t begin = clock_thread_cpu_ns();
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        struct shard *shard = &keyspace->shards[i];
        shard_lock(shard);
        uint64_t position = 0;
        do {
            position = shard_scan(shard, position, NOW_MS, count_visited, &visited);
        } while (position != 0);
        shard_unlock(shard);
    }
    uint64_t scanned = clock_thread_cpu_ns();
    uint64_t removed = 0;
    for (int64_t now_ms = NOW_MS; now_ms <= NOW_MS + shape.ttl_ms + EXPIRY_TICK_MS;
         now_ms += EXPIRY_TICK_MS) {
        for (unsigned i = 0; i < keyspace->shard_count; i++) {
            struct shard *shard = &keyspace->shards[i];
            bool more = true;
            shard_lock(shard);
            while (more) {
                removed += shard_expire(shard, now_ms, 1000, NULL, NULL, &more);
            }
            shard_unlock(shard);
        }
    }
    printf(
        "%.1fM keys of 16+32 with a deadline: scan %.1f ns a key, expiry %.1f ns a key "
        "(all cascades, %llu ticks, removal; %llu removed)\n",
        (double)options->keys / 1e6, (double)(scanned - begin) / (double)visited,
        (double)(clock_thread_cpu_ns() - scanned) / (double)options->keys,
        (unsigned long long)(shape.ttl_ms / EXPIRY_TICK_MS), (unsigned long long)removed);
    keyspace_delete(keyspace);
}

static uint64_t parse_number(const char *text, uint64_t min, uint64_t max)
{
    uint64_t value = 0;
    if (text == NULL || !number_parse_uint64(bytes_of_string(text), &value) ||
        value < min || value > max) {
        fail("a number is missing or out of range");
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*measure)(const struct options *options);
    } parts[] = {{"bytes", measure_bytes},
                 {"speed", measure_speed},
                 {"growth", measure_growth},
                 {"threads", measure_threads},
                 {"sweep", measure_sweep}};
    struct options options = {.keys = 1000000, .rounds = 5};
    bool is_wanted[ARRAY_LEN(parts)] = {false};
    bool is_any_wanted = false;
    for (int i = 1; i < argc; i++) {
        bool is_known = true;
        if (strcmp(argv[i], "--keys") == 0) {
            options.keys = parse_number(argv[++i], 1, 100000000);
        } else if (strcmp(argv[i], "--rounds") == 0) {
            options.rounds = (unsigned)parse_number(argv[++i], 1, ROUNDS_MAX);
        } else {
            is_known = false;
        }
        for (unsigned part = 0; part < ARRAY_LEN(parts); part++) {
            if (strcmp(argv[i], parts[part].name) == 0) {
                is_wanted[part] = is_any_wanted = is_known = true;
            }
        }
        if (!is_known) {
            fail(
                "usage: store_bench [bytes] [speed] [growth] [threads] [sweep] [--keys N] "
                "[--rounds N]");
        }
    }
    for (unsigned part = 0; part < ARRAY_LEN(parts); part++) {
        if (is_wanted[part] || !is_any_wanted) {
            parts[part].measure(&options);
        }
    }
    return 0;
}
