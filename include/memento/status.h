/* status.h - how every call of memento ends.
 *
 * MEMENTO_OK is 0. An answer that is not the hoped-for one is positive, a failure is
 * negative; a bug never becomes a status, it stops the program (CHECK). */
#pragma once

enum memento_status {
    MEMENTO_OK = 0,

    MEMENTO_NOT_FOUND = 1, /* no such key, or it has expired */
    MEMENTO_EXISTS = 2,    /* there is already such a key */
    MEMENTO_AGAIN = 3,  /* not now: call again when more has arrived or there is room */
    MEMENTO_CLOSED = 4, /* the other side has closed */

    MEMENTO_ERR_NO_MEMORY = -1,
    MEMENTO_ERR_IO = -2,
    MEMENTO_ERR_INVALID = -3,   /* an argument outside its documented range */
    MEMENTO_ERR_TOO_LARGE = -4, /* over a limit of limits.h or of the options */
    MEMENTO_ERR_CORRUPT = -5, /* what is on disk is damaged; nothing was changed there */
    MEMENTO_ERR_UNSUPPORTED = -6, /* what is on disk was written by a newer memento */
    MEMENTO_ERR_BUSY = -7,        /* somebody else has the data directory open */
    MEMENTO_ERR_NO_SPACE = -8,    /* the disk is full: only deletions are taken */
    MEMENTO_ERR_LOG_FAILED = -9   /* the log could not be written: nothing is taken */
};
