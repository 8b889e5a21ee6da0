#include "base/os_file.h"

#include <errno.h>

/* Takes `put` bytes off the front of the parts. */
static void advance(struct iovec **parts, int *count, size_t put)
{
    while (*count > 0 && put >= (*parts)->iov_len) {
        put -= (*parts)->iov_len;
        (*parts)++;
        (*count)--;
    }
    if (put > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + put;
        (*parts)->iov_len -= put;
    }
}

bool os_file_write_all(int fd, struct iovec *parts, int count, uint64_t offset)
{
    advance(&parts, &count,
            0); /* empty parts in front: a write of nothing is no failure */
    while (count > 0) {
        ssize_t put = os_file_write(fd, parts, count, offset);
        if (put <= 0) {
            errno = put == 0 ? ENOSPC : errno;
            return false;
        }
        offset += (uint64_t)put;
        advance(&parts, &count, (size_t)put);
    }
    return true;
}

ssize_t os_file_read_all(int fd, void *data, size_t size, uint64_t offset)
{
    size_t len = 0;
    while (len < size) {
        ssize_t got = os_file_read(fd, (char *)data + len, size - len, offset + len);
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    return (ssize_t)len;
}
