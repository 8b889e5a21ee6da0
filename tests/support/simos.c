#include "support/simos.h"

#include "base/check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Far from the descriptors of the kernel: one that gets there by mistake is refused. */
#define FD_FIRST 1000000
#define FD_MAX   1024

#define FREE_WITHOUT_LIMIT ((uint64_t)1 << 40)

struct open_file {
    bool is_open;
    bool may_write;
    bool has_lock;
    size_t node;
};

struct armed_fault {
    struct simos_fault fault;
    uint64_t seen; /* calls that it looked at */
};

/* The one machine. */
static struct {
    pthread_mutex_t lock; /* guards what follows */
    struct disk *disk;
    struct open_file files[FD_MAX];
    bool *sync_has_failed; /* by node */
    size_t sync_has_failed_count;

    uint64_t calls[SIMOS_CALLS + 1]; /* the last: all of them */
    uint64_t hits, syncs_after_failure;
    struct armed_fault faults[SIMOS_FAULTS_MAX];
    size_t fault_count;
    uint64_t power_ends_at; /* number of a call; 0 never */
    bool has_no_power;
    uint64_t limit;
    bool is_copy_on_write;
    simos_hook_body *hook;
    void *hook_context;

    bool is_recording;
    struct disk **moments; /* neighbours may be the same */
    size_t moment_count;
} machine = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *must(void *memory)
{
    CHECK(memory != NULL);
    return memory;
}

const char *simos_call_name(enum simos_call call)
{
    static const char *const names[] = {
        "dir_open", "dir_make",  "dir_list", "dir_sync",   "dir_rename", "dir_remove",
        "open",     "close",     "size",     "exists",     "read",       "write",
        "truncate", "sync_data", "sync",     "drop_cache", "lock",       "rename",
        "link",     "remove",    "volume",   "any"};
    static_assert(sizeof(names) / sizeof(names[0]) == SIMOS_CALLS + 1, "a name for each");
    return names[call];
}

/* ---- lives ---- */

static void begin_life(struct disk *disk)
{
    disk_destroy(machine.disk);
    machine.disk = disk;
    memset(machine.files, 0, sizeof(machine.files));
    free(machine.sync_has_failed);
    machine.sync_has_failed = NULL;
    machine.sync_has_failed_count = 0;
    memset(machine.calls, 0, sizeof(machine.calls));
    machine.hits = 0;
    machine.syncs_after_failure = 0;
    machine.fault_count = 0;
    machine.power_ends_at = 0;
    machine.has_no_power = false;
    machine.hook = NULL;
}

void simos_start(void)
{
    begin_life(disk_create());
    machine.limit = 0;
    machine.is_copy_on_write = false;
}

void simos_boot(const struct disk *disk)
{
    begin_life(disk_copy(disk));
}

void simos_kill(void)
{
    begin_life(disk_copy(machine.disk));
}

void simos_power_on(enum disk_loss loss, uint64_t seed)
{
    struct disk *disk = disk_copy(machine.disk);
    disk_lose_power(disk, loss, seed);
    begin_life(disk);
}

static void forget_moments(void)
{
    for (size_t i = 0; i < machine.moment_count; i++) {
        if (i == 0 || machine.moments[i] != machine.moments[i - 1]) {
            disk_destroy(machine.moments[i]);
        }
    }
    free(machine.moments);
    machine.moments = NULL;
    machine.moment_count = 0;
}

void simos_stop(void)
{
    begin_life(NULL);
    forget_moments();
    machine.is_recording = false;
}

struct disk *simos_disk(void)
{
    return disk_copy(machine.disk);
}

/* ---- every moment of a run ---- */

static void keep_moment(void)
{
    size_t count = machine.moment_count;
    struct disk *last = count > 0 ? machine.moments[count - 1] : NULL;
    if (last == NULL || disk_generation(last) != disk_generation(machine.disk)) {
        last = disk_copy(machine.disk);
    }
    machine.moments = must(realloc(machine.moments, (count + 1) * sizeof(struct disk *)));
    machine.moments[machine.moment_count++] = last;
}

void simos_record(void)
{
    forget_moments();
    machine.is_recording = true;
}

size_t simos_record_end(void)
{
    keep_moment();
    machine.is_recording = false;
    return machine.moment_count;
}

