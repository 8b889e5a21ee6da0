#include "command/session.h"

void session_init(struct session *session, uint64_t id, enum dialect dialect)
{
    *session = (struct session){.id = id, .dialect = dialect};
    list_init(&session->watches);
    buf_init(&session->name);
    buf_init(&session->library_name);
    buf_init(&session->library_version);
}
