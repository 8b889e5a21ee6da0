/* model_test.c - a shard does what an array of keys does, whatever is asked of it in whatever
 * order, and its own bookkeeping holds all the time. */
#include "base/random.h"
#include "store/fixture.h"

#define MODEL_KEYS  3000
#define MODEL_DBS   3
#define MODEL_STEPS 400000

struct model_key {
    bool is_stored; /* due or not, until it is told or overwritten */
    char *value;
    size_t len;
    uint64_t version;
    int64_t deadline_ms;
    int64_t created_ms;
};

struct model {
    struct fixture *f;
    struct random random;
    struct model_key keys[MODEL_DBS][MODEL_KEYS];
    unsigned seen[MODEL_DBS][MODEL_KEYS]; /* by a scan */
    unsigned
        active; /* keys below this number are used: it moves, so the table does too */
};

static uint64_t roll(struct model *m, uint64_t bound)
{
    return random_below(&m->random, bound);
}

/* Most names are short, some need two or three bytes of length, few a block of their own. */
static struct bytes model_name(char *buffer, uint64_t number)
{
    int len = sprintf(buffer, "%llu-", (unsigned long long)number);
    size_t total = (size_t)len + number % 40;
    if (number % 97 == 0) {
        total = 300;
    } else if (number % 331 == 0) {
        total = ENTRY_KEY_INLINE_MAX + (number % 2);
    } else if (number == 7) {
        total = MEMENTO_KEY_BYTES_MAX;
    }
    memset(buffer + len, 'k', total - (size_t)len);
    return bytes_of(buffer, total);
}

struct chosen {
    uint64_t number;
    uint8_t db;
    struct key key;
    struct model_key *in_model;
    char name[MEMENTO_KEY_BYTES_MAX + 1];
};

static void choose_number(struct model *m, struct chosen *c, uint64_t number, uint8_t db)
{
    c->number = number;
    c->db = db;
    c->key = fixture_key(m->f, model_name(c->name, number), db);
    c->in_model = &m->keys[db][number];
}

static void choose(struct model *m, struct chosen *c)
{
    uint64_t db = roll(m, 10);
    choose_number(m, c, roll(m, m->active), (uint8_t)(db < MODEL_DBS ? db : 0));
}

static bool is_there(const struct model *m, const struct model_key *key)
{
    return key->is_stored && key->deadline_ms > m->f->now_ms;
}

static size_t roll_len(struct model *m)
{
    switch (roll(m, 40)) {
    case 0:
        return 0;
    case 1:
        return SHARD_INLINE_MAX - 2 + roll(m, 5); /* around the border */
    case 2:
        return roll(m, 40000);
    case 3:
        return 120 + roll(m, 16); /* around two bytes of length */
    case 4:
        return roll(m, 3000);
    default:
        return roll(m, 80);
    }
}

static int64_t roll_deadline(struct model *m)
{
    int64_t now = m->f->now_ms;
    switch (roll(m, 16)) {
    case 0:
        return now + (int64_t)roll(m, 30); /* within the tick */
    case 1:
        return now + (int64_t)roll(m, 20000);
    case 2:
        return now + (int64_t)roll(m, 4000000);
    case 3:
        return now + (int64_t)roll(m, 1ull << 36);
    case 4:
        return now - (int64_t)roll(m, 100000); /* passed */
    case 5:
        return (int64_t)(random_next(&m->random) >> 1); /* anything */
    case 6:
        return INT64_MAX - 1;
    default:
        return ENTRY_NO_DEADLINE;
    }
}

static void forget(struct model_key *key)
{
    free(key->value);
    memset(key, 0, sizeof(*key));
}

static void model_store(struct model_key *key, char *value, size_t len)
{
    free(key->value);
    key->value = value;
    key->len = len;
}

static char *roll_bytes(struct model *m, size_t len)
{
    char *bytes = malloc(len + 1);
    uint64_t word = random_next(&m->random);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)(word >> i % 57);
    }
    return bytes;
}

static void step_put(struct model *m)
{
    struct chosen c;
    choose(m, &c);
    size_t len = roll_len(m);
    char *bytes = roll_bytes(m, len);
    struct shard_value value = {
        .bytes = bytes_of(bytes, len),
        .deadline_ms = roll_deadline(m),
        .created_ms =
            roll(m, 4) == 0 ? NOW_MS - (int64_t)roll(m, 1000000) : SHARD_CREATED_NOW,
    };
    if (len > SHARD_INLINE_MAX || roll(m, 200) == 0) {
        value.large = large_of(value.bytes);
    }
    uint64_t version = shard_next_version(m->f->shard, m->f->now_ms);
    assert_int_equal(shard_put(m->f->shard, &c.key, &value, version, m->f->now_ms),
                     MEMENTO_OK);
    model_store(c.in_model, bytes, len);
    c.in_model->is_stored = true;
    c.in_model->version = version;
    c.in_model->deadline_ms = value.deadline_ms;
    c.in_model->created_ms = value.created_ms == SHARD_CREATED_NOW
                                 ? (int64_t)(version >> ENTRY_VERSION_SHIFT)
                                 : value.created_ms;
}

