/* history.c - C11: clients that share keys, a recorded history of what each asked and was told,
 * across kill -9, and linear.h to judge it.
 *
 * A round is the life of one server process. An operation without an answer may have taken
 * effect until the process was dead, or never; the keys go on into the next round with every
 * state that is possible then. Under policy always nothing that anybody was shown may be taken
 * back, so the history of all rounds together must be linearizable. */
#include "base/clock.h"
#include "linear.h"
#include "run.h"
#include "wire.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* Keys with numbers first, then keys with texts: INCR and APPEND do not mix. */
#define KEYS        32
#define KEYS_NUMBER 16
#define CLIENTS_MAX 64
#define GROUP_MAX   6 /* operations sent together */
#define TOKEN_BYTES 8
#define SHOWN_MAX   16

#define PURPOSE_MAIN 2000

struct recorder {
    struct recording *recording;
    pthread_t thread;
    unsigned id;
    struct wire wire;
    struct random random;
    unsigned last_key;
    uint64_t unique;      /* of the values it writes */
    struct event *events; /* of this round */
    size_t count, cap;
    uint64_t swaps, swaps_refused;
};

struct recording {
    struct run *run;
    atomic_bool stop;
    _Atomic uint64_t recorded; /* events of this round */
    struct recorder recorder[CLIENTS_MAX];
    struct frontier frontier[KEYS];
    uint64_t judged;
};

/* ---- values ---- */

static bool is_number_key(unsigned key)
{
    return key < KEYS_NUMBER;
}

static uint64_t unique(struct recorder *recorder)
{
    recorder->unique++;
    /* Numbers leave room for the INCRs that follow; tokens have 48 bits. */
    return (uint64_t)(recorder->id + 1) << 40 | recorder->unique << 8;
}

/* The text of a token: six bits a letter. */
static void token_print(uint64_t token, char text[TOKEN_BYTES])
{
    for (unsigned i = 0; i < TOKEN_BYTES; i++) {
        text[i] = (char)('0' + (token >> 6 * i & 63));
    }
}

static struct value value_of_text(unsigned key, struct bytes text)
{
    struct value value = {.exists = 1};
    if (is_number_key(key)) {
        for (size_t i = 0; i < text.len; i++) {
            value.hash = value.hash * 10 + (uint64_t)(text.data[i] - '0');
        }
        return value;
    }
    for (size_t at = 0; at < text.len; at += TOKEN_BYTES) {
        uint64_t token = 0;
        for (unsigned i = 0; i < TOKEN_BYTES && at + i < text.len; i++) {
            token |= (uint64_t)(text.data[at + i] - '0') << 6 * i;
        }
        size_t left = text.len - at;
        value = value_append(value, token,
                             (uint32_t)(left < TOKEN_BYTES ? left : TOKEN_BYTES));
    }
    return value;
}

/* ---- recording ---- */

static struct event *event_add(struct recorder *recorder, enum event_kind kind,
                               unsigned key)
{
    if (recorder->count == recorder->cap) {
        recorder->cap = recorder->cap == 0 ? 4096 : recorder->cap * 2;
        recorder->events =
            realloc(recorder->events, recorder->cap * sizeof(*recorder->events));
        if (recorder->events == NULL) {
            abort();
        }
    }
    struct event *event = &recorder->events[recorder->count++];
    *event = (struct event){.kind = (uint8_t)kind,
                            .key = (uint16_t)key,
                            .client = recorder->id,
                            .invoked_ns = (int64_t)clock_monotonic_ns(),
                            .returned_ns = INT64_MAX};
    return event;
}

static void event_return(struct recorder *recorder, struct event *event)
{
    event->returned_ns = (int64_t)clock_monotonic_ns();
    event->is_answered = true;
    atomic_fetch_add_explicit(&recorder->recording->recorded, 1, memory_order_relaxed);
}

static void print_key(unsigned key, struct buf *out)
{
    char name[16];
    int len = snprintf(name, sizeof(name), "shared:%u", key);
    request_word(out, bytes_of(name, (size_t)len));
}

