/* status.c - statuses in words. */
#include <memento/memento.h>

const char *memento_status_text(enum memento_status status)
{
    switch (status) {
    case MEMENTO_OK:
        return "it is done";
    case MEMENTO_NOT_FOUND:
        return "it is not there";
    case MEMENTO_EXISTS:
        return "it is there already";
    case MEMENTO_AGAIN:
        return "not now";
    case MEMENTO_CLOSED:
        return "the other side has closed";
    case MEMENTO_ERR_NO_MEMORY:
        return "there is not enough memory";
    case MEMENTO_ERR_IO:
        return "the disk cannot be read or written";
    case MEMENTO_ERR_INVALID:
        return "an argument is out of its range";
    case MEMENTO_ERR_TOO_LARGE:
        return "it is larger than it may be";
    case MEMENTO_ERR_CORRUPT:
        return "what is on disk is damaged";
    case MEMENTO_ERR_UNSUPPORTED:
        return "what is on disk was written by a newer memento";
    case MEMENTO_ERR_BUSY:
        return "the data directory is open already";
    case MEMENTO_ERR_NO_SPACE:
        return "the disk is full";
    case MEMENTO_ERR_LOG_FAILED:
        return "the log could not be written";
    }
    return "an unknown status";
}
