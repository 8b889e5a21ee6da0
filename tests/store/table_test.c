/* table_test.c - growing, shrinking, long chains, and scans while all that happens. */
#include "base/random.h"
#include "store/entry.h"
#include "store/no_memory.h"
#include "store/table.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct pages *pages;
    struct slab slab;
    struct table table;
    struct hash_seed seed;
};

static int fixture_create(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->seed = (struct hash_seed){5, 6};
    assert_int_equal(pages_create(&f->pages), MEMENTO_OK);
    slab_init(&f->slab, f->pages);
    assert_int_equal(table_init(&f->table, &f->slab, &f->seed), MEMENTO_OK);
    *state = f;
    return 0;
}

static int fixture_destroy(void **state)
{
    struct fixture *f = *state;
    table_clear(&f->table);
    table_fini(&f->table);
    slab_clear(&f->slab);
    assert_int_equal(pages_bytes_used(f->pages), 0);
    pages_destroy(f->pages);
    free(f);
    return 0;
}

struct name {
    char text[32];
};

static struct key key_of(struct fixture *f, struct name *name, uint64_t number)
{
    int len =
        snprintf(name->text, sizeof(name->text), "%llu", (unsigned long long)number);
    return key_make(&f->seed, bytes_of(name->text, (size_t)len), 0);
}

static enum memento_status insert(struct fixture *f, uint64_t number)
{
    struct name name;
    struct key key = key_of(f, &name, number);
    struct item item = {.key = key.bytes, .deadline_ms = ENTRY_NO_DEADLINE};
    uint64_t index = slab_alloc(&f->slab, entry_bytes(&item));
    if (index == 0) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    entry_write(slab_pointer(&f->slab, index), &item);
    enum memento_status status = table_insert(&f->table, key.hash, index);
    if (status != MEMENTO_OK) {
        slab_free(&f->slab, index);
    }
    return status;
}

static bool has(struct fixture *f, uint64_t number)
{
    struct name name;
    struct key key = key_of(f, &name, number);
    struct table_place place;
    return table_find(&f->table, &key, &place);
}

static void remove_key(struct fixture *f, uint64_t number)
{
    struct name name;
    struct key key = key_of(f, &name, number);
    struct table_place place;
    assert_true(table_find(&f->table, &key, &place));
    uint64_t index = place.index;
    table_remove(&f->table, &place, key.hash);
    slab_free(&f->slab, index);
}

static void it_grows_and_shrinks_one_bucket_at_a_time(void **state)
{
    struct fixture *f = *state;
    const uint64_t count = 30000;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t buckets = f->table.buckets;
        assert_int_equal(insert(f, i), MEMENTO_OK);
        assert_true(f->table.buckets - buckets <= 1);
    }
    table_verify(&f->table);
    assert_true(f->table.buckets >= count / TABLE_LOAD_MAX);
    for (uint64_t i = 0; i < count; i++) {
        assert_true(has(f, i));
        assert_false(has(f, count + i));
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t buckets = f->table.buckets;
        remove_key(f, i);
        assert_true(buckets - f->table.buckets <= 1);
        if (i % 1000 == 0) {
            table_verify(&f->table);
            assert_false(has(f, i));
            assert_true(has(f, count - 1));
        }
    }
    assert_int_equal(f->table.buckets, TABLE_BUCKETS_MIN);
    assert_int_equal(f->table.overflow_lines, 0);
    assert_int_equal(pages_bytes_used(f->pages), PAGE_BYTES);
}

/* Hundreds of keys whose hashes share their low bits stay in one chain until the table is
 * larger than those bits tell apart; some of them share the tag as well. */
