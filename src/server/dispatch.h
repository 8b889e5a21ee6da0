/* dispatch.h - the handlers, in the order of command_rows. */
#pragma once

#include "command/call.h"

extern command_handler *const dispatch_handlers[];

static inline void dispatch(struct call *call)
{
    dispatch_handlers[call->row->index](call);
}
