/* options.h - what the command line says; one table row an option, --help printed from it.
 *
 * May use:    base/, scanner.h.
 * Thread:     main. */
#pragma once

#include "base/annotate.h"
#include "scanner.h"

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_THREADS_MAX     256
#define OPTIONS_CONNECTIONS_MAX 65536
#define OPTIONS_PIPELINE_MAX    10000

/* Bytes of one connection's batch of requests: what is larger would measure this program's
 * memory rather than a server. */
#define OPTIONS_BATCH_BYTES_MAX (256ULL * 1024 * 1024)

enum options_mode { MODE_CLASSIC, MODE_LOAD, MODE_PROBE };
enum options_format { FORMAT_TEXT, FORMAT_CSV, FORMAT_JSON };

struct options {
    enum options_mode mode;
    enum options_format format;
    enum dialect dialect;
    const char *host;
    uint64_t port;
    const char *socket;   /* NULL: TCP */
    const char *password; /* NULL: none */
    uint64_t connections, threads, pipeline;
    uint64_t keyspace, key_bytes, value_bytes;
    const char *key_prefix;
    uint64_t gets, sets; /* the ratio */
    uint64_t requests;   /* of the measured run */
    double seconds;      /* 0: a number of requests instead */
    double warmup;
    uint64_t seed;
    uint64_t pid; /* 0: no server process to look at */
    bool load, verify, quiet;
};

/* The views point into argv and the environment. True when the program is to go on; else
 * *exit_code says how it ends: 0 after --help and --version, 2 after a message on stderr. */
MUST_USE bool options_parse(struct options *options, int argc, char **argv,
                            int *exit_code);
const char *options_dialect_name(enum dialect dialect);
