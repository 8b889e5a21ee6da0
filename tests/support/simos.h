/* simos.h - the disk of a test: os_file.h in memory, with power that can be cut at any call and
 * faults that come when they are told to.
 *
 * A test program that is linked with simos has its functions instead of those of
 * src/base/os_file.c; tests/CMakeLists.txt lists these programs. There is one machine. Every
 * function of os_file.h counts as one call; the calls of one thread always come in the same
 * order, and what is drawn comes from seeds. Any thread, but what sets up a test: its own.
 *
 * A life of the machine begins with simos_start, simos_boot, simos_power_on or simos_kill:
 * nothing is open, no call has been made, no fault is armed. */
#pragma once

#include "base/os_file.h"
#include "support/simos_disk.h"

enum simos_call {
    SIMOS_DIR_OPEN,
    SIMOS_DIR_MAKE,
    SIMOS_DIR_LIST,
    SIMOS_DIR_SYNC,
    SIMOS_DIR_RENAME,
    SIMOS_DIR_REMOVE,
    SIMOS_OPEN,
    SIMOS_CLOSE, /* closes all the same when it fails */
    SIMOS_SIZE,
    SIMOS_EXISTS,
    SIMOS_READ,
    SIMOS_WRITE,
    SIMOS_TRUNCATE,
    SIMOS_SYNC_DATA,
    SIMOS_SYNC,
    SIMOS_DROP_CACHE, /* cannot fail */
    SIMOS_LOCK,
    SIMOS_RENAME,
    SIMOS_LINK,
    SIMOS_REMOVE,
    SIMOS_VOLUME,
    SIMOS_CALLS,
    SIMOS_ANY = SIMOS_CALLS
};
const char *simos_call_name(enum simos_call call);

/* ---- lives ---- */

/* An empty disk without end. */
void simos_start(void);
/* The disk as it is here: as after the power loss of another life, or after its kill. */
void simos_boot(const struct disk *disk);
/* The process is gone, the kernel lives on: what was written is still there. */
void simos_kill(void);
/* The power was gone, and is back. */
void simos_power_on(enum disk_loss loss, uint64_t seed);
/* Frees everything. */
void simos_stop(void);

/* A copy of the disk as it is now; the caller's. */
struct disk *simos_disk(void);

/* ---- what happens to calls ---- */

enum simos_effect {
    SIMOS_FAILS,      /* nothing but the errno */
    SIMOS_IS_SHORT,   /* half of a read or write, at least a byte; other calls succeed */
    SIMOS_TEARS,      /* a write fails, but some of it was done */
    SIMOS_LOSES_PAGES /* a sync fails, and what it should have written is marked clean */
};
struct simos_fault {
    enum simos_call call;
    uint64_t nth; /* of these calls from now on; 1 is the next */
    int error;
    enum simos_effect effect;
    bool is_forever; /* the nth and all after it */
};
/* Adds one. There may be SIMOS_FAULTS_MAX at the same time; the first that fits counts. */
#define SIMOS_FAULTS_MAX 8
void simos_fail(const struct simos_fault *fault);
void simos_heal(void); /* forgets them all, and gives power back */
/* How many calls have been hit by a fault in this life. */
uint64_t simos_hits(void);
/* From the nth call on (1 is the next) everything fails with EIO and nothing changes any more, so
 * that the program can be taken down; then simos_power_on. */
void simos_cut_power_at(uint64_t nth);
bool simos_is_powered(void);
/* Bytes that fit on the disk, in blocks of 4,096; 0: no limit. */
void simos_limit(uint64_t bytes);
/* What os_volume_of says. */
void simos_is_copy_on_write(bool is);
/* Called by the thread of each call before it is carried out, and once more after a sync has
 * been: for time that passes meanwhile, and for what others do in it. It may make calls. */
typedef void simos_hook_body(void *context, enum simos_call call, bool is_done);
void simos_hook(simos_hook_body *hook, void *context);

/* ---- what has been seen in this life ---- */

uint64_t simos_calls(enum simos_call call);
unsigned simos_open_descriptors(void);
/* Calls that sync a file after a sync of it has failed. */
uint64_t simos_syncs_after_failure(void);

/* ---- every moment of a run ---- */

/* Keeps the disk as it was before each call from now on. */
void simos_record(void);
/* Ends that. The number of moments: the last is after all calls. */
size_t simos_record_end(void);
/* The disk before call `moment` + 1 of the recording. Good until the next simos_record or
 * simos_stop. Equal pointers: nothing had changed in between. */
const struct disk *simos_moment(size_t moment);
