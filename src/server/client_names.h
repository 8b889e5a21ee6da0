/* client_names.h - the texts by which a client names itself and its library. */
#pragma once

#include "command/call.h"

/* Bytes of a name: what fits into a line of CLIENT LIST. Longer: "ERR Client names cannot be
 * longer than 1024 bytes". */
#define CLIENT_NAME_BYTES_MAX 1024

/* Only what prints and is no space. Pure. */
bool client_text_is_plain(struct bytes text);
/* False, and the error is answered, when it has other bytes or is too long. */
bool client_name_is_valid(struct call *call, struct bytes name);

/* Changes one of the texts of the call's session, which other workers read, under the lock of
 * the registry. False, and the error is answered, without memory. */
bool client_set_text(struct call *call, struct buf *text, struct bytes value);
