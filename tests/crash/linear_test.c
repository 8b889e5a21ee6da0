/* linear_test.c - the judge of histories is judged: small histories whose verdict is known, and
 * random ones beside a judge that tries every order. MEMENTO_SEED replays a run. */
#include "base/clock.h"
#include "base/random.h"
#include "linear.h"
#include "support/test.h"

#include <stdlib.h>

#define EVENTS_MAX 7
#define ROUNDS     60000

static const struct value nothing = {0};

static struct value number(uint64_t n)
{
    return (struct value){n, 0, 1};
}

static struct event at(int64_t invoked, int64_t returned, enum event_kind kind,
                       struct value wanted, struct value seen)
{
    return (struct event){.invoked_ns = invoked,
                          .returned_ns = returned,
                          .wanted = wanted,
                          .seen = seen,
                          .kind = (uint8_t)kind,
                          .is_answered = true};
}

static struct event without_answer(struct event event)
{
    event.is_answered = false;
    return event;
}

static enum verdict judge_from(struct frontier *frontier, const struct event *events,
                               size_t count)
{
    const struct event *pointers[16];
    const struct event *culprit = NULL;
    for (size_t i = 0; i < count; i++) {
        pointers[i] = &events[i];
    }
    return linear_check(frontier, pointers, count, &culprit);
}

static enum verdict judge(const struct event *events, size_t count)
{
    struct frontier frontier;
    frontier_init(&frontier);
    enum verdict verdict = judge_from(&frontier, events, count);
    frontier_fini(&frontier);
    return verdict;
}

#define JUDGE(events) judge(events, sizeof(events) / sizeof((events)[0]))

static void a_read_gives_what_was_written_last(void **state)
{
    (void)state;
    struct event good[] = {at(0, 1, EVENT_WRITE, number(5), nothing),
                           at(2, 3, EVENT_READ, nothing, number(5))};
    struct event stale[] = {at(0, 1, EVENT_WRITE, number(5), nothing),
                            at(2, 3, EVENT_WRITE, number(6), nothing),
                            at(4, 5, EVENT_READ, nothing, number(5))};
    assert_int_equal(JUDGE(good), LINEARIZABLE);
    assert_int_equal(JUDGE(stale), NOT_LINEARIZABLE);
}

static void overlapping_operations_may_come_in_either_order(void **state)
{
    (void)state;
    struct event events[] = {at(0, 10, EVENT_WRITE, number(5), nothing),
                             at(1, 9, EVENT_WRITE, number(6), nothing),
                             at(11, 12, EVENT_READ, nothing, number(5))};
    assert_int_equal(JUDGE(events), LINEARIZABLE);
    events[2].seen = number(6);
    assert_int_equal(JUDGE(events), LINEARIZABLE);
    events[2].seen = nothing;
    assert_int_equal(JUDGE(events), NOT_LINEARIZABLE);
}

static void two_readers_must_agree_on_the_order(void **state)
{
    (void)state;
    struct event events[] = {at(0, 20, EVENT_WRITE, number(5), nothing),
                             at(1, 2, EVENT_READ, nothing, number(5)),
                             at(3, 4, EVENT_READ, nothing, nothing)};
    assert_int_equal(JUDGE(events), NOT_LINEARIZABLE);
}

static void an_operation_without_an_answer_happens_or_does_not(void **state)
{
    (void)state;
    struct event events[] = {
        at(0, 1, EVENT_WRITE, number(5), nothing),
        without_answer(at(2, 10, EVENT_WRITE, number(6), nothing)),
        at(11, 12, EVENT_READ, nothing, number(6)),
        at(13, 14, EVENT_READ, nothing, number(6)),
    };
    assert_int_equal(JUDGE(events), LINEARIZABLE);
    events[2].seen = events[3].seen = number(5);
    assert_int_equal(JUDGE(events), LINEARIZABLE);
    events[2].seen = number(6); /* seen, and then taken back */
    assert_int_equal(JUDGE(events), NOT_LINEARIZABLE);
}

static void an_operation_without_an_answer_happens_once(void **state)
{
    (void)state;
    struct event events[] = {at(0, 1, EVENT_WRITE, number(5), nothing),
                             without_answer(at(2, 10, EVENT_INCR, nothing, nothing)),
                             at(11, 12, EVENT_READ, nothing, number(7))};
    assert_int_equal(JUDGE(events), NOT_LINEARIZABLE);
    events[2].seen = number(6);
    assert_int_equal(JUDGE(events), LINEARIZABLE);
}

static void a_swap_needs_its_condition(void **state)
{
    (void)state;
    struct event events[] = {at(0, 1, EVENT_WRITE, number(5), nothing),
                             at(2, 3, EVENT_WRITE, number(6), nothing),
                             at(2, 9, EVENT_CAS, number(7), number(5))};
    assert_int_equal(JUDGE(events), LINEARIZABLE);
    events[2].invoked_ns = 4;
    assert_int_equal(JUDGE(events), NOT_LINEARIZABLE);
}

