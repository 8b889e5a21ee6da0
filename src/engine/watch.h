/* watch.h - inside the engine: the lists of watched keys, one a shard.
 *
 * A version alone cannot serve WATCH: a key that is set and deleted again between WATCH and
 * EXEC has been changed though it looks the same. So whoever changes a key tells the watches
 * of its shard; that costs one branch a write while nobody watches. */
#pragma once

#include "engine/engine.h"

/* The shard is held. */
void watch_key_changed(struct shard *shard, const struct key *key);
/* Every key of a physical database (all with db < 0) that is there is about to go. */
void watch_database_flushed(struct writer *writer, struct shard *shard, int db);
/* A physical database becomes another logical one: all its watches break, also those of keys
 * that are absent in both, which is more than Redis does and always allowed. */
void watch_database_swapped(struct shard *shard, int db);