/* A new value: its text as a word, and what the history calls it. */
static struct value print_new_value(struct recorder *recorder, unsigned key,
                                    struct buf *out)
{
    uint64_t token = unique(recorder);
    char text[TOKEN_BYTES];
    if (is_number_key(key)) {
        request_number(out, (int64_t)token);
        return (struct value){.hash = token, .exists = 1};
    }
    token_print(token, text);
    request_word(out, bytes_of(text, TOKEN_BYTES));
    return value_append((struct value){0}, token, TOKEN_BYTES);
}

static void print_append(struct recorder *recorder, struct event *event, struct buf *out)
{
    char text[TOKEN_BYTES];
    event->wanted = (struct value){.hash = unique(recorder), .len = TOKEN_BYTES};
    token_print(event->wanted.hash, text);
    request_begin(out, 3);
    request_string(out, "APPEND");
    print_key(event->key, out);
    request_word(out, bytes_of(text, TOKEN_BYTES));
}

/* One operation on one key. */
static void print_operation(struct recorder *recorder, struct buf *out)
{
    /* Often the key of the one before: then the order within a batch matters. */
    unsigned key = random_below(&recorder->random, 4) == 0
                       ? recorder->last_key
                       : (unsigned)random_below(&recorder->random, KEYS);
    recorder->last_key = key;
    unsigned dice = (unsigned)random_below(&recorder->random, 100);
    enum event_kind kind = dice < 35            ? EVENT_READ
                           : dice < 60          ? EVENT_WRITE
                           : dice < 72          ? EVENT_DELETE
                           : is_number_key(key) ? EVENT_INCR
                                                : EVENT_APPEND;
    struct event *event = event_add(recorder, kind, key);
    static const char *const words[] = {
        [EVENT_READ] = "GET", [EVENT_DELETE] = "DEL", [EVENT_INCR] = "INCR"};
    if (kind == EVENT_APPEND) {
        print_append(recorder, event, out);
    } else if (kind == EVENT_WRITE) {
        request_begin(out, 3);
        request_string(out, "SET");
        print_key(key, out);
        event->wanted = print_new_value(recorder, key, out);
    } else {
        request_begin(out, 2);
        request_string(out, words[kind]);
        print_key(key, out);
    }
}

static bool report_item(struct recorder *recorder, const struct event *event,
                        const struct item *item)
{
    run_fail(recorder->recording->run, FINDING_OTHER,
             "client %u, key %u, kind %u: answered %.*s", recorder->id, event->key,
             event->kind, (int)(item->raw.len < 200 ? item->raw.len : 200),
             item->raw.data);
    return false;
}

/* The reply of one operation; false: no connection any more, or it makes no sense. */
static bool read_operation(struct recorder *recorder, size_t index)
{
    static const char types[] = {
        [EVENT_READ] = '$', [EVENT_WRITE] = '+',  [EVENT_DELETE] = ':',
        [EVENT_INCR] = ':', [EVENT_APPEND] = ':', [EVENT_CAS] = '+'};
    struct event *event = &recorder->events[index];
    struct item item;
    if (!wire_read(&recorder->wire, &item)) {
        return false;
    }
    if (item.type != types[event->kind]) {
        return report_item(recorder, event, &item);
    }
    if (event->kind == EVENT_READ && item.number >= 0) {
        event->seen = value_of_text(event->key, item.text);
    } else if (event->kind == EVENT_DELETE) {
        event->seen.exists = item.number != 0;
    } else if (event->kind == EVENT_INCR) {
        event->seen = (struct value){(uint64_t)item.number, 0, 1};
    } else if (event->kind == EVENT_APPEND) {
        event->seen = (struct value){0, (uint32_t)item.number, 1};
    }
    event_return(recorder, event);
    return true;
}

static bool send_and_read(struct recorder *recorder, const struct buf *out, size_t first)
{
    bool is_alive = wire_send(&recorder->wire, buf_bytes(out));
    for (size_t i = first; i < recorder->count && is_alive; i++) {
        is_alive = read_operation(recorder, i);
    }
    return is_alive;
}

static bool do_group(struct recorder *recorder, struct buf *out, unsigned size)
{
    size_t first = recorder->count;
    for (unsigned i = 0; i < size; i++) {
        print_operation(recorder, out);
    }
    return send_and_read(recorder, out, first);
}

