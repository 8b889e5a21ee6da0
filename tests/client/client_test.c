#include "base/clock.h"
#include "base/os.h"
#include "base/socket.h"
#include "base/thread.h"
#include "client/client.h"
#include "support/test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A server that is a thread: it takes one connection and plays its part. */
struct fixture {
    struct client client;
    int listener, port;
    struct thread thread;
    void (*part)(struct fixture *f, int fd);
    bool started;
    struct buf heard;  /* what the server has read */
    struct bytes says; /* what it answers */
    size_t amount;     /* how much of it a part is about */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    client_init(&f->client);
    buf_init(&f->heard);
    struct address address;
    const char *error;
    assert_int_equal(address_resolve("127.0.0.1", 0, &address, 1, &error), 1);
    f->listener = socket_listen(&address, 8);
    assert_true(f->listener >= 0);
    assert_true(socket_local(f->listener, &address));
    f->port = address_port(&address);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    os_fail_never();
    client_fini(&f->client);
    os_close(f->listener);
    if (f->started) {
        thread_join(&f->thread);
    }
    buf_fini(&f->heard);
    free(f);
    return 0;
}

static void serve(void *context)
{
    struct fixture *f = context;
    struct pollfd event = {.fd = f->listener, .events = POLLIN};
    poll(&event, 1, 10000);
    int fd = os_accept(f->listener, NULL, NULL);
    if (fd >= 0) {
        socket_set_nonblocking(fd, false);
        f->part(f, fd);
        os_close(fd);
    }
}

static void start(struct fixture *f, void (*part)(struct fixture *, int))
{
    f->part = part;
    assert_int_equal(thread_start(&f->thread, "server", serve, f), MEMENTO_OK);
    f->started = true;
    assert_int_equal(client_connect(&f->client, "127.0.0.1", f->port, NULL, 10000),
                     MEMENTO_OK);
}

/* The server has come to its end: what it heard can be looked at. */
static void finish(struct fixture *f)
{
    thread_join(&f->thread);
    f->started = false;
}

static void say(int fd, struct bytes bytes)
{
    while (bytes.len > 0) {
        ssize_t wrote = os_write(fd, bytes.data, bytes.len);
        if (wrote <= 0) {
            return;
        }
        bytes = bytes_of(bytes.data + wrote, bytes.len - (size_t)wrote);
    }
}

static bool hear(struct fixture *f, int fd)
{
    char piece[4096];
    ssize_t got = os_read(fd, piece, sizeof(piece));
    buf_append(&f->heard, piece, got > 0 ? (size_t)got : 0);
    return got > 0;
}

/* Hears so many bytes, then answers. */
static void answer(struct fixture *f, int fd)
{
    while (f->heard.len < f->amount && hear(f, fd)) {
    }
    say(fd, f->says);
}

static void answer_byte_by_byte(struct fixture *f, int fd)
{
    hear(f, fd);
    for (size_t i = 0; i < f->says.len; i++) {
        say(fd, bytes_of(f->says.data + i, 1));
    }
}

static const struct bytes PING[] = {BYTES("PING")};

static void requests_are_sent_in_resp(void **state)
{
    struct fixture *f = *state;
    struct bytes expected = B("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\0\r\n\xff\r\n");
    f->amount = expected.len;
    f->says = B("+OK\r\n");
    start(f, answer);
    const struct bytes words[] = {BYTES("SET"), BYTES("k"), BYTES("\0\r\n\xff")};
    client_request(&f->client, words, ARRAY_LEN(words));
    assert_int_equal(client_read(&f->client), MEMENTO_OK);
    assert_int_equal(f->client.response.nodes[0].type, RESPONSE_STATUS);
    finish(f);
    assert_bytes_equal(buf_bytes(&f->heard), expected);
}

