/* main.c - memento-check: options, and which command they are for. See README.md of this
 * folder. */
#include <memento/version.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/number.h"
#include "base/os_file.h"
#include "check/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

static const char usage[] =
    "Usage: memento-check COMMAND [OPTIONS] DIR\n"
    "\n"
    "  verify DIR                    read and verify all there is\n"
    "  stats DIR                     files, frames, records, times, versions\n"
    "  dump [--format=FORMAT] DIR    the records, to stdout: jsonl (a line each) or resp\n"
    "                                (commands that another server can replay)\n"
    "  repair --out=NEW DIR          a new directory with everything that is whole; tells\n"
    "                                what is lost\n"
    "  truncate --to-time=TIME --out=NEW DIR\n"
    "  truncate --to-seq=NUMBER --out=NEW DIR\n"
    "                                a new directory as of an earlier moment\n"
    "\n"
    "TIME is milliseconds since 1970, or 2025-11-21T10:00:00[.123]Z. DIR is never changed.\n"
    "In jsonl the bytes of keys and values below 0x20, 0x7f and above are written \\u00XX,\n"
    "byte by byte; \" and \\ are escaped.\n"
    "Exit status: 0 fine; 1 the log has a torn end, which a server would cut off; 2 corrupt;\n"
    "3 bad usage, a file that cannot be read or written, or a newer format.\n";

