/* auth_commands.c - AUTH, HELLO and RESET: who a client is and how it is spoken to. There is one
 * user, "default", as in a Redis without ACLs. */
#include <memento/version.h>

#include "base/number.h"
#include "base/trace.h"
#include "command/handlers.h"
#include "command/transaction.h"
#include "server/client_names.h"
#include "server/server.h"

static const char wrong_password[] =
    "WRONGPASS invalid username-password pair or user is disabled.";

static struct config *call_config(const struct call *call)
{
    return &call_server(call)->config;
}

/* Without a password every password is right. */
static bool authenticate(struct call *call, struct bytes user, struct bytes password)
{
    struct config *config = call_config(call);
    bool is_right = config_secret_is(config, OPTION_REQUIREPASS, password);
    bool is_known = bytes_equal(user, BYTES("default"));
    if (!is_known || (!is_right && config_has_secret(config, OPTION_REQUIREPASS))) {
        trace_warning("client %llu: wrong password",
                      (unsigned long long)call->session->id);
        reply_error(call->reply, wrong_password);
        return false;
    }
    call->session->is_authenticated = true;
    return true;
}

void command_auth(struct call *call)
{
    if (call->count > 3) {
        call_syntax_error(call);
        return;
    }
    if (call->count == 2 && !config_has_secret(call_config(call), OPTION_REQUIREPASS)) {
        reply_error(call->reply,
                    "ERR AUTH <password> called without any password configured for the "
                    "default user. Are you sure your configuration is correct?");
        return;
    }
    struct bytes user = call->count == 3 ? call->args[1] : BYTES("default");
    if (authenticate(call, user, call->args[call->count - 1])) {
        reply_ok(call->reply);
    }
}

/* ---- HELLO ---- */

/* args[1], which may be missing: 0 then. */
static bool read_version(struct call *call, int64_t *version)
{
    *version = 0;
    if (call->count == 1) {
        return true;
    }
    if (!number_parse_int64(call->args[1], version)) {
        reply_error(call->reply,
                    "ERR Protocol version is not an integer or out of range");
        return false;
    }
    if (*version < 2 || *version > 3) {
        reply_error(call->reply, "NOPROTO unsupported protocol version");
        return false;
    }
    return true;
}

/* Each option takes effect as it is read, so an error behind it does not undo it. */
static bool obey_options(struct call *call)
{
    for (size_t i = 2; i < call->count; i++) {
        size_t more = call->count - 1 - i;
        if (call_is(call, i, "AUTH") && more >= 2) {
            if (!authenticate(call, call->args[i + 1], call->args[i + 2])) {
                return false;
            }
            i += 2;
        } else if (call_is(call, i, "SETNAME") && more >= 1) {
            i++;
            if (!client_name_is_valid(call, call->args[i]) ||
                !client_set_text(call, &call->session->name, call->args[i])) {
                return false;
            }
        } else {
            int shown = call->args[i].len < 900 ? (int)call->args[i].len : 900;
            reply_errorf(call->reply, "ERR Syntax error in HELLO option '%.*s'", shown,
                         call->args[i].data);
            return false;
        }
    }
    return true;
}

/* A password that is taken away again lets everybody in. */
static bool is_let_in(struct call *call)
{
    return call->session->is_authenticated ||
           !config_has_secret(call_config(call), OPTION_REQUIREPASS);
}

static void speak(struct call *call, enum dialect dialect)
{
    call->session->dialect = dialect;
    if (call->reply->depth == 0) {      /* a list that EXEC began as text ends as text */
        call->reply->dialect = dialect; /* this answer is already in it */
    }
}

static void reply_hello(struct call *call)
{
    struct reply *reply = call->reply;
    reply_map(reply, 7);
    reply_string(reply, "server");
    reply_string(reply, "redis"); /* libraries look for this word */
    reply_string(reply, "version");
    reply_string(reply, MEMENTO_REDIS_VERSION);
    reply_string(reply, "proto");
    reply_integer(reply, reply->dialect == DIALECT_RESP3 ? 3 : 2);
    reply_string(reply, "id");
    reply_integer(reply, (int64_t)call->session->id);
    reply_string(reply, "mode");
    reply_string(reply, "standalone");
    reply_string(reply, "role");
    reply_string(reply, "master");
    reply_string(reply, "modules");
    reply_list(reply, 0);
}

void command_hello(struct call *call)
{
    int64_t version;
    if (!read_version(call, &version) || !obey_options(call)) {
        return;
    }
    if (!is_let_in(call)) {
        reply_error(call->reply,
                    "NOAUTH HELLO must be called with the client already authenticated, "
                    "otherwise the HELLO AUTH <user> <pass> option can be used to "
                    "authenticate the client and select the RESP protocol version at the "
                    "same time");
        return;
    }
    if (version != 0) {
        speak(call, version == 3 ? DIALECT_RESP3 : DIALECT_RESP2);
    }
    reply_hello(call);
}

/* ---- RESET ---- */

void command_reset(struct call *call)
{
    struct session *session = call->session;
    transaction_forget(session, call->writer);
    session->database = 0;
    session->reply_off = false;
    session->reply_skip = false;
    session->reply_skip_next = false;
    session->durability = LOG_NEVER;
    session->is_authenticated = !config_has_secret(call_config(call), OPTION_REQUIREPASS);
    (void)client_set_text(call, &session->name,
                          BYTES("")); /* an empty name needs nothing */
    if (session->dialect == DIALECT_RESP3) {
        speak(call, DIALECT_RESP2);
    }
    reply_simple(call->reply, "RESET");
}