static void appended_texts_keep_their_order(void **state)
{
    (void)state;
    struct value ab = value_append(value_append(nothing, 'a', 8), 'b', 8);
    struct value ba = value_append(value_append(nothing, 'b', 8), 'a', 8);
    struct event events[] = {at(0, 1, EVENT_APPEND, (struct value){'a', 8, 0}, number(0)),
                             at(2, 3, EVENT_APPEND, (struct value){'b', 8, 0}, number(0)),
                             at(4, 5, EVENT_READ, nothing, ab)};
    events[0].seen.len = 8;
    events[1].seen.len = 16;
    assert_int_equal(JUDGE(events), LINEARIZABLE);
    events[2].seen = ba;
    assert_int_equal(JUDGE(events), NOT_LINEARIZABLE);
}

static void a_history_in_parts_is_judged_as_a_whole(void **state)
{
    (void)state;
    struct frontier frontier;
    frontier_init(&frontier);
    struct event first[] = {without_answer(at(0, 9, EVENT_WRITE, number(5), nothing))};
    struct event second[] = {at(10, 11, EVENT_READ, nothing, number(5))};
    struct event third[] = {at(12, 13, EVENT_READ, nothing, nothing)};
    assert_int_equal(judge_from(&frontier, first, 1), LINEARIZABLE);
    assert_int_equal(frontier.count, 2);
    assert_int_equal(judge_from(&frontier, second, 1), LINEARIZABLE);
    assert_int_equal(frontier.count, 1);
    assert_int_equal(judge_from(&frontier, third, 1), NOT_LINEARIZABLE);
    frontier_fini(&frontier);
}

/* ---- beside a judge that tries every order ---- */

struct trial {
    struct event events[EVENTS_MAX];
    size_t count;
};

/* Whether the events that are not in `done` can follow in some order. */
static bool some_order_goes_on(const struct trial *trial, unsigned done,
                               struct value value)
{
    bool is_over = true;
    for (size_t i = 0; i < trial->count; i++) {
        if ((done & 1u << i) == 0 && trial->events[i].is_answered) {
            is_over = false;
        }
    }
    if (is_over) {
        return true;
    }
    for (size_t i = 0; i < trial->count; i++) {
        const struct event *event = &trial->events[i];
        struct value after;
        bool is_next = (done & 1u << i) == 0;
        for (size_t j = 0; j < trial->count && is_next; j++) {
            /* Who has returned before this one began has to be done already; one without an
             * answer is done by then or never. */
            is_next = (done & 1u << j) != 0 || !trial->events[j].is_answered ||
                      trial->events[j].returned_ns >= event->invoked_ns;
        }
        for (size_t j = 0; j < trial->count && is_next; j++) {
            is_next = (done & 1u << j) == 0 ||
                      event->returned_ns >= trial->events[j].invoked_ns;
        }
        if (is_next && event_apply(event, value, &after) &&
            some_order_goes_on(trial, done | 1u << i, after)) {
            return true;
        }
    }
    return false;
}

static struct event random_event(struct random *random)
{
    static const enum event_kind kinds[] = {EVENT_READ,  EVENT_READ,   EVENT_READ,
                                            EVENT_WRITE, EVENT_DELETE, EVENT_INCR,
                                            EVENT_INCR,  EVENT_CAS};
    int64_t invoked = (int64_t)random_below(random, 20);
    struct event event =
        at(invoked, invoked + (int64_t)random_below(random, 12),
           kinds[random_below(random, 8)], number(random_below(random, 3)),
           random_below(random, 5) == 0 ? nothing : number(random_below(random, 4)));
    event.is_answered = random_below(random, 4) != 0;
    return event;
}

static void random_histories_get_the_verdict_of_trying_every_order(void **state)
{
    (void)state;
    const char *given = getenv("MEMENTO_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : clock_monotonic_ns();
    struct random random;
    unsigned verdicts[2] = {0, 0};
    random_init(&random, seed);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct trial trial = {.count = 1 + random_below(&random, EVENTS_MAX)};
        for (size_t i = 0; i < trial.count; i++) {
            trial.events[i] = random_event(&random);
        }
        bool expected = some_order_goes_on(&trial, 0, nothing);
        assert_int_equal(judge(trial.events, trial.count),
                         expected ? LINEARIZABLE : NOT_LINEARIZABLE);
        verdicts[expected]++;
    }
    /* Neither verdict is an exception. */
    assert_true(verdicts[0] > ROUNDS / 20);
    assert_true(verdicts[1] > ROUNDS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_gives_what_was_written_last),
        cmocka_unit_test(overlapping_operations_may_come_in_either_order),
        cmocka_unit_test(two_readers_must_agree_on_the_order),
        cmocka_unit_test(an_operation_without_an_answer_happens_or_does_not),
        cmocka_unit_test(an_operation_without_an_answer_happens_once),
        cmocka_unit_test(a_swap_needs_its_condition),
        cmocka_unit_test(appended_texts_keep_their_order),
        cmocka_unit_test(a_history_in_parts_is_judged_as_a_whole),
        cmocka_unit_test(random_histories_get_the_verdict_of_trying_every_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
