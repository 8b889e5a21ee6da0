/* process.h - the process as a whole: its signals. Thread: main. */
#pragma once

enum process_wish { PROCESS_NOTHING, PROCESS_STOP, PROCESS_REOPEN };

/* Ignores SIGPIPE and SIGXFSZ (a peer that is gone, a file over a limit: the call says so), and
 * blocks SIGTERM, SIGINT and SIGHUP for all threads to come: they arrive
 * at the descriptor returned, -1 on failure. */
int process_prepare(void);
/* Reads one signal from it. */
enum process_wish process_take_signal(int fd);
