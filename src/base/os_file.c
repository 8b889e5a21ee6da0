#include "base/os_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Nothing but the functions of os_file.h that ask the kernel may be defined here: a test
 * program with a disk of its own defines the same names, and then the linker leaves this
 * file out. */

#define FILE_MODE 0600
#define DIR_MODE  0700

/* The names of file systems that matter to us, as statfs gives them. */
#define FS_NFS      0x6969
#define FS_SMB      0x517b
#define FS_SMB2     0xfe534d42
#define FS_CIFS     0xff534d42
#define FS_FUSE     0x65735546
#define FS_CEPH     0x00c36400
#define FS_9P       0x01021997
#define FS_AFS      0x5346414f
#define FS_KAFS     0x6b414653
#define FS_CODA     0x73757245
#define FS_BTRFS    0x9123683e
#define FS_ZFS      0x2fc12fc1
#define FS_BCACHEFS 0xca451a4e
#define FS_NILFS    0x3434
#define FS_F2FS     0xf2f52010

/* Again, for as long as a signal came in between. */
#define RETRY_INTERRUPTED(result, call) \
    do {                                \
        (result) = (call);              \
    } while ((result) < 0 && errno == EINTR)

static int open_at(int dir, const char *name, int flags, mode_t mode)
{
    int fd;
    RETRY_INTERRUPTED(fd, openat(dir, name, flags | O_CLOEXEC, mode));
    return fd;
}

static void close_keeping_errno(int fd)
{
    int error = errno;
    os_file_close(fd);
    errno = error;
}

int os_dir_open(const char *path)
{
    return open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
}

int os_dir_open_at(int dir, const char *name)
{
    return open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

static int sync_parent(const char *path)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        strcpy(parent, ".");
    } else {
        size_t len = slash == path ? 1 : (size_t)(slash - path);
        memcpy(parent, path, len);
        parent[len] = '\0';
    }
    int dir = os_dir_open(parent);
    if (dir < 0) {
        return -1;
    }
    int result = os_dir_sync(dir);
    close_keeping_errno(dir);
    return result;
}

/* One directory of a path, durable when it is new. */
static int make_durable(const char *path)
{
    if (os_dir_make_at(AT_FDCWD, path) == 0) {
        return sync_parent(path);
    }
    struct stat info;
    if (errno == EEXIST && stat(path, &info) == 0) {
        errno = ENOTDIR;
        return S_ISDIR(info.st_mode) ? 0 : -1;
    }
    return -1;
}

int os_dir_make(const char *path)
{
    char copy[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(copy)) {
        errno = len == 0 ? ENOENT : ENAMETOOLONG;
        return -1;
    }
    memcpy(copy, path, len + 1);
    while (len > 1 && copy[len - 1] == '/') {
        copy[--len] = '\0';
    }
    for (char *slash = copy + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        if (make_durable(copy) < 0) {
            return -1;
        }
        *slash = '/';
    }
    return make_durable(copy);
}

int os_dir_make_at(int dir, const char *name)
{
    if (mkdirat(dir, name, DIR_MODE) < 0) {
        return -1;
    }
    return fchmodat(dir, name, DIR_MODE,
                    0); /* the umask may have taken more than it ought */
}

bool os_dir_list(int dir, os_visit_name *visit, void *context)
{
    /* Opened anew: a copy of the descriptor would share its place in the listing. */
    int fd = open_at(dir, ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        return false;
    }
    DIR *listing = fdopendir(fd);
    if (listing == NULL) {
        close_keeping_errno(fd);
        return false;
    }
    struct dirent *entry;
    while ((errno = 0, entry = readdir(listing)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            visit(context, entry->d_name);
        }
    }
    int error = errno;
    closedir(listing);
    errno = error;
    return error == 0;
}

int os_dir_sync(int dir)
{
    return os_file_sync(dir);
}

