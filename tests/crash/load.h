/* load.h - clients that write without pause, remember every reply, and say after a crash
 * whether what is there can be what a promise allows.
 *
 * Each client has keys of its own (model.h), and a thread while the load runs. An operator's
 * thread compacts, backs up and empties the server meanwhile: for FLUSHALL and for backups whose
 * content is checked it stops the clients for a moment, by a gate.
 *
 * Thread: load_* are the main thread's; clients and operator are inside. */
#pragma once

#include "model.h"
#include "run.h"
#include "wire.h"

#include <pthread.h>
#include <stdatomic.h>

#define LOAD_CLIENTS_MAX 64
/* Clients with a database of their own; the last of the 16 holds the ballast. */
#define LOAD_DATABASES 15
#define BALLAST_DB     15
/* Keys that only make loading and compacting take their time. */
#define BALLAST_KEYS 20000
#define BATCH_MAX    24

struct load;

struct load_client {
    struct load *load;
    pthread_t thread;
    struct wire wire;
    struct random random;
    struct model answered; /* as after the last reply */
    struct model expected; /* the one that replies are made from; runs ahead by one */
    uint64_t number;
    /* Requests of the last batch without a reply: [first, count). */
    struct request batch[BATCH_MAX];
    unsigned first, count;
    uint64_t replies;
};

/* What a backup has to hold. */
struct load_backup {
    char name[32];    /* empty: none was answered +OK in this cycle */
    bool has_digests; /* the clients stood still */
    uint64_t digests[LOAD_CLIENTS_MAX];
    bool has_ballast;
};

struct load {
    struct run *run;
    unsigned clients;
    bool has_own_databases;
    bool has_operator;
    struct request_rules rules;
    struct load_client client[LOAD_CLIENTS_MAX];
    atomic_bool stop;
    bool is_stopping; /* by SIGTERM: lost connections are no finding either */
    /* Clients hold `gate` shared during a batch; `turnstile` lets the operator through. */
    pthread_mutex_t turnstile;
    pthread_rwlock_t gate;
    pthread_t operator;
    struct random operator_random;
    bool has_ballast;
    bool flush_is_unknown; /* FLUSHALL was sent and not answered */
    unsigned backup_number;
    struct load_backup backup;
};

void load_init(struct load *load, struct run *run, unsigned clients, bool has_operator);
void load_fini(struct load *load);
/* Starts the threads on a server that is ready. */
void load_start(struct load *load, unsigned cycle);
/* Waits for the threads, after the server has gone. */
void load_join(struct load *load);
/* Reads everything from a server that is ready, judges it and takes it over. */
void load_judge(struct load *load, unsigned cycle);
/* Makes the ballast again when it is not there. */
void load_fill(struct load *load);
/* The same for a server on a backup. */
void load_judge_backup(struct load *load, int port);
