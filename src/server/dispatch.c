/* dispatch.c - commands.def expanded for the second time: which function runs a row. */
#include "server/dispatch.h"

#include "command/handlers.h"

command_handler *const dispatch_handlers[] = {
#define COMMAND(name, handler, arity, flags, first, last, step, group, since, syntax, \
                complexity, summary)                                                  \
    handler,
#include "command/commands.def"
#undef COMMAND
};