const struct disk *simos_moment(size_t moment)
{
    CHECK(moment < machine.moment_count);
    return machine.moments[moment];
}

/* ---- what happens to calls ---- */

void simos_fail(const struct simos_fault *fault)
{
    CHECK(fault->error != 0 || fault->effect == SIMOS_IS_SHORT);
    pthread_mutex_lock(&machine.lock);
    CHECK(machine.fault_count < SIMOS_FAULTS_MAX);
    machine.faults[machine.fault_count++] = (struct armed_fault){.fault = *fault};
    pthread_mutex_unlock(&machine.lock);
}

void simos_heal(void)
{
    pthread_mutex_lock(&machine.lock);
    machine.fault_count = 0;
    machine.power_ends_at = 0;
    machine.has_no_power = false;
    pthread_mutex_unlock(&machine.lock);
}

uint64_t simos_hits(void)
{
    return machine.hits;
}

void simos_cut_power_at(uint64_t nth)
{
    pthread_mutex_lock(&machine.lock);
    machine.power_ends_at = machine.calls[SIMOS_ANY] + nth;
    pthread_mutex_unlock(&machine.lock);
}

bool simos_is_powered(void)
{
    pthread_mutex_lock(&machine.lock);
    bool is_powered = !machine.has_no_power;
    pthread_mutex_unlock(&machine.lock);
    return is_powered;
}

void simos_limit(uint64_t bytes)
{
    machine.limit = bytes;
}

void simos_is_copy_on_write(bool is)
{
    machine.is_copy_on_write = is;
}

void simos_hook(simos_hook_body *hook, void *context)
{
    pthread_mutex_lock(&machine.lock);
    machine.hook = hook;
    machine.hook_context = context;
    pthread_mutex_unlock(&machine.lock);
}

uint64_t simos_calls(enum simos_call call)
{
    pthread_mutex_lock(&machine.lock);
    uint64_t calls = machine.calls[call];
    pthread_mutex_unlock(&machine.lock);
    return calls;
}

unsigned simos_open_descriptors(void)
{
    unsigned count = 0;
    for (size_t i = 0; i < FD_MAX; i++) {
        count += machine.files[i].is_open;
    }
    return count;
}

uint64_t simos_syncs_after_failure(void)
{
    return machine.syncs_after_failure;
}

/* Each armed fault looks at the call; the first that fits is given. */
static const struct simos_fault *fault_for(enum simos_call call)
{
    const struct simos_fault *hit = NULL;
    for (size_t i = 0; i < machine.fault_count; i++) {
        struct armed_fault *armed = &machine.faults[i];
        const struct simos_fault *fault = &armed->fault;
        if (fault->call != SIMOS_ANY && fault->call != call) {
            continue;
        }
        armed->seen++;
        bool fits =
            fault->is_forever ? armed->seen >= fault->nth : armed->seen == fault->nth;
        if (fits && hit == NULL) {
            hit = fault;
        }
    }
    return hit;
}

/* How a call has to end: with an errno, or well. */
struct outcome {
    int error;
    enum simos_effect effect; /* of the fault, when there is one */
    bool is_partial;          /* a read or write does half of what is wanted */
};

static void call_hook(enum simos_call call, bool is_done)
{
    pthread_mutex_lock(&machine.lock);
    simos_hook_body *hook = machine.hook;
    void *context = machine.hook_context;
    pthread_mutex_unlock(&machine.lock);
    if (hook != NULL) {
        hook(context, call, is_done);
    }
}

/* Counts the call and locks the machine. */
static struct outcome call_begin(enum simos_call call)
{
    call_hook(call, false);
    pthread_mutex_lock(&machine.lock);
    CHECK(machine.disk != NULL); /* simos_start comes first */
    if (machine.is_recording) {
        keep_moment();
    }
    machine.calls[call]++;
    machine.calls[SIMOS_ANY]++;
    if (machine.power_ends_at > 0 && machine.calls[SIMOS_ANY] >= machine.power_ends_at) {
        machine.has_no_power = true;
    }
    if (machine.has_no_power) {
        return (struct outcome){.error = EIO};
    }
    const struct simos_fault *fault = fault_for(call);
    if (fault == NULL) {
        return (struct outcome){0};
    }
    machine.hits++;
    bool is_short = fault->effect == SIMOS_IS_SHORT;
    return (struct outcome){.error = is_short ? 0 : fault->error,
                            .effect = fault->effect,
                            .is_partial = is_short || fault->effect == SIMOS_TEARS};
}

