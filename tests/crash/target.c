/* target.c - see target.h. */
#include "target.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHOWN_BYTES 3000

static void sleep_us(unsigned us)
{
    struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L};
    nanosleep(&time, NULL);
}

/* Below the range from which the kernel gives ports to clients: theirs must not take the
 * server's while it is down. */
static int free_port(void)
{
    for (unsigned i = 0; i < 2000; i++) {
        int port = 20000 + (int)(((unsigned)getpid() * 37u + i * 11u) % 12000u);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        bool is_free = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
        close(fd);
        if (is_free) {
            return port;
        }
    }
    return -1;
}

static pid_t spawn(const char *const *words, const char *output)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0) {
        return pid;
    }
    /* The child must not outlive a test that is killed. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(126);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int out = open(output, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int in = open("/dev/null", O_RDONLY);
    dup2(in, 0);
    dup2(out, 1);
    dup2(out, 2);
    close(in);
    close(out);
    execvp(words[0], (char *const *)(uintptr_t)words);
    _exit(127);
}

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

int run_program(const char *const *words, const char *output)
{
    pid_t pid = spawn(words, output);
    if (pid < 0) {
        return -1;
    }
    int status = wait_for(pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool target_init_copy(struct target *copy, const struct target *target,
                      const char *folder, const char *data, struct buf *why)
{
    *copy = *target;
    copy->pid = 0;
    copy->starts = 0;
    snprintf(copy->folder, sizeof(copy->folder), "%s", folder);
    snprintf(copy->data, sizeof(copy->data), "%s", data);
    snprintf(copy->log, sizeof(copy->log), "%s/server.log", folder);
    copy->port = free_port();
    if (copy->port < 0) {
        buf_append_string(why, "no free port");
    }
    return copy->port >= 0;
}

bool target_init(struct target *target, const char *folder, struct buf *why)
{
    const char *name = strrchr(target->server, '/');
    target->is_redis = strstr(name == NULL ? target->server : name, "redis") != NULL;
    char data[4200];
    snprintf(data, sizeof(data), "%s/data", folder);
    const char *const removal[] = {"rm", "-rf", data, NULL};
    if ((mkdir(folder, 0700) != 0 && errno != EEXIST) ||
        run_program(removal, "/dev/null") != 0 || mkdir(data, 0700) != 0) {
        buf_appendf(why, "cannot make the folder %s: %s", folder, strerror(errno));
        return false;
    }
    if (!target_init_copy(target, target, folder, data, why)) {
        return false;
    }
    unlink(target->log);
    return true;
}

/* The command line; `numbers` holds its text. */
static void target_words(const struct target *target, const char **words,
                         char numbers[2][16])
{
    snprintf(numbers[0], 16, "%d", target->port);
    snprintf(numbers[1], 16, "%ukb", target->segment_kb);
    size_t n = 0;
    words[n++] = target->server;
    words[n++] = target->is_redis ? "--port" : "-p";
    words[n++] = numbers[0];
    words[n++] = target->is_redis ? "--bind" : "-a";
    words[n++] = "127.0.0.1";
    words[n++] = "--dir";
    words[n++] = target->data;
    if (target->is_redis) {
        words[n++] = "--appendonly";
        words[n++] = "yes";
        words[n++] = "--save";
        words[n++] = "";
        words[n++] = "--appendfsync";
        words[n++] = strcmp(target->policy, "never") == 0 ? "no" : target->policy;
    } else {
        words[n++] = "--fsync-policy";
        words[n++] = target->policy;
        if (target->segment_kb > 0) {
            words[n++] = "--log-segment-size";
            words[n++] = numbers[1];
        }
    }
    for (unsigned i = 0; i < target->extra_count; i++) {
        words[n++] = target->extra[i];
    }
    words[n] = NULL;
}

