/* main.c - memento-check: options, and which command they are for. See README.md of this
 * folder. */
#include <memento/version.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/number.h"
#include "base/os_file.h"
#include "check/check.h"
#include "log/moment.h"

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
    "A blank may stand for the = of an option. TIME is unix seconds, milliseconds, or\n"
    "2025-11-21T10:00:00[.123]Z. DIR is never changed.\n"
    "In jsonl the bytes of keys and values below 0x20, 0x7f and above are written \\u00XX,\n"
    "byte by byte; \" and \\ are escaped.\n"
    "Exit status: 0 fine; 1 the log has a torn end, which a server would cut off, or: NEW is\n"
    "made, but something was lost (repair), or no frame is in it (truncate); 2 corrupt; 3 bad\n"
    "usage, a file that cannot be read or written, or a newer format.\n";

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

enum exit_status check_manifest(int dir, const char *path)
{
    struct manifest manifest;
    struct buf why;
    buf_init(&why);
    enum memento_status status = manifest_read(dir, &manifest, &why);
    enum exit_status result = EXIT_GOOD;
    if (status == MEMENTO_NOT_FOUND || status == MEMENTO_ERR_CORRUPT) {
        bool is_missing = status == MEMENTO_NOT_FOUND;
        complain("%s: " MANIFEST_NAME
                 " is %s and says which files count: put back the one "
                 "of a backup of this directory, together with its files",
                 path, is_missing ? "missing" : "damaged");
        if (!is_missing) {
            complain("what is wrong with it: %s", buf_c_string(&why));
        }
        result = is_missing ? EXIT_TROUBLE : EXIT_CORRUPT;
    } else if (status != MEMENTO_OK) {
        result = complain_of(status, &why);
    }
    manifest_fini(&manifest);
    buf_fini(&why);
    return result;
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

enum option { OPTION_OUT, OPTION_FORMAT, OPTION_TO_TIME, OPTION_TO_SEQ, OPTION_COUNT };

static const char *const option_names[OPTION_COUNT] = {[OPTION_OUT] = "--out",
                                                       [OPTION_FORMAT] = "--format",
                                                       [OPTION_TO_TIME] = "--to-time",
                                                       [OPTION_TO_SEQ] = "--to-seq"};

/* Which one `word` is, --name or --name=VALUE; without =, *value is NULL. */
static enum option find_option(const char *word, const char **value)
{
    size_t len = strcspn(word, "=");
    *value = word[len] == '=' ? word + len + 1 : NULL;
    size_t i = 0;
    while (i < OPTION_COUNT &&
           !bytes_equal(bytes_of_string(option_names[i]), bytes_of(word, len))) {
        i++;
    }
    return (enum option)i;
}

static enum exit_status set_option(struct options *options, enum option option,
                                   const char *value)
{
    struct bytes text = bytes_of_string(value);
    struct archive_limit *limit = &options->limit;
    switch (option) {
    case OPTION_OUT:
        options->out = value;
        break;
    case OPTION_FORMAT:
        options->has_format = true;
        options->format = strcmp(value, "resp") == 0 ? DUMP_RESP : DUMP_JSONL;
        if (options->format == DUMP_JSONL && strcmp(value, "jsonl") != 0) {
            return usage_error("%s is no format: jsonl or resp", value);
        }
        break;
    case OPTION_TO_TIME:
        if (!moment_parse_time(text, &limit->wall_ms)) {
            return usage_error("%s is no time: 2025-11-21T10:00:00Z, or unix seconds or "
                               "milliseconds",
                               value);
        }
        break;
    case OPTION_TO_SEQ:
        if (!number_parse_uint64(text, &limit->sequence) || limit->sequence == 0) {
            return usage_error("%s is no sequence number", value);
        }
        break;
    case OPTION_COUNT:
        break;
    }
    return EXIT_GOOD;
}

/* The option at argv[*i], and its value, which may be the word behind it. */
static enum exit_status parse_option(struct options *options, int argc, char **argv,
                                     int *i)
{
    const char *value;
    enum option option = find_option(argv[*i], &value);
    if (option == OPTION_COUNT) {
        return usage_error("unknown option %s", argv[*i]);
    }
    if (value == NULL && *i + 1 < argc && strncmp(argv[*i + 1], "--", 2) != 0) {
        value = argv[++*i];
    }
    if (value == NULL || *value == '\0') {
        return usage_error("%s needs a value", option_names[option]);
    }
    return set_option(options, option, value);
}

static enum exit_status parse_options(struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0) {
            enum exit_status status = parse_option(options, argc, argv, &i);
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
    if (options->command == NULL || options->dir == NULL) {
        return usage_error("a command and a directory are needed");
    }
    return EXIT_GOOD;
}

/* Whether the command is one, and has the options that it needs and no others. */
static enum exit_status check_usage(const struct options *options)
{
    static const char *const commands[] = {"verify", "stats", "dump", "repair",
                                           "truncate"};
    const char *command = options->command;
    bool has_time = options->limit.wall_ms != 0, has_seq = options->limit.sequence != 0;
    bool is_truncate = strcmp(command, "truncate") == 0;
    bool is_copy = is_truncate || strcmp(command, "repair") == 0;
    size_t i = 0;
    while (i < ARRAY_LEN(commands) && strcmp(commands[i], command) != 0) {
        i++;
    }
    if (i == ARRAY_LEN(commands)) {
        return usage_error("unknown command %s", command);
    }
    if (is_copy && options->out == NULL) {
        return usage_error("%s needs --out=NEW, a directory that is not there yet",
                           command);
    }
    if ((options->out != NULL && !is_copy) || ((has_time || has_seq) && !is_truncate) ||
        (options->has_format && strcmp(command, "dump") != 0)) {
        return usage_error("%s does not take one of these options", command);
    }
    if (has_time && has_seq) {
        return usage_error("--to-time and --to-seq are two moments: name one");
    }
    if (is_truncate && !has_time && !has_seq) {
        return usage_error("truncate needs --to-time or --to-seq");
    }
    return EXIT_GOOD;
}

static enum exit_status run(const struct options *options, int dir)
{
    const char *command = options->command, *path = options->dir;
    enum exit_status status = check_manifest(dir, path);
    if (status != EXIT_GOOD) {
        return status;
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
        return check_repair(dir, options->out);
    }
    return check_truncate(dir, path, options->out, &options->limit);
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
    if (status == EXIT_GOOD) {
        status = check_usage(&options);
    }
    if (status != EXIT_GOOD) {
        return (int)status;
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
