/* simos_disk.h - the state of a simulated disk: what the kernel shows, what would be left after
 * a power loss, and what is on its way from the one to the other.
 *
 * A disk is a value: a copy shares everything until one of the two changes, so that a test may
 * keep one for every moment of a run. Nothing here fails and nothing is counted; simos.h has
 * the calls that the program under test makes. One thread at a time. */
#pragma once

#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR_BYTES  512 /* what a disk writes whole, most of the time */
#define DISK_NAME_MAX 96
#define DISK_ROOT     0 /* the node of the topmost directory */
#define DISK_NONE     SIZE_MAX

struct disk;

struct disk *disk_create(void);
struct disk *disk_copy(const struct disk *disk);
void disk_destroy(struct disk *disk); /* accepts NULL */
/* The number grows with every change. */
uint64_t disk_generation(const struct disk *disk);

/* ---- directories, as the kernel shows them ---- */

size_t disk_find(const struct disk *disk, size_t dir, const char *name); /* DISK_NONE */
bool disk_is_dir(const struct disk *disk, size_t node);
size_t disk_names(const struct disk *disk, size_t dir);
const char *disk_name(const struct disk *disk, size_t dir, size_t index);

/* Changes that a power loss may take back until disk_sync_dir. A name that is there is
 * replaced. */
size_t disk_make(struct disk *disk, size_t dir, const char *name, bool is_dir);
void disk_link(struct disk *disk, size_t dir, const char *name, size_t node);
void disk_unlink(struct disk *disk, size_t dir, const char *name);
void disk_rename(struct disk *disk, size_t dir, const char *from, const char *to);
void disk_sync_dir(struct disk *disk, size_t dir);

/* ---- files ---- */

uint64_t disk_size(const struct disk *disk, size_t node);
size_t disk_read(const struct disk *disk, size_t node, void *data, size_t size,
                 uint64_t offset);
/* Changes that a power loss may take back, each sector by itself, until disk_sync. */
void disk_write(struct disk *disk, size_t node, const void *data, size_t size,
                uint64_t offset);
void disk_truncate(struct disk *disk, size_t node, uint64_t size);
void disk_sync(struct disk *disk, size_t node);
/* As some file systems do after a failed sync: what was to be written never will be, although
 * reading still shows it for as long as it is in the cache. */
void disk_lose_pages(struct disk *disk, size_t node);
/* Forgets what is cached and does not wait to be written. */
void disk_drop_cache(struct disk *disk, size_t node);

/* Bytes of all the files that the kernel shows. */
uint64_t disk_used(const struct disk *disk);

/* ---- the end of power ---- */

enum disk_loss {
    DISK_DROPS_ALL, /* what was not synced is gone */
    DISK_KEEPS_ALL, /* everything had just been written */
    /* Of each sector any version since the last sync, or one torn in the middle; of a file any
     * size it had; of the changes of a directory any part, each of them whole. Bytes that were
     * never synced may be anything. */
    DISK_DROPS_SOME
};
/* The disk as it comes up again. */
void disk_lose_power(struct disk *disk, enum disk_loss loss, uint64_t seed);