bool target_spawn(struct target *target, struct buf *why)
{
    const char *words[24 + TARGET_ARGS_MAX];
    char numbers[2][16];
    struct stat log;
    target_words(target, words, numbers);
    target->log_start = stat(target->log, &log) == 0 ? (long)log.st_size : 0;
    target->pid = spawn(words, target->log);
    target->starts++;
    if (target->pid < 0) {
        target->pid = 0;
        buf_appendf(why, "fork: %s", strerror(errno));
        return false;
    }
    return true;
}

static void describe_end(int status, struct buf *why)
{
    if (WIFEXITED(status)) {
        buf_appendf(why, "the server exited by itself with status %d",
                    WEXITSTATUS(status));
    } else {
        buf_appendf(why, "the server was ended by signal %d", WTERMSIG(status));
    }
}

bool target_wait_ready(struct target *target, struct buf *why)
{
    uint64_t give_up_ns =
        clock_monotonic_ns() + (uint64_t)WIRE_PATIENCE_S * 2 * 1000 * 1000 * 1000;
    struct wire wire;
    wire_init(&wire);
    bool is_ready = false;
    for (;;) {
        struct item item;
        if (wire.fd < 0 && !wire_connect(&wire, target->port)) {
            /* Not listening yet. */
        } else if (!wire_ask(&wire, "PING", &item)) {
            wire_disconnect(&wire);
        } else if (item.type == '+') {
            is_ready = true;
            break;
        }
        int status;
        if (waitpid(target->pid, &status, WNOHANG) == target->pid) {
            target->pid = 0;
            describe_end(status, why);
            break;
        }
        if (clock_monotonic_ns() > give_up_ns) {
            buf_append_string(why, "the server does not become ready");
            break;
        }
        sleep_us(1000);
    }
    wire_fini(&wire);
    return is_ready;
}

bool target_kill(struct target *target, struct buf *why)
{
    if (target->pid == 0) {
        return true;
    }
    kill(target->pid, SIGKILL);
    int status = wait_for(target->pid);
    target->pid = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        return true;
    }
    describe_end(status, why);
    return false;
}

bool target_stop(struct target *target, unsigned limit_s, unsigned *took_ms,
                 struct buf *why)
{
    uint64_t begin_ns = clock_monotonic_ns();
    int status = 0;
    kill(target->pid, SIGTERM);
    for (;;) {
        *took_ms = (unsigned)((clock_monotonic_ns() - begin_ns) / 1000000);
        if (waitpid(target->pid, &status, WNOHANG) == target->pid) {
            break;
        }
        if (*took_ms > limit_s * 1000) {
            buf_appendf(why, "the server did not exit within %u s of SIGTERM", limit_s);
            struct buf ignored;
            buf_init(&ignored);
            (void)target_kill(target, &ignored);
            buf_fini(&ignored);
            return false;
        }
        sleep_us(1000);
    }
    target->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true;
    }
    describe_end(status, why);
    return false;
}

/* Appends the log from `start` on. */
static void read_log(const struct target *target, long start, struct buf *out)
{
    FILE *file = fopen(target->log, "r");
    if (file == NULL) {
        return;
    }
    char part[4096];
    size_t got = 0;
    (void)fseek(file, start, SEEK_SET);
    while ((got = fread(part, 1, sizeof(part), file)) > 0) {
        buf_append(out, part, got);
    }
    fclose(file);
}

bool target_has_said(const struct target *target, const char *text)
{
    struct buf log;
    buf_init(&log);
    read_log(target, target->log_start, &log);
    bool has = strstr(buf_c_string(&log), text) != NULL;
    buf_fini(&log);
    return has;
}

void target_show_log(const struct target *target, struct buf *out)
{
    struct buf log;
    buf_init(&log);
    read_log(target, target->log_start, &log);
    size_t skipped = log.len > SHOWN_BYTES ? log.len - SHOWN_BYTES : 0;
    buf_append(out, log.data + skipped, log.len - skipped);
    buf_fini(&log);
}

int target_verify(const struct target *target)
{
    if (target->check == NULL) {
        return 0;
    }
    const char *const words[] = {target->check, "verify", target->data, NULL};
    return run_program(words, target->log);
}
