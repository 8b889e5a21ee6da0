#include "base/os.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

static int no_faults(void **state)
{
    (void)state;
    os_fail_never();
    return 0;
}

static void nothing_fails_and_nothing_is_counted_until_a_test_wants_it(void **state)
{
    (void)state;
    char byte = 'x';
    int fd = os_open("/dev/null", O_RDWR, 0);
    assert_true(fd >= 0);
    assert_int_equal(os_write(fd, &byte, 1), 1);
    assert_int_equal(os_calls(OS_OPEN), 0);
    assert_int_equal(os_calls(OS_WRITE), 0);
    assert_int_equal(os_close(fd), 0);
}

static void the_nth_call_of_a_kind_fails_and_no_other(void **state)
{
    (void)state;
    char byte = 'x';
    int fd = os_open("/dev/null", O_RDWR, 0);
    os_fail_at(OS_WRITE, 3, ENOSPC, false);
    assert_int_equal(os_write(fd, &byte, 1), 1);
    assert_int_equal(os_read(fd, &byte, 1), 0); /* another kind */
    assert_int_equal(os_write(fd, &byte, 1), 1);
    errno = 0;
    assert_int_equal(os_write(fd, &byte, 1), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(os_write(fd, &byte, 1), 1);
    assert_int_equal(os_calls(OS_WRITE), 4);
    assert_int_equal(os_calls(OS_READ), 1);
    os_close(fd);
}

static void a_repeated_failure_lasts_until_it_is_taken_back(void **state)
{
    (void)state;
    char byte = 'x';
    struct iovec part = {&byte, 1};
    int fd = os_open("/dev/null", O_RDWR, 0);
    os_fail_at(OS_WRITE, 2, EIO, true);
    assert_int_equal(os_writev(fd, &part, 1), 1);
    assert_int_equal(os_writev(fd, &part, 1), -1);
    assert_int_equal(os_writev(fd, &part, 1), -1);
    assert_int_equal(os_write(fd, &byte, 1), -1);
    os_fail_never();
    assert_int_equal(os_writev(fd, &part, 1), 1);
    assert_int_equal(os_calls(OS_WRITE), 0);
    os_close(fd);
}

/* Armed again, it counts from now on, not from the first time. */
static void arming_counts_from_the_next_call(void **state)
{
    (void)state;
    char byte = 'x';
    int fd = os_open("/dev/null", O_RDWR, 0);
    os_fail_at(OS_WRITE, 5, EIO, false);
    assert_int_equal(os_write(fd, &byte, 1), 1);
    os_fail_at(OS_WRITE, 1, EIO, false);
    assert_int_equal(os_write(fd, &byte, 1), -1);
    assert_int_equal(os_write(fd, &byte, 1), 1);
    os_close(fd);
}

static void every_kind_of_call_can_fail(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct sockaddr *generic = (struct sockaddr *)&address;
    struct epoll_event event;
    char byte;
    struct iovec part = {&byte, 1};
    for (int call = 0; call < OS_CALLS; call++) {
        os_fail_at((enum os_call)call, 1, EPERM, true);
    }
    /* No descriptor is real here: a call that went through would answer EBADF. */
    struct {
        ssize_t result;
        int error;
    } calls[16];
    size_t count = 0;
#define TRY(expression)                     \
    do {                                    \
        errno = 0;                          \
        calls[count].result = (expression); \
        calls[count++].error = errno;       \
    } while (0)
    TRY(os_read(-1, &byte, 1));
    TRY(os_write(-1, &byte, 1));
    TRY(os_writev(-1, &part, 1));
    TRY(os_open("/dev/null", O_RDONLY, 0));
    TRY(os_socket(AF_INET, SOCK_STREAM, 0));
    TRY(os_bind(-1, generic, sizeof(address)));
    TRY(os_connect(-1, generic, sizeof(address)));
    TRY(os_accept(-1, NULL, NULL));
    TRY(os_epoll_create());
    TRY(os_epoll_ctl(-1, EPOLL_CTL_ADD, -1, EPOLLIN, NULL));
    TRY(os_epoll_wait(-1, &event, 1, 0));
    TRY(os_eventfd());
#undef TRY
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(calls[i].result, -1);
        assert_int_equal(calls[i].error, EPERM);
    }
    assert_int_equal(os_close(-1), -1); /* giving back cannot be refused */
    assert_int_equal(errno, EBADF);
}