int os_file_open(int dir, const char *name, int flags)
{
    int fd = open_at(dir, name, flags | O_NOFOLLOW, FILE_MODE);
    /* The umask can only take permissions away, even our own; and a file that somebody has
     * opened to others is closed to them again. */
    if (fd >= 0 && (flags & O_CREAT) && fchmod(fd, FILE_MODE) < 0) {
        close_keeping_errno(fd);
        return -1;
    }
    return fd;
}

int os_file_close(int fd)
{
    /* Not retried: Linux has given the descriptor back even when it answers EINTR, and a
     * second close could hit one that another thread has just been given. */
    int result = close(fd);
    return result < 0 && errno == EINTR ? 0 : result;
}

bool os_file_size(int fd, uint64_t *bytes)
{
    struct stat info;
    if (fstat(fd, &info) < 0) {
        return false;
    }
    *bytes = (uint64_t)info.st_size;
    return true;
}

bool os_file_exists(int dir, const char *name)
{
    struct stat info;
    return fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

ssize_t os_file_read(int fd, void *data, size_t size, uint64_t offset)
{
    ssize_t got;
    RETRY_INTERRUPTED(got, pread(fd, data, size, (off_t)offset));
    return got;
}

ssize_t os_file_write(int fd, const struct iovec *parts, int count, uint64_t offset)
{
    if (count > IOV_MAX) {
        count = IOV_MAX; /* the kernel would take none of them */
    }
    ssize_t put;
    RETRY_INTERRUPTED(put, pwritev(fd, parts, count, (off_t)offset));
    return put;
}

int os_file_truncate(int fd, uint64_t bytes)
{
    int result;
    RETRY_INTERRUPTED(result, ftruncate(fd, (off_t)bytes));
    return result;
}

int os_file_sync_data(int fd)
{
    int result;
    RETRY_INTERRUPTED(result, fdatasync(fd));
    return result;
}

int os_file_sync(int fd)
{
    int result;
    RETRY_INTERRUPTED(result, fsync(fd));
    return result;
}

void os_file_drop_cache(int fd)
{
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* only advice */
}

int os_file_lock(int fd)
{
    int result;
    RETRY_INTERRUPTED(result, flock(fd, LOCK_EX | LOCK_NB));
    return result;
}

int os_file_rename(int dir, const char *from, const char *to)
{
    return renameat(dir, from, dir, to);
}

int os_file_link(int dir, const char *from, int to_dir, const char *to)
{
    return linkat(dir, from, to_dir, to, 0); /* 0: a symbolic link is not followed */
}

int os_file_remove(int dir, const char *name)
{
    return unlinkat(dir, name, 0);
}

int os_dir_rename(int dir, const char *from, const char *to)
{
    return renameat(dir, from, dir, to);
}

int os_dir_remove(int dir, const char *name)
{
    return unlinkat(dir, name, AT_REMOVEDIR);
}

static bool type_is_remote(uint32_t type)
{
    static const uint32_t remote[] = {FS_NFS,  FS_SMB, FS_SMB2, FS_CIFS, FS_FUSE,
                                      FS_CEPH, FS_9P,  FS_AFS,  FS_KAFS, FS_CODA};
    for (size_t i = 0; i < ARRAY_LEN(remote); i++) {
        if (type == remote[i]) {
            return true;
        }
    }
    return false;
}

static bool type_is_copy_on_write(uint32_t type)
{
    return type == FS_BTRFS || type == FS_ZFS || type == FS_BCACHEFS ||
           type == FS_NILFS || type == FS_F2FS;
}

bool os_volume_of(int fd, struct os_volume *volume)
{
    struct statfs info;
    int result;
    RETRY_INTERRUPTED(result, fstatfs(fd, &info));
    if (result < 0) {
        return false;
    }
    uint64_t unit = (uint64_t)(info.f_frsize > 0 ? info.f_frsize : info.f_bsize);
    uint32_t type = (uint32_t)info.f_type; /* some are negative as a long of 32 bits */
    *volume = (struct os_volume){.free_bytes = (uint64_t)info.f_bavail * unit,
                                 .is_remote = type_is_remote(type),
                                 .is_copy_on_write = type_is_copy_on_write(type)};
    return true;
}
