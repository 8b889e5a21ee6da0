/* connection_commands.c - what a connection can ask without the server's own state. */
#include "base/clock.h"
#include "base/number.h"
#include "command/database.h"
#include "command/handlers.h"

/* A line is answered "+PONG" in the text dialect too: health checks of load balancers
 * look for exactly that. */
void command_ping(struct call *call)
{
    if (call->count > 2) {
        reply_error(call->reply, "ERR wrong number of arguments for 'ping' command");
    } else if (call->count == 2) {
        reply_value(call->reply, call->args[1]);
    } else if (call->is_line && call->reply->dialect == DIALECT_TEXT) {
        reply_simple(call->reply, "+PONG");
    } else {
        reply_simple(call->reply, "PONG");
    }
}

void command_echo(struct call *call)
{
    reply_value(call->reply, call->args[1]);
}

void command_select(struct call *call)
{
    unsigned database;
    if (database_parse(call, 1, &database)) {
        call->session->database = (uint8_t)database;
        reply_ok(call->reply);
    }
}

void command_quit(struct call *call)
{
    call->session->close_after_reply = true;
    reply_ok(call->reply);
}

void command_exit(struct call *call)
{
    command_quit(call);
}

static void reply_number_as_value(struct call *call, int64_t number)
{
    char text[NUMBER_SHORT_MAX];
    reply_value(call->reply, bytes_of(text, number_format_int64(text, number)));
}

void command_time(struct call *call)
{
    int64_t now_us = clock_wall_us();
    reply_list(call->reply, 2);
    reply_number_as_value(call, now_us / 1000000);
    reply_number_as_value(call, now_us % 1000000);
}