/* The new value is a part of the stored one. */
static void step_put_own_bytes(struct model *m)
{
    struct chosen c;
    choose(m, &c);
    struct item item;
    if (shard_find(m->f->shard, &c.key, m->f->now_ms, &item) != MEMENTO_OK) {
        return;
    }
    size_t from = item.value.len > 0 ? roll(m, item.value.len) : 0;
    size_t len = item.value.len > 0 ? roll(m, item.value.len - from + 1) : 0;
    struct shard_value value = {
        .bytes = bytes_of(item.value.data + from, len),
        .deadline_ms = roll_deadline(m),
        .created_ms = item.created_ms,
    };
    if (len > SHARD_INLINE_MAX) {
        value.large = large_of(value.bytes);
    }
    char *bytes = malloc(len + 1);
    memcpy(bytes, value.bytes.data, len);
    uint64_t version = shard_next_version(m->f->shard, m->f->now_ms);
    assert_int_equal(shard_put(m->f->shard, &c.key, &value, version, m->f->now_ms),
                     MEMENTO_OK);
    model_store(c.in_model, bytes, len);
    c.in_model->version = version;
    c.in_model->deadline_ms = value.deadline_ms;
}

static void step_find(struct model *m)
{
    struct chosen c;
    choose(m, &c);
    struct item item;
    enum memento_status status = shard_find(m->f->shard, &c.key, m->f->now_ms, &item);
    struct bytes value;
    struct large *large;
    assert_int_equal(shard_find_value(m->f->shard, &c.key, m->f->now_ms, &value, &large),
                     status);
    if (!is_there(m, c.in_model)) {
        assert_int_equal(status, MEMENTO_NOT_FOUND);
        return;
    }
    assert_int_equal(status, MEMENTO_OK);
    assert_bytes_equal(item.key, c.key.bytes);
    assert_bytes_equal(item.value, bytes_of(c.in_model->value, c.in_model->len));
    assert_bytes_equal(value, item.value);
    assert_ptr_equal(large, item.large);
    assert_int_equal(item.version, c.in_model->version);
    assert_int_equal(item.deadline_ms, c.in_model->deadline_ms);
    assert_int_equal(item.created_ms, c.in_model->created_ms);
    assert_int_equal(item.db, c.db);
}

static void step_edit(struct model *m)
{
    struct chosen c;
    choose(m, &c);
    if (!is_there(m, c.in_model)) {
        return;
    }
    size_t len = roll(m, 3) == 0 ? roll_len(m) : c.in_model->len + roll(m, 100);
    uint64_t version = shard_next_version(m->f->shard, m->f->now_ms);
    char *bytes;
    assert_int_equal(shard_edit(m->f->shard, &c.key, len, version, m->f->now_ms, &bytes),
                     MEMENTO_OK);
    size_t kept = len < c.in_model->len ? len : c.in_model->len;
    char *expected = calloc(1, len + 1);
    memcpy(expected, c.in_model->value, kept);
    assert_bytes_equal(bytes_of(bytes, len), bytes_of(expected, len));
    if (len > 0) {
        size_t at = roll(m, len);
        bytes[at] = expected[at] = (char)roll(m, 256);
    }
    model_store(c.in_model, expected, len);
    c.in_model->version = version;
}

static void step_set_deadline(struct model *m)
{
    struct chosen c;
    choose(m, &c);
    int64_t deadline_ms = roll_deadline(m);
    uint64_t version = shard_next_version(m->f->shard, m->f->now_ms);
    enum memento_status status =
        shard_set_deadline(m->f->shard, &c.key, deadline_ms, version, m->f->now_ms);
    assert_int_equal(status, is_there(m, c.in_model) ? MEMENTO_OK : MEMENTO_NOT_FOUND);
    if (status == MEMENTO_OK) {
        c.in_model->deadline_ms = deadline_ms;
        c.in_model->version = version;
    }
}

static void step_remove(struct model *m)
{
    struct chosen c;
    choose(m, &c);
    assert_int_equal(shard_remove(m->f->shard, &c.key, m->f->now_ms),
                     is_there(m, c.in_model) ? MEMENTO_OK : MEMENTO_NOT_FOUND);
    forget(c.in_model);
}

static void model_is_told(void *context, const struct item *item)
{
    struct model *m = context;
    struct model_key *key = &m->keys[item->db][strtoull(item->key.data, NULL, 10)];
    assert_true(key->is_stored);
    assert_true(key->deadline_ms <= m->f->now_ms); /* nothing goes early */
    assert_int_equal(item->deadline_ms, key->deadline_ms);
    assert_bytes_equal(item->value, bytes_of(key->value, key->len));
    forget(key);
}

