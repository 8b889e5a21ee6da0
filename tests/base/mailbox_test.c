#include "base/heap.h"
#include "base/mailbox.h"
#include "base/os.h"
#include "base/thread.h"
#include "support/test.h"

#include <errno.h>
#include <poll.h>

static int no_faults(void **state)
{
    (void)state;
    os_fail_never();
    return 0;
}

static bool is_ringing(const struct mailbox *mailbox)
{
    struct pollfd event = {.fd = mailbox->event_fd, .events = POLLIN};
    return poll(&event, 1, 0) == 1;
}

static enum memento_status post(struct mailbox *mailbox, uint64_t number)
{
    return mailbox_post(mailbox, (struct mail){.kind = 1, .number = number});
}

static void mail_comes_in_the_order_it_was_posted(void **state)
{
    (void)state;
    struct mailbox mailbox;
    assert_int_equal(mailbox_init(&mailbox, 3), MEMENTO_OK);
    struct mail mail = {.kind = 7, .number = 8, .pointer = &mailbox};
    assert_int_equal(mailbox_post(&mailbox, mail), MEMENTO_OK);
    mail = (struct mail){0};
    assert_true(mailbox_take(&mailbox, &mail));
    assert_int_equal(mail.kind, 7);
    assert_int_equal(mail.number, 8);
    assert_ptr_equal(mail.pointer, &mailbox);
    assert_false(mailbox_take(&mailbox, &mail));

    uint64_t posted = 0, taken = 0; /* round the ring, at every fill and every start */
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i <= round % 3; i++) {
            assert_int_equal(post(&mailbox, posted++), MEMENTO_OK);
        }
        while (mailbox_take(&mailbox, &mail)) {
            assert_int_equal(mail.number, taken++);
        }
        assert_int_equal(taken, posted);
    }
    mailbox_fini(&mailbox);
}

static void a_full_mailbox_refuses_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct mail mail;
    assert_int_equal(mailbox_init(&mailbox, 2), MEMENTO_OK);
    assert_int_equal(post(&mailbox, 1), MEMENTO_OK);
    assert_int_equal(post(&mailbox, 2), MEMENTO_OK);
    assert_int_equal(post(&mailbox, 3), MEMENTO_AGAIN);
    assert_true(mailbox_take(&mailbox, &mail));
    assert_int_equal(mail.number, 1);
    assert_int_equal(post(&mailbox, 4), MEMENTO_OK);
    assert_true(mailbox_take(&mailbox, &mail));
    assert_int_equal(mail.number, 2);
    assert_true(mailbox_take(&mailbox, &mail));
    assert_int_equal(mail.number, 4);
    assert_false(mailbox_take(&mailbox, &mail));
    mailbox_fini(&mailbox);
}

static void only_the_first_letter_rings(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct mail mail;
    assert_int_equal(mailbox_init(&mailbox, 4), MEMENTO_OK);
    os_fail_at(OS_WRITE, UINT64_MAX / 2, EIO, false); /* never comes; makes calls count */
    assert_false(is_ringing(&mailbox));
    assert_int_equal(post(&mailbox, 1), MEMENTO_OK);
    assert_int_equal(post(&mailbox, 2), MEMENTO_OK);
    assert_true(is_ringing(&mailbox));
    assert_int_equal(os_calls(OS_WRITE), 1);

    mailbox_drain(&mailbox);
    assert_false(is_ringing(&mailbox));
    while (mailbox_take(&mailbox, &mail)) {
    }
    assert_int_equal(post(&mailbox, 3), MEMENTO_OK); /* empty again: rings again */
    assert_true(is_ringing(&mailbox));
    mailbox_fini(&mailbox);
}

static void waking_needs_no_mail_and_draining_needs_no_ring(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct mail mail;
    assert_int_equal(mailbox_init(&mailbox, 1), MEMENTO_OK);
    mailbox_drain(&mailbox);
    mailbox_wake(&mailbox);
    mailbox_wake(&mailbox);
    assert_true(is_ringing(&mailbox));
    assert_false(mailbox_take(&mailbox, &mail));
    mailbox_drain(&mailbox);
    assert_false(is_ringing(&mailbox));
    mailbox_fini(&mailbox);
}

static void a_mailbox_that_cannot_be_made_leaves_nothing_behind(void **state)
{
    (void)state;
    size_t before = heap_bytes_used();
    struct mailbox mailbox;
    os_fail_at(OS_MEMORY, 1, ENOMEM, false);
    assert_int_equal(mailbox_init(&mailbox, 8), MEMENTO_ERR_NO_MEMORY);
    mailbox_fini(&mailbox); /* harmless */
    os_fail_at(OS_EVENTFD, 1, EMFILE, false);
    assert_int_equal(mailbox_init(&mailbox, 8), MEMENTO_ERR_IO);
    assert_int_equal(errno, EMFILE);
    mailbox_fini(&mailbox);
    assert_int_equal(heap_bytes_used(), before);
}

#define POSTERS 4
#define LETTERS 5000

struct poster {
    struct thread thread;
    struct mailbox *mailbox;
    int number;
};

static void post_all(void *context)
{
    struct poster *poster = context;
    for (uint64_t i = 0; i < LETTERS;) {
        struct mail mail = {.kind = poster->number, .number = i};
        if (mailbox_post(poster->mailbox, mail) == MEMENTO_OK) {
            i++;
        } else {
            sched_yield();
        }
    }
}

/* The owner sleeps on the eventfd alone: a ring that was lost would leave it asleep for
 * ever, and the test with it. */
static void no_letter_and_no_ring_is_lost_between_threads(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct poster posters[POSTERS];
    uint64_t expected[POSTERS] = {0};
    assert_int_equal(mailbox_init(&mailbox, 16), MEMENTO_OK);
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.mailbox = &mailbox, .number = i};
        assert_int_equal(thread_start(&posters[i].thread, "post", post_all, &posters[i]),
                         MEMENTO_OK);
    }
    for (int left = POSTERS * LETTERS; left > 0;) {
        struct pollfd event = {.fd = mailbox.event_fd, .events = POLLIN};
        assert_int_equal(poll(&event, 1, -1), 1);
        mailbox_drain(&mailbox);
        struct mail mail;
        while (mailbox_take(&mailbox, &mail)) {
            assert_int_equal(mail.number,
                             expected[mail.kind]++); /* in order, per poster */
            left--;
        }
    }
    for (int i = 0; i < POSTERS; i++) {
        thread_join(&posters[i].thread);
    }
    mailbox_fini(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_comes_in_the_order_it_was_posted),
        cmocka_unit_test(a_full_mailbox_refuses_and_keeps_what_it_has),
        cmocka_unit_test_teardown(only_the_first_letter_rings, no_faults),
        cmocka_unit_test(waking_needs_no_mail_and_draining_needs_no_ring),
        cmocka_unit_test_teardown(a_mailbox_that_cannot_be_made_leaves_nothing_behind,
                                  no_faults),
        cmocka_unit_test(no_letter_and_no_ring_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
