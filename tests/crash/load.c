/* load.c - see load.h. */
#include "load.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* What random numbers are for: clients come first, with their own numbers. */
#define PURPOSE_OPERATOR 1000

void load_init(struct load *load, struct run *run, unsigned clients, bool has_operator)
{
    *load = (struct load){.run = run, .clients = clients, .has_operator = has_operator};
    load->has_own_databases = clients <= LOAD_DATABASES;
    load->rules.may_flush = load->has_own_databases;
    load->rules.begin_ms = clock_wall_ms();
    pthread_mutex_init(&load->turnstile, NULL);
    pthread_rwlock_init(&load->gate, NULL);
    for (unsigned i = 0; i < clients; i++) {
        struct load_client *client = &load->client[i];
        client->load = load;
        wire_init(&client->wire);
        model_init(&client->answered, i);
        model_init(&client->expected, i);
    }
}

void load_fini(struct load *load)
{
    for (unsigned i = 0; i < load->clients; i++) {
        wire_fini(&load->client[i].wire);
        model_fini(&load->client[i].answered);
        model_fini(&load->client[i].expected);
    }
    pthread_rwlock_destroy(&load->gate);
    pthread_mutex_destroy(&load->turnstile);
}

static unsigned database_of(unsigned client)
{
    return client % LOAD_DATABASES;
}

static bool select_database(struct wire *wire, unsigned database)
{
    char request[32];
    struct item item;
    snprintf(request, sizeof(request), "SELECT %u", database);
    return wire_ask(wire, request, &item) && item.type == '+';
}

/* ---- clients ---- */

static void report_reply(struct load_client *client, const struct request *request,
                         const struct item *item, struct bytes expected)
{
    unsigned key = request->steps[0].key;
    char name[MODEL_NAME_BYTES];
    model_key_name(&client->answered, key, name);
    run_fail(client->load->run, FINDING_OTHER,
             "client %u, request %llu (form %d, step %d, key %s): answered %.*s\n"
             "   expected %.*s",
             client->answered.client, (unsigned long long)request->steps[0].number,
             (int)request->form, (int)request->steps[0].kind, name,
             (int)(item->raw.len < 200 ? item->raw.len : 200), item->raw.data,
             (int)(expected.len < 200 ? expected.len : 200), expected.data);
}

/* One reply: false when the connection is lost, or the reply is wrong. */
static bool read_reply(struct load_client *client, const struct request *request,
                       struct buf *reply)
{
    buf_reset(reply, SIZE_MAX);
    model_apply(&client->expected, request, reply);
    for (size_t at = 0; at < reply->len;) {
        struct item item;
        if (!wire_read(&client->wire, &item)) {
            return false;
        }
        struct bytes rest = bytes_of(reply->data + at, reply->len - at);
        if (!bytes_start_with(rest, item.raw)) {
            report_reply(client, request, &item, rest);
            return false;
        }
        at += item.raw.len;
    }
    model_apply(&client->answered, request, NULL);
    return true;
}

static bool do_batch(struct load_client *client, struct buf *out, struct buf *reply)
{
    struct load *load = client->load;
    client->first = 0;
    client->count = 1 + (unsigned)random_below(&client->random, BATCH_MAX);
    buf_reset(out, SIZE_MAX);
    for (unsigned i = 0; i < client->count; i++) {
        request_make(&client->batch[i], &client->random, &client->number, &load->rules);
        request_print(&client->batch[i], &client->answered, out);
    }
    if (!wire_send(&client->wire, buf_bytes(out))) {
        return false;
    }
    while (client->first < client->count) {
        if (!read_reply(client, &client->batch[client->first], reply)) {
            return false;
        }
        client->first++;
        client->replies++;
    }
    return true;
}

static void *client_main(void *context)
{
    struct load_client *client = context;
    struct load *load = client->load;
    struct buf out, reply;
    buf_init(&out);
    buf_init(&reply);
    bool is_alive = wire_connect(&client->wire, load->run->target.port) &&
                    select_database(&client->wire, database_of(client->answered.client));
    while (is_alive && !atomic_load(&load->stop)) {
        pthread_mutex_lock(&load->turnstile);
        pthread_mutex_unlock(&load->turnstile);
        pthread_rwlock_rdlock(&load->gate);
        is_alive = do_batch(client, &out, &reply);
        pthread_rwlock_unlock(&load->gate);
    }
    if (client->wire.has_hung) {
        run_fail(load->run, FINDING_OTHER, "client %u: no reply within %d s",
                 client->answered.client, WIRE_PATIENCE_S);
    }
    buf_fini(&out);
    buf_fini(&reply);
    return NULL;
}

