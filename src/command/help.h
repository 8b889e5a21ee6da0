/* help.h - what containers say about their subcommands: printed from the rows. */
#pragma once

#include "command/call.h"

/* The handler of every "name|help": a list of simple strings, two for each subcommand. */
void help_reply_subcommands(struct call *call);

/* The answer of a container to a subcommand that it does not have. */
void help_reply_unknown(struct call *call);
