#include "options.h"

#include <memento/limits.h>
#include <memento/version.h>

#include "base/bytes.h"
#include "base/nearest.h"
#include "base/number.h"

#include <getopt.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_TEXT,
    KIND_COUNT,
    KIND_SECONDS,
    KIND_FLAG,
    KIND_RATIO,
    KIND_DIALECT,
    KIND_CSV,
    KIND_JSON,
    KIND_PROBE,
    KIND_HELP,
    KIND_VERSION
};

struct row {
    char letter; /* 0: only the long name */
    const char *name;
    const char *argument; /* NULL: none */
    enum kind kind;
    size_t offset; /* of the field in struct options */
    uint64_t min, max;
    const char *help;
};

#define FIELD(name) offsetof(struct options, name)

static const struct row rows[] = {
    {'h', "host", "HOST", KIND_TEXT, FIELD(host), 0, 0, "the server (127.0.0.1)"},
    {'p', "port", "PORT", KIND_COUNT, FIELD(port), 1, 65535, "its port (6737)"},
    {'s', "socket", "PATH", KIND_TEXT, FIELD(socket), 0, 0, "a unix socket instead"},
    {'a', "password", "WORD", KIND_TEXT, FIELD(password), 0, 0,
     "log in; better in the environment, as MEMENTO_AUTH"},
    {0, "protocol", "NAME", KIND_DIALECT, FIELD(dialect), 0, 0,
     "resp2, resp3, text or memcached (resp2)"},
    {'c', "connections", "N", KIND_COUNT, FIELD(connections), 1, OPTIONS_CONNECTIONS_MAX,
     "connections, in all (50)"},
    {'t', "threads", "N", KIND_COUNT, FIELD(threads), 1, OPTIONS_THREADS_MAX,
     "threads that share the connections (1)"},
    {'P', "pipeline", "N", KIND_COUNT, FIELD(pipeline), 1, OPTIONS_PIPELINE_MAX,
     "requests sent together on a connection (1)"},
    {'r', "keyspace", "N", KIND_COUNT, FIELD(keyspace), 1, UINT32_MAX,
     "number of different keys, asked for at random (1m)"},
    {'d', "value-size", "BYTES", KIND_COUNT, FIELD(value_bytes), 1,
     OPTIONS_BATCH_BYTES_MAX, "bytes of a value (64)"},
    {0, "key-size", "BYTES", KIND_COUNT, FIELD(key_bytes), 1, MEMENTO_KEY_BYTES_MAX,
     "bytes of a key, its number padded with zeros (16)"},
    {0, "key-prefix", "TEXT", KIND_TEXT, FIELD(key_prefix), 0, 0,
     "what keys begin with (key:)"},
    {0, "ratio", "GET:SET", KIND_RATIO, 0, 0, 1000000, "mix of requests (1:0)"},
    {0, "load", NULL, KIND_FLAG, FIELD(load), 0, 0,
     "before the run, SET every key once, in order"},
    {'n', "requests", "N", KIND_COUNT, FIELD(requests), 0, INT64_MAX,
     "requests of the run (100k); 0 with --load: only load"},
    {0, "seconds", "S", KIND_SECONDS, FIELD(seconds), 0, 0, "run so long instead"},
    {0, "warmup", "S", KIND_SECONDS, FIELD(warmup), 0, 0,
     "run so long before, unmeasured (0)"},
    {0, "seed", "N", KIND_COUNT, FIELD(seed), 0, INT64_MAX,
     "of the random keys; each connection has its own sequence (1)"},
    {0, "verify", NULL, KIND_FLAG, FIELD(verify), 0, 0,
     "derive values from their keys, and check what is read"},
    {0, "probe", NULL, KIND_PROBE, 0, 0, 0,
     "one GET a millisecond, until --seconds or a signal: shows stalls"},
    {0, "pid", "PID", KIND_COUNT, FIELD(pid), 1, INT32_MAX,
     "the server's process: its CPU time per request is shown"},
    {'q', "quiet", NULL, KIND_FLAG, FIELD(quiet), 0, 0, "one line an operation"},
    {0, "csv", NULL, KIND_CSV, 0, 0, 0, "comma separated values"},
    {0, "json", NULL, KIND_JSON, 0, 0, 0, "JSON"},
    {0, "help", NULL, KIND_HELP, 0, 0, 0, "this text"},
    {0, "version", NULL, KIND_VERSION, 0, 0, 0, "the version"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const char *const dialect_names[] = {"resp2", "resp3", "text", "memcached"};

const char *options_dialect_name(enum dialect dialect)
{
    return dialect_names[dialect];
}

static void print_help(void)
{
    printf(
        "usage: memento-benchmark [HOST [PORT]]\n"
        "       memento-benchmark [HOST [PORT]] OPTION...\n\n"
        "Without options (but the password): the classic report, one request in flight.\n"
        "With any: a load of many connections; or with --probe, a watcher of stalls.\n"
        "Numbers may end in k, m, g (1000) or kb, mb, gb (1024).\n\n");
    for (size_t i = 0; i < ROWS; i++) {
        char names[48];
        const char *argument = rows[i].argument != NULL ? rows[i].argument : "";
        if (rows[i].letter != 0) {
            snprintf(names, sizeof(names), "-%c, --%s %s", rows[i].letter, rows[i].name,
                     argument);
        } else {
            snprintf(names, sizeof(names), "    --%s %s", rows[i].name, argument);
        }
        printf("  %-25s %s\n", names, rows[i].help);
    }
    printf("\nExit: 0 when all went well, 1 after any error of the server or the network "
           "or a\nwrong value, 2 when the command line makes no sense.\n");
}

static bool refuse(const char *name, const char *text, const char *why)
{
    fprintf(stderr, "memento-benchmark: %s '%s': %s\n", name, text, why);
    return false;
}

static bool parse_seconds(const char *text, double *seconds)
{
    return number_parse_double(bytes_of_string(text), seconds) && isfinite(*seconds) &&
           *seconds >= 0 && *seconds <= 1e6;
}

/* GET:SET, two counts that are not both zero. */
static bool parse_ratio(struct options *options, const char *text, uint64_t max)
{
    const char *colon = strchr(text, ':');
    return colon != NULL &&
           number_parse_uint64(bytes_of(text, (size_t)(colon - text)), &options->gets) &&
           number_parse_uint64(bytes_of_string(colon + 1), &options->sets) &&
           options->gets <= max && options->sets <= max &&
           options->gets + options->sets > 0;
}

static bool parse_dialect(enum dialect *dialect, const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(dialect_names); i++) {
        if (strcmp(text, dialect_names[i]) == 0) {
            *dialect = (enum dialect)i;
            return true;
        }
    }
    return false;
}

static bool parse_count(const struct row *row, const char *text, uint64_t *count)
{
    char why[80];
    snprintf(why, sizeof(why), "not a number in %llu..%llu", (unsigned long long)row->min,
             (unsigned long long)row->max);
    if (!number_parse_size(bytes_of_string(text), count) || *count < row->min ||
        *count > row->max) {
        return refuse(row->name, text, why);
    }
    return true;
}

static bool set_format(struct options *options, enum options_format format)
{
    if (options->format != FORMAT_TEXT && options->format != format) {
        return refuse("csv", "json", "choose one of them");
    }
    options->format = format;
    return true;
}

static bool set_option(struct options *options, const struct row *row, const char *text)
{
    char *field = (char *)options + row->offset;
    switch (row->kind) {
    case KIND_TEXT:
        *(const char **)(void *)field = text;
        return true;
    case KIND_COUNT:
        return parse_count(row, text, (uint64_t *)(void *)field);
    case KIND_SECONDS:
        return parse_seconds(text, (double *)(void *)field) ||
               refuse(row->name, text, "not a number of seconds");
    case KIND_FLAG:
        *(bool *)(void *)field = true;
        return true;
    case KIND_RATIO:
        return parse_ratio(options, text, row->max) ||
               refuse(row->name, text, "not GET:SET, like 1:0, 0:1 or 9:1");
    case KIND_DIALECT:
        return parse_dialect(&options->dialect, text) ||
               refuse(row->name, text, "not resp2, resp3, text or memcached");
    case KIND_CSV:
        return set_format(options, FORMAT_CSV);
    case KIND_JSON:
        return set_format(options, FORMAT_JSON);
    case KIND_PROBE:
        options->mode = MODE_PROBE;
        return true;
    case KIND_HELP:
    case KIND_VERSION:
        break; /* answered before */
    }
    return true;
}

static size_t digits_of(uint64_t number)
{
    size_t digits = 1;
    for (; number >= 10; number /= 10) {
        digits++;
    }
    return digits;
}

/* Keys are written into requests as they are: no dialect may see a word's end in them. */
static bool check_keys(const struct options *options)
{
    for (const char *at = options->key_prefix; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || *at == '"' || *at == '\'' || *at == '\\') {
            return refuse("key-prefix", options->key_prefix,
                          "only printable characters but blanks, quotes and \\");
        }
    }
    size_t digits = digits_of(options->keyspace - 1);
    if (strlen(options->key_prefix) + digits > options->key_bytes) {
        return refuse("key-prefix", options->key_prefix,
                      "the prefix and the digits of --keyspace exceed --key-size");
    }
    if (options->dialect == DIALECT_MEMCACHED && options->key_bytes > 250) {
        return refuse("key-size", "memcached", "its keys have at most 250 bytes");
    }
    return true;
}

