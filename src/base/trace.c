#include "base/trace.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static enum trace_level level_now = TRACE_INFO;

/* Where lines go. A file keeps its descriptor number when it is opened again, so that no
 * thread can write to a number that means something else by then. */
static int trace_fd = STDOUT_FILENO;
static int file_fd = -1; /* the main thread's, as is the path */
static char *file_path;

static const struct {
    const char *word, *tag;
} levels[] = {
    [TRACE_DEBUG] = {"debug", "DBG"},     [TRACE_INFO] = {"info", "INF"},
    [TRACE_WARNING] = {"warning", "WRN"}, [TRACE_ERROR] = {"error", "ERR"},
    [TRACE_NOTHING] = {"nothing", ""},
};

void trace_set_level(enum trace_level level)
{
    __atomic_store_n(&level_now, level, __ATOMIC_RELAXED);
}

enum trace_level trace_level(void)
{
    return __atomic_load_n(&level_now, __ATOMIC_RELAXED);
}

bool trace_parse_level(struct bytes word, enum trace_level *level)
{
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (bytes_is(word, levels[i].word)) {
            *level = (enum trace_level)i;
            return true;
        }
    }
    /* Redis has two levels between debug and warning. */
    bool is_verbose = bytes_is(word, "verbose");
    if (is_verbose || bytes_is(word, "notice")) {
        *level = is_verbose ? TRACE_DEBUG : TRACE_INFO;
        return true;
    }
    return false;
}

const char *trace_level_name(enum trace_level level)
{
    return levels[level].word;
}

/* Lets `file_fd` mean the file that is now at `path`. */
static enum memento_status open_file(const char *path)
{
    int fd = os_open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY, 0600);
    if (fd < 0) {
        return MEMENTO_ERR_IO;
    }
    if (file_fd < 0) {
        file_fd = fd;
        return MEMENTO_OK;
    }
    int replaced = dup3(fd, file_fd, O_CLOEXEC);
    int error = errno;
    os_close(fd);
    errno = error;
    return replaced < 0 ? MEMENTO_ERR_IO : MEMENTO_OK;
}

enum memento_status trace_open(const char *path)
{
    bool is_stdout = path == NULL || path[0] == '\0';
    char *kept = NULL;
    if (!is_stdout) {
        kept = heap_copy(path, strlen(path) + 1);
        if (kept == NULL) {
            return MEMENTO_ERR_NO_MEMORY;
        }
        enum memento_status status = open_file(path);
        if (status != MEMENTO_OK) {
            int error = errno;
            heap_free(kept);
            errno = error;
            return status;
        }
    }
    heap_free(file_path);
    file_path = kept;
    __atomic_store_n(&trace_fd, is_stdout ? STDOUT_FILENO : file_fd, __ATOMIC_RELAXED);
    return MEMENTO_OK;
}

enum memento_status trace_reopen(void)
{
    return file_path != NULL ? open_file(file_path) : MEMENTO_OK;
}

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the printable character at `at`, 0 when there is none. UTF-8 that is too long
 * for what it says, surrogates and the control characters U+0080 to U+009F are none. */
static size_t printable(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80) {
        return at[0] >= 0x20 && at[0] != 0x7f;
    }
    size_t len = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || len > left) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if (!is_continuation(at[i])) {
            return 0;
        }
    }
    bool is_wrong = (at[0] == 0xc2 && at[1] < 0xa0) || (at[0] == 0xe0 && at[1] < 0xa0) ||
                    (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
                    (at[0] == 0xf4 && at[1] > 0x8f);
    return is_wrong ? 0 : len;
}

/* Copies `text` into `line` of `size` bytes as far as whole characters and whole escapes
 * fit; the bytes written. */
static size_t escape(char *line, size_t size, const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t used = 0;
    for (size_t at = 0; at < len;) {
        unsigned char byte = (unsigned char)text[at];
        size_t plain = printable((const unsigned char *)text + at, len - at);
        size_t needed = plain > 0 ? plain : 4;
        if (used + needed > size) {
            break;
        }
        if (plain > 0) {
            memcpy(line + used, text + at, plain);
            at += plain;
        } else {
            memcpy(line + used, (char[4]){'\\', 'x', hex[byte >> 4], hex[byte & 15]}, 4);
            at++;
        }
        used += needed;
    }
    return used;
}

PRINTF_LIKE(2, 0)
static void trace(enum trace_level level, const char *format, va_list words)
{
    if (level < trace_level()) {
        return;
    }
    int error = errno; /* a caller may still want to say what went wrong */

    char text[TRACE_BYTES_MAX];
    int text_len = vsnprintf(text, sizeof(text), format, words);
    if (text_len < 0) {
        text_len = 0;
    }
    size_t len = (size_t)text_len < sizeof(text) ? (size_t)text_len : sizeof(text) - 1;

    struct tm tm;
    time_t now = (time_t)(clock_wall_ms() / 1000);
    char line[TRACE_BYTES_MAX];
    char when[32] = "";
    if (localtime_r(&now, &tm) != NULL) {
        strftime(when, sizeof(when), "%Y-%m-%d %H-%M-%S", &tm);
    }
    size_t used =
        (size_t)snprintf(line, sizeof(line), "[%s][%s] - ", levels[level].tag, when);
    used += escape(line + used, sizeof(line) - used - 1, text, len);
    line[used++] = '\n';

    /* A line that cannot be written has nowhere to be reported. */
    (void)!os_write(__atomic_load_n(&trace_fd, __ATOMIC_RELAXED), line, used);
    errno = error;
}

#define TRACE_AT(level, format)      \
    do {                             \
        va_list words;               \
        va_start(words, format);     \
        trace(level, format, words); \
        va_end(words);               \
    } while (0)

void trace_debug(const char *format, ...)
{
    TRACE_AT(TRACE_DEBUG, format);
}

void trace_info(const char *format, ...)
{
    TRACE_AT(TRACE_INFO, format);
}

void trace_warning(const char *format, ...)
{
    TRACE_AT(TRACE_WARNING, format);
}

void trace_error(const char *format, ...)
{
    TRACE_AT(TRACE_ERROR, format);
}
