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
/* Two physical databases are about to become each other's logical one; all shards are held. A
 * watch of a key that is in either of them breaks; all move to the other one. */
void watch_databases_swapped(struct writer *writer, uint8_t a, uint8_t b);
