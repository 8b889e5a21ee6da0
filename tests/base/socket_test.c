#include "base/os.h"
#include "base/socket.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char folder[TEST_PATH_MAX];
    char path[TEST_PATH_MAX + 8];
};

static struct fixture fixture;

static int setup(void **state)
{
    *state = &fixture;
    test_folder_create(fixture.folder);
    snprintf(fixture.path, sizeof(fixture.path), "%s/socket", fixture.folder);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    os_fail_never();
    test_folder_remove(f->folder);
    return 0;
}

static void assert_prints(const struct address *address, const char *expected)
{
    struct buf out;
    buf_init(&out);
    address_print(address, &out);
    assert_bytes_equal(buf_bytes(&out), bytes_of_string(expected));
    buf_fini(&out);
}

static struct address resolve(const char *host, int port)
{
    struct address address;
    const char *error = NULL;
    if (address_resolve(host, port, &address, 1, &error) != 1) {
        fail_msg("%s: %s", host, error);
    }
    return address;
}

/* Listens on a port that the kernel picks; `address` becomes the one to connect to. */
static int listen_somewhere(struct address *address)
{
    *address = resolve("127.0.0.1", 0);
    int fd = socket_listen(address, 8);
    assert_true(fd >= 0);
    assert_true(socket_local(fd, address));
    return fd;
}

static int accept_one(int listener, struct address *peer)
{
    struct pollfd event = {.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&event, 1, -1), 1);
    *peer = (struct address){.len = sizeof(peer->storage)};
    int fd = os_accept(listener, (struct sockaddr *)&peer->storage, &peer->len);
    assert_true(fd >= 0);
    return fd;
}

static void addresses_print_as_they_are_written(void **state)
{
    (void)state;
    struct address address = resolve("127.0.0.1", 6737);
    assert_prints(&address, "127.0.0.1:6737");
    assert_int_equal(address_port(&address), 6737);
    address = resolve("::1", 65535);
    assert_prints(&address, "[::1]:65535");
    assert_int_equal(address_port(&address), 65535);
    assert_int_equal(address_unix(&address, "/run/memento.sock"), MEMENTO_OK);
    assert_prints(&address, "/run/memento.sock:0");
    assert_int_equal(address_port(&address), 0);
}

static void loopback_is_told_from_the_world(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool is_loopback;
    } rows[] = {
        {"127.0.0.1", true},   {"127.255.0.3", true},      {"::1", true},
        {"0.0.0.0", false},    {"128.0.0.1", false},       {"::", false},
        {"10.0.0.127", false}, {"::ffff:127.0.0.1", true}, {"::ffff:10.0.0.1", false},
        {"fe80::1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address address = resolve(rows[i].host, 1);
        assert_int_equal(address_is_loopback(&address), rows[i].is_loopback);
    }
    struct address address;
    assert_int_equal(address_unix(&address, "/x"), MEMENTO_OK);
    assert_true(address_is_loopback(&address));
}

static void what_is_no_address_is_named(void **state)
{
    (void)state;
    struct address address;
    const char *error = NULL;
    assert_int_equal(address_resolve("127.0.0.1", 65536, &address, 1, &error), 0);
    assert_non_null(error);
    error = NULL;
    assert_int_equal(address_resolve("127.0.0.1", -1, &address, 1, &error), 0);
    assert_non_null(error);
    char name[400]; /* longer than any name can be: no server is asked */
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    error = NULL;
    assert_int_equal(address_resolve(name, 1, &address, 1, &error), 0);
    assert_non_null(error);
}

static void a_unix_path_has_107_bytes_at_most(void **state)
{
    (void)state;
    char path[200];
    struct address address;
    memset(path, 'p', sizeof(path));
    path[107] = '\0';
    assert_int_equal(address_unix(&address, path), MEMENTO_OK);
    char printed[sizeof(path) + 2];
    snprintf(printed, sizeof(printed), "%s:0", path);
    assert_prints(&address, printed);
    path[107] = 'p';
    path[108] = '\0';
    assert_int_equal(address_unix(&address, path), MEMENTO_ERR_INVALID);
    assert_int_equal(address_unix(&address, ""), MEMENTO_ERR_INVALID);
}

