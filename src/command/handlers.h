/* handlers.h - the handler of every row of commands.def; server/dispatch.c joins them to the
 * words. Those of groups connection and server that need the server's own state are in
 * server/, all others in command/. */
#pragma once

#include "command/call.h"

#define COMMAND(name, handler, arity, flags, first, last, step, group, since, syntax, \
                complexity, summary)                                                  \
    command_handler handler;
#include "command/commands.def"
#undef COMMAND
