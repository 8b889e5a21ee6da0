/* model.c - see model.h. */
#include "model.h"

#include "base/clock.h"
#include "wire.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_NUMBER   MODEL_PLAIN
#define FIRST_EXPIRING (FIRST_NUMBER + MODEL_NUMBERS)
#define FIRST_LARGE    (FIRST_EXPIRING + MODEL_EXPIRING)

/* A server's clock may differ from ours by so much, and by the time a read takes. */
#define CLOCK_SLACK_MS 250
#define HOUR_MS        3600000LL

void model_init(struct model *model, unsigned client)
{
    *model = (struct model){.client = client};
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        buf_init(&model->cells[i].value);
    }
}

void model_fini(struct model *model)
{
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        buf_fini(&model->cells[i].value);
    }
}

static void cell_clear(struct cell *cell)
{
    cell->exists = false;
    cell->deadline_ms = 0;
    buf_reset(&cell->value, SIZE_MAX);
}

void model_clear(struct model *model)
{
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        cell_clear(&model->cells[i]);
    }
}

void model_copy(struct model *to, const struct model *from)
{
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        cell_clear(&to->cells[i]);
        to->cells[i].exists = from->cells[i].exists;
        to->cells[i].deadline_ms = from->cells[i].deadline_ms;
        buf_append_bytes(&to->cells[i].value, buf_bytes(&from->cells[i].value));
    }
}

/* ---- names ---- */

bool model_key_ends_soon(unsigned key)
{
    return key >= FIRST_EXPIRING && key < FIRST_LARGE;
}

size_t model_key_name(const struct model *model, unsigned key,
                      char name[MODEL_NAME_BYTES])
{
    char kind = key >= FIRST_LARGE      ? 'b'
                : key >= FIRST_EXPIRING ? 'x'
                : key >= FIRST_NUMBER   ? 'n'
                                        : 'k';
    return (size_t)snprintf(name, MODEL_NAME_BYTES, "c%u:%c%u", model->client, kind, key);
}

int model_key_of_name(const struct model *model, struct bytes name)
{
    char expected[MODEL_NAME_BYTES];
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        size_t len = model_key_name(model, key, expected);
        if (bytes_equal(name, bytes_of(expected, len))) {
            return (int)key;
        }
    }
    return -1;
}

/* ---- values ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* "client.number|" and letters up to len: says who wrote it when it is found in a wrong place.
 * Numbers for INCR are decimal. */
static void append_value(const struct model *model, const struct step *step,
                         struct buf *out)
{
    if (step->key >= FIRST_NUMBER && step->key < FIRST_EXPIRING) {
        buf_append_integer(out, (int64_t)(step->number * 1000));
        return;
    }
    char head[MODEL_NAME_BYTES];
    int head_len = snprintf(head, sizeof(head), "%u.%llu|", model->client,
                            (unsigned long long)step->number);
    size_t len = step->len;
    size_t copied = (size_t)head_len < len ? (size_t)head_len : len;
    buf_append(out, head, copied);
    uint64_t letters = step->number;
    for (size_t i = copied; i < len; i += 8) {
        letters = mix(letters + 1);
        buf_append(out, &letters, len - i < 8 ? len - i : 8);
    }
}

uint64_t model_digest(const struct model *model)
{
    uint64_t digest = 1;
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        const struct cell *cell = &model->cells[key];
        if (!cell->exists || model_key_ends_soon(key)) {
            continue;
        }
        digest = mix(digest ^ key) + (uint64_t)cell->deadline_ms;
        for (size_t i = 0; i < cell->value.len; i++) {
            digest = (digest ^ (unsigned char)cell->value.data[i]) * 0x100000001b3u;
        }
    }
    return digest;
}

/* ---- making requests ---- */

static unsigned below(struct random *random, unsigned bound)
{
    return (unsigned)random_below(random, bound);
}

