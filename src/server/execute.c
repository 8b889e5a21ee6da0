/* execute.c - the gates; see execute.h. */
#include "server/execute.h"

#include "base/trace.h"
#include "command/transaction.h"
#include "server/batch.h"
#include "server/dispatch.h"
#include "server/server.h"

#include <stdarg.h>
#include <stdio.h>

void execute_call(struct call *call)
{
    dispatch(call);
}

/* A request that is refused before it runs also spoils the transaction it should be part of. */
static void refused(struct session *session)
{
    if (session->in_multi) {
        session->multi_broken = true;
    }
}

/* "ERR unknown command 'x', with args beginning with: 'a' 'b' ", cut as Redis cuts it: 128
 * bytes of the name, and of the list of arguments. */
static COLD void reply_unknown(struct reply *reply, const struct bytes *words,
                               size_t count)
{
    char text[512];
    int name_len = words[0].len < 128 ? (int)words[0].len : 128;
    int len = snprintf(text, sizeof(text),
                       "ERR unknown command '%.*s', with args beginning with: ", name_len,
                       words[0].data);
    size_t arguments = 0;
    for (size_t i = 1; i < count && arguments < 128; i++) {
        int room = 128 - (int)arguments;
        int shown = words[i].len < (size_t)room ? (int)words[i].len : room;
        int more = snprintf(text + len, sizeof(text) - (size_t)len, "'%.*s' ", shown,
                            words[i].data == NULL ? "" : words[i].data);
        len += more;
        arguments += (size_t)more;
    }
    reply_error_bytes(reply, bytes_of(text, (size_t)len));
}

/* A browser, or a request that was smuggled through one, says so in its first lines. */
static bool is_http(const struct bytes *words, size_t count)
{
    struct bytes last = words[count - 1];
    return bytes_is(words[0], "POST") || bytes_is(words[0], "Host:") ||
           (count > 1 && last.len == 8 && bytes_start_with(last, BYTES("HTTP/1.")));
}

static COLD void unknown(struct call *call, bool is_resp)
{
    if (!is_resp && is_http(call->args, call->count)) {
        trace_warning("a client speaks HTTP: closed, nothing of it is executed");
        call->session->close_after_reply = true;
        call->session->reply_off = true;
        return;
    }
    refused(call->session);
    reply_unknown(call->reply, call->args, call->count);
}

