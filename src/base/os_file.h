/* os_file.h - the shim for files that must survive: directories, positioned writes, syncs.
 *
 * In production each is the system call of the same name, EINTR retried. They live in a file of
 * their own so that a test program can bring its own disk: tests/support/simos.c defines the
 * same functions and is linked instead (one that loses power, tears sectors and fails at will).
 * Names are relative to an open directory and are never followed when they are symbolic links.
 * Each gives -1 (or false) and errno on failure. Any thread. */
#pragma once

#include "base/annotate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Opens a directory for the calls below. */
int os_dir_open(const char *path);
int os_dir_open_at(int dir, const char *name);
/* Makes it with mode 0700, and its parents, each durable when it is new; one that exists is
 * fine. */
int os_dir_make(const char *path);
/* With mode 0700; durable with the next os_dir_sync(dir). EEXIST when it is there. */
int os_dir_make_at(int dir, const char *name);
/* Calls `visit` with each name but "." and "..". */
typedef void os_visit_name(void *context, const char *name);
bool os_dir_list(int dir, os_visit_name *visit, void *context);
/* Makes creations, renames and removals in it durable. */
int os_dir_sync(int dir);

/* O_CLOEXEC and O_NOFOLLOW are added; created files have mode 0600 whatever the umask. */
int os_file_open(int dir, const char *name, int flags);
int os_file_close(int fd);
bool os_file_size(int fd, uint64_t *bytes);
bool os_file_exists(int dir, const char *name);
ssize_t os_file_read(int fd, void *data, size_t size, uint64_t offset); /* pread */
/* pwritev: may write less than asked. */
ssize_t os_file_write(int fd, const struct iovec *parts, int count, uint64_t offset);
int os_file_truncate(int fd, uint64_t bytes);
int os_file_sync_data(int fd); /* fdatasync */
int os_file_sync(int fd);      /* fsync */
/* Asks the kernel to forget clean cached pages, so that reads come from the disk. */
void os_file_drop_cache(int fd);
/* An exclusive lock for as long as the descriptor is open; EWOULDBLOCK when another has it. */
int os_file_lock(int fd);

int os_file_rename(int dir, const char *from, const char *to);
int os_file_link(int dir, const char *from, int to_dir, const char *to);
int os_file_remove(int dir, const char *name);
int os_dir_rename(int dir, const char *from, const char *to);
int os_dir_remove(int dir, const char *name); /* an empty one */

/* What a file system says of itself. */
struct os_volume {
    uint64_t free_bytes;   /* for us */
    bool is_remote;        /* NFS, SMB, FUSE: locks may not reach other hosts */
    bool is_copy_on_write; /* btrfs, zfs...: writing zeros ahead gains nothing */
};
bool os_volume_of(int fd, struct os_volume *volume);

/* For callers: all of the parts, in as many writes as it takes; `parts` is used up. A write that
 * writes nothing fails with ENOSPC. */
bool os_file_write_all(int fd, struct iovec *parts, int count, uint64_t offset);
/* All `size` bytes, or what is there before the end of the file: the number read; -1. */
ssize_t os_file_read_all(int fd, void *data, size_t size, uint64_t offset);
