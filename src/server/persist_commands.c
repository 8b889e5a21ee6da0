/* persist_commands.c - commands about the life of the data on disk: SAVE, BGSAVE, BGREWRITEAOF,
 * COMPACT, LASTSAVE, BACKUP, LOG, DURABILITY, WAITAOF. What waits for the disk is done by the
 * engine's own thread, and the reply comes when it is done: see wait.h. */
#include "base/clock.h"
#include "base/number.h"
#include "base/trace.h"
#include "command/handlers.h"
#include "command/help.h"
#include "server/hold.h"
#include "server/info.h"
#include "server/server.h"
#include "server/wait.h"

#include <string.h>

static const char in_memory_only[] =
    "ERR nothing can be saved: the data lives in memory only";

static bool has_log(struct call *call)
{
    if (call->writer->log.log == NULL) {
        reply_error(call->reply, in_memory_only);
        return false;
    }
    return true;
}

/* ---- compaction ---- */

static void compact(struct call *call, const char *started, const char *running)
{
    if (!has_log(call)) {
        return;
    }
    enum memento_status status = engine_compact(call->writer->engine);
    if (status == MEMENTO_OK) {
        reply_simple(call->reply, started);
    } else if (status == MEMENTO_AGAIN) {
        reply_error(call->reply, running);
    } else {
        call_failed(call, status);
    }
}

void command_bgrewriteaof(struct call *call)
{
    compact(call, "Background append only file rewriting started",
            "ERR Background append only file rewriting already in progress");
}

void command_compact(struct call *call)
{
    compact(call, "Background compaction started",
            "ERR Background compaction already in progress");
}

void command_bgsave(struct call *call)
{
    if (call->count > 2 || (call->count == 2 && !call_is(call, 1, "SCHEDULE"))) {
        call_syntax_error(call);
        return;
    }
    compact(call, "Background saving started", "ERR Background save already in progress");
}

/* ---- jobs, each with its reply at the end ---- */

/* The job was taken, and will answer; or the reason why not is answered now. */
static void hand_over(struct call *call, struct job *job, enum memento_status status)
{
    if (status == MEMENTO_OK) {
        wait_for_job(call);
        return;
    }
    if (status == MEMENTO_AGAIN) {
        reply_error(call->reply, "ERR another job of the log is already waiting");
    } else {
        call_failed(call, status);
    }
    job_destroy(job);
}

static struct job *make_job(struct call *call)
{
    if (!has_log(call)) {
        return NULL;
    }
    struct job *job = job_create(call_worker(call), call->session->id);
    if (job == NULL) {
        call_failed(call, MEMENTO_ERR_NO_MEMORY);
    }
    return job;
}

void command_save(struct call *call)
{
    struct job *job = make_job(call);
    if (job != NULL) {
        hand_over(call, job, engine_compact_job(call->writer->engine, job_done, job));
    }
}

/* The engine's thread. */
static void backup_done(void *context, enum memento_status status, struct bytes why)
{
    struct job *job = context;
    if (status == MEMENTO_OK) {
        const char *path = buf_c_string(&job->made);
        trace_info("backup %s made in %llu ms at %s", strrchr(path, '/') + 1,
                   (unsigned long long)(clock_monotonic_ns() - job->begin_ns) / 1000000,
                   path);
    }
    job_done(job, status, why);
}

static void append_backup_path(struct config *config, struct bytes name, struct buf *path)
{
    config_text(config, OPTION_BACKUP_DIR, path);
    if (path->len == 0) {
        config_text(config, OPTION_DIR, path);
        buf_append_string(path, "/backups");
    }
    buf_append_string(path, "/");
    buf_append_bytes(path, name);
    (void)buf_reserve(path, 1); /* backup_done shall not need memory */
}

void command_backup(struct call *call)
{
    struct job *job = make_job(call);
    if (job == NULL) {
        return;
    }
    struct bytes name = call->args[1];
    append_backup_path(&call_server(call)->config, name, &job->made);
    job->begin_ns = clock_monotonic_ns();
    enum memento_status status = MEMENTO_ERR_NO_MEMORY;
    if (!job->made.failed) {
        status = engine_backup_job(call->writer->engine, name, backup_done, job);
    }
    if (status == MEMENTO_ERR_INVALID) {
        reply_error(call->reply,
                    "ERR a backup's name has 1 to 64 letters, digits, '.', '_' or '-', "
                    "and does not begin with '.'");
        job_destroy(job);
        return;
    }
    hand_over(call, job, status);
}

