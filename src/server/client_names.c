#include "server/client_names.h"

#include "server/server.h"

bool client_text_is_plain(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '!' || text.data[i] > '~') {
            return false;
        }
    }
    return true;
}

bool client_name_is_valid(struct call *call, struct bytes name)
{
    if (!client_text_is_plain(name)) {
        reply_error(call->reply,
                    "ERR Client names cannot contain spaces, newlines or special "
                    "characters.");
        return false;
    }
    if (name.len > CLIENT_NAME_BYTES_MAX) {
        reply_errorf(call->reply, "ERR Client names cannot be longer than %d bytes",
                     CLIENT_NAME_BYTES_MAX);
        return false;
    }
    return true;
}

bool client_set_text(struct call *call, struct buf *text, struct bytes value)
{
    struct buf copy;
    buf_init(&copy);
    buf_append_bytes(&copy, value);
    if (copy.failed) {
        buf_fini(&copy);
        call_failed(call, MEMENTO_ERR_NO_MEMORY);
        return false;
    }
    struct clients *clients = &call_server(call)->clients;
    lock_acquire(&clients->lock);
    struct buf old = *text;
    *text = copy;
    lock_release(&clients->lock);
    buf_fini(&old);
    return true;
}
