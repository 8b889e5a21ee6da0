#include "command/spec.h"

#include "base/check.h"

#include <assert.h>
#include <string.h>

enum {
#define COMMAND(name, handler, arity, flags, first, last, step, group, since, syntax, \
                complexity, summary)                                                  \
    INDEX_##handler,
#include "command/commands.def"
#undef COMMAND
    ROWS
};

const struct command_row command_rows[] = {
#define COMMAND(name, handler, arity, flags, first, last, step, group, since, syntax, \
                complexity, summary)                                                  \
    {name,    arity,           flags,           first,  last,                         \
     step,    group,           since,           syntax, complexity,                   \
     summary, INDEX_##handler, sizeof(name) - 1},
#include "command/commands.def"
#undef COMMAND
};

const size_t command_row_count = ROWS;

static_assert(ARRAY_LEN(command_rows) == ROWS, "two rows share a handler");

/* ---- from a name to its row ----
 *
 * A name is found by its length and its first eight bytes in lower case, read as one
 * number. The table is filled before main() and never changes again, so any thread
 * reads it freely. */

/* Several times the commands there are, so that most are alone in their slot. */
#define SLOT_BITS 9
#define SLOTS     (1u << SLOT_BITS)

struct slot {
    uint64_t head;
    uint16_t row; /* index + 1; 0 = nothing here */
    uint8_t len;
};

static struct slot slots[SLOTS];

static_assert(ROWS * 2 < SLOTS, "the table must have free slots for a search to end");

/* The first eight bytes with the bit set that makes letters lower case. Two spellings
 * that differ in more than case never share a head if one consists of letters, as the
 * names of eight bytes and less all do. */
static ALWAYS_INLINE uint64_t name_head(struct bytes name)
{
    const uint64_t lower = 0x2020202020202020u;
    uint64_t head = 0;
    if (name.len >= 8) {
        memcpy(&head, name.data, 8);
        return head | lower;
    }
    if (name.len >= 4) {
        uint32_t front, back;
        memcpy(&front, name.data, 4);
        memcpy(&back, name.data + name.len - 4, 4);
        return ((uint64_t)back << 32 | front) | lower;
    }
    for (size_t i = 0; i < name.len; i++) {
        head = head << 8 | (unsigned char)name.data[i];
    }
    return head | lower;
}

static ALWAYS_INLINE size_t slot_of(uint64_t head, size_t len)
{
    return (size_t)(((head ^ len) * 0x9E3779B97F4A7C15u) >> (64 - SLOT_BITS));
}

static bool is_letters(const char *name)
{
    for (; *name != '\0'; name++) {
        if (*name < 'a' || *name > 'z') {
            return false;
        }
    }
    return true;
}

__attribute__((constructor)) static void fill_slots(void)
{
    for (size_t i = 0; i < ROWS; i++) {
        const struct command_row *row = &command_rows[i];
        if (command_is_sub(row)) {
            continue;
        }
        CHECK(row->name_len > 8 || is_letters(row->name)); /* see name_head */
        uint64_t head = name_head(bytes_of(row->name, row->name_len));
        size_t at = slot_of(head, row->name_len);
        while (slots[at].row != 0) {
            at = (at + 1) % SLOTS;
        }
        slots[at] = (struct slot){head, (uint16_t)(i + 1), row->name_len};
    }
}

const struct command_row *command_find(struct bytes name)
{
    uint64_t head = name_head(name);
    for (size_t at = slot_of(head, name.len); slots[at].row != 0; at = (at + 1) % SLOTS) {
        const struct slot *slot = &slots[at];
        if (slot->head != head || slot->len != name.len) {
            continue;
        }
        const struct command_row *row = &command_rows[slot->row - 1];
        if (name.len <= 8 || bytes_is(name, row->name)) {
            return row;
        }
    }
    return NULL;
}

/* The rows of the subcommands follow the row of their container. */
const struct command_row *command_find_sub(const struct command_row *container,
                                           struct bytes sub)
{
    size_t prefix = (size_t)container->name_len + 1;
    for (size_t i = (size_t)container->index + 1; i < ROWS; i++) {
        const struct command_row *row = &command_rows[i];
        if (row->name_len <= prefix || row->name[prefix - 1] != '|' ||
            memcmp(row->name, container->name, prefix - 1) != 0) {
            return NULL;
        }
        if (bytes_is(sub, row->name + prefix)) {
            return row;
        }
    }
    return NULL;
}

const char *command_group_name(enum command_group group)
{
    static const char *const names[] = {
        [GROUP_STRING] = "string",         [GROUP_GENERIC] = "generic",
        [GROUP_BITMAP] = "bitmap",         [GROUP_TRANSACTIONS] = "transactions",
        [GROUP_CONNECTION] = "connection", [GROUP_SERVER] = "server",
        [GROUP_MEMENTO] = "memento",
    };
    CHECK((size_t)group < ARRAY_LEN(names));
    return names[group];
}

bool command_is_sub(const struct command_row *row)
{
    return memchr(row->name, '|', row->name_len) != NULL;
}

bool command_each_key(const struct command_row *row, size_t count,
                      command_key_visit *visit, void *context)
{
    if (row->first_key == 0) {
        return true;
    }
    size_t first = (size_t)row->first_key;
    size_t from_end = row->last_key < 0 ? (size_t)-row->last_key : 0;
    size_t last = (size_t)row->last_key;
    if (from_end > 0) {
        last = count > from_end ? count - from_end : 0;
    }
    if (last < first || last >= count) {
        return false;
    }
    for (size_t at = first; at <= last; at += (size_t)row->key_step) {
        visit(context, at);
    }
    return true;
}