/* ---- the operator ---- */

static void stop_clients(struct load *load)
{
    pthread_mutex_lock(&load->turnstile);
    pthread_rwlock_wrlock(&load->gate);
    pthread_mutex_unlock(&load->turnstile);
}

static bool do_flush(struct load *load, struct wire *wire)
{
    struct item item;
    stop_clients(load);
    load->flush_is_unknown = true;
    bool is_alive = wire_ask(wire, "FLUSHALL", &item);
    if (is_alive && item.type == '+') {
        load->flush_is_unknown = false;
        load->has_ballast = false;
        for (unsigned i = 0; i < load->clients; i++) {
            model_clear(&load->client[i].answered);
            model_clear(&load->client[i].expected);
        }
        load->run->flushes++;
    }
    pthread_rwlock_unlock(&load->gate);
    return is_alive;
}

static bool do_backup(struct load *load, struct wire *wire, bool stands_still)
{
    struct load_backup backup = {.has_digests = stands_still};
    char request[64];
    struct item item;
    snprintf(backup.name, sizeof(backup.name), "b%u", load->backup_number++);
    snprintf(request, sizeof(request), "BACKUP %s", backup.name);
    if (stands_still) {
        stop_clients(load);
        for (unsigned i = 0; i < load->clients; i++) {
            backup.digests[i] = model_digest(&load->client[i].answered);
        }
        backup.has_ballast = load->has_ballast;
    }
    bool is_alive = wire_ask(wire, request, &item);
    if (stands_still) {
        pthread_rwlock_unlock(&load->gate);
    }
    if (is_alive && item.type == '+') {
        load->backup = backup;
        load->run->backups++;
    } else if (is_alive) {
        run_fail(load->run, FINDING_OTHER, "BACKUP: %.*s", (int)item.text.len,
                 item.text.data);
    }
    return is_alive;
}

static bool do_compact(struct load *load, struct wire *wire)
{
    struct item item;
    bool is_alive = wire_ask(wire, "BGREWRITEAOF", &item);
    load->run->compactions += is_alive && item.type == '+';
    return is_alive; /* an error: one is running already */
}

static void *operator_main(void *context)
{
    struct load *load = context;
    struct wire wire;
    wire_init(&wire);
    bool is_alive = wire_connect(&wire, load->run->target.port);
    while (is_alive && !atomic_load(&load->stop)) {
        sleep_ms(1 + (unsigned)random_below(&load->operator_random, 30));
        unsigned dice = (unsigned)random_below(&load->operator_random, 100);
        if (dice < 6) {
            is_alive = do_flush(load, &wire);
        } else if (dice < 30 && !load->run->target.is_redis) {
            is_alive = do_backup(load, &wire, dice < 18);
        } else {
            is_alive = do_compact(load, &wire);
        }
    }
    wire_fini(&wire);
    return NULL;
}

void load_start(struct load *load, unsigned cycle)
{
    atomic_store(&load->stop, false);
    load->backup.name[0] = '\0';
    for (unsigned i = 0; i < load->clients; i++) {
        struct load_client *client = &load->client[i];
        run_random(load->run, &client->random, cycle, i);
        client->first = client->count = 0;
        client->replies = 0;
        model_copy(&client->expected, &client->answered);
        pthread_create(&client->thread, NULL, client_main, client);
    }
    if (load->has_operator) {
        run_random(load->run, &load->operator_random, cycle, PURPOSE_OPERATOR);
        pthread_create(&load->operator, NULL, operator_main, load);
    }
}

void load_join(struct load *load)
{
    atomic_store(&load->stop, true);
    for (unsigned i = 0; i < load->clients; i++) {
        struct load_client *client = &load->client[i];
        pthread_join(client->thread, NULL);
        wire_disconnect(&client->wire);
        load->run->answered += client->replies;
        load->run->unknown += client->count - client->first;
    }
    if (load->has_operator) {
        pthread_join(load->operator, NULL);
    }
}

/* ---- reading back ---- */

static void ask_for_everything(const struct model *model, struct buf *out)
{
    char name[MODEL_NAME_BYTES];
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        struct bytes word = bytes_of(name, model_key_name(model, key, name));
        request_begin(out, 2);
        request_string(out, "GET");
        request_word(out, word);
        request_begin(out, 2);
        request_string(out, "PEXPIRETIME");
        request_word(out, word);
    }
    request_text(out, "KEYS *");
}