/* MGET of some keys: an event for each. */
static bool do_read_many(struct recorder *recorder, struct buf *out, unsigned begin,
                         unsigned end)
{
    size_t first = recorder->count;
    request_begin(out, 1 + end - begin);
    request_string(out, "MGET");
    for (unsigned key = begin; key < end; key++) {
        event_add(recorder, EVENT_READ, key);
        print_key(key, out);
    }
    struct item item;
    if (!wire_send(&recorder->wire, buf_bytes(out)) ||
        !wire_read(&recorder->wire, &item)) {
        return false;
    }
    if (item.type != '*' || item.number != (int64_t)(end - begin)) {
        return report_item(recorder, &recorder->events[first], &item);
    }
    bool is_alive = true;
    for (size_t i = first; i < recorder->count && is_alive; i++) {
        is_alive = read_operation(recorder, i);
    }
    return is_alive;
}

/* MSET of two or three keys: an event for each, with the same answer. */
static bool do_write_many(struct recorder *recorder, struct buf *out)
{
    size_t first = recorder->count;
    unsigned count = 2 + (unsigned)random_below(&recorder->random, 2);
    unsigned begin = (unsigned)random_below(&recorder->random, KEYS);
    request_begin(out, 1 + 2 * count);
    request_string(out, "MSET");
    for (unsigned i = 0; i < count; i++) {
        unsigned key = (begin + i * 11) % KEYS;
        struct event *event = event_add(recorder, EVENT_WRITE, key);
        print_key(key, out);
        event->wanted = print_new_value(recorder, key, out);
    }
    struct item item;
    if (!wire_send(&recorder->wire, buf_bytes(out)) ||
        !wire_read(&recorder->wire, &item)) {
        return false;
    }
    if (item.type != '+') {
        return report_item(recorder, &recorder->events[first], &item);
    }
    for (size_t i = first; i < recorder->count; i++) {
        event_return(recorder, &recorder->events[i]);
    }
    return true;
}

/* The second half of a compare-and-swap: what was read must still be there. */
static bool swap(struct recorder *recorder, struct buf *out, unsigned key,
                 struct value seen)
{
    buf_reset(out, SIZE_MAX);
    size_t index = recorder->count;
    struct event *event = event_add(recorder, EVENT_CAS, key);
    event->seen = seen;
    request_text(out, "MULTI");
    request_begin(out, 3);
    request_string(out, "SET");
    print_key(key, out);
    event->wanted = print_new_value(recorder, key, out);
    request_text(out, "EXEC");
    struct item item;
    if (!wire_send(&recorder->wire, buf_bytes(out)) ||
        !wire_read(&recorder->wire, &item) || !wire_read(&recorder->wire, &item) ||
        !wire_read(&recorder->wire, &item)) {
        return false;
    }
    if (item.type != '*') {
        return report_item(recorder, event, &item);
    }
    if (item.number < 0) {
        recorder->swaps_refused++;
        recorder->count--; /* it says nothing but that it did nothing */
        return true;
    }
    recorder->swaps++;
    return read_operation(recorder, index);
}

static bool do_swap(struct recorder *recorder, struct buf *out)
{
    unsigned key = (unsigned)random_below(&recorder->random, KEYS);
    size_t index = recorder->count;
    struct event *event = event_add(recorder, EVENT_READ, key);
    struct item item;
    request_begin(out, 2);
    request_string(out, "WATCH");
    print_key(key, out);
    request_begin(out, 2);
    request_string(out, "GET");
    print_key(key, out);
    if (!wire_send(&recorder->wire, buf_bytes(out)) ||
        !wire_read(&recorder->wire, &item)) {
        return false;
    }
    if (item.type != '+') {
        return report_item(recorder, event, &item);
    }
    return read_operation(recorder, index) &&
           swap(recorder, out, key, recorder->events[index].seen);
}

