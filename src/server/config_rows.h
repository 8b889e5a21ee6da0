/* config_rows.h - what the rows of options.def say beside the options themselves: titles and
 * other names; and the words of the command line that are no options. All of it constant. */
#pragma once

#include "server/config.h"

/* The rows in order with the titles between them, as they are printed for people. */
struct option_line {
    const char *title; /* NULL: an option */
    enum option_id id;
};
extern const struct option_line option_lines[];
extern const size_t option_line_count;

struct option_alias {
    const char *name;
    enum option_id id;
};
extern const struct option_alias option_aliases[];
extern const size_t option_alias_count;

/* What can stand on the command line and is no option. */
struct config_request {
    const char *name;
    char letter;       /* or 0 */
    const char *value; /* what stands behind it, or NULL */
    enum config_wish wish;
    const char *summary;
};
extern const struct config_request config_requests[];
extern const size_t config_request_count;
