#include "server/client_text.h"

#include "base/socket.h"
#include "command/spec.h"

static bool is_unix(const struct address *address)
{
    return address->storage.ss_family == AF_UNIX;
}

void client_print_own_address(const struct connection *connection, struct buf *out)
{
    struct address address;
    if (socket_local(connection->fd, &address)) {
        address_print(&address, out);
    } else {
        buf_append_string(out, "?:0");
    }
}

void client_print_address(const struct connection *connection, struct buf *out)
{
    struct address address;
    if (!socket_peer(connection->fd, &address)) {
        buf_append_string(out, "?:0");
    } else if (is_unix(&address)) {
        client_print_own_address(connection, out);
    } else {
        address_print(&address, out);
    }
}

static void print_flags(const struct connection *connection, struct buf *out)
{
    size_t before = out->len;
    struct address address;
    if (atomic_load_explicit(&connection->in_multi, memory_order_relaxed)) {
        buf_append_char(out, 'x');
    }
    if (socket_local(connection->fd, &address) && is_unix(&address)) {
        buf_append_char(out, 'U');
    }
    if (out->len == before) {
        buf_append_char(out, 'N');
    }
}

static int64_t passed_s(int64_t since_ms, int64_t now_ms)
{
    return now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0;
}

static unsigned long long load(const _Atomic uint64_t *number)
{
    return (unsigned long long)atomic_load_explicit(number, memory_order_relaxed);
}

/* What the connection holds. Words of a request are views of the input, so that arguments take
 * nothing beside it, and there is no reply buffer of fixed size. */
static void print_sizes(const struct connection *connection, struct buf *out)
{
    bool in_multi = atomic_load_explicit(&connection->in_multi, memory_order_relaxed);
    unsigned long long in = load(&connection->shown.in_bytes);
    unsigned long long in_free = load(&connection->shown.in_free_bytes);
    unsigned long long queued = load(&connection->shown.queued_bytes);
    unsigned long long unsent = load(&connection->shown.unsent_bytes);
    const struct session *session = &connection->session;
    unsigned long long total = sizeof(*connection) + in + in_free + queued + unsent +
                               session->name.cap + session->library_name.cap +
                               session->library_version.cap;
    buf_appendf(out, " multi=%lld",
                in_multi ? (long long)load(&connection->shown.queued) : -1);
    buf_appendf(out, " qbuf=%llu qbuf-free=%llu argv-mem=0 multi-mem=%llu", in, in_free,
                queued);
    buf_appendf(out, " rbs=0 rbp=0 obl=0 omem=%llu tot-mem=%llu events=%s", unsent, total,
                unsent > 0 ? "rw" : "r");
}

void client_print(const struct connection *connection, int64_t now_ms, struct buf *out)
{
    const struct session *session = &connection->session;
    const struct command_row *row =
        atomic_load_explicit(&connection->last_row, memory_order_relaxed);
    int64_t active_ms =
        atomic_load_explicit(&connection->active_ms, memory_order_relaxed);
    bool is_resp3 =
        atomic_load_explicit(&connection->dialect, memory_order_relaxed) == DIALECT_RESP3;

    buf_appendf(out, "id=%llu addr=", (unsigned long long)session->id);
    client_print_address(connection, out);
    buf_append_string(out, " laddr=");
    client_print_own_address(connection, out);
    buf_appendf(out, " fd=%d name=", connection->fd);
    buf_append_bytes(out, buf_bytes(&session->name));
    buf_appendf(out, " age=%lld idle=%lld flags=",
                (long long)passed_s(connection->created_ms, now_ms),
                (long long)passed_s(active_ms, now_ms));
    print_flags(connection, out);
    buf_appendf(out, " db=%u sub=0 psub=0 ssub=0",
                atomic_load_explicit(&connection->database, memory_order_relaxed));
    print_sizes(connection, out);
    buf_appendf(out, " cmd=%s user=default redir=-1 resp=%d lib-name=",
                row == NULL ? "NULL" : row->name, is_resp3 ? 3 : 2);
    buf_append_bytes(out, buf_bytes(&session->library_name));
    buf_append_string(out, " lib-ver=");
    buf_append_bytes(out, buf_bytes(&session->library_version));
    buf_append_char(out, '\n');
}
