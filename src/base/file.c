#include "base/file.h"

#include "base/os.h"

#include <errno.h>
#include <fcntl.h>

/* Small files come in one read. */
#define FILE_PART_BYTES 16384

static enum memento_status read_parts(int fd, size_t max_bytes, struct buf *out)
{
    size_t len_before = out->len;
    for (;;) {
        if (!buf_reserve(out, FILE_PART_BYTES)) {
            return MEMENTO_ERR_NO_MEMORY;
        }
        ssize_t got = os_read(fd, out->data + out->len, FILE_PART_BYTES);
        if (got <= 0) {
            return got < 0 ? MEMENTO_ERR_IO : MEMENTO_OK;
        }
        if ((size_t)got > max_bytes - (out->len - len_before)) {
            return MEMENTO_ERR_TOO_LARGE;
        }
        out->len += (size_t)got;
    }
}

enum memento_status file_read_all(const char *path, size_t max_bytes, struct buf *out)
{
    int fd = os_open(path, O_RDONLY, 0);
    if (fd < 0) {
        return MEMENTO_ERR_IO;
    }
    size_t len_before = out->len;
    enum memento_status status = read_parts(fd, max_bytes, out);
    if (status != MEMENTO_OK) {
        out->len = len_before; /* all of it or nothing */
    }
    int error = errno;
    os_close(fd);
    errno = error;
    return status;
}