/* Unlocks; -1 with the errno when there is one. */
static int call_end(int result, int error)
{
    pthread_mutex_unlock(&machine.lock);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return result;
}

/* ---- descriptors ---- */

static struct open_file *file_of(int fd)
{
    if (fd < 0) {
        return NULL;
    }
    /* A descriptor that was closed, or was never one of ours, is a bug of the program. */
    CHECK(fd >= FD_FIRST && fd < FD_FIRST + FD_MAX);
    CHECK(machine.files[fd - FD_FIRST].is_open);
    return &machine.files[fd - FD_FIRST];
}

/* The directory that a descriptor is for; DISK_NONE with *error. */
static size_t dir_of(int fd, int *error)
{
    const struct open_file *file = file_of(fd);
    if (file == NULL) {
        *error = EBADF;
        return DISK_NONE;
    }
    if (!disk_is_dir(machine.disk, file->node)) {
        *error = ENOTDIR;
        return DISK_NONE;
    }
    return file->node;
}

static int open_node(size_t node, bool may_write, int *error)
{
    for (int i = 0; i < FD_MAX; i++) {
        if (!machine.files[i].is_open) {
            machine.files[i] =
                (struct open_file){.is_open = true, .may_write = may_write, .node = node};
            return FD_FIRST + i;
        }
    }
    *error = EMFILE;
    return -1;
}

/* ---- directories ---- */

/* One component of a path after the other; DISK_NONE with *error. With `make`, what is not
 * there is made, and made durable. */
static size_t walk(const char *path, bool make, int *error)
{
    char copy[PATH_MAX], *rest = copy, *place = NULL;
    CHECK(strlen(path) < sizeof(copy));
    strcpy(copy, path);
    size_t node = DISK_ROOT;
    for (char *name; (name = strtok_r(rest, "/", &place)) != NULL; rest = NULL) {
        size_t next = strcmp(name, ".") == 0 ? node : disk_find(machine.disk, node, name);
        if (next == DISK_NONE && make) {
            next = disk_make(machine.disk, node, name, true);
            disk_sync_dir(machine.disk, node);
        }
        if (next == DISK_NONE || !disk_is_dir(machine.disk, next)) {
            *error = next == DISK_NONE ? ENOENT : ENOTDIR;
            return DISK_NONE;
        }
        node = next;
    }
    return node;
}

int os_dir_open(const char *path)
{
    struct outcome outcome = call_begin(SIMOS_DIR_OPEN);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error);
    }
    int error = 0, fd = -1;
    size_t node = walk(path, false, &error);
    if (node != DISK_NONE) {
        fd = open_node(node, false, &error);
    }
    return call_end(fd, error);
}

int os_dir_open_at(int dir, const char *name)
{
    struct outcome outcome = call_begin(SIMOS_DIR_OPEN);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error);
    }
    int error = 0, fd = -1;
    size_t parent = dir_of(dir, &error);
    if (parent != DISK_NONE) {
        size_t node = disk_find(machine.disk, parent, name);
        if (node == DISK_NONE || !disk_is_dir(machine.disk, node)) {
            error = node == DISK_NONE ? ENOENT : ENOTDIR;
        } else {
            fd = open_node(node, false, &error);
        }
    }
    return call_end(fd, error);
}

int os_dir_make(const char *path)
{
    struct outcome outcome = call_begin(SIMOS_DIR_MAKE);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error);
    }
    int error = 0;
    (void)walk(path, true, &error);
    return call_end(0, error);
}

int os_dir_make_at(int dir, const char *name)
{
    struct outcome outcome = call_begin(SIMOS_DIR_MAKE);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error);
    }
    int error = 0;
    size_t parent = dir_of(dir, &error);
    if (parent != DISK_NONE) {
        if (disk_find(machine.disk, parent, name) != DISK_NONE) {
            error = EEXIST;
        } else {
            disk_make(machine.disk, parent, name, true);
        }
    }
    return call_end(0, error);
}