static void two_ends_of_a_connection_know_each_other(void **state)
{
    (void)state;
    struct address address, peer, other;
    int listener = listen_somewhere(&address);
    assert_true(address_port(&address) > 0);
    int client = socket_connect(&address, 1000);
    assert_true(client >= 0);
    int server = accept_one(listener, &peer);

    assert_true(socket_local(client, &other));
    assert_int_equal(address_port(&other), address_port(&peer));
    assert_true(socket_peer(client, &other));
    assert_int_equal(address_port(&other), address_port(&address));
    assert_true(socket_peer(server, &other));
    assert_int_equal(address_port(&other), address_port(&peer));

    /* The accepted end does not block, the connecting one does. */
    assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(server, F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(client, F_GETFL) & O_NONBLOCK);
    char byte = 0;
    assert_int_equal(os_write(server, "x", 1), 1);
    assert_int_equal(os_read(client, &byte, 1), 1);
    assert_int_equal(byte, 'x');

    os_close(server);
    os_close(client);
    os_close(listener);
    assert_false(socket_peer(listener, &other));
    assert_false(socket_local(listener, &other));
}

static void a_port_is_taken_once_and_free_again_after_its_owner(void **state)
{
    (void)state;
    struct address address, peer;
    int listener = listen_somewhere(&address);
    assert_int_equal(socket_listen(&address, 8), -1);
    assert_int_equal(errno, EADDRINUSE);
    /* The server's side closes first, which leaves it in TIME_WAIT. */
    int client = socket_connect(&address, 0);
    int server = accept_one(listener, &peer);
    os_close(server);
    os_close(client);
    os_close(listener);
    assert_int_equal(socket_connect(&address, 1000), -1);
    assert_int_equal(errno, ECONNREFUSED);
    listener = socket_listen(&address, 8);
    assert_true(listener >= 0);
    os_close(listener);
}

static void ipv6_and_ipv4_share_a_port_number(void **state)
{
    (void)state;
    struct address address;
    int listener = listen_somewhere(&address);
    /* Without IPV6_V6ONLY the wildcard would want the IPv4 port too. */
    struct address other = resolve("::", address_port(&address));
    int listener6 = socket_listen(&other, 8);
    if (listener6 < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
        os_close(listener);
        skip(); /* this machine has no IPv6 */
    }
    assert_true(listener6 >= 0);
    int only = 0;
    socklen_t len = sizeof(only);
    assert_int_equal(getsockopt(listener6, IPPROTO_IPV6, IPV6_V6ONLY, &only, &len), 0);
    assert_int_equal(only, 1);
    os_close(listener6);
    os_close(listener);
}

static void a_connection_that_is_not_answered_times_out(void **state)
{
    (void)state;
    struct address address;
    int listener = listen_somewhere(&address);
    assert_int_equal(listen(listener, 0), 0); /* room for one, and nobody accepts */
    int waiting[64], count = 0;
    while (count < 64) {
        int fd = socket_connect(&address, 50);
        if (fd < 0) {
            break;
        }
        waiting[count++] = fd;
    }
    assert_int_equal(errno, ETIMEDOUT);
    assert_true(count < 64);
    for (int i = 0; i < count; i++) {
        os_close(waiting[i]);
    }
    os_close(listener);
}

static void a_failing_call_keeps_its_errno(void **state)
{
    (void)state;
    struct address address = resolve("127.0.0.1", 0);
    os_fail_at(OS_SOCKET, 1, EMFILE, false);
    assert_int_equal(socket_listen(&address, 8), -1);
    assert_int_equal(errno, EMFILE);
    os_fail_at(OS_BIND, 1, EACCES, false);
    assert_int_equal(socket_listen(&address, 8), -1);
    assert_int_equal(errno, EACCES);
    os_fail_at(OS_SOCKET, 1, ENFILE, false);
    assert_int_equal(socket_connect(&address, 8), -1);
    assert_int_equal(errno, ENFILE);
    os_fail_at(OS_CONNECT, 1, ENETUNREACH, false);
    assert_int_equal(socket_connect(&address, 8), -1);
    assert_int_equal(errno, ENETUNREACH);
}

static int option_of(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void keepalive_notices_a_dead_peer_in_the_time_asked_for(void **state)
{
    (void)state;
    int fd = os_socket(AF_INET, SOCK_STREAM, 0);
    static const int seconds[] = {4, 5, 7, 60, 300};
    for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
        socket_set_keepalive(fd, seconds[i]);
        assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
        int idle_s = option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE);
        int interval_s = option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL);
        int probes = option_of(fd, IPPROTO_TCP, TCP_KEEPCNT);
        assert_int_equal(idle_s + interval_s * probes, seconds[i]);
        assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), seconds[i] * 1000);
    }
    socket_set_keepalive(fd, 0);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    socket_set_low_delay(fd);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    socket_set_nonblocking(fd, true);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    socket_set_nonblocking(fd, false);
    assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
    os_close(fd);
}

