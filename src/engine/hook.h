/* hook.h - named points of a compaction at which a test may step in and do what a scheduler may
 * do: the proof in ../log/README.md is about exactly these schedules. A branch a step. */
#pragma once

#include "engine/engine.h"

enum engine_point {
    ENGINE_ROTATED,   /* a new segment has begun; the cut has not been read */
    ENGINE_CUT,       /* the cut has been read; nothing has been scanned */
    ENGINE_STEP,      /* a few buckets of the shard have been scanned */
    ENGINE_COMMITTING /* everything has been scanned; the old snapshot is in force */
};

/* `shard` is that of ENGINE_STEP, and 0 otherwise. No shard is held. */
typedef void engine_hook(void *context, enum engine_point point, unsigned shard);
/* Before a compaction begins; NULL takes it away. */
void engine_set_hook(struct engine *engine, engine_hook *hook, void *context);