static void keys_that_collide_are_told_apart(void **state)
{
    struct fixture *f = *state;
    enum { COLLIDING = 300, BITS = 12 };
    uint64_t numbers[COLLIDING];
    unsigned found = 0;
    struct name name;
    for (uint64_t i = 0; found < COLLIDING; i++) {
        if ((key_of(f, &name, i).hash & ((1u << BITS) - 1)) == 5) {
            numbers[found++] = i;
        }
    }
    for (unsigned i = 0; i < COLLIDING; i++) {
        assert_int_equal(insert(f, numbers[i]), MEMENTO_OK);
        table_verify(&f->table);
    }
    assert_true(f->table.overflow_lines >= COLLIDING / BUCKET_SLOTS - 1);
    /* Splits on the way do not lose any, and neither do removals from the middle. */
    const uint64_t others = 1000000000;
    for (uint64_t i = 0; i < 40000; i++) {
        assert_int_equal(insert(f, others + i), MEMENTO_OK);
    }
    table_verify(&f->table);
    for (unsigned i = 0; i < COLLIDING; i++) {
        assert_true(has(f, numbers[i]));
    }
    for (uint64_t i = 0; i < 40000; i++) {
        remove_key(f, others + i);
    }
    table_verify(&f->table);
    for (unsigned i = 0; i < COLLIDING; i += 2) {
        remove_key(f, numbers[i]);
        table_verify(&f->table);
    }
    for (unsigned i = 0; i < COLLIDING; i++) {
        assert_int_equal(has(f, numbers[i]), i % 2 == 1);
    }
}

struct sighting {
    struct fixture *f;
    uint8_t *seen;
    uint64_t count;
};

static void sees(void *context, uint64_t index)
{
    struct sighting *sighting = context;
    struct item item;
    entry_read(slab_pointer(&sighting->f->slab, index), &item);
    uint64_t number = strtoull(item.key.data, NULL, 10);
    if (number < sighting->count) {
        sighting->seen[number]++;
    }
}

/* While the scan goes on, so many keys come and go per step that the table doubles several
 * times, and halves as often. */
static void scan_sees_what_was_there_throughout_exactly_once(void **state)
{
    struct fixture *f = *state;
    enum { STAYING = 2000 };
    uint8_t seen[STAYING];
    struct random random;
    random_init(&random, 3);
    uint64_t next = STAYING;
    uint64_t oldest = STAYING;
    for (uint64_t i = 0; i < STAYING; i++) {
        assert_int_equal(insert(f, i), MEMENTO_OK);
    }
    for (unsigned round = 0; round < 10; round++) {
        memset(seen, 0, sizeof(seen));
        struct sighting sighting = {f, seen, STAYING};
        uint64_t position = 0;
        uint64_t smallest = f->table.buckets;
        uint64_t largest = f->table.buckets;
        do {
            uint64_t before = position;
            position = table_scan(&f->table, position, sees, &sighting);
            assert_true(position == 0 || position > before);
            bool is_growing = random_below(&random, 2) == 0;
            for (uint64_t i = random_below(&random, 300); i > 0; i--) {
                if (is_growing && next - oldest < 20000) {
                    assert_int_equal(insert(f, next++), MEMENTO_OK);
                } else if (!is_growing && oldest < next) {
                    remove_key(f, oldest++);
                }
            }
            smallest = f->table.buckets < smallest ? f->table.buckets : smallest;
            largest = f->table.buckets > largest ? f->table.buckets : largest;
        } while (position != 0);
        assert_true(largest > smallest);
        for (unsigned i = 0; i < STAYING; i++) {
            assert_int_equal(seen[i], 1);
        }
        table_verify(&f->table);
    }
}

static void scan_positions_order_keys_by_their_reversed_hash(void **state)
{
    (void)state;
    assert_int_equal(table_position(0), 0);
    assert_int_equal(table_position(1), 1ull << (KEY_BUCKET_BITS - 1));
    assert_int_equal(table_position(1ull << (KEY_BUCKET_BITS - 1)), 1);
    assert_int_equal(table_position(UINT64_MAX), (1ull << KEY_BUCKET_BITS) - 1);
    assert_int_equal(table_position(1ull << KEY_BUCKET_BITS), 0);
}

static void a_position_that_no_key_has_is_the_end(void **state)
{
    struct fixture *f = *state;
    uint8_t seen[1];
    struct sighting sighting = {f, seen, 0};
    assert_int_equal(table_scan(&f->table, 1ull << KEY_BUCKET_BITS, sees, &sighting), 0);
    assert_int_equal(table_scan(&f->table, UINT64_MAX, sees, &sighting), 0);
}