static void *recorder_main(void *context)
{
    struct recorder *recorder = context;
    struct recording *recording = recorder->recording;
    struct buf out;
    buf_init(&out);
    bool is_alive = wire_connect(&recorder->wire, recording->run->target.port) &&
                    do_read_many(recorder, &out, 0, KEYS);
    while (is_alive && !atomic_load(&recording->stop)) {
        unsigned dice = (unsigned)random_below(&recorder->random, 100);
        buf_reset(&out, SIZE_MAX);
        if (dice < 10) {
            is_alive = do_swap(recorder, &out);
        } else if (dice < 20) {
            is_alive = do_write_many(recorder, &out);
        } else if (dice < 25) {
            unsigned begin = (unsigned)random_below(&recorder->random, KEYS - 4);
            is_alive = do_read_many(recorder, &out, begin, begin + 4);
        } else {
            unsigned size =
                dice < 65 ? 1
                          : 2 + (unsigned)random_below(&recorder->random, GROUP_MAX - 1);
            is_alive = do_group(recorder, &out, size);
        }
    }
    if (recorder->wire.has_hung) {
        run_fail(recording->run, FINDING_OTHER, "client %u: no reply within %d s",
                 recorder->id, WIRE_PATIENCE_S);
    }
    buf_fini(&out);
    return NULL;
}

/* ---- judging ---- */

static int by_return(const void *left, const void *right)
{
    const struct event *const *a = left, *const *b = right;
    return ((*a)->returned_ns > (*b)->returned_ns) -
           ((*a)->returned_ns < (*b)->returned_ns);
}

/* All of the key's round into a file, and what came just before the culprit to the reader. */
static void report_history(struct recording *recording, unsigned key, unsigned round,
                           const struct event **events, size_t count,
                           const struct event *culprit)
{
    char path[4300];
    struct buf shown;
    struct buf all;
    buf_init(&shown);
    buf_init(&all);
    qsort(events, count, sizeof(*events), by_return);
    size_t at = 0;
    while (at < count && events[at] != culprit) {
        at++;
    }
    int64_t origin_ns = count == 0 ? 0 : events[0]->invoked_ns;
    for (size_t i = 0; i < count; i++) {
        event_show(events[i], origin_ns, &all);
        if (i + SHOWN_MAX > at && i <= at) {
            buf_append_string(&shown, i == at ? " > " : "   ");
            event_show(events[i], origin_ns, &shown);
        }
    }
    snprintf(path, sizeof(path), "%s/history-%u-%u.txt", recording->run->target.folder,
             round, key);
    FILE *file = fopen(path, "w");
    if (file != NULL) {
        fwrite(all.data, 1, all.len, file);
        fclose(file);
    }
    run_fail(recording->run, FINDING_OTHER,
             "round %u, key %u: no order explains the last of these (all are in %s)\n%s",
             round, key, path, buf_c_string(&shown));
    buf_fini(&shown);
    buf_fini(&all);
}

static void judge_key(struct recording *recording, unsigned key, unsigned round)
{
    size_t count = 0;
    size_t most = 0;
    for (unsigned i = 0; i < recording->run->clients; i++) {
        most += recording->recorder[i].count;
    }
    const struct event **events = malloc((most + 1) * sizeof(struct event *));
    for (unsigned i = 0; i < recording->run->clients && events != NULL; i++) {
        const struct recorder *recorder = &recording->recorder[i];
        for (size_t j = 0; j < recorder->count; j++) {
            if (recorder->events[j].key == key) {
                events[count++] = &recorder->events[j];
            }
        }
    }
    const struct event *culprit = NULL;
    enum verdict verdict =
        events == NULL ? UNDECIDED
                       : linear_check(&recording->frontier[key], events, count, &culprit);
    if (verdict == NOT_LINEARIZABLE) {
        report_history(recording, key, round, events, count, culprit);
    } else if (verdict == UNDECIDED) {
        run_fail(recording->run, FINDING_OTHER,
                 "round %u, key %u: too much at once to judge", round, key);
    }
    recording->judged += count;
    free(events);
}

/* After the server's death nothing without an answer can happen any more, and what was sent
 * later never reached it. */
static void close_round(struct recording *recording, int64_t dead_ns)
{
    for (unsigned i = 0; i < recording->run->clients; i++) {
        struct recorder *recorder = &recording->recorder[i];
        size_t kept = 0;
        for (size_t j = 0; j < recorder->count; j++) {
            struct event *event = &recorder->events[j];
            if (!event->is_answered) {
                recording->run->unknown++;
                event->returned_ns = dead_ns;
            }
            if (event->is_answered || event->invoked_ns < dead_ns) {
                recorder->events[kept++] = *event;
            }
        }
        recorder->count = kept;
    }
}