void complain(const char *format, ...)
{
    va_list arguments;
    fputs("memento-check: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

enum exit_status complain_of(enum memento_status status, struct buf *why)
{
    if (why->len == 0) {
        buf_append_string(why, status == MEMENTO_ERR_NO_MEMORY ? "out of memory"
                                                               : strerror(errno));
    }
    complain("%s", buf_c_string(why));
    return status == MEMENTO_ERR_CORRUPT ? EXIT_CORRUPT : EXIT_TROUBLE;
}

const char *time_text(char text[TIME_TEXT_BYTES], int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    size_t len = 0;
    if (gmtime_r(&seconds, &tm) != NULL) {
        len = strftime(text, TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    }
    if (len == 0) {
        snprintf(text, TIME_TEXT_BYTES, "%" PRId64 " ms", ms);
    } else {
        snprintf(text + len, TIME_TEXT_BYTES - len, ".%03dZ", (int)(ms % 1000));
    }
    return text;
}

/* ---- the directory ---- */

/* The kernel's list of locks is looked at, and none taken: a server that starts just now must
 * not find the directory busy because of us. */
static bool is_locked(int dir)
{
    struct stat stat;
    int fd = os_file_open(dir, LOCK_NAME, O_RDONLY);
    if (fd < 0) {
        return false;
    }
    bool is_there = fstat(fd, &stat) == 0;
    os_file_close(fd);
    enum { LOCKS_BYTES_MAX = 16 * 1024 * 1024 };
    struct buf locks;
    buf_init(&locks);
    bool is_found = false;
    if (is_there && file_read_all("/proc/locks", LOCKS_BYTES_MAX, &locks) == MEMENTO_OK) {
        char inode[64];
        snprintf(inode, sizeof(inode), " %02x:%02x:%" PRIu64 " ", major(stat.st_dev),
                 minor(stat.st_dev), (uint64_t)stat.st_ino);
        is_found = memmem(locks.data, locks.len, inode, strlen(inode)) != NULL;
    }
    buf_fini(&locks);
    return is_found;
}

enum exit_status check_open(struct archive *archive, int dir, const char *path,
                            const struct archive_limit *limit)
{
    if (is_locked(dir)) {
        complain("warning: a server has %s open; what it is writing may look torn", path);
    }
    enum memento_status status = archive_open(archive, dir, limit);
    struct buf *text = &archive->finding.text;
    if (status == MEMENTO_ERR_CORRUPT) {
        complain("corrupt: %s", buf_c_string(text));
        complain("keep %s as it is and run: memento-check repair --out=%s.repaired %s",
                 path, path, path);
        return EXIT_CORRUPT;
    }
    if (status != MEMENTO_OK) {
        return complain_of(status, text);
    }
    if (archive->finding.state == ARCHIVE_TORN) {
        complain("torn: %s; a server cuts it off and keeps a copy", buf_c_string(text));
        return EXIT_TORN;
    }
    return EXIT_GOOD;
}

/* ---- options ---- */

struct options {
    const char *command, *dir, *out;
    enum dump_format format;
    bool has_format;
    struct archive_limit limit;
};

PRINTF_LIKE(1, 2) static enum exit_status usage_error(const char *format, ...)
{
    va_list arguments;
    fputs("memento-check: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("; memento-check --help says more\n", stderr);
    return EXIT_TROUBLE;
}

static bool parse_time(const char *text, int64_t *ms)
{
    if (number_parse_int64(bytes_of_string(text), ms)) {
        return *ms > 0;
    }
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL) {
        return false;
    }
    *ms = (int64_t)timegm(&tm) * 1000;
    if (*rest == '.') {
        int scale = 100;
        for (rest++; *rest >= '0' && *rest <= '9' && scale > 0; rest++, scale /= 10) {
            *ms += (*rest - '0') * scale;
        }
    }
    return strcmp(rest, "Z") == 0 && *ms > 0;
}

/* The value when `word` is --name=VALUE; NULL otherwise. */
static const char *value_of(const char *word, const char *name)
{
    size_t len = strlen(name);
    return strncmp(word, name, len) == 0 && word[len] == '=' ? word + len + 1 : NULL;
}

static enum exit_status parse_option(struct options *options, const char *word)
{
    const char *value;
    if ((value = value_of(word, "--out")) != NULL && *value != '\0') {
        options->out = value;
    } else if ((value = value_of(word, "--format")) != NULL) {
        options->has_format = true;
        options->format = strcmp(value, "resp") == 0 ? DUMP_RESP : DUMP_JSONL;
        if (options->format == DUMP_JSONL && strcmp(value, "jsonl") != 0) {
            return usage_error("%s is no format: jsonl or resp", value);
        }
    } else if ((value = value_of(word, "--to-time")) != NULL) {
        if (!parse_time(value, &options->limit.wall_ms)) {
            return usage_error("%s is no time: milliseconds since 1970, or "
                               "2025-11-21T10:00:00Z",
                               value);
        }
    } else if ((value = value_of(word, "--to-seq")) != NULL) {
        if (!number_parse_uint64(bytes_of_string(value), &options->limit.sequence) ||
            options->limit.sequence == 0) {
            return usage_error("%s is no sequence number", value);
        }
    } else {
        return usage_error("unknown option %s", word);
    }
    return EXIT_GOOD;
}

static enum exit_status parse_options(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0) {
            enum exit_status status = parse_option(options, argv[i]);
            if (status != EXIT_GOOD) {
                return status;
            }
        } else if (options->command == NULL) {
            options->command = argv[i];
        } else if (options->dir == NULL) {
            options->dir = argv[i];
        } else {
            return usage_error("%s is one directory too many", argv[i]);
        }
    }
    return EXIT_GOOD;
}

static enum exit_status run(const struct options *options, int dir)
{
    const char *command = options->command, *path = options->dir;
    bool has_limit = options->limit.wall_ms != 0 || options->limit.sequence != 0;
    bool is_copy = strcmp(command, "repair") == 0 || strcmp(command, "truncate") == 0;
    if (is_copy && options->out == NULL) {
        return usage_error("%s needs --out=NEW, a directory that is not there yet",
                           command);
    }
    if ((options->out != NULL && !is_copy) ||
        (has_limit && strcmp(command, "truncate") != 0) ||
        (options->has_format && strcmp(command, "dump") != 0)) {
        return usage_error("%s does not take one of these options", command);
    }
    if (strcmp(command, "verify") == 0) {
        return check_verify(dir, path);
    }
    if (strcmp(command, "stats") == 0) {
        return check_stats(dir, path);
    }
    if (strcmp(command, "dump") == 0) {
        return check_dump(dir, path, options->format);
    }
    if (strcmp(command, "repair") == 0) {
        return check_repair(dir, path, options->out);
    }
    if (strcmp(command, "truncate") == 0) {
        return has_limit ? check_truncate(dir, path, options->out, &options->limit)
                         : usage_error("truncate needs --to-time or --to-seq");
    }
    return usage_error("unknown command %s", command);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return EXIT_GOOD;
        }
        if (strcmp(argv[i], "--version") == 0) {
            puts("memento-check " MEMENTO_VERSION);
            return EXIT_GOOD;
        }
    }
    struct options options = {.format = DUMP_JSONL};
    enum exit_status status = parse_options(&options, argc, argv);
    if (status != EXIT_GOOD) {
        return (int)status;
    }
    if (options.command == NULL || options.dir == NULL) {
        return (int)usage_error("a command and a directory are needed");
    }
    int dir = os_dir_open(options.dir);
    if (dir < 0) {
        complain("cannot open %s: %s", options.dir, strerror(errno));
        return EXIT_TROUBLE;
    }
    status = run(&options, dir);
    os_file_close(dir);
    if (fflush(stdout) != 0) {
        complain("cannot write to stdout: %s", strerror(errno));
        status = EXIT_TROUBLE;
    }
    return (int)status;
}