/* Every name in the client's database must be one of its keys, and be there. */
static bool read_names(struct load *load, struct wire *wire, const struct sight *sight)
{
    struct item item;
    if (!wire_read(wire, &item) || item.type != '*') {
        return false;
    }
    for (int64_t left = item.number; left > 0; left--) {
        if (!wire_read(wire, &item)) {
            return false;
        }
        int key = model_key_of_name(&sight->model, item.text);
        bool is_known = key >= 0 && (sight->model.cells[key].exists ||
                                     model_key_ends_soon((unsigned)key));
        if (!is_known && load->has_own_databases) {
            run_fail(load->run, FINDING_PHANTOM, "client %u: KEYS has '%.*s'",
                     sight->model.client, (int)item.text.len, item.text.data);
        }
    }
    return true;
}

static bool read_sight(struct load *load, int port, struct sight *sight)
{
    struct wire wire;
    struct buf out;
    wire_init(&wire);
    buf_init(&out);
    ask_for_everything(&sight->model, &out);
    sight->from_ms = clock_wall_ms();
    bool is_whole = wire_connect(&wire, port) &&
                    select_database(&wire, database_of(sight->model.client)) &&
                    wire_send(&wire, buf_bytes(&out));
    for (unsigned key = 0; is_whole && key < MODEL_KEYS; key++) {
        struct cell *cell = &sight->model.cells[key];
        struct item item;
        is_whole = wire_read(&wire, &item) && item.type == '$';
        if (is_whole && item.number >= 0) {
            cell->exists = true;
            buf_append_bytes(&cell->value, item.text);
        }
        is_whole = is_whole && wire_read(&wire, &item) && item.type == ':';
        cell->deadline_ms = is_whole && item.number > 0 ? item.number : 0;
    }
    sight->to_ms = clock_wall_ms();
    is_whole = is_whole && read_names(load, &wire, sight);
    if (!is_whole) {
        run_fail(load->run, FINDING_OTHER, "client %u: its keys cannot be read back",
                 sight->model.client);
    }
    wire_fini(&wire);
    buf_fini(&out);
    return is_whole;
}

/* -1: it does not answer. */
static int64_t ballast_size(int port)
{
    struct wire wire;
    struct item item;
    wire_init(&wire);
    int64_t size = -1;
    if (wire_connect(&wire, port) && select_database(&wire, BALLAST_DB) &&
        wire_ask(&wire, "DBSIZE", &item) && item.type == ':') {
        size = item.number;
    }
    wire_fini(&wire);
    return size;
}

void load_fill(struct load *load)
{
    if (load->has_ballast) {
        return;
    }
    struct wire wire;
    struct buf out;
    char word[64];
    wire_init(&wire);
    buf_init(&out);
    const unsigned per_request = 100;
    for (unsigned i = 0; i < BALLAST_KEYS; i++) {
        if (i % per_request == 0) {
            request_begin(&out, 1 + 2 * per_request);
            request_string(&out, "MSET");
        }
        snprintf(word, sizeof(word), "ballast:%u", i);
        request_string(&out, word);
        snprintf(word, sizeof(word), "%060u", i);
        request_string(&out, word);
    }
    bool is_filled = wire_connect(&wire, load->run->target.port) &&
                     select_database(&wire, BALLAST_DB) &&
                     wire_send(&wire, buf_bytes(&out));
    struct item item;
    for (unsigned i = 0; is_filled && i < BALLAST_KEYS / per_request; i++) {
        is_filled = wire_read(&wire, &item) && item.type == '+';
    }
    if (!is_filled) {
        run_fail(load->run, FINDING_OTHER, "the ballast cannot be written");
    }
    load->has_ballast = is_filled;
    wire_fini(&wire);
    buf_fini(&out);
}

/* ---- judging ---- */

/* Of a value that nothing explains: was it ever sent? Values begin with "client.number|". */
static bool is_phantom(const struct load_client *client, const struct cell *seen)
{
    if (!seen->exists) {
        return false;
    }
    unsigned writer;
    unsigned long long number;
    struct buf text;
    buf_init(&text);
    buf_append_bytes(&text, buf_bytes(&seen->value));
    int fields = sscanf(buf_c_string(&text), "%u.%llu|", &writer, &number);
    buf_fini(&text);
    return fields != 2 || writer != client->answered.client || number > client->number;
}

static void show_cell(const struct cell *cell, struct buf *out)
{
    if (!cell->exists) {
        buf_append_string(out, "nothing");
        return;
    }
    buf_appendf(out, "%zu bytes, deadline %lld: ", cell->value.len,
                (long long)cell->deadline_ms);
    for (size_t i = 0; i < cell->value.len && i < 60; i++) {
        char c = cell->value.data[i];
        buf_append_char(out, c >= ' ' && c <= '~' ? c : '?');
    }
}