static struct step make_step(struct random *random, uint64_t *number,
                             const struct request_rules *rules)
{
    struct step step = {.kind = STEP_SET, .number = ++*number};
    unsigned dice = below(random, 100);
    step.len = 1 + below(random, below(random, 8) == 0 ? 2000 : 60);
    step.offset = below(random, 64);
    step.key = below(random, MODEL_PLAIN);
    if (dice < 12) {
        step.kind = below(random, 8) == 0   ? STEP_SET
                    : below(random, 8) == 0 ? STEP_DEL
                                            : STEP_INCR;
        step.key = FIRST_NUMBER + below(random, MODEL_NUMBERS);
    } else if (dice < 18) {
        step.kind = STEP_SET_UNTIL;
        step.key = FIRST_EXPIRING + below(random, MODEL_EXPIRING);
        step.deadline_ms = clock_wall_ms() + 1 + below(random, 3000);
    } else if (dice < 20) {
        step.kind = below(random, 4) == 0 ? STEP_DEL : STEP_SET;
        step.key = FIRST_LARGE + below(random, MODEL_LARGE);
        step.len = 16000 + below(random, 30000);
    } else if (dice < 50) {
        step.kind = STEP_SET;
    } else if (dice < 62) {
        step.kind = STEP_DEL;
    } else if (dice < 72) {
        step.kind = STEP_APPEND;
        step.len = 1 + below(random, 30);
    } else if (dice < 80) {
        step.kind = STEP_SETRANGE;
        step.len = 1 + below(random, 30);
    } else if (dice < 86) {
        step.kind = STEP_GETDEL;
    } else if (dice < 91) {
        step.kind = STEP_EXPIRE;
        step.deadline_ms = rules->begin_ms + HOUR_MS * (1 + below(random, 1000));
    } else if (dice < 94) {
        step.kind = STEP_PERSIST;
    } else if (dice < 96) {
        step.kind = STEP_SET_UNTIL;
        step.deadline_ms = rules->begin_ms + HOUR_MS * (1 + below(random, 1000));
    } else {
        step.kind = STEP_GET;
    }
    return step;
}

void request_make(struct request *request, struct random *random, uint64_t *number,
                  const struct request_rules *rules)
{
    unsigned dice = below(random, 100);
    request->form = dice < 12   ? FORM_EXEC
                    : dice < 20 ? FORM_MSET
                    : dice < 24 ? FORM_DEL
                    : dice < 28 ? FORM_MGET
                    : dice < 34 ? FORM_CAS
                                : FORM_PLAIN;
    request->count = request->form == FORM_PLAIN || request->form == FORM_CAS
                         ? 1
                         : 2 + below(random, REQUEST_STEPS_MAX - 1);
    for (unsigned i = 0; i < request->count; i++) {
        struct step *step = &request->steps[i];
        *step = make_step(random, number, rules);
        if (request->form == FORM_PLAIN || request->form == FORM_EXEC) {
            continue;
        }
        static const enum step_kind kinds[] = {[FORM_MSET] = STEP_SET,
                                               [FORM_MGET] = STEP_GET,
                                               [FORM_DEL] = STEP_DEL,
                                               [FORM_CAS] = STEP_SET};
        step->kind = kinds[request->form];
        step->deadline_ms = 0;
        step->key = below(random, MODEL_PLAIN);
    }
    if (rules->may_flush && below(random, 700) == 0) {
        request->steps[0].kind = STEP_FLUSHDB;
        request->form = below(random, 2) == 0 ? FORM_PLAIN : FORM_EXEC;
        request->count = request->form == FORM_PLAIN ? 1 : request->count;
    }
}

/* ---- printing requests ---- */

static void print_value(const struct step *step, const struct model *model,
                        struct buf *out)
{
    struct buf value;
    buf_init(&value);
    append_value(model, step, &value);
    request_word(out, buf_bytes(&value));
    buf_fini(&value);
}

static void print_key(const struct step *step, const struct model *model, struct buf *out)
{
    char name[MODEL_NAME_BYTES];
    request_word(out, bytes_of(name, model_key_name(model, step->key, name)));
}

