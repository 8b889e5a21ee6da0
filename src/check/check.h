/* check.h - memento-check: looks at a data directory, and writes another one. Never changes the
 * one it looks at, and reads it with the code of the server. One thread. */
#pragma once

#include "base/annotate.h"
#include "log/archive.h"

#include <stdbool.h>
#include <stdint.h>

enum exit_status {
    EXIT_GOOD = 0,
    EXIT_TORN = 1, /* the log has a torn end */
    EXIT_LESS = 1, /* the new directory is made: with losses, or without a frame */
    EXIT_CORRUPT = 2,
    EXIT_TROUBLE =
        3 /* bad usage, a file that cannot be read or written, a newer format */
};

enum dump_format { DUMP_JSONL, DUMP_RESP };

/* Each does its command and gives the exit status. `path` is how the user calls `dir`. */
enum exit_status check_verify(int dir, const char *path);
enum exit_status check_stats(int dir, const char *path);
enum exit_status check_dump(int dir, const char *path, enum dump_format format);
enum exit_status check_repair(int dir, const char *out);
enum exit_status check_truncate(int dir, const char *path, const char *out,
                                const struct archive_limit *limit);

/* ---- shared ---- */

/* A line on stderr, "memento-check: " in front. */
void complain(const char *format, ...) PRINTF_LIKE(1, 2);
/* The same of what a failed call has said, and the exit status that it means. */
enum exit_status complain_of(enum memento_status status, struct buf *why);
/* "2025-11-21T10:00:00.123Z", in a buffer of the caller. */
#define TIME_TEXT_BYTES 40
const char *time_text(char text[TIME_TEXT_BYTES], int64_t ms);
/* Whether there is a manifest that can be read: nothing can be done without one. */
enum exit_status check_manifest(int dir, const char *path);
/* Opens and judges the archive. CORRUPT and TORN are told with what to do about them. On
 * TROUBLE and CORRUPT the archive must be closed all the same. */
enum exit_status check_open(struct archive *archive, int dir, const char *path,
                            const struct archive_limit *limit);