static size_t count_stored(const struct model *m, uint8_t db)
{
    size_t count = 0;
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        count += m->keys[db][i].is_stored;
    }
    return count;
}

static void step_expire(struct model *m)
{
    bool more;
    (void)shard_expire(m->f->shard, m->f->now_ms, 1 + roll(m, 50), model_is_told, m,
                       &more);
}

/* Called until it has nothing more to do, it has removed all that was due a tick ago. (A clock
 * that was set back by less than a second is waited for: so let that second pass.) */
static void step_expire_all(struct model *m)
{
    m->f->now_ms += 1000;
    bool more = true;
    while (more) {
        (void)shard_expire(m->f->shard, m->f->now_ms, 100, model_is_told, m, &more);
    }
    for (unsigned db = 0; db < MODEL_DBS; db++) {
        for (unsigned i = 0; i < MODEL_KEYS; i++) {
            const struct model_key *key = &m->keys[db][i];
            assert_false(key->is_stored &&
                         key->deadline_ms <= m->f->now_ms - EXPIRY_TICK_MS);
        }
    }
}

static void step_time(struct model *m)
{
    switch (roll(m, 40)) {
    case 0:
        m->f->now_ms += (int64_t)roll(m, 1ull << 33);
        break;
    case 1:
        m->f->now_ms -= (int64_t)roll(m, 5000000);
        break;
    default:
        m->f->now_ms += (int64_t)roll(m, 300);
        break;
    }
}

static void model_sees(void *context, const struct item *item)
{
    struct model *m = context;
    uint64_t number = strtoull(item->key.data, NULL, 10);
    assert_true(is_there(m, &m->keys[item->db][number]));
    m->seen[item->db][number]++;
}

static void step_scan(struct model *m)
{
    memset(m->seen, 0, sizeof(m->seen));
    uint64_t position = 0;
    do {
        position = shard_scan(m->f->shard, position, m->f->now_ms, model_sees, m);
    } while (position != 0);
    for (unsigned db = 0; db < MODEL_DBS; db++) {
        for (unsigned i = 0; i < MODEL_KEYS; i++) {
            assert_int_equal(m->seen[db][i], is_there(m, &m->keys[db][i]));
        }
    }
}

static void step_random(struct model *m)
{
    uint8_t db = (uint8_t)roll(m, MODEL_DBS);
    struct item item;
    enum memento_status status =
        shard_random(m->f->shard, db, m->f->now_ms, &m->random, &item);
    if (status == MEMENTO_OK) {
        assert_true(is_there(m, &m->keys[db][strtoull(item.key.data, NULL, 10)]));
        assert_int_equal(item.db, db);
        return;
    }
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        assert_false(is_there(m, &m->keys[db][i]));
    }
}

static void step_clear(struct model *m)
{
    int db = (int)roll(m, MODEL_DBS + 1) - 1;
    shard_clear(m->f->shard, db, m->f->now_ms);
    for (int each = 0; each < MODEL_DBS; each++) {
        for (unsigned i = 0; i < MODEL_KEYS && (db < 0 || db == each); i++) {
            forget(&m->keys[each][i]);
        }
    }
}

static void model_check(struct model *m)
{
    shard_verify(m->f->shard);
    for (uint8_t db = 0; db < MODEL_DBS; db++) {
        assert_int_equal(atomic_load(&m->f->shard->keys[db]), count_stored(m, db));
    }
}

static void model_step(struct model *m)
{
    static const struct {
        unsigned weight;
        void (*step)(struct model *m);
    } steps[] = {
        {3000, step_put},   {300, step_put_own_bytes}, {2000, step_find},
        {800, step_edit},   {500, step_set_deadline},  {1200, step_remove},
        {300, step_expire}, {1000, step_time},         {100, step_random},
        {4, step_scan},     {4, step_expire_all},      {1, step_clear},
    };
    unsigned total = 0;
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        total += steps[i].weight;
    }
    uint64_t at = roll(m, total);
    unsigned i = 0;
    while (at >= steps[i].weight) {
        at -= steps[i++].weight;
    }
    steps[i].step(m);
}

static void a_shard_does_what_an_array_does(void **state)
{
    struct model *m = calloc(1, sizeof(*m));
    m->f = *state;
    random_init(&m->random, test_seed());
    m->active = 100;
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        if (step % 5000 == 0) {
            m->active = 1 + (unsigned)roll(m, MODEL_KEYS);
        }
        model_step(m);
        if (step % 2500 == 0) {
            model_check(m);
        }
    }
    step_scan(m);
    step_expire_all(m);
    model_check(m);
    for (unsigned db = 0; db < MODEL_DBS; db++) {
        for (unsigned i = 0; i < MODEL_KEYS; i++) {
            forget(&m->keys[db][i]);
        }
    }
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_shard_does_what_an_array_does, fixture_create,
                                        fixture_destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