void command_log(struct call *call)
{
    help_reply_unknown(call);
}

void command_log_help(struct call *call)
{
    help_reply_subcommands(call);
}

void command_log_reopen(struct call *call)
{
    const struct log *log = call->writer->log.log;
    if (log != NULL && log_state(log) == LOG_NO_SPACE) {
        reply_error(call->reply, "ERR the log has not failed: the disk is full; it goes "
                                 "on by itself when there is space");
        return;
    }
    struct job *job = make_job(call);
    if (job != NULL) {
        hand_over(call, job, engine_reopen_job(call->writer->engine, job_done, job));
    }
}

void command_lastsave(struct call *call)
{
    struct server *server = call_server(call);
    struct persist_stats stats = {0};
    if (call->writer->log.log != NULL) {
        info_persist_stats(server, call->writer->span_depth == 0, &stats);
    }
    /* As Redis: before the first snapshot it is the start. */
    int64_t ms = stats.last_save_ms != 0 ? stats.last_save_ms : server->started_ms;
    reply_integer(call->reply, ms / 1000);
}

/* ---- how durable ---- */

static const char *const policy_names[] = {"always", "everysec", "never"};

void command_durability(struct call *call)
{
    struct connection *connection = call_connection(call);
    struct config *config = &call_server(call)->config;
    if (call->count > 2) {
        call_syntax_error(call);
        return;
    }
    if (config_number(config, OPTION_MEMORY_ONLY) != 0) {
        reply_error(call->reply, "ERR nothing is durable: the data lives in memory only");
        return;
    }
    if (call->count == 1) {
        reply_simple(call->reply, policy_names[hold_policy(connection)]);
        return;
    }
    int64_t policy = config_number(config, OPTION_FSYNC_POLICY);
    for (uint8_t i = 0; i < ARRAY_LEN(policy_names); i++) {
        if (!call_is(call, 1, policy_names[i])) {
            continue;
        }
        if (i > policy) {
            reply_errorf(call->reply, "ERR DURABILITY can only ask for more than %s",
                         policy_names[policy]);
            return;
        }
        call->session->durability = i;
        /* For what EXEC, or this very batch, reads behind it. */
        call->writer->tracks_reads = i == LOG_ALWAYS;
        if (i == LOG_EVERYSEC && policy == LOG_NEVER) {
            /* One connection's wish makes the log sync each second, until CONFIG SET. */
            log_set_policy(call->writer->log.log, LOG_EVERYSEC);
        }
        reply_ok(call->reply);
        return;
    }
    call_syntax_error(call);
}

/* WAITAOF's three numbers; the error texts are those of Redis. */
static bool read_wait(struct call *call, int64_t *local, int64_t *replicas,
                      int64_t *timeout_ms)
{
    if (!call_integer(call, 1, local)) {
        return false;
    }
    if (*local < 0 || *local > 1) {
        reply_error(call->reply, "ERR value is out of range, value must between 0 and 1");
        return false;
    }
    if (!number_parse_int64(call->args[2], replicas) || *replicas < 0) {
        reply_error(call->reply, "ERR value is out of range, must be positive");
        return false;
    }
    if (!number_parse_int64(call->args[3], timeout_ms)) {
        reply_error(call->reply, "ERR timeout is not an integer or out of range");
        return false;
    }
    if (*timeout_ms < 0) {
        reply_error(call->reply, "ERR timeout is negative");
        return false;
    }
    return true;
}

void command_waitaof(struct call *call)
{
    int64_t local, replicas, timeout_ms;
    if (!read_wait(call, &local, &replicas, &timeout_ms)) {
        return;
    }
    bool has_log = call->writer->log.log != NULL;
    if (local > 0 && !has_log) {
        reply_error(call->reply, "ERR WAITAOF cannot be used when numlocal is set but "
                                 "appendonly is disabled.");
        return;
    }
    /* What EXEC has changed before this is not in the worker's books yet. */
    bool is_durable = has_log &&
                      log_staged_bytes(&call->writer->log) == call_worker(call)->staged &&
                      wait_state(call_connection(call)) == NEED_MET;
    bool is_met = (local == 0 || is_durable) && replicas == 0;
    if (is_met || call->session->in_multi) { /* EXEC waits for nothing, as in Redis */
        reply_list(call->reply, 2);
        reply_integer(call->reply, is_durable);
        reply_integer(call->reply, 0); /* there are no replicas */
        return;
    }
    wait_for_log(call, local, replicas, timeout_ms);
}
