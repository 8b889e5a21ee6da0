#include "process.h"

#include "base/os.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum memento_status process_cpu_time(uint64_t pid, struct cpu_time *time)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
    int fd = os_open(path, O_RDONLY, 0);
    if (fd < 0) {
        return MEMENTO_NOT_FOUND;
    }
    ssize_t got = os_read(fd, text, sizeof(text) - 1);
    os_close(fd);
    if (got <= 0) {
        return MEMENTO_NOT_FOUND;
    }
    text[got] = '\0';

    /* The name of the program stands in parentheses and may contain anything. */
    unsigned long long user, system;
    const char *fields = strrchr(text, ')');
    if (fields == NULL ||
        sscanf(fields + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
               &user, &system) != 2) {
        return MEMENTO_NOT_FOUND;
    }
    double tick_us = 1e6 / (double)sysconf(_SC_CLK_TCK);
    *time = (struct cpu_time){.user_us = (double)user * tick_us,
                              .system_us = (double)system * tick_us};
    return MEMENTO_OK;
}

static double microseconds(struct timeval time)
{
    return (double)time.tv_sec * 1e6 + (double)time.tv_usec;
}

struct cpu_time process_own_cpu_time(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (struct cpu_time){.user_us = microseconds(usage.ru_utime),
                             .system_us = microseconds(usage.ru_stime)};
}
