#include "base/os.h"
#include "base/socket.h"
#include "base/thread.h"
#include "client/pipe.h"
#include "protocol/request.h"
#include "support/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A server that answers +OK, but PING and ECHO as they want it, FAIL with an error and
 * PUSH with a pushed message in front; HALT makes it close at once. */
struct fixture {
    struct client client;
    int listener;
    struct thread thread;
    size_t requests;
    size_t pings_before_all; /* 1 when the first request was a PING in RESP */
    int input[2];            /* a pipe: what client_pipe reads */
    struct thread writer;
    size_t lines; /* that the writer writes */
    struct buf errors;
    unsigned sent_calls;
    struct pipe_totals totals;
};

static bool reply_to(struct fixture *f, struct bytes *words, size_t count,
                     struct buf *out)
{
    f->requests++;
    if (bytes_is(words[0], "HALT")) {
        return false;
    }
    if (bytes_is(words[0], "PUSH")) {
        buf_append_string(out, ">1\r\n+news\r\n");
    }
    if (bytes_is(words[0], "PING")) {
        buf_append_string(out, "+PONG\r\n");
        f->pings_before_all += f->requests == 1;
    } else if (bytes_is(words[0], "ECHO") && count == 2) {
        buf_appendf(out, "$%zu\r\n", words[1].len);
        buf_append_bytes(out, words[1]);
        buf_append_string(out, "\r\n");
    } else if (bytes_is(words[0], "FAIL")) {
        buf_appendf(out, "-ERR number %zu\r\n", f->requests);
    } else {
        buf_append_string(out, "+OK\r\n");
    }
    return true;
}

/* All requests that are whole. False: the server shall close. */
static bool reply_to_all(struct fixture *f, struct parser *parser, struct buf *in,
                         struct buf *out)
{
    const struct request_limits limits = {
        .words_max = 16, .word_bytes_max = 1 << 20, .line_bytes_max = 1 << 20};
    struct words words;
    words_init(&words);
    bool going = true;
    size_t at = 0;
    while (going) {
        struct request request;
        size_t consumed = 0;
        words.count = 0;
        enum request_status status = request_parse(parser, in->data + at, in->len - at,
                                                   &limits, &words, &request, &consumed);
        at += consumed;
        if (status == REQUEST_PARTIAL) {
            break;
        }
        if (status == REQUEST_READY) {
            going = reply_to(f, words.items + request.first, request.count, out);
        } else if (status != REQUEST_EMPTY) {
            going = false;
        }
    }
    buf_consume(in, at);
    words_fini(&words);
    return going;
}

