#include "base/os.h"
#include "base/socket.h"
#include "command/spec.h"
#include "server/client_names.h"
#include "server/client_text.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

struct fixture {
    int listener, client;
    struct connection connection;
    struct buf text;
    char addr[64], laddr[64];
};

static void print_into(char text[64], bool (*side)(int, struct address *), int fd)
{
    struct address address;
    struct buf out;
    buf_init(&out);
    assert_true(side(fd, &address));
    address_print(&address, &out);
    snprintf(text, 64, "%s", buf_c_string(&out));
    buf_fini(&out);
}

/* A real connection over loopback, so that there are real addresses to print. */
static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *error;
    struct address address;
    assert_int_equal(address_resolve("127.0.0.1", 0, &address, 1, &error), 1);
    f->listener = socket_listen(&address, 1);
    assert_true(f->listener >= 0);
    assert_true(socket_local(f->listener, &address));
    f->client = socket_connect(&address, 1000);
    assert_true(f->client >= 0);
    f->connection.fd = os_accept(f->listener, NULL, NULL);
    assert_true(f->connection.fd >= 0);
    session_init(&f->connection.session, 42, DIALECT_TEXT);
    print_into(f->addr, socket_local, f->client);
    print_into(f->laddr, socket_peer, f->client);
    buf_init(&f->text);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    os_close(f->connection.fd);
    os_close(f->client);
    os_close(f->listener);
    buf_fini(&f->connection.session.name);
    buf_fini(&f->connection.session.library_name);
    buf_fini(&f->text);
    free(f);
    return 0;
}

static void assert_line(struct fixture *f, int64_t now_ms, const char *format_of_rest)
{
    char expected[1024];
    size_t total = sizeof(struct connection) + f->connection.session.name.cap +
                   f->connection.session.library_name.cap +
                   (size_t)atomic_load(&f->connection.shown.in_bytes) +
                   (size_t)atomic_load(&f->connection.shown.in_free_bytes) +
                   (size_t)atomic_load(&f->connection.shown.unsent_bytes) +
                   (size_t)atomic_load(&f->connection.shown.queued_bytes);
    char tot_mem[64];
    snprintf(tot_mem, sizeof(tot_mem), "tot-mem=%zu", total);
    snprintf(expected, sizeof(expected), "id=42 addr=%s laddr=%s fd=%d %s", f->addr,
             f->laddr, f->connection.fd, format_of_rest);
    /* The size of the struct is the compiler's business. */
    char *place = strstr(expected, "tot-mem=?");
    assert_non_null(place);
    char tail[512];
    snprintf(tail, sizeof(tail), "%s", place + strlen("tot-mem=?"));
    snprintf(place, sizeof(expected) - (size_t)(place - expected), "%s%s", tot_mem, tail);
    f->text.len = 0;
    client_print(&f->connection, now_ms, &f->text);
    assert_bytes_equal(buf_bytes(&f->text), bytes_of_string(expected));
}

static void a_new_client_has_done_nothing_and_holds_nothing(void **state)
{
    struct fixture *f = *state;
    f->connection.created_ms = 1000;
    atomic_store(&f->connection.active_ms, 1000);
    assert_line(f, 1999,
                "name= age=0 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 "
                "qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 omem=0 tot-mem=? "
                "events=r cmd=NULL user=default redir=-1 resp=2 lib-name= lib-ver=\n");
}

static void a_busy_client_shows_what_it_does_and_holds(void **state)
{
    struct fixture *f = *state;
    struct connection *connection = &f->connection;
    connection->created_ms = 1000;
    atomic_store(&connection->active_ms, 8000);
    atomic_store(&connection->database, 3);
    atomic_store(&connection->dialect, DIALECT_RESP3);
    atomic_store(&connection->in_multi, true);
    atomic_store(&connection->last_row, command_find(B("get")));
    atomic_store(&connection->shown.in_bytes, 10);
    atomic_store(&connection->shown.in_free_bytes, 20);
    atomic_store(&connection->shown.unsent_bytes, 30);
    atomic_store(&connection->shown.queued, 4);
    atomic_store(&connection->shown.queued_bytes, 400);
    buf_append_string(&connection->session.name, "worker-1");
    buf_append_string(&connection->session.library_name, "lib");
    assert_line(
        f, 11000,
        "name=worker-1 age=10 idle=3 flags=x db=3 sub=0 psub=0 ssub=0 multi=4 qbuf=10 "
        "qbuf-free=20 argv-mem=0 multi-mem=400 rbs=0 rbp=0 obl=0 omem=30 tot-mem=? "
        "events=rw cmd=get user=default redir=-1 resp=3 lib-name=lib lib-ver=\n");
}

static void a_clock_that_was_set_back_makes_no_negative_age(void **state)
{
    struct fixture *f = *state;
    f->connection.created_ms = 5000;
    atomic_store(&f->connection.active_ms, 5000);
    client_print(&f->connection, 1000, &f->text);
    assert_non_null(strstr(buf_c_string(&f->text), " age=0 idle=0 "));
}

static void a_client_of_a_unix_socket_is_named_by_the_path(void **state)
{
    struct fixture *f = *state;
    char folder[TEST_PATH_MAX], path[TEST_PATH_MAX + 8];
    test_folder_create(folder);
    snprintf(path, sizeof(path), "%s/s", folder);
    struct address address;
    assert_int_equal(address_unix(&address, path), MEMENTO_OK);
    int listener = socket_listen(&address, 1);
    assert_true(listener >= 0);
    int client = socket_connect(&address, 1000);
    assert_true(client >= 0);
    struct connection *connection = &f->connection;
    int tcp = connection->fd;
    connection->fd = os_accept(listener, NULL, NULL);
    assert_true(connection->fd >= 0);
    client_print(connection, 0, &f->text);
    const char *line = buf_c_string(&f->text);
    char expected[2 * sizeof(path) + 32];
    snprintf(expected, sizeof(expected), "addr=%s:0 laddr=%s:0 ", path, path);
    assert_non_null(strstr(line, expected));
    assert_non_null(strstr(line, " flags=U "));
    os_close(connection->fd);
    os_close(client);
    os_close(listener);
    connection->fd = tcp;
    test_folder_remove(folder);
}

static void a_client_that_is_gone_has_no_address(void **state)
{
    struct fixture *f = *state;
    int fd = f->connection.fd;
    f->connection.fd = -1;
    client_print(&f->connection, 0, &f->text);
    assert_non_null(strstr(buf_c_string(&f->text), "addr=?:0 laddr=?:0 fd=-1 "));
    f->connection.fd = fd;
}

static void names_are_of_bytes_that_print_and_are_no_space(void **state)
{
    (void)state;
    assert_true(client_text_is_plain(B("")));
    assert_true(client_text_is_plain(B("!az~")));
    assert_false(client_text_is_plain(B("a b")));
    assert_false(client_text_is_plain(B("a\n")));
    assert_false(client_text_is_plain(B("\x7f")));
    assert_false(client_text_is_plain(B("\xc3\xa4")));
    assert_false(client_text_is_plain(B("a\0b")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_client_has_done_nothing_and_holds_nothing),
        TEST(a_busy_client_shows_what_it_does_and_holds),
        TEST(a_clock_that_was_set_back_makes_no_negative_age),
        TEST(a_client_of_a_unix_socket_is_named_by_the_path),
        TEST(a_client_that_is_gone_has_no_address),
        cmocka_unit_test(names_are_of_bytes_that_print_and_are_no_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
