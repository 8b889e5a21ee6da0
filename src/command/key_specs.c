#include "command/key_specs.h"

/* What reads, reads values; what writes, replaces them by what it made of them. These are
 * the others; `second` is for the keys behind the first, when something else happens to
 * them. */
static const struct use {
    const char *name;
    const char *flags;
    const char *second;
} uses[] = {
    {"append", "RW insert", NULL},
    {"bitfield", "RW access update variable_flags", NULL},
    {"bitop", "OW update", "RO access"},
    {"copy", "RO access", "OW update"},
    {"del", "RM delete", NULL},
    {"exists", "RO", NULL},
    {"expire", "RW update", NULL},
    {"expireat", "RW update", NULL},
    {"getdel", "RW access delete", NULL},
    {"memory|usage", "RO", NULL},
    {"mset", "OW update", NULL},
    {"msetnx", "OW insert", NULL},
    {"object|encoding", "RO", NULL},
    {"object|freq", "RO", NULL},
    {"object|idletime", "RO", NULL},
    {"object|refcount", "RO", NULL},
    {"persist", "RW update", NULL},
    {"pexpire", "RW update", NULL},
    {"pexpireat", "RW update", NULL},
    {"prepend", "RW insert", NULL},
    {"psetex", "OW update", NULL},
    {"rename", "RW access delete", "OW update"},
    {"renamenx", "RW access delete", "OW insert"},
    {"set", "RW access update variable_flags", NULL},
    {"setex", "OW update", NULL},
    {"setnx", "OW insert", NULL},
    {"setrange", "RW update", NULL},
    {"strlen", "RO", NULL},
    {"touch", "RO", NULL},
    {"type", "RO", NULL},
    {"unlink", "RM delete", NULL},
    {"watch", "RO", NULL},
};

static const struct use *find_use(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
        if (strcmp(uses[i].name, name) == 0) {
            return &uses[i];
        }
    }
    return NULL;
}

size_t key_specs_of(const struct command_row *row, struct key_spec specs[KEY_SPECS_MAX])
{
    if (row->first_key == 0) {
        return 0;
    }
    const struct use *use = find_use(row->name);
    const char *usual =
        (row->flags & COMMAND_WRITE) != 0 ? "RW access update" : "RO access";
    int last = row->last_key < 0 ? row->last_key : row->last_key - row->first_key;
    specs[0] = (struct key_spec){use != NULL ? use->flags : usual, row->first_key, last,
                                 row->key_step};
    if (use == NULL || use->second == NULL) {
        return 1;
    }
    specs[0].last = 0;
    specs[1] = (struct key_spec){use->second, row->first_key + 1,
                                 row->last_key < 0 ? row->last_key : 0, row->key_step};
    return 2;
}

int key_specs_find(const struct command_row *row, size_t position)
{
    struct key_spec specs[KEY_SPECS_MAX];
    size_t count = key_specs_of(row, specs);
    for (size_t i = 0; i < count; i++) {
        int behind = (int)position - specs[i].index;
        if (behind >= 0 && behind % specs[i].step == 0 &&
            (specs[i].last < 0 || behind <= specs[i].last)) {
            return (int)i;
        }
    }
    return -1;
}