static void serve(void *context)
{
    struct fixture *f = context;
    struct pollfd event = {.fd = f->listener, .events = POLLIN};
    poll(&event, 1, 10000);
    int fd = os_accept(f->listener, NULL, NULL);
    struct parser parser;
    struct buf in, out;
    parser_init(&parser);
    buf_init(&in);
    buf_init(&out);
    socket_set_nonblocking(fd, false);
    bool going = true;
    while (going && buf_reserve(&in, 65536)) {
        ssize_t got = os_read(fd, in.data + in.len, 65536);
        if (got <= 0) {
            break;
        }
        in.len += (size_t)got;
        going = reply_to_all(f, &parser, &in, &out);
        for (size_t at = 0; at < out.len;) {
            ssize_t wrote = os_write(fd, out.data + at, out.len - at);
            if (wrote <= 0) {
                break;
            }
            at += (size_t)wrote;
        }
        out.len = 0;
    }
    os_close(fd);
    parser_fini(&parser);
    buf_fini(&in);
    buf_fini(&out);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    client_init(&f->client);
    buf_init(&f->errors);
    struct address address;
    const char *error;
    assert_int_equal(address_resolve("127.0.0.1", 0, &address, 1, &error), 1);
    f->listener = socket_listen(&address, 8);
    assert_true(f->listener >= 0);
    assert_true(socket_local(f->listener, &address));
    assert_int_equal(pipe(f->input), 0);
    assert_int_equal(thread_start(&f->thread, "server", serve, f), MEMENTO_OK);
    assert_int_equal(
        client_connect(&f->client, "127.0.0.1", address_port(&address), NULL, 10000),
        MEMENTO_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    client_fini(&f->client);
    thread_join(&f->thread);
    os_close(f->listener);
    os_close(f->input[0]);
    buf_fini(&f->errors);
    free(f);
    return 0;
}

static void note_error(void *context, struct bytes error)
{
    struct fixture *f = context;
    buf_append_bytes(&f->errors, error);
    buf_append_char(&f->errors, ';');
}

static void note_sent(void *context)
{
    struct fixture *f = context;
    f->sent_calls++;
}

static enum memento_status run(struct fixture *f, int quiet_ms)
{
    return client_pipe(&f->client, f->input[0], quiet_ms, note_error, note_sent, f,
                       &f->totals);
}

static enum memento_status run_with(struct fixture *f, struct bytes input, int quiet_ms)
{
    assert_int_equal(os_write(f->input[1], input.data, input.len), input.len);
    os_close(f->input[1]);
    return run(f, quiet_ms);
}

/* RESP and text lines, mixed; a last line without its end is a request too. */
static void replies_and_errors_are_counted(void **state)
{
    struct fixture *f = *state;
    struct bytes input = B("*1\r\n$4\r\nFAIL\r\nSET a 1\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
                           "\r\nfail\nGET a");
    assert_int_equal(run_with(f, input, 10000), MEMENTO_OK);
    assert_int_equal(f->totals.replies, 5);
    assert_int_equal(f->totals.errors, 2);
    assert_int_equal(f->sent_calls, 1);
    assert_bytes_equal(buf_bytes(&f->errors), B("ERR number 2;ERR number 5;"));
    assert_int_equal(f->pings_before_all, 1);
}

static void no_input_is_no_error(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run_with(f, B(""), 10000), MEMENTO_OK);
    assert_int_equal(f->totals.replies, 0);
    assert_int_equal(f->requests, 2); /* PING and ECHO */
}

static void pushed_messages_are_no_replies(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run_with(f, B("PUSH\nPUSH\n"), 10000), MEMENTO_OK);
    assert_int_equal(f->totals.replies, 2);
}

static void write_lines(void *context)
{
    struct fixture *f = context;
    struct buf piece;
    buf_init(&piece);
    for (size_t i = 0; i < 1000; i++) {
        buf_append_string(&piece, "*2\r\n$3\r\nGET\r\n$10\r\nkkkkkkkkkk\r\n");
    }
    for (size_t i = 0; i < f->lines / 1000; i++) {
        for (size_t at = 0; at < piece.len;) {
            ssize_t wrote = os_write(f->input[1], piece.data + at, piece.len - at);
            at += wrote > 0 ? (size_t)wrote : piece.len;
        }
    }
    buf_fini(&piece);
    os_close(f->input[1]);
}

/* Far more than the buffers on the way hold: nobody waits for ever, nothing is kept. */
static void much_input_takes_little_memory(void **state)
{
    struct fixture *f = *state;
    f->lines = 400000;
    assert_int_equal(thread_start(&f->writer, "writer", write_lines, f), MEMENTO_OK);
    assert_int_equal(run(f, 10000), MEMENTO_OK);
    thread_join(&f->writer);
    assert_int_equal(f->totals.replies, 400000);
    assert_int_equal(f->totals.errors, 0);
    assert_true(f->client.in.cap <= (size_t)1024 * 1024);
}

static void a_server_that_closes_is_told(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(run_with(f, B("GET a\nHALT\nGET b\n"), 10000), MEMENTO_CLOSED);
    assert_true(f->totals.replies <= 1);
    assert_true(strlen(f->client.error) > 0);
}

/* The ECHO behind it becomes part of the request, and no answer comes. */
static void input_that_ends_inside_a_request_is_told(void **state)
{
    struct fixture *f = *state;
    struct bytes input = B("GET a\r\n*2\r\n$3\r\nSET\r\n$500\r\nhalf");
    assert_int_equal(run_with(f, input, 100), MEMENTO_ERR_IO);
    assert_int_equal(f->totals.replies, 1);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replies_and_errors_are_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(no_input_is_no_error, setup, teardown),
        cmocka_unit_test_setup_teardown(pushed_messages_are_no_replies, setup, teardown),
        cmocka_unit_test_setup_teardown(much_input_takes_little_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_closes_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(input_that_ends_inside_a_request_is_told, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