static bool is_cloexec(int fd)
{
    return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static void no_descriptor_survives_an_exec(void **state)
{
    (void)state;
    int fds[] = {os_open("/dev/null", O_RDONLY, 0), os_socket(AF_INET, SOCK_STREAM, 0),
                 os_epoll_create(), os_eventfd()};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        assert_true(fds[i] >= 0);
        assert_true(is_cloexec(fds[i]));
        os_close(fds[i]);
    }
}

static void epoll_hands_back_the_pointer_it_was_given(void **state)
{
    (void)state;
    int epoll = os_epoll_create(), event_fd = os_eventfd();
    uint64_t one = 1, rings = 0;
    struct epoll_event event;
    assert_int_equal(os_epoll_ctl(epoll, EPOLL_CTL_ADD, event_fd, EPOLLIN, &one), 0);
    assert_int_equal(os_epoll_wait(epoll, &event, 1, 0), 0);
    assert_int_equal(os_read(event_fd, &rings, sizeof(rings)), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(os_write(event_fd, &one, sizeof(one)), sizeof(one));
    assert_int_equal(os_epoll_wait(epoll, &event, 1, -1), 1);
    assert_ptr_equal(event.data.ptr, &one);
    os_close(event_fd);
    os_close(epoll);
}

static int signal_pipe[2];

/* Only what a handler may do: the read that was interrupted finds a byte when it goes
 * on. */
static void feed_the_pipe(int signal)
{
    (void)signal;
    (void)!write(signal_pipe[1], "x", 1);
}

static void an_interrupted_read_goes_on(void **state)
{
    (void)state;
    assert_int_equal(pipe(signal_pipe), 0);
    struct sigaction action = {.sa_handler = feed_the_pipe}, before; /* no SA_RESTART */
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    struct itimerval soon = {.it_value.tv_usec = 20000};
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    char byte = 0;
    assert_int_equal(os_read(signal_pipe[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    sigaction(SIGALRM, &before, NULL);
    os_close(signal_pipe[0]);
    os_close(signal_pipe[1]);
}

static void an_interrupted_epoll_wait_comes_back(void **state)
{
    (void)state;
    assert_int_equal(pipe(signal_pipe), 0);
    struct sigaction action = {.sa_handler = feed_the_pipe}, before;
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    /* Repeats: a first signal may come before the wait has begun. */
    struct itimerval soon = {.it_value.tv_usec = 20000, .it_interval.tv_usec = 20000};
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    int epoll = os_epoll_create();
    struct epoll_event event;
    assert_int_equal(os_epoll_wait(epoll, &event, 1, -1), -1);
    assert_int_equal(errno, EINTR);
    struct itimerval never = {0};
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &before, NULL);
    os_close(epoll);
    os_close(signal_pipe[0]);
    os_close(signal_pipe[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_fails_and_nothing_is_counted_until_a_test_wants_it),
        cmocka_unit_test_teardown(the_nth_call_of_a_kind_fails_and_no_other, no_faults),
        cmocka_unit_test_teardown(a_repeated_failure_lasts_until_it_is_taken_back,
                                  no_faults),
        cmocka_unit_test_teardown(arming_counts_from_the_next_call, no_faults),
        cmocka_unit_test_teardown(every_kind_of_call_can_fail, no_faults),
        cmocka_unit_test(no_descriptor_survives_an_exec),
        cmocka_unit_test(epoll_hands_back_the_pointer_it_was_given),
        cmocka_unit_test(an_interrupted_read_goes_on),
        cmocka_unit_test(an_interrupted_epoll_wait_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