static void responses_arrive_in_any_pieces(void **state)
{
    struct fixture *f = *state;
    f->says = B("*2\r\n$5\r\nhello\r\n:12\r\n+last\r\n");
    start(f, answer_byte_by_byte);
    client_request(&f->client, PING, 1);
    assert_int_equal(client_read(&f->client), MEMENTO_OK);
    assert_bytes_equal(f->client.response.nodes[1].bytes, B("hello"));
    assert_int_equal(client_read(&f->client), MEMENTO_OK);
    assert_bytes_equal(f->client.response.nodes[0].bytes, B("last"));
}

/* Many responses in one piece: each is given once, in order. */
static void a_pipeline_is_answered_in_order(void **state)
{
    struct fixture *f = *state;
    struct buf says;
    buf_init(&says);
    for (int i = 0; i < 50000; i++) {
        buf_appendf(&says, ":%d\r\n", i);
    }
    f->says = buf_bytes(&says);
    start(f, answer);
    for (int i = 0; i < 50000; i++) {
        assert_int_equal(client_read(&f->client), MEMENTO_OK);
        assert_int_equal(f->client.response.nodes[0].integer, i);
    }
    finish(f);
    buf_fini(&says);
}

/* Answers while it hears, and stops hearing while its answers are not taken: a client
 * that only sent would wait for this server for ever, as it would for the client. */
static void echo_everything(struct fixture *f, int fd)
{
    char piece[65536];
    ssize_t got;
    for (size_t heard = 0; heard < f->amount; heard += (size_t)got) {
        got = os_read(fd, piece, sizeof(piece));
        if (got <= 0) {
            return;
        }
        for (ssize_t i = 0; i < got; i++) {
            piece[i] = 'x';
        }
        say(fd, bytes_of(piece, (size_t)got));
    }
    say(fd, B("\r\n"));
}

static void answers_are_taken_in_while_sending(void **state)
{
    struct fixture *f = *state;
    size_t len = (size_t)48 * 1024 * 1024; /* more than both sockets hold */
    f->amount = len;
    start(f, echo_everything);
    assert_true(buf_reserve(&f->client.out, len));
    memset(f->client.out.data, 'y', len);
    f->client.out.len = len;
    assert_int_equal(client_flush(&f->client), MEMENTO_OK);
    /* "xxx...": not RESP, which is how the client finds that it arrived. */
    assert_int_equal(client_read(&f->client), MEMENTO_ERR_INVALID);
    assert_int_equal(f->client.fd, -1);
}

static void a_large_value_arrives_whole(void **state)
{
    struct fixture *f = *state;
    size_t len = (size_t)20 * 1024 * 1024;
    struct buf says;
    buf_init(&says);
    buf_appendf(&says, "$%zu\r\n", len);
    size_t header = says.len;
    assert_true(buf_reserve(&says, len + 2));
    for (size_t i = 0; i < len; i++) {
        says.data[header + i] = (char)(i * 31 >> 3);
    }
    says.len += len;
    buf_append(&says, "\r\n", 2);
    f->says = buf_bytes(&says);
    start(f, answer);
    assert_int_equal(client_read(&f->client), MEMENTO_OK);
    assert_int_equal(f->client.response.nodes[0].bytes.len, len);
    assert_memory_equal(f->client.response.nodes[0].bytes.data, says.data + header, len);
    finish(f);
    buf_fini(&says);
}

/* What the server said before it closed is read; then it has gone, and stays gone. */
static void the_last_words_of_a_server_are_read(void **state)
{
    struct fixture *f = *state;
    f->says = B("-ERR max number of clients reached\r\n");
    start(f, answer);
    assert_int_equal(client_read(&f->client), MEMENTO_OK);
    assert_int_equal(f->client.response.nodes[0].type, RESPONSE_ERROR);
    assert_int_equal(client_read(&f->client), MEMENTO_CLOSED);
    assert_int_equal(f->client.fd, -1);
    assert_int_equal(client_read(&f->client), MEMENTO_CLOSED);
}

static void half_a_response_is_none(void **state)
{
    struct fixture *f = *state;
    f->says = B("$10\r\nhalf");
    start(f, answer);
    assert_int_equal(client_read(&f->client), MEMENTO_CLOSED);
}