static void report_difference(struct load *load, const struct load_client *client,
                              const struct sight *sight, unsigned cycle, unsigned key)
{
    const struct cell *seen = &sight->model.cells[key];
    char name[MODEL_NAME_BYTES];
    struct buf text;
    buf_init(&text);
    model_key_name(&client->answered, key, name);
    buf_appendf(&text, "cycle %u, client %u (database %u), key %s: found ", cycle,
                client->answered.client, database_of(client->answered.client), name);
    show_cell(seen, &text);
    buf_append_string(&text, "\n   after the last reply it was ");
    show_cell(&client->answered.cells[key], &text);
    buf_appendf(&text,
                "\n   and none of the %u requests without a reply explains all keys",
                client->count - client->first);
    run_fail(load->run, is_phantom(client, seen) ? FINDING_PHANTOM : FINDING_LOST, "%s",
             buf_c_string(&text));
    buf_fini(&text);
}

/* The number of unanswered requests after which the keys are as they were seen, or -1. When a
 * FLUSHALL may have come last, they may all be empty as well. */
static int prefix_that_explains(const struct load_client *client,
                                const struct sight *sight, int *first_key)
{
    struct model model;
    model_init(&model, client->answered.client);
    model_copy(&model, &client->answered);
    int found = -1;
    *first_key = model_differs(&model, sight);
    for (unsigned i = client->first;; i++) {
        if (model_differs(&model, sight) < 0) {
            found = (int)(i - client->first);
            break;
        }
        if (i == client->count) {
            break;
        }
        model_apply(&model, &client->batch[i], NULL);
    }
    model_fini(&model);
    return found;
}

static bool is_empty(const struct load *load, const struct sight *sights)
{
    for (unsigned i = 0; i < load->clients; i++) {
        for (unsigned key = 0; key < MODEL_KEYS; key++) {
            if (sights[i].model.cells[key].exists) {
                return false;
            }
        }
    }
    return true;
}

static void judge_ballast(struct load *load, bool was_flushed)
{
    int64_t size = ballast_size(load->run->target.port);
    if (was_flushed) {
        load->has_ballast = false;
    }
    int64_t expected = load->has_ballast ? BALLAST_KEYS : 0;
    if (size != expected) {
        run_fail(load->run, size < expected ? FINDING_LOST : FINDING_PHANTOM,
                 "database %d has %lld keys and should have %lld", BALLAST_DB,
                 (long long)size, (long long)expected);
    }
}

void load_judge(struct load *load, unsigned cycle)
{
    struct sight *sights = calloc(load->clients, sizeof(*sights));
    bool is_whole = sights != NULL;
    for (unsigned i = 0; i < load->clients && is_whole; i++) {
        model_init(&sights[i].model, i);
        is_whole = read_sight(load, load->run->target.port, &sights[i]);
    }
    bool was_flushed = load->flush_is_unknown && is_whole && is_empty(load, sights);
    for (unsigned i = 0; i < load->clients && is_whole; i++) {
        struct load_client *client = &load->client[i];
        int key = -1;
        if (!was_flushed && prefix_that_explains(client, &sights[i], &key) < 0) {
            report_difference(load, client, &sights[i], cycle, (unsigned)key);
        }
        /* Whatever the outcome was: from now on it must stay. */
        model_copy(&client->answered, &sights[i].model);
        client->first = client->count = 0;
    }
    if (is_whole) {
        judge_ballast(load, was_flushed);
    }
    load->flush_is_unknown = false;
    for (unsigned i = 0; i < load->clients && sights != NULL; i++) {
        model_fini(&sights[i].model);
    }
    free(sights);
}

void load_judge_backup(struct load *load, int port)
{
    for (unsigned i = 0; i < load->clients; i++) {
        struct sight sight;
        model_init(&sight.model, i);
        if (read_sight(load, port, &sight) && load->backup.has_digests &&
            model_digest(&sight.model) != load->backup.digests[i]) {
            run_fail(load->run, FINDING_LOST,
                     "backup %s: the keys of client %u are not as they were then",
                     load->backup.name, i);
        }
        model_fini(&sight.model);
    }
    int64_t size = ballast_size(port);
    if (load->backup.has_digests && (size == BALLAST_KEYS) != load->backup.has_ballast) {
        run_fail(load->run, FINDING_LOST, "backup %s: %lld keys in database %d",
                 load->backup.name, (long long)size, BALLAST_DB);
    }
}
