/* database.h - the number of a database, as SELECT, MOVE, COPY and SWAPDB read it. */
#pragma once

#include "command/call.h"

#include <stdbool.h>

/* False, and the error is answered, when args[at] is no number of a database. */
bool database_parse(const struct call *call, size_t at, unsigned *database);

/* Outside of what Redis takes for an index at all: it reads them as 32-bit integers. */
bool database_is_int(int64_t index);
bool database_exists(int64_t index);

/* The key in args[at], in a database of the caller's choice. */
struct key database_key(const struct call *call, size_t at, unsigned database);