static void print_step(const struct step *step, const struct model *model,
                       struct buf *out)
{
    static const struct {
        const char *word;
        unsigned words;
    } commands[] = {[STEP_SET] = {"SET", 3},          [STEP_SET_UNTIL] = {"SET", 5},
                    [STEP_GET] = {"GET", 2},          [STEP_DEL] = {"DEL", 2},
                    [STEP_GETDEL] = {"GETDEL", 2},    [STEP_INCR] = {"INCR", 2},
                    [STEP_APPEND] = {"APPEND", 3},    [STEP_SETRANGE] = {"SETRANGE", 4},
                    [STEP_EXPIRE] = {"PEXPIREAT", 3}, [STEP_PERSIST] = {"PERSIST", 2},
                    [STEP_FLUSHDB] = {"FLUSHDB", 1}};
    request_begin(out, commands[step->kind].words);
    request_string(out, commands[step->kind].word);
    if (step->kind == STEP_FLUSHDB) {
        return;
    }
    print_key(step, model, out);
    if (step->kind == STEP_SETRANGE) {
        request_number(out, step->offset);
    }
    if (step->kind == STEP_SET || step->kind == STEP_SET_UNTIL ||
        step->kind == STEP_APPEND || step->kind == STEP_SETRANGE) {
        print_value(step, model, out);
    }
    if (step->kind == STEP_SET_UNTIL) {
        request_string(out, "PXAT");
    }
    if (step->kind == STEP_SET_UNTIL || step->kind == STEP_EXPIRE) {
        request_number(out, step->deadline_ms);
    }
}

void request_print(const struct request *request, const struct model *model,
                   struct buf *out)
{
    static const char *const words[] = {
        [FORM_MSET] = "MSET", [FORM_MGET] = "MGET", [FORM_DEL] = "DEL"};
    switch (request->form) {
    case FORM_MSET:
    case FORM_MGET:
    case FORM_DEL:
        request_begin(out, 1 + request->count * (request->form == FORM_MSET ? 2u : 1u));
        request_string(out, words[request->form]);
        for (unsigned i = 0; i < request->count; i++) {
            print_key(&request->steps[i], model, out);
            if (request->form == FORM_MSET) {
                print_value(&request->steps[i], model, out);
            }
        }
        return;
    case FORM_CAS:
        request_begin(out, 2);
        request_string(out, "WATCH");
        print_key(&request->steps[0], model, out);
        /* fallthrough */
    case FORM_EXEC:
        request_text(out, "MULTI");
        for (unsigned i = 0; i < request->count; i++) {
            print_step(&request->steps[i], model, out);
        }
        request_text(out, "EXEC");
        return;
    case FORM_PLAIN:
        print_step(&request->steps[0], model, out);
        return;
    }
}

/* ---- executing them ---- */

static void answer(struct buf *reply, const char *text)
{
    if (reply != NULL) {
        buf_append_string(reply, text);
    }
}

static void answer_number(struct buf *reply, int64_t number)
{
    if (reply != NULL) {
        buf_appendf(reply, ":%lld\r\n", (long long)number);
    }
}

static void answer_value(struct buf *reply, const struct cell *cell)
{
    if (reply != NULL && !cell->exists) {
        buf_append_string(reply, "$-1\r\n");
    } else if (reply != NULL) {
        buf_appendf(reply, "$%zu\r\n", cell->value.len);
        buf_append_bytes(reply, buf_bytes(&cell->value));
        buf_append_string(reply, "\r\n");
    }
}

static void apply_incr(struct cell *cell, struct buf *reply)
{
    long long value = cell->exists ? strtoll(buf_c_string(&cell->value), NULL, 10) : 0;
    buf_reset(&cell->value, SIZE_MAX);
    buf_append_integer(&cell->value, value + 1);
    cell->exists = true;
    answer_number(reply, value + 1);
}