static bool check_together(struct options *options, bool has_requests)
{
    uint64_t request_bytes = options->key_bytes + options->value_bytes + 100;
    if (options->threads > options->connections) {
        return refuse("threads", "connections", "a thread needs a connection of its own");
    }
    if (request_bytes * options->pipeline > OPTIONS_BATCH_BYTES_MAX) {
        return refuse("pipeline", "value-size", "one batch would exceed 256 MiB");
    }
    if (options->dialect == DIALECT_MEMCACHED && options->password != NULL) {
        return refuse("password", "memcached", "this protocol has no login");
    }
    if (has_requests && options->seconds > 0) {
        return refuse("requests", "seconds", "choose one of them");
    }
    if (has_requests && options->requests == 0 && !options->load) {
        return refuse("requests", "0", "only --load may run no requests");
    }
    if (options->mode == MODE_PROBE && (has_requests || options->load)) {
        return refuse("probe", "load", "the probe sends one GET a millisecond, no load");
    }
    if (options->mode == MODE_CLASSIC && options->dialect == DIALECT_MEMCACHED) {
        return refuse("protocol", "memcached", "not in the classic report");
    }
    return check_keys(options);
}

static const struct row *row_of(int code)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (code == rows[i].letter || code == 256 + (int)i) {
            return &rows[i];
        }
    }
    return NULL;
}