/* A request that is known but may not run. An EXEC that is refused ends its transaction. */
static COLD PRINTF_LIKE(3, 4) void refuse(struct call *call, const char *code,
                                          const char *format, ...)
{
    char why[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    if (bytes_is(bytes_of_string(call->row->name), "exec")) {
        transaction_abort(call, why);
        return;
    }
    refused(call->session);
    reply_errorf(call->reply, "%s %s", code, why);
}

static bool arity_fits(const struct command_row *row, size_t count, bool is_resp)
{
    if (LIKELY(row->arity >= 0 ? count == (size_t)row->arity
                               : count >= (size_t)-row->arity)) {
        return true;
    }
    return !is_resp && count == 1 && (row->flags & COMMAND_TEXT_NO_ARGS) != 0;
}

/* Whether a word is long enough to be too long a key; almost no request has one, so which words
 * are keys is asked only then. The words of a request lie behind one another. */
static bool has_long_word(const struct call *call)
{
    const struct bytes *last = &call->args[call->count - 1];
    return last->data + last->len - call->args[0].data > MEMENTO_KEY_BYTES_MAX;
}

struct key_lengths {
    const struct call *call;
    bool is_over;
};

static void look_at_key(void *context, size_t position)
{
    struct key_lengths *lengths = context;
    lengths->is_over =
        lengths->is_over || lengths->call->args[position].len > MEMENTO_KEY_BYTES_MAX;
}

static COLD bool keys_fit(const struct call *call)
{
    struct key_lengths lengths = {call, false};
    (void)command_each_key(call->row, call->count, look_at_key, &lengths);
    return !lengths.is_over;
}

/* A container's subcommand has a row of its own; an unknown one is answered here. */
static bool resolve_container(struct call *call)
{
    if (call->count < 2) {
        return true; /* the container's own arity or handler answers */
    }
    const struct command_row *sub = command_find_sub(call->row, call->args[1]);
    if (sub != NULL) {
        call->row = sub;
        return true;
    }
    refused(call->session);
    char name[32];
    size_t len = 0;
    for (const char *c = call->row->name; *c != '\0' && len < sizeof(name) - 1; c++) {
        name[len++] = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
    }
    name[len] = '\0';
    int shown = call->args[1].len < 128 ? (int)call->args[1].len : 128;
    reply_errorf(call->reply, "ERR unknown subcommand '%.*s'. Try %s HELP.", shown,
                 call->args[1].data, name);
    return false;
}

/* All gates in order; true when the request may run. */
static ALWAYS_INLINE bool pass_gates(struct call *call, bool is_resp)
{
    if (UNLIKELY(call->row == NULL)) {
        unknown(call, is_resp);
        return false;
    }
    if (UNLIKELY((call->row->flags & COMMAND_CONTAINER) != 0) &&
        !resolve_container(call)) {
        return false;
    }
    if (UNLIKELY(!arity_fits(call->row, call->count, is_resp))) {
        refuse(call, "ERR", "wrong number of arguments for '%s' command",
               call->row->name);
        return false;
    }
    if (UNLIKELY(has_long_word(call)) && !keys_fit(call)) {
        refuse(call, "ERR", "key is longer than %d bytes", MEMENTO_KEY_BYTES_MAX);
        return false;
    }
    if (UNLIKELY(!call->session->is_authenticated) &&
        (call->row->flags & COMMAND_NO_AUTH) == 0 &&
        config_has_secret(&call_server(call)->config, OPTION_REQUIREPASS)) {
        refuse(call, "NOAUTH", "Authentication required.");
        return false;
    }
    if (UNLIKELY((call->row->flags & COMMAND_PROTECTED) != 0) &&
        config_number(&call_server(call)->config, OPTION_ENABLE_DEBUG_COMMAND) == 0) {
        refuse(call, "ERR",
               "DEBUG command not allowed. Set enable-debug-command to yes in the "
               "configuration file, and then restart the server.");
        return false;
    }
    return true;
}

/* ---- what the data and the log allow just now ---- */

/* While the keyspace is filled nobody else may touch it; the rows say who does not want to. WATCH
 * may come during loading in Redis: here it would reach into the shards. */
static COLD bool may_run_while_loading(struct call *call)
{
    if ((call->row->flags & COMMAND_LOADING) != 0 && call->row->first_key == 0) {
        return true;
    }
    refuse(call, "LOADING", "memento is loading the dataset in memory");
    return false;
}

static bool takes_flag(const struct call *call, uint32_t flag)
{
    return (call->row->flags & flag) != 0;
}

/* Whether what the request, or EXEC, would run changes something; and whether all of that only
 * gives space back. */
static bool is_change(const struct call *call, bool *only_frees)
{
    const struct session *session = call->session;
    if (takes_flag(call, COMMAND_WRITE)) {
        *only_frees = takes_flag(call, COMMAND_FREES);
        return true;
    }
    bool changes = false;
    *only_frees = true;
    bool is_exec = bytes_is(bytes_of_string(call->row->name), "exec");
    for (size_t i = 0; is_exec && i < session->queue_count; i++) {
        uint32_t flags = session->queue[i].row->flags;
        changes = changes || (flags & COMMAND_WRITE) != 0;
        *only_frees =
            *only_frees && ((flags & COMMAND_WRITE) == 0 || (flags & COMMAND_FREES) != 0);
    }
    return changes;
}

/* The log takes nothing, or only deletions. */
static COLD bool may_change(struct call *call, enum log_state state)
{
    bool only_frees;
    if (!is_change(call, &only_frees) || (state == LOG_NO_SPACE && only_frees)) {
        return true;
    }
    struct buf why;
    buf_init(&why);
    log_state_reason(call->writer->log.log, &why);
    if (state == LOG_FAILED) {
        refuse(call, "MISCONF",
               "the log failed: %s; reads work. LOG REOPEN or a restart repairs it",
               buf_c_string(&why));
    } else {
        refuse(call, "MISCONF", "disk full: %s; reads and deletions work",
               buf_c_string(&why));
    }
    buf_fini(&why);
    return false;
}

static ALWAYS_INLINE bool is_possible_now(struct call *call)
{
    if (UNLIKELY(!call_worker(call)->is_loaded) && !may_run_while_loading(call)) {
        return false;
    }
    const struct log *log = call->writer->log.log;
    if (log == NULL ||
        (call->row->flags & (COMMAND_WRITE | COMMAND_MULTI_CONTROL)) == 0) {
        return true;
    }
    enum log_state state = log_state(log);
    return LIKELY(state == LOG_READY) || may_change(call, state);
}

static COLD void queue_in_multi(struct call *call)
{
    if ((call->row->flags & COMMAND_NO_MULTI) != 0) {
        refused(call->session);
        reply_error(call->reply, "ERR Command not allowed inside a transaction");
        return;
    }
    if (!transaction_queue(call)) {
        refused(call->session);
    }
    struct connection *connection = call_connection(call);
    atomic_store_explicit(&connection->shown.queued, call->session->queue_count,
                          memory_order_relaxed);
}

/* CLIENT REPLY OFF and SKIP: what was answered is taken back. */
static COLD void take_back(struct worker *worker, struct session *session, size_t from,
                           size_t pins)
{
    struct reply *reply = &worker->reply;
    while (reply->pin_count > pins) {
        reply->release(reply->pins[--reply->pin_count].owner);
    }
    worker->output.len = from;
    session->reply_skip = false;
}

static COLD void answer_error(struct worker *worker, const struct parsed *parsed)
{
    refused(&parsed->connection->session);
    const struct buf *errors = &worker->batch->errors;
    const char *error =
        errors->failed ? "out of memory" : errors->data + parsed->error_at;
    reply_errorf(&worker->reply, "ERR %s", error);
    if (parsed->is_broken) {
        trace_info("client %llu: %s: closed",
                   (unsigned long long)parsed->connection->session.id, error);
        parsed->connection->session.close_after_reply = true;
    }
}

static ALWAYS_INLINE void run(struct worker *worker, struct parsed *parsed,
                              const struct bytes *words)
{
    struct session *session = &parsed->connection->session;
    struct call call = {.row = parsed->row,
                        .args = words,
                        .count = parsed->word_count,
                        .first_key_hash = parsed->key_hash,
                        .hash_known = parsed->hash_known,
                        .is_line = !parsed->is_resp,
                        .session = session,
                        .writer = &worker->writer,
                        .reply = &worker->reply};
    if (!pass_gates(&call, parsed->is_resp) || !is_possible_now(&call)) {
        return;
    }
    parsed->row = call.row; /* the subcommand's, for CLIENT LIST */
    if (UNLIKELY(session->in_multi) && (call.row->flags & COMMAND_MULTI_CONTROL) == 0) {
        queue_in_multi(&call);
        return;
    }
    dispatch(&call);
}

void execute(struct worker *worker, struct parsed *parsed, const struct bytes *words)
{
    struct connection *connection = parsed->connection;
    struct session *session = &connection->session;
    if (UNLIKELY(session->dialect == DIALECT_TEXT) && parsed->is_resp) {
        session->dialect = DIALECT_RESP2; /* from now on, for ever */
    }
    worker->reply.dialect = session->dialect;
    size_t from = worker->output.len;
    size_t pins = worker->reply.pin_count;
    if (UNLIKELY(session->reply_skip_next)) {
        session->reply_skip_next = false;
        session->reply_skip = true;
    }
    if (UNLIKELY(parsed->is_error)) {
        answer_error(worker, parsed);
    } else {
        run(worker, parsed, words);
    }
    worker->reply.depth = 0;
    if (UNLIKELY(session->reply_off || session->reply_skip)) {
        take_back(worker, session, from, pins);
    }
}
