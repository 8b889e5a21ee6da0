#include "base/list.h"
#include "support/test.h"

struct item {
    int number;
    struct list node;
};

static int sum_in_order(struct list *head)
{
    int digits = 0;
    LIST_EACH (node, following, head) {
        digits = digits * 10 + CONTAINER_OF(node, struct item, node)->number;
    }
    return digits;
}

static void items_come_in_the_order_they_were_appended(void **state)
{
    (void)state;
    struct list head;
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_int_equal(sum_in_order(&head), 0);
    struct item items[] = {{.number = 1}, {.number = 2}, {.number = 3}};
    for (int i = 0; i < 3; i++) {
        list_append(&head, &items[i].node);
    }
    assert_false(list_is_empty(&head));
    assert_int_equal(sum_in_order(&head), 123);
    list_remove(&items[1].node);
    assert_int_equal(sum_in_order(&head), 13);
    list_remove(&items[1].node); /* a list of its own by now */
    assert_int_equal(sum_in_order(&head), 13);
}

static void an_item_may_leave_while_the_list_is_walked(void **state)
{
    (void)state;
    struct list head;
    list_init(&head);
    struct item items[] = {{.number = 1}, {.number = 2}, {.number = 3}};
    for (int i = 0; i < 3; i++) {
        list_append(&head, &items[i].node);
    }
    LIST_EACH (node, following, &head) {
        list_remove(node);
    }
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_in_the_order_they_were_appended),
        cmocka_unit_test(an_item_may_leave_while_the_list_is_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