static bool take_positionals(struct options *options, int argc, char **argv)
{
    if (argc > 2) {
        return refuse("argument", argv[2], "at most a host and a port");
    }
    if (argc > 0) {
        options->host = argv[0];
    }
    if (argc < 2) {
        return true;
    }
    return parse_count(row_of('p'), argv[1], &options->port);
}

/* The tables getopt wants, made from the rows. The colon in front makes it tell a missing
 * argument from an unknown option. */
static void fill_getopt(struct option longs[ROWS + 1], char letters[2 * ROWS + 2])
{
    *letters++ = ':';
    for (size_t i = 0; i < ROWS; i++) {
        bool takes = rows[i].argument != NULL;
        longs[i] = (struct option){.name = rows[i].name,
                                   .has_arg = takes ? required_argument : no_argument,
                                   .val = 256 + (int)i};
        if (rows[i].letter != 0) {
            *letters++ = rows[i].letter;
            if (takes) {
                *letters++ = ':';
            }
        }
    }
    longs[ROWS] = (struct option){0};
    *letters = '\0';
}

static bool refuse_unknown(struct bytes given)
{
    const char *names[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        names[i] = rows[i].name;
    }
    struct bytes name = bytes_of(given.data + 2, given.len - 2);
    const char *nearest = nearest_name(name, names, ROWS);
    fprintf(stderr, "memento-benchmark: unknown option %.*s", (int)given.len, given.data);
    if (nearest != NULL) {
        fprintf(stderr, ", did you mean --%s?", nearest);
    }
    fputs("; memento-benchmark --help says more\n", stderr);
    return false;
}

/* What getopt could not take: `given` is the word it has read last, optopt the option's
 * code where it knows one. */
static bool refuse_option(int code, const char *given)
{
    if (optopt == 0) {
        return refuse_unknown(bytes_of(given, strcspn(given, "=")));
    }
    const struct row *row = row_of(optopt);
    if (row == NULL) {
        fprintf(stderr, "memento-benchmark: unknown option -%c", optopt);
    } else if (code == ':') {
        fprintf(stderr, "memento-benchmark: --%s needs a %s", row->name, row->argument);
    } else {
        fprintf(stderr, "memento-benchmark: --%s takes no value", row->name);
    }
    fputs("; memento-benchmark --help says more\n", stderr);
    return false;
}

bool options_parse(struct options *options, int argc, char **argv, int *exit_code)
{
    *options = (struct options){.mode = MODE_CLASSIC,
                                .host = "127.0.0.1",
                                .port = 6737,
                                .password = getenv("MEMENTO_AUTH"),
                                .connections = 50,
                                .threads = 1,
                                .pipeline = 1,
                                .keyspace = 1000000,
                                .key_bytes = 16,
                                .value_bytes = 64,
                                .key_prefix = "key:",
                                .gets = 1,
                                .sets = 0,
                                .requests = 100000,
                                .seed = 1};
    struct option longs[ROWS + 1];
    char letters[2 * ROWS + 2];
    fill_getopt(longs, letters);

    bool has_requests = false;
    *exit_code = 2;
    opterr = 0; /* refusals are worded here */
    for (int code; (code = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        const struct row *row = row_of(code);
        if (row == NULL) {
            return refuse_option(code, argv[optind - 1]);
        }
        if (row->kind == KIND_HELP || row->kind == KIND_VERSION) {
            *exit_code = 0;
            row->kind == KIND_HELP
                ? print_help()
                : (void)printf("memento-benchmark %s\n", MEMENTO_VERSION);
            return false;
        }
        if (!set_option(options, row, optarg)) {
            return false;
        }
        has_requests = has_requests || strcmp(row->name, "requests") == 0;
        if (options->mode == MODE_CLASSIC && strcmp(row->name, "password") != 0) {
            options->mode = MODE_LOAD;
        }
    }
    return take_positionals(options, argc - optind, argv + optind) &&
           check_together(options, has_requests);
}
