/* server_commands.c - SHUTDOWN and DEBUG. */
#include "base/number.h"
#include "base/trace.h"
#include "command/handlers.h"
#include "command/help.h"
#include "server/server.h"

#include <time.h>

/* Seconds that DEBUG SLEEP may hold up a worker: what a test of a stuck server can need. */
#define SLEEP_S_MAX 60.0

/* ---- SHUTDOWN ---- */

struct shutdown {
    bool save, nosave, now, force, abort;
};

static bool read_shutdown(const struct call *call, struct shutdown *wish)
{
    *wish = (struct shutdown){0};
    for (size_t i = 1; i < call->count; i++) {
        bool *const flags[] = {&wish->save, &wish->nosave, &wish->now, &wish->force,
                               &wish->abort};
        static const char *const words[] = {"save", "nosave", "now", "force", "abort"};
        size_t at = 0;
        while (at < ARRAY_LEN(words) && !call_is(call, i, words[at])) {
            at++;
        }
        if (at == ARRAY_LEN(words)) {
            return false;
        }
        *flags[at] = true;
    }
    bool others = wish->save || wish->nosave || wish->now || wish->force;
    return !(wish->abort && others) && !(wish->save && wish->nosave);
}

/* With a log everything is on disk at the end in any case: SAVE needs no snapshot for that, and
 * NOSAVE loses nothing. There is nobody to wait for, so NOW and FORCE mean the same, and no
 * shutdown can ever be found in progress. The end of the connection is the answer, as in Redis. */
void command_shutdown(struct call *call)
{
    struct shutdown wish;
    if (!read_shutdown(call, &wish)) {
        call_syntax_error(call);
    } else if (wish.abort) {
        reply_error(call->reply, "ERR No shutdown in progress.");
    } else if (wish.save &&
               config_number(&call_server(call)->config, OPTION_MEMORY_ONLY) != 0) {
        reply_error(call->reply,
                    "ERR nothing can be saved: the data lives in memory only. "
                    "SHUTDOWN NOSAVE ends the server and loses it");
    } else {
        trace_info("client %llu: SHUTDOWN", (unsigned long long)call->session->id);
        call->session->close_after_reply = true;
        server_stop(call_server(call));
    }
}

/* ---- DEBUG ---- */

static void debug_sleep(struct call *call)
{
    double seconds;
    if (!number_parse_double(call->args[2], &seconds) || seconds < 0 ||
        seconds > SLEEP_S_MAX) {
        reply_errorf(call->reply, "ERR DEBUG SLEEP takes 0 to %.0f seconds", SLEEP_S_MAX);
        return;
    }
    struct timespec time = {(time_t)seconds,
                            (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL); /* the only handler that waits: that is what it is for */
    reply_ok(call->reply);
}

static void debug_help(struct call *call)
{
    static const char *const lines[] = {
        "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "SLEEP <seconds>",
        "    Stop the worker of this connection for <seconds>. Decimals allowed.",
        "HELP",
        "    Prints this help.",
    };
    reply_list(call->reply, ARRAY_LEN(lines));
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        reply_simple(call->reply, lines[i]);
    }
}

void command_debug(struct call *call)
{
    if (call_is(call, 1, "sleep") && call->count == 3) {
        debug_sleep(call);
    } else if (call_is(call, 1, "help") && call->count == 2) {
        debug_help(call);
    } else {
        help_reply_unknown(call);
    }
}
