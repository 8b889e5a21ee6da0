/* info_command.c - INFO [section ...] */
#include "command/handlers.h"
#include "server/info.h"
#include "server/server.h"

static unsigned wanted_sections(const struct call *call)
{
    unsigned sections = call->count == 1 ? INFO_EVERYTHING : 0;
    for (size_t i = 1; i < call->count; i++) {
        sections |= info_section_named(call->args[i]);
    }
    return sections;
}

void command_info(struct call *call)
{
    /* Inside EXEC some shards are locked by this very thread; while it loads they are nobody
     * else's. */
    bool may_lock = call->writer->span_depth == 0 && call_worker(call)->is_loaded;
    struct info_sample sample;
    info_take(call_server(call), may_lock, &sample);
    struct buf text;
    buf_init(&text);
    info_print(&sample, wanted_sections(call), &text);
    if (text.failed) {
        call_failed(call, MEMENTO_ERR_NO_MEMORY);
    } else {
        reply_text(call->reply, buf_bytes(&text));
    }
    buf_fini(&text);
}
