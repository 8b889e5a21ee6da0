/* staging.h - inside the engine: a change becomes a record in the writer's open frame, while its
 * shard is held. Without a log nothing happens. */
#pragma once

#include "engine/engine.h"

static inline bool writer_is_logged(const struct writer *writer)
{
    return writer->log.log != NULL;
}

/* Before a change: room for its record. */
MUST_USE static inline enum memento_status stage_reserve(struct writer *writer,
                                                         const struct key *key,
                                                         size_t value_bytes)
{
    return writer_is_logged(writer)
               ? log_reserve(&writer->log, key->bytes.len, value_bytes)
               : MEMENTO_OK;
}

/* After it, into that room. */
static inline void stage(struct writer *writer, const struct record *record)
{
    if (writer_is_logged(writer)) {
        log_stage(&writer->log, record, NULL);
    }
}

/* A record whose value may lie in a block: a long one is kept there, not copied. The writer is
 * logged. */
static inline void stage_value(struct writer *writer, const struct record *record,
                               struct large *large)
{
    bool is_kept = large != NULL && record->value.len >= LOG_REFERENCE_BYTES;
    log_stage(&writer->log, record, is_kept ? large_take(large) : NULL);
}

/* Everything an entry says. */
static inline struct record record_of_item(const struct item *item)
{
    bool is_carried = item->created_ms != (int64_t)(item->version >> ENTRY_VERSION_SHIFT);
    return (struct record){.kind = RECORD_SET,
                           .flags = is_carried ? RECORD_HAS_CREATED : 0,
                           .db = item->db,
                           .version = item->version,
                           .deadline_ms = item->deadline_ms,
                           .created_ms = item->created_ms,
                           .key = item->key,
                           .value = item->value};
}

static inline void stage_entry(struct writer *writer, const struct item *item)
{
    struct record record = record_of_item(item);
    stage_value(writer, &record, item->large);
}

static inline void writer_note_read(struct writer *writer, uint64_t version)
{
    if (UNLIKELY(writer->tracks_reads) && version > writer->version_read) {
        writer->version_read = version;
    }
}
