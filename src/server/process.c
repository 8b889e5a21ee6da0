/* process.c - signals become readable bytes; see process.h. */
#include "server/process.h"

#include "base/os.h"

#include <signal.h>
#include <sys/signalfd.h>

int process_prepare(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, &ignore, NULL) != 0 ||
        sigaction(SIGXFSZ, &ignore, NULL) != 0) {
        return -1;
    }
    sigset_t wanted;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &wanted, NULL) != 0) {
        return -1;
    }
    return signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC);
}

enum process_wish process_take_signal(int fd)
{
    struct signalfd_siginfo info;
    if (os_read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return PROCESS_NOTHING;
    }
    return info.ssi_signo == SIGHUP ? PROCESS_REOPEN : PROCESS_STOP;
}