static void without_memory_the_table_stays_as_it_was(void **state)
{
    SKIP_UNDER_THREAD_SANITIZER();
    struct fixture *f = *state;
    unsigned refused = 0;
    uint64_t inserted = 0;
    for (uint64_t i = 0; i < 60000; i++) {
        bool is_failing = i % 3 == 0;
        if (is_failing) {
            os_fail_at(OS_MEMORY, 1, ENOMEM, true);
        }
        uint64_t count = f->table.count;
        enum memento_status status = insert(f, i);
        os_fail_never();
        if (status != MEMENTO_OK) {
            refused++;
            assert_int_equal(f->table.count, count);
            assert_false(has(f, i));
            assert_int_equal(insert(f, i), MEMENTO_OK);
        }
        inserted++;
    }
    assert_true(refused > 0);
    assert_int_equal(f->table.count, inserted);
    table_verify(&f->table);
    slab_verify(&f->slab);
    /* Shrinking may need a line for a moment: without one it does not shrink, that is all. */
    os_fail_at(OS_MEMORY, 1, ENOMEM, true);
    for (uint64_t i = 0; i < 60000; i++) {
        remove_key(f, i);
    }
    os_fail_never();
    table_verify(&f->table);
    assert_int_equal(f->table.count, 0);
}

static void init_answers_each_failure(void **state)
{
    SKIP_UNDER_THREAD_SANITIZER();
    struct fixture *f = *state;
    bool has_succeeded = false;
    for (uint64_t nth = 1; !has_succeeded; nth++) {
        struct table table;
        os_fail_at(OS_MEMORY, nth, ENOMEM, false);
        enum memento_status status = table_init(&table, &f->slab, &f->seed);
        os_fail_never();
        has_succeeded = status == MEMENTO_OK;
        assert_true(has_succeeded || status == MEMENTO_ERR_NO_MEMORY);
        table_fini(&table);
    }
}

struct marked {
    uint64_t index;
    bool is_seen;
};

static void sees_marked(void *context, uint64_t index)
{
    struct marked *marked = context;
    marked->is_seen |= index == marked->index;
}

static void every_entry_is_found_by_its_mark(void **state)
{
    struct fixture *f = *state;
    for (uint64_t i = 0; i < 20000; i++) {
        assert_int_equal(insert(f, i), MEMENTO_OK);
    }
    for (uint64_t i = 0; i < 20000; i++) {
        struct name name;
        struct key key = key_of(f, &name, i);
        struct table_place place;
        assert_true(table_find(&f->table, &key, &place));
        struct marked marked = {place.index, false};
        table_visit_mark(&f->table, table_mark(key.hash), sees_marked, &marked);
        assert_true(marked.is_seen);
        struct table_place located;
        table_locate(&f->table, key.hash, place.index, &located);
        assert_ptr_equal(located.line, place.line);
        assert_int_equal(located.slot, place.slot);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_grows_and_shrinks_one_bucket_at_a_time,
                                        fixture_create, fixture_destroy),
        cmocka_unit_test_setup_teardown(keys_that_collide_are_told_apart, fixture_create,
                                        fixture_destroy),
        cmocka_unit_test_setup_teardown(scan_sees_what_was_there_throughout_exactly_once,
                                        fixture_create, fixture_destroy),
        cmocka_unit_test(scan_positions_order_keys_by_their_reversed_hash),
        cmocka_unit_test_setup_teardown(a_position_that_no_key_has_is_the_end,
                                        fixture_create, fixture_destroy),
        cmocka_unit_test_setup_teardown(without_memory_the_table_stays_as_it_was,
                                        fixture_create, fixture_destroy),
        cmocka_unit_test_setup_teardown(init_answers_each_failure, fixture_create,
                                        fixture_destroy),
        cmocka_unit_test_setup_teardown(every_entry_is_found_by_its_mark, fixture_create,
                                        fixture_destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