static void a_unix_socket_is_its_owners_alone(void **state)
{
    struct fixture *f = *state;
    struct address address, peer, other;
    mode_t mask = umask(0);
    assert_int_equal(address_unix(&address, f->path), MEMENTO_OK);
    int listener = socket_listen(&address, 8);
    assert_true(listener >= 0);
    assert_int_equal(umask(mask), 0); /* put back */
    struct stat stat_now;
    assert_int_equal(stat(f->path, &stat_now), 0);
    assert_int_equal(stat_now.st_mode & 077, 0);

    int client = socket_connect(&address, 1000);
    assert_true(client >= 0);
    int server = accept_one(listener, &peer);
    assert_prints(&peer, "unix:0");
    assert_true(socket_peer(client, &other));
    char printed[TEST_PATH_MAX + 16];
    snprintf(printed, sizeof(printed), "%s:0", f->path);
    assert_prints(&other, printed);
    assert_true(address_is_loopback(&peer));
    socket_set_low_delay(client); /* means nothing there, and harms nothing */
    socket_set_keepalive(client, 10);
    os_close(server);
    os_close(client);
    os_close(listener);
}

static void a_stale_unix_socket_is_replaced_a_living_one_is_not(void **state)
{
    struct fixture *f = *state;
    struct address address;
    assert_int_equal(address_unix(&address, f->path), MEMENTO_OK);
    int first = socket_listen(&address, 8);
    assert_true(first >= 0);
    assert_int_equal(socket_listen(&address, 8), -1);
    assert_int_equal(errno, EADDRINUSE);
    int client = socket_connect(&address, 1000); /* the living one still answers */
    assert_true(client >= 0);
    os_close(client);
    os_close(first); /* its file stays, as after a crash */

    os_fail_at(OS_CONNECT, 1, EACCES, false); /* nobody can tell: it stays */
    assert_int_equal(socket_listen(&address, 8), -1);
    assert_int_equal(errno, EADDRINUSE);
    assert_int_equal(access(f->path, F_OK), 0);
    int second = socket_listen(&address, 8);
    assert_true(second >= 0);
    os_close(second);
}

static void a_file_that_is_no_socket_is_never_removed(void **state)
{
    struct fixture *f = *state;
    struct address address;
    int file = os_open(f->path, O_WRONLY | O_CREAT, 0600);
    assert_true(file >= 0);
    os_close(file);
    assert_int_equal(address_unix(&address, f->path), MEMENTO_OK);
    assert_int_equal(socket_listen(&address, 8), -1);
    assert_int_equal(errno, EADDRINUSE);
    struct stat stat_now;
    assert_int_equal(stat(f->path, &stat_now), 0);
    assert_true(S_ISREG(stat_now.st_mode));
}

static void a_unix_socket_with_a_full_backlog_times_out(void **state)
{
    struct fixture *f = *state;
    struct address address;
    assert_int_equal(address_unix(&address, f->path), MEMENTO_OK);
    int listener = socket_listen(&address, 0);
    int waiting[64], count = 0;
    while (count < 64) {
        int fd = socket_connect(&address, 50);
        if (fd < 0) {
            break;
        }
        waiting[count++] = fd;
    }
    assert_int_equal(errno, ETIMEDOUT);
    assert_in_range(count, 1, 63);
    for (int i = 0; i < count; i++) {
        os_close(waiting[i]);
    }
    os_close(listener);
}

int main(void)
{
#define SOCKET_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        SOCKET_TEST(addresses_print_as_they_are_written),
        SOCKET_TEST(loopback_is_told_from_the_world),
        SOCKET_TEST(what_is_no_address_is_named),
        SOCKET_TEST(a_unix_path_has_107_bytes_at_most),
        SOCKET_TEST(two_ends_of_a_connection_know_each_other),
        SOCKET_TEST(a_port_is_taken_once_and_free_again_after_its_owner),
        SOCKET_TEST(ipv6_and_ipv4_share_a_port_number),
        SOCKET_TEST(a_connection_that_is_not_answered_times_out),
        SOCKET_TEST(a_failing_call_keeps_its_errno),
        SOCKET_TEST(keepalive_notices_a_dead_peer_in_the_time_asked_for),
        SOCKET_TEST(a_unix_socket_is_its_owners_alone),
        SOCKET_TEST(a_stale_unix_socket_is_replaced_a_living_one_is_not),
        SOCKET_TEST(a_file_that_is_no_socket_is_never_removed),
        SOCKET_TEST(a_unix_socket_with_a_full_backlog_times_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