bool os_dir_list(int dir, os_visit_name *visit, void *context)
{
    struct outcome outcome = call_begin(SIMOS_DIR_LIST);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error) == 0;
    }
    int error = 0;
    size_t node = dir_of(dir, &error);
    if (node == DISK_NONE) {
        return call_end(-1, error) == 0;
    }
    /* A copy: visiting may remove what it is told of. */
    size_t count = disk_names(machine.disk, node);
    char(*names)[DISK_NAME_MAX] = must(calloc(count + 1, DISK_NAME_MAX));
    for (size_t i = 0; i < count; i++) {
        strcpy(names[i], disk_name(machine.disk, node, i));
    }
    call_end(0, 0);
    for (size_t i = 0; i < count; i++) {
        visit(context, names[i]);
    }
    free(names);
    return true;
}

int os_dir_sync(int dir)
{
    struct outcome outcome = call_begin(SIMOS_DIR_SYNC);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error);
    }
    int error = 0;
    size_t node = dir_of(dir, &error);
    if (node != DISK_NONE) {
        disk_sync_dir(machine.disk, node);
    }
    return call_end(0, error);
}

static int rename_entry(enum simos_call call, int dir, const char *from, const char *to)
{
    struct outcome outcome = call_begin(call);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error);
    }
    int error = 0;
    size_t parent = dir_of(dir, &error);
    if (parent == DISK_NONE) {
        return call_end(-1, error);
    }
    size_t node = disk_find(machine.disk, parent, from);
    size_t other = disk_find(machine.disk, parent, to);
    if (node == DISK_NONE) {
        error = ENOENT;
    } else if (other != DISK_NONE && disk_is_dir(machine.disk, other)) {
        error = disk_is_dir(machine.disk, node) ? ENOTEMPTY : EISDIR;
        if (error == ENOTEMPTY && disk_names(machine.disk, other) == 0) {
            error = 0;
        }
    } else if (other != DISK_NONE && disk_is_dir(machine.disk, node)) {
        error = ENOTDIR;
    }
    if (error == 0 && node != other) {
        disk_rename(machine.disk, parent, from, to);
    }
    return call_end(0, error);
}

int os_dir_rename(int dir, const char *from, const char *to)
{
    return rename_entry(SIMOS_DIR_RENAME, dir, from, to);
}

int os_file_rename(int dir, const char *from, const char *to)
{
    return rename_entry(SIMOS_RENAME, dir, from, to);
}

static int remove_entry(enum simos_call call, int dir, const char *name)
{
    struct outcome outcome = call_begin(call);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error);
    }
    int error = 0;
    size_t parent = dir_of(dir, &error);
    if (parent == DISK_NONE) {
        return call_end(-1, error);
    }
    size_t node = disk_find(machine.disk, parent, name);
    bool wants_dir = call == SIMOS_DIR_REMOVE;
    if (node == DISK_NONE) {
        error = ENOENT;
    } else if (disk_is_dir(machine.disk, node) != wants_dir) {
        error = wants_dir ? ENOTDIR : EISDIR;
    } else if (wants_dir && disk_names(machine.disk, node) > 0) {
        error = ENOTEMPTY;
    } else {
        disk_unlink(machine.disk, parent, name);
    }
    return call_end(0, error);
}

int os_dir_remove(int dir, const char *name)
{
    return remove_entry(SIMOS_DIR_REMOVE, dir, name);
}

int os_file_remove(int dir, const char *name)
{
    return remove_entry(SIMOS_REMOVE, dir, name);
}

int os_file_link(int dir, const char *from, int to_dir, const char *to)
{
    struct outcome outcome = call_begin(SIMOS_LINK);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error);
    }
    int error = 0;
    size_t from_parent = dir_of(dir, &error), to_parent = dir_of(to_dir, &error);
    if (from_parent != DISK_NONE && to_parent != DISK_NONE) {
        size_t node = disk_find(machine.disk, from_parent, from);
        if (node == DISK_NONE) {
            error = ENOENT;
        } else if (disk_is_dir(machine.disk, node)) {
            error = EPERM;
        } else if (disk_find(machine.disk, to_parent, to) != DISK_NONE) {
            error = EEXIST;
        } else {
            disk_link(machine.disk, to_parent, to, node);
        }
    }
    return call_end(0, error);
}

/* ---- files ---- */