static void apply_setrange(const struct model *model, const struct step *step,
                           struct cell *cell, struct buf *reply)
{
    struct buf patch;
    buf_init(&patch);
    append_value(model, step, &patch);
    while (cell->value.len < step->offset + patch.len) {
        buf_append_char(&cell->value, '\0');
    }
    memcpy(cell->value.data + step->offset, patch.data, patch.len);
    buf_fini(&patch);
    cell->exists = true;
    answer_number(reply, (int64_t)cell->value.len);
}

static void apply_step(struct model *model, const struct step *step, struct buf *reply)
{
    struct cell *cell = &model->cells[step->key];
    bool existed = cell->exists;
    switch (step->kind) {
    case STEP_SET:
    case STEP_SET_UNTIL:
        cell_clear(cell);
        append_value(model, step, &cell->value);
        cell->exists = true;
        cell->deadline_ms = step->deadline_ms;
        answer(reply, "+OK\r\n");
        return;
    case STEP_GET:
        answer_value(reply, cell);
        return;
    case STEP_DEL:
        cell_clear(cell);
        answer_number(reply, existed);
        return;
    case STEP_GETDEL:
        answer_value(reply, cell);
        cell_clear(cell);
        return;
    case STEP_INCR:
        apply_incr(cell, reply);
        return;
    case STEP_APPEND:
        append_value(model, step, &cell->value);
        cell->exists = true;
        answer_number(reply, (int64_t)cell->value.len);
        return;
    case STEP_SETRANGE:
        apply_setrange(model, step, cell, reply);
        return;
    case STEP_EXPIRE:
        cell->deadline_ms = existed ? step->deadline_ms : 0;
        answer_number(reply, existed);
        return;
    case STEP_PERSIST:
        answer_number(reply, cell->deadline_ms != 0);
        cell->deadline_ms = 0;
        return;
    case STEP_FLUSHDB:
        model_clear(model);
        answer(reply, "+OK\r\n");
        return;
    }
}

void model_apply(struct model *model, const struct request *request, struct buf *reply)
{
    int64_t existed = 0;
    bool is_counted = request->form == FORM_MSET || request->form == FORM_DEL;
    if (request->form == FORM_CAS) {
        answer(reply, "+OK\r\n");
    }
    if (request->form == FORM_CAS || request->form == FORM_EXEC) {
        answer(reply, "+OK\r\n");
        for (unsigned i = 0; i < request->count; i++) {
            answer(reply, "+QUEUED\r\n");
        }
    }
    if (!is_counted && request->form != FORM_PLAIN && reply != NULL) {
        buf_appendf(reply, "*%u\r\n", request->count);
    }
    for (unsigned i = 0; i < request->count; i++) {
        existed += model->cells[request->steps[i].key].exists;
        apply_step(model, &request->steps[i], is_counted ? NULL : reply);
    }
    if (request->form == FORM_MSET) {
        answer(reply, "+OK\r\n");
    } else if (request->form == FORM_DEL) {
        answer_number(reply, existed);
    }
}

/* ---- comparing ---- */

static bool cell_differs(const struct cell *cell, const struct cell *seen,
                         const struct sight *sight)
{
    bool exists = cell->exists;
    if (exists && cell->deadline_ms != 0) {
        if (cell->deadline_ms <= sight->from_ms - CLOCK_SLACK_MS) {
            exists = false;
        } else if (cell->deadline_ms <= sight->to_ms + CLOCK_SLACK_MS && !seen->exists) {
            exists = false; /* just now */
        }
    }
    if (!exists || !seen->exists) {
        return exists != seen->exists;
    }
    return cell->deadline_ms != seen->deadline_ms ||
           !bytes_equal(buf_bytes(&cell->value), buf_bytes(&seen->value));
}

int model_differs(const struct model *model, const struct sight *sight)
{
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        if (cell_differs(&model->cells[key], &sight->model.cells[key], sight)) {
            return (int)key;
        }
    }
    return -1;
}