static void start_recorders(struct recording *recording, unsigned round)
{
    atomic_store(&recording->stop, false);
    atomic_store(&recording->recorded, 0);
    for (unsigned i = 0; i < recording->run->clients; i++) {
        struct recorder *recorder = &recording->recorder[i];
        recorder->recording = recording;
        recorder->id = i;
        recorder->count = 0;
        run_random(recording->run, &recorder->random, round, i);
        pthread_create(&recorder->thread, NULL, recorder_main, recorder);
    }
}

/* Until so much is recorded; at its half a compaction is asked for. */
static void wait_for_events(struct recording *recording, uint64_t wanted)
{
    struct wire wire;
    wire_init(&wire);
    bool has_asked = false;
    uint64_t recorded = 0, last = 0;
    unsigned idle_ms = 0;
    while ((recorded = atomic_load(&recording->recorded)) < wanted &&
           !run_has_failed(recording->run)) {
        sleep_ms(1);
        idle_ms = recorded == last ? idle_ms + 1 : 0;
        last = recorded;
        if (idle_ms > WIRE_PATIENCE_S * 1000) {
            run_fail(recording->run, FINDING_OTHER, "no client gets on");
        }
        if (!has_asked && recorded > wanted / 2) {
            struct item item;
            has_asked = true;
            if (wire_connect(&wire, recording->run->target.port) &&
                wire_ask(&wire, "BGREWRITEAOF", &item)) {
                recording->run->compactions += item.type == '+';
            }
        }
    }
    wire_fini(&wire);
}

static void record_round(struct recording *recording, unsigned round)
{
    struct run *run = recording->run;
    struct random random;
    struct buf why;
    buf_init(&why);
    run_random(run, &random, round, PURPOSE_MAIN);
    uint64_t mean = run->operations / run->cycles;
    uint64_t wanted = mean / 2 + random_below(&random, mean + 1);
    if (target_spawn(&run->target, &why) && target_wait_ready(&run->target, &why)) {
        start_recorders(recording, round);
        wait_for_events(recording, wanted);
        bool was_alive = target_kill(&run->target, &why);
        int64_t dead_ns = (int64_t)clock_monotonic_ns();
        atomic_store(&recording->stop, true);
        for (unsigned i = 0; i < run->clients; i++) {
            pthread_join(recording->recorder[i].thread, NULL);
            wire_disconnect(&recording->recorder[i].wire);
        }
        run->kills++;
        run->answered += atomic_load(&recording->recorded);
        close_round(recording, dead_ns);
        for (unsigned key = 0; key < KEYS && was_alive; key++) {
            judge_key(recording, key, round);
        }
    }
    if (why.len > 0) {
        target_show_log(&run->target, &why);
        run_fail(run, FINDING_OTHER, "round %u: %s", round, buf_c_string(&why));
    }
    buf_fini(&why);
}

void run_history(struct run *run)
{
    static struct recording recording; /* too large for a stack */
    recording.run = run;
    for (unsigned i = 0; i < run->clients; i++) {
        wire_init(&recording.recorder[i].wire);
    }
    for (unsigned key = 0; key < KEYS; key++) {
        frontier_init(&recording.frontier[key]);
    }
    for (unsigned round = 0; round < run->cycles && !run_has_failed(run); round++) {
        record_round(&recording, round);
    }
    uint64_t swaps = 0, refused = 0;
    for (unsigned i = 0; i < run->clients; i++) {
        swaps += recording.recorder[i].swaps;
        refused += recording.recorder[i].swaps_refused;
        wire_fini(&recording.recorder[i].wire);
        free(recording.recorder[i].events);
    }
    for (unsigned key = 0; key < KEYS; key++) {
        frontier_fini(&recording.frontier[key]);
    }
    printf("judged %" PRIu64 " events, %" PRIu64 " swaps, %" PRIu64 " refused swaps\n",
           recording.judged, swaps, refused);
}