/* The node to open, perhaps a new one; DISK_NONE with *error. */
static size_t node_to_open(size_t parent, const char *name, int flags, int *error)
{
    size_t node = disk_find(machine.disk, parent, name);
    if (node == DISK_NONE) {
        if (flags & O_CREAT) {
            return disk_make(machine.disk, parent, name, false);
        }
        *error = ENOENT;
    } else if ((flags & O_CREAT) && (flags & O_EXCL)) {
        *error = EEXIST;
    } else if (disk_is_dir(machine.disk, node)) {
        *error = EISDIR;
    } else if ((flags & O_TRUNC) && disk_size(machine.disk, node) > 0) {
        disk_truncate(machine.disk, node, 0);
    }
    return *error == 0 ? node : DISK_NONE;
}

int os_file_open(int dir, const char *name, int flags)
{
    struct outcome outcome = call_begin(SIMOS_OPEN);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error);
    }
    int error = 0, fd = -1;
    size_t parent = dir_of(dir, &error);
    if (parent != DISK_NONE) {
        size_t node = node_to_open(parent, name, flags, &error);
        if (node != DISK_NONE) {
            fd = open_node(node, (flags & O_ACCMODE) != O_RDONLY, &error);
        }
    }
    return call_end(fd, error);
}

int os_file_close(int fd)
{
    struct outcome outcome = call_begin(SIMOS_CLOSE);
    struct open_file *file = file_of(fd);
    if (file == NULL) {
        return call_end(-1, EBADF);
    }
    *file = (struct open_file){0};
    return call_end(0, outcome.error);
}

bool os_file_size(int fd, uint64_t *bytes)
{
    struct outcome outcome = call_begin(SIMOS_SIZE);
    const struct open_file *file = file_of(fd);
    if (outcome.error != 0 || file == NULL) {
        return call_end(-1, file == NULL ? EBADF : outcome.error) == 0;
    }
    *bytes = disk_size(machine.disk, file->node);
    return call_end(0, 0) == 0;
}

bool os_file_exists(int dir, const char *name)
{
    struct outcome outcome = call_begin(SIMOS_EXISTS);
    if (outcome.error != 0) {
        return call_end(-1, outcome.error) == 0;
    }
    int error = 0;
    size_t parent = dir_of(dir, &error);
    if (parent != DISK_NONE && disk_find(machine.disk, parent, name) == DISK_NONE) {
        error = ENOENT;
    }
    return call_end(0, error) == 0;
}

static size_t half(size_t size)
{
    return size > 1 ? size / 2 : size;
}

ssize_t os_file_read(int fd, void *data, size_t size, uint64_t offset)
{
    struct outcome outcome = call_begin(SIMOS_READ);
    const struct open_file *file = file_of(fd);
    if (outcome.error != 0 || file == NULL) {
        return call_end(-1, file == NULL ? EBADF : outcome.error);
    }
    if (disk_is_dir(machine.disk, file->node)) {
        return call_end(-1, EISDIR);
    }
    size_t wanted = outcome.is_partial ? half(size) : size;
    size_t got = disk_read(machine.disk, file->node, data, wanted, offset);
    (void)call_end(0, 0);
    return (ssize_t)got;
}

/* How much of a file's growth to `end` the disk has room for. */
static uint64_t end_that_fits(size_t node, uint64_t end)
{
    uint64_t size = disk_size(machine.disk, node);
    if (machine.limit == 0 || end <= size) {
        return end;
    }
    uint64_t used = disk_used(machine.disk);
    uint64_t room = machine.limit > used ? (machine.limit - used) / 4096 * 4096 : 0;
    uint64_t fits = (size + 4095) / 4096 * 4096 + room;
    return end < fits ? end : fits;
}

/* All parts in one piece; the caller's. */
static char *gather(const struct iovec *parts, int count, size_t *len)
{
    *len = 0;
    for (int i = 0; i < count; i++) {
        *len += parts[i].iov_len;
    }
    char *data = must(malloc(*len + 1));
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) {
            memcpy(data + at, parts[i].iov_base, parts[i].iov_len);
            at += parts[i].iov_len;
        }
    }
    return data;
}

