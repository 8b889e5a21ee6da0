/* syntax.h - the arguments of a command as a tree, read from the syntax text of its row.
 *
 * COMMAND DOCS gives them to redis-cli and to libraries, which show them as hints. A text
 * that this small grammar cannot tell for certain gives no tree, never a wrong one:
 *
 *     word        an argument              WORD        a word to be typed as it is
 *     WORD word   an argument after one    [ ... ]     may be left out
 *     a | b       one of them, each of the above, with nothing else beside
 *     x [x ...]   x once or more           [x ...]     x any number of times
 *
 * May use:    base/. */
#pragma once

#include "command/spec.h"

#define SYNTAX_NODES_MAX 32
#define SYNTAX_NAME_MAX  64

enum syntax_kind { SYNTAX_ARGUMENT, SYNTAX_TOKEN, SYNTAX_ONE_OF, SYNTAX_BLOCK };

struct syntax_node {
    enum syntax_kind kind;
    char name[SYNTAX_NAME_MAX];
    struct bytes token; /* empty: none */
    bool is_optional, is_multiple;
    int key_spec; /* >= 0: a key, found by that key specification of the row */
    int child;    /* of ONE_OF and BLOCK: the first; -1: none */
    int next;     /* the sibling behind it; -1: none */
};

struct syntax {
    struct syntax_node nodes[SYNTAX_NODES_MAX];
    int count;
    int first; /* -1: no arguments */
};

/* False when the row's text is not in the grammar. */
bool syntax_read(struct syntax *syntax, const struct command_row *row);

/* How many siblings there are from this one on. */
size_t syntax_length(const struct syntax *syntax, int node);
