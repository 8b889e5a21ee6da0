#include "command/session.h"

#include "engine/engine.h"

void session_init(struct session *session, uint64_t id, enum dialect dialect)
{
    *session = (struct session){.id = id, .dialect = dialect, .durability = LOG_NEVER};
    list_init(&session->watches);
    buf_init(&session->name);
    buf_init(&session->library_name);
    buf_init(&session->library_version);
}