ssize_t os_file_write(int fd, const struct iovec *parts, int count, uint64_t offset)
{
    struct outcome outcome = call_begin(SIMOS_WRITE);
    const struct open_file *file = file_of(fd);
    if (file == NULL || !file->may_write) {
        return call_end(-1, EBADF);
    }
    if (outcome.error != 0 && outcome.effect != SIMOS_TEARS) {
        return call_end(-1, outcome.error);
    }
    size_t len;
    char *data = gather(parts, count < IOV_MAX ? count : IOV_MAX, &len);
    size_t wanted = outcome.is_partial ? half(len) : len;
    uint64_t end = end_that_fits(file->node, offset + wanted);
    size_t put = end > offset ? (size_t)(end - offset) : 0;
    disk_write(machine.disk, file->node, data, put, offset);
    free(data);
    int error = outcome.error != 0 ? outcome.error : put == 0 && wanted > 0 ? ENOSPC : 0;
    (void)call_end(0, error);
    return error != 0 ? -1 : (ssize_t)put;
}

int os_file_truncate(int fd, uint64_t bytes)
{
    struct outcome outcome = call_begin(SIMOS_TRUNCATE);
    const struct open_file *file = file_of(fd);
    if (file == NULL || !file->may_write) {
        return call_end(-1, EBADF);
    }
    if (outcome.error != 0) {
        return call_end(-1, outcome.error);
    }
    if (end_that_fits(file->node, bytes) < bytes) {
        return call_end(-1, ENOSPC);
    }
    disk_truncate(machine.disk, file->node, bytes);
    return call_end(0, 0);
}

/* Whether a sync of this file has failed in this life; with `note`, it has now. */
static bool sync_failed(size_t node, bool note)
{
    while (note && machine.sync_has_failed_count <= node) {
        size_t count = machine.sync_has_failed_count;
        machine.sync_has_failed = must(realloc(machine.sync_has_failed, count + 1));
        machine.sync_has_failed[machine.sync_has_failed_count++] = false;
    }
    if (note) {
        machine.sync_has_failed[node] = true;
    }
    return node < machine.sync_has_failed_count && machine.sync_has_failed[node];
}

static int sync_file(enum simos_call call, int fd)
{
    struct outcome outcome = call_begin(call);
    const struct open_file *file = file_of(fd);
    if (file == NULL) {
        return call_end(-1, EBADF);
    }
    machine.syncs_after_failure +=
        !machine.has_no_power && sync_failed(file->node, false);
    if (outcome.error != 0) {
        (void)sync_failed(file->node, true);
        if (outcome.effect == SIMOS_LOSES_PAGES) {
            disk_lose_pages(machine.disk, file->node);
        }
        return call_end(-1, outcome.error);
    }
    disk_sync(machine.disk, file->node);
    (void)call_end(0, 0);
    call_hook(call, true);
    return 0;
}

int os_file_sync_data(int fd)
{
    return sync_file(SIMOS_SYNC_DATA, fd);
}

int os_file_sync(int fd)
{
    return sync_file(SIMOS_SYNC, fd);
}

void os_file_drop_cache(int fd)
{
    (void)call_begin(SIMOS_DROP_CACHE);
    const struct open_file *file = file_of(fd);
    if (file != NULL && !machine.has_no_power) {
        disk_drop_cache(machine.disk, file->node);
    }
    (void)call_end(0, 0);
}

int os_file_lock(int fd)
{
    struct outcome outcome = call_begin(SIMOS_LOCK);
    struct open_file *file = file_of(fd);
    if (outcome.error != 0 || file == NULL) {
        return call_end(-1, file == NULL ? EBADF : outcome.error);
    }
    for (size_t i = 0; i < FD_MAX; i++) {
        struct open_file *other = &machine.files[i];
        if (other != file && other->is_open && other->has_lock &&
            other->node == file->node) {
            return call_end(-1, EWOULDBLOCK);
        }
    }
    file->has_lock = true;
    return call_end(0, 0);
}

bool os_volume_of(int fd, struct os_volume *volume)
{
    struct outcome outcome = call_begin(SIMOS_VOLUME);
    const struct open_file *file = file_of(fd);
    if (outcome.error != 0 || file == NULL) {
        return call_end(-1, file == NULL ? EBADF : outcome.error) == 0;
    }
    uint64_t used = disk_used(machine.disk);
    uint64_t limit = machine.limit > 0 ? machine.limit : used + FREE_WITHOUT_LIMIT;
    *volume = (struct os_volume){.free_bytes = limit > used ? limit - used : 0,
                                 .is_copy_on_write = machine.is_copy_on_write};
    return call_end(0, 0) == 0;
}
