#include "server/loader.h"

#include "base/clock.h"
#include "base/trace.h"
#include "log/moment.h"
#include "server/server.h"

static enum memento_status read_texts(struct loader *loader, struct config *config)
{
    config_text(config, OPTION_DIR, &loader->directory);
    config_text(config, OPTION_BACKUP_DIR, &loader->backup_directory);
    config_text(config, OPTION_ACCEPT_DATA_LOSS, &loader->accept_data_loss);
    struct buf moment;
    buf_init(&moment);
    config_text(config, OPTION_RESTORE_TO, &moment);
    loader->options.restore_to = (struct archive_limit){0};
    if (moment.len > 0) {
        /* The option was checked when it was read. */
        (void)moment_parse(buf_bytes(&moment), &loader->options.restore_to);
    }
    bool failed = moment.failed || loader->directory.failed ||
                  loader->backup_directory.failed || loader->accept_data_loss.failed;
    buf_fini(&moment);
    return failed ? MEMENTO_ERR_NO_MEMORY : MEMENTO_OK;
}

static const char *text_or_null(struct buf *text)
{
    return text->len > 0 ? buf_c_string(text) : NULL;
}

static uint64_t number(const struct config *config, enum option_id id)
{
    return (uint64_t)config_number(config, id);
}

static enum memento_status read_options(struct loader *loader, struct config *config)
{
    struct persist_options *options = &loader->options;
    persist_options_default(options);
    enum memento_status status = read_texts(loader, config);
    options->directory = buf_c_string(&loader->directory);
    options->backup_directory = text_or_null(&loader->backup_directory);
    options->accept_data_loss = text_or_null(&loader->accept_data_loss);
    options->policy = (enum log_policy)number(config, OPTION_FSYNC_POLICY);
    options->segment_bytes = number(config, OPTION_LOG_SEGMENT_SIZE);
    options->max_unsynced_ms = (uint32_t)number(config, OPTION_MAX_UNSYNCED_MS);
    options->buffer_bytes_max = number(config, OPTION_LOG_BUFFER_LIMIT);
    options->compaction_log_min = number(config, OPTION_COMPACTION_MIN_SIZE);
    options->compaction_garbage_percent =
        (unsigned)number(config, OPTION_COMPACTION_GARBAGE_PERCENT);
    options->compaction_log_max = number(config, OPTION_LOG_MAX_BYTES);
    options->compaction_rate = number(config, OPTION_COMPACTION_RATE);
    options->load_threads = (unsigned)number(config, OPTION_LOAD_THREADS);
    options->has_threads = true;
    return status;
}

static void load(void *context)
{
    struct loader *loader = context;
    loader->status = engine_load(&loader->server->engine, &loader->options, &loader->stop,
                                 &loader->error);
    atomic_store(&loader->is_done, true);
    mailbox_wake(&loader->server->main_mailbox);
}

enum memento_status loader_start(struct loader *loader, struct server *server)
{
    *loader = (struct loader){.server = server};
    buf_init(&loader->directory);
    buf_init(&loader->backup_directory);
    buf_init(&loader->accept_data_loss);
    buf_init(&loader->error.text);
    enum memento_status status = read_options(loader, &server->config);
    if (status == MEMENTO_OK) {
        trace_info("data directory %s", buf_c_string(&loader->directory));
        status = thread_start(&loader->thread, "loader", load, loader);
    }
    loader->is_running = status == MEMENTO_OK;
    return status;
}

void loader_join(struct loader *loader, bool stop)
{
    if (!loader->is_running) {
        return;
    }
    if (stop) {
        atomic_store(&loader->stop, true);
    }
    thread_join(&loader->thread);
    loader->is_running = false;
}

void loader_fini(struct loader *loader)
{
    buf_fini(&loader->directory);
    buf_fini(&loader->backup_directory);
    buf_fini(&loader->accept_data_loss);
    buf_fini(&loader->error.text);
}