static void another_protocol_is_refused(void **state)
{
    struct fixture *f = *state;
    f->says = B("HTTP/1.1 400 Bad Request\r\n\r\n");
    start(f, answer);
    assert_int_equal(client_read(&f->client), MEMENTO_ERR_INVALID);
    assert_int_equal(f->client.fd, -1);
}

static void say_nothing(struct fixture *f, int fd)
{
    while (hear(f, fd)) {
    }
}

static void a_silent_server_is_given_up(void **state)
{
    struct fixture *f = *state;
    start(f, say_nothing);
    f->client.timeout_ms = 20;
    client_request(&f->client, PING, 1);
    assert_int_equal(client_read(&f->client), MEMENTO_ERR_IO);
    assert_int_equal(f->client.fd, -1);
    assert_true(strlen(f->client.error) > 0);
}

static void nobody_listening_is_told(void **state)
{
    struct fixture *f = *state;
    char folder[TEST_PATH_MAX], path[TEST_PATH_MAX + 16], longer[200];
    test_folder_create(folder);
    snprintf(path, sizeof(path), "%s/none", folder);
    assert_int_equal(client_connect(&f->client, NULL, 0, path, 1000), MEMENTO_ERR_IO);
    assert_string_equal(f->client.error, strerror(ENOENT));
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(client_connect(&f->client, NULL, 0, longer, 1000), MEMENTO_ERR_IO);
    assert_int_equal(client_connect(&f->client, "127.0.0.1", 70000, NULL, 1000),
                     MEMENTO_ERR_IO);
    assert_true(strlen(f->client.error) > 0);
    test_folder_remove(folder);
}

static void a_password_is_sent_and_wiped(void **state)
{
    struct fixture *f = *state;
    struct bytes expected = B("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n");
    f->amount = expected.len;
    f->says = B("+OK\r\n");
    start(f, answer);
    assert_int_equal(client_authenticate(&f->client, B("secret")), MEMENTO_OK);
    finish(f);
    assert_bytes_equal(buf_bytes(&f->heard), expected);
    assert_non_null(f->client.out.data);
    assert_null(memmem(f->client.out.data, f->client.out.cap, "secret", 6));
}

static void a_refused_password_says_why(void **state)
{
    struct fixture *f = *state;
    f->says = B("-WRONGPASS invalid\r\n+PONG\r\n");
    f->amount = 10;
    start(f, answer);
    assert_int_equal(client_authenticate(&f->client, B("wrong")), MEMENTO_ERR_INVALID);
    assert_string_equal(f->client.error, "WRONGPASS invalid");
    assert_int_equal(client_read(&f->client), MEMENTO_OK); /* the connection lives */
}

/* Each allocation in turn fails: the status says so and nothing breaks. */
static void no_memory_is_an_answer(void **state)
{
    struct fixture *f = *state;
    f->says = B("+OK\r\n");
    f->amount = 1;
    start(f, answer);
    os_fail_at(OS_MEMORY, 1, ENOMEM, true);
    client_request(&f->client, PING, 1);
    assert_int_equal(client_flush(&f->client), MEMENTO_ERR_NO_MEMORY);
    os_fail_never();
    client_disconnect(&f->client);
}

/* Nothing has come: that is told at once. */
static void receiving_does_not_wait(void **state)
{
    struct fixture *f = *state;
    start(f, say_nothing);
    assert_int_equal(client_receive(&f->client), MEMENTO_AGAIN);
    assert_int_equal(client_take(&f->client), MEMENTO_AGAIN);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_are_sent_in_resp, setup, teardown),
        cmocka_unit_test_setup_teardown(responses_arrive_in_any_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pipeline_is_answered_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_are_taken_in_while_sending, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_large_value_arrives_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_words_of_a_server_are_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(half_a_response_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(another_protocol_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silent_server_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_listening_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_password_is_sent_and_wiped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_password_says_why, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory_is_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(receiving_does_not_wait, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
