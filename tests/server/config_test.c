#include "base/os.h"
#include "base/trace.h"
#include "server/config.h"
#include "server/config_rows.h"
#include "support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct config config;
    struct buf error, text;
    char folder[TEST_PATH_MAX];
    char path[TEST_PATH_MAX + 16];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    config_init(&f->config);
    buf_init(&f->error);
    buf_init(&f->text);
    test_folder_create(f->folder);
    snprintf(f->path, sizeof(f->path), "%s/m.conf", f->folder);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    os_fail_never();
    test_folder_remove(f->folder);
    config_fini(&f->config);
    buf_fini(&f->error);
    buf_fini(&f->text);
    free(f);
    return 0;
}

static struct bytes printed(struct fixture *f, enum option_id id)
{
    f->text.len = 0;
    config_print(&f->config, id, &f->text);
    return buf_bytes(&f->text);
}

static struct bytes text(struct fixture *f, enum option_id id)
{
    f->text.len = 0;
    config_text(&f->config, id, &f->text);
    return buf_bytes(&f->text);
}

static enum memento_status set(struct fixture *f, enum option_id id, const char *value)
{
    f->error.len = 0;
    return config_set(&f->config, id, bytes_of_string(value), &f->error);
}

static void write_file(struct fixture *f, struct bytes content)
{
    FILE *file = fopen(f->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content.data, 1, content.len, file), content.len);
    fclose(file);
}

/* What the server answers to such a file: an error without the path in front of it. */
static void assert_file_error(struct fixture *f, const char *content,
                              const char *expected)
{
    write_file(f, bytes_of_string(content));
    f->error.len = 0;
    assert_int_equal(config_read_file(&f->config, f->path, &f->error),
                     MEMENTO_ERR_INVALID);
    size_t path_len = strlen(f->path);
    assert_true(f->error.len > path_len);
    assert_bytes_equal(bytes_of(f->error.data, path_len), bytes_of_string(f->path));
    assert_bytes_equal(bytes_of(f->error.data + path_len, f->error.len - path_len),
                       bytes_of_string(expected));
}

/* argv as the system gives it: writable words, one behind the other. */
#define WORDS_MAX 12
struct arguments {
    char storage[WORDS_MAX][TEST_PATH_MAX + 32];
    char *argv[WORDS_MAX + 1];
    int argc;
};

static void add_word(struct arguments *a, const char *word)
{
    snprintf(a->storage[a->argc], sizeof(a->storage[0]), "%s", word);
    a->argv[a->argc] = a->storage[a->argc];
    a->argc++;
}

#define READ(f, ...) read_words((f), (const char *const[]){__VA_ARGS__, NULL}, NULL)
static enum config_wish read_words(struct fixture *f, const char *const *words,
                                   struct arguments *given)
{
    struct arguments local = {.argc = 0};
    struct arguments *a = given != NULL ? given : &local;
    add_word(a, "memento-server");
    for (size_t i = 0; words[i] != NULL; i++) {
        add_word(a, words[i]);
    }
    f->error.len = 0;
    return config_read_arguments(&f->config, a->argc, a->argv, &f->error);
}

/* ---- rows ---- */

static void every_default_is_a_value_that_its_option_takes(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < OPTION_COUNT; i++) {
        enum option_id id = (enum option_id)i;
        const struct option_row *row = &option_rows[id];
        int64_t number = config_number(&f->config, id);
        assert_int_equal(set(f, id, row->initial), MEMENTO_OK);
        assert_int_equal(config_number(&f->config, id), number);
        if (row->kind != OPTION_SIZE) {
            assert_bytes_equal(printed(f, id), bytes_of_string(row->initial));
        }
    }
}

static void a_number_is_taken_from_its_lowest_to_its_highest(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_rows[i];
        if (row->kind != OPTION_NUMBER && row->kind != OPTION_SIZE) {
            continue;
        }
        const struct {
            int64_t value;
            enum memento_status status;
        } cases[] = {{row->low, MEMENTO_OK},
                     {row->high, MEMENTO_OK},
                     {row->low - 1, MEMENTO_ERR_INVALID},
                     {row->high + 1, MEMENTO_ERR_INVALID}};
        for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
            char value[32];
            snprintf(value, sizeof(value), "%lld", (long long)cases[c].value);
            assert_int_equal(set(f, (enum option_id)i, value), cases[c].status);
            int64_t now = config_number(&f->config, (enum option_id)i);
            assert_int_equal(now, c == 0 ? row->low : row->high);
        }
    }
}

static void no_two_rows_share_a_name_or_a_letter(void **state)
{
    (void)state;
    const char *names[OPTION_COUNT + 64];
    char letters[OPTION_COUNT + 64];
    size_t count = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++, count++) {
        names[count] = option_rows[i].name;
        letters[count] = option_rows[i].letter;
    }
    for (size_t i = 0; i < option_alias_count; i++, count++) {
        names[count] = option_aliases[i].name;
        letters[count] = 0;
    }
    for (size_t i = 0; i < config_request_count; i++, count++) {
        names[count] = config_requests[i].name;
        letters[count] = config_requests[i].letter;
    }
    assert_true(count <= ARRAY_LEN(names));
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(names[i], names[j]);
            assert_true(letters[i] == 0 || letters[i] != letters[j]);
        }
    }
}

static void loglevel_counts_as_the_traces_do(void **state)
{
    struct fixture *f = *state;
    for (int level = TRACE_DEBUG; level <= TRACE_NOTHING; level++) {
        const char *name = trace_level_name((enum trace_level)level);
        assert_int_equal(set(f, OPTION_LOGLEVEL, name), MEMENTO_OK);
        assert_int_equal(config_number(&f->config, OPTION_LOGLEVEL), level);
        assert_bytes_equal(printed(f, OPTION_LOGLEVEL), bytes_of_string(name));
    }
    enum trace_level notice;
    assert_true(trace_parse_level(B("notice"), &notice));
    assert_int_equal(set(f, OPTION_LOGLEVEL, "NOTICE"), MEMENTO_OK);
    assert_int_equal(config_number(&f->config, OPTION_LOGLEVEL), notice);
}

static void a_name_is_found_in_any_case_and_by_its_alias(void **state)
{
    (void)state;
    const char *nearest;
    assert_int_equal(config_find(B("MaxClients"), &nearest), OPTION_MAXCLIENTS);
    assert_int_equal(config_find(B("max-value-size"), &nearest), OPTION_MAX_VALUE_SIZE);
    assert_int_equal(config_find(B("maxclient"), &nearest), -1);
    assert_string_equal(nearest, "maxclients");
    assert_int_equal(config_find(B("entirely-different"), &nearest), -1);
    assert_null(nearest);
}

/* ---- values ---- */

static void what_is_refused_changes_nothing_and_says_what_would_be_right(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum option_id id;
        const char *before, *value, *error;
    } cases[] = {
        {OPTION_TIMEOUT, "7", "1.5", "argument couldn't be parsed into an integer"},
        {OPTION_TIMEOUT, "7", "", "argument couldn't be parsed into an integer"},
        {OPTION_CLIENT_OUTPUT_LIMIT, "131072", "1 mb", "argument must be a memory value"},
        {OPTION_CLIENT_OUTPUT_LIMIT, "131072", "99999999999999999999gb",
         "argument must be a memory value"},
        {OPTION_MEASURE_TURNS, "yes", "1", "argument must be 'yes' or 'no'"},
        {OPTION_INLINE_REPLIES, "resp", "html",
         "argument(s) must be one of the following: text, resp"},
        {OPTION_UNIXSOCKETPERM, "600", "680",
         "argument must be an octal mode from 0 to 777"},
        {OPTION_UNIXSOCKETPERM, "600", "1777",
         "argument must be an octal mode from 0 to 777"},
        {OPTION_UNIXSOCKETPERM, "600", "",
         "argument must be an octal mode from 0 to 777"},
        {OPTION_BIND, "::1", "  ", "argument must name an address to listen on"},
        {OPTION_LOGFILE, "/tmp/x", "/tmp/x\n",
         "argument must not contain control characters"},
        {OPTION_APPENDONLY, "yes", "no",
         "argument can only be 'yes': Every write is logged; memory-only yes keeps no log"},
        {OPTION_FSYNC_POLICY, "always", "often",
         "argument(s) must be one of the following: always, everysec, never"},
        {OPTION_DIR, "/data", "", "argument must name a directory"},
        {OPTION_COMPACTION_GARBAGE_PERCENT, "0", "101",
         "argument must be between 0 and 100 inclusive"},
        {OPTION_RESTORE_TO, "seq:7", "yesterday",
         "argument must be seq:<number>, a time in UTC as 2026-01-31T12:34:56Z, or unix "
         "seconds or milliseconds"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(set(f, cases[i].id, cases[i].before), MEMENTO_OK);
        assert_int_equal(set(f, cases[i].id, cases[i].value), MEMENTO_ERR_INVALID);
        assert_bytes_equal(buf_bytes(&f->error), bytes_of_string(cases[i].error));
        assert_bytes_equal(printed(f, cases[i].id), bytes_of_string(cases[i].before));
    }
}

static void sizes_take_units_and_are_printed_in_bytes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(set(f, OPTION_CLIENT_OUTPUT_LIMIT, "2MB"), MEMENTO_OK);
    assert_int_equal(config_number(&f->config, OPTION_CLIENT_OUTPUT_LIMIT),
                     2 * 1024 * 1024);
    assert_bytes_equal(printed(f, OPTION_CLIENT_OUTPUT_LIMIT), B("2097152"));
}

static void a_mode_is_a_text_and_the_number_it_means(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(config_number(&f->config, OPTION_UNIXSOCKETPERM), 0700);
    assert_int_equal(set(f, OPTION_UNIXSOCKETPERM, "0660"), MEMENTO_OK);
    assert_int_equal(config_number(&f->config, OPTION_UNIXSOCKETPERM), 0660);
    assert_bytes_equal(text(f, OPTION_UNIXSOCKETPERM), B("0660"));
}

static void texts_have_a_longest_length(void **state)
{
    struct fixture *f = *state;
    char value[600];
    memset(value, 'p', sizeof(value) - 1);
    value[108] = '\0';
    assert_int_equal(set(f, OPTION_UNIXSOCKET, value), MEMENTO_ERR_INVALID);
    assert_int_equal(set(f, OPTION_UNIXSOCKET, value + 1), MEMENTO_OK);
    value[108] = 'p';
    value[CONFIG_SECRET_BYTES_MAX + 1] = '\0';
    assert_int_equal(set(f, OPTION_REQUIREPASS, value), MEMENTO_ERR_INVALID);
    assert_int_equal(set(f, OPTION_REQUIREPASS, value + 1), MEMENTO_OK);
}

static void a_secret_is_known_and_never_printed(void **state)
{
    struct fixture *f = *state;
    assert_false(config_has_secret(&f->config, OPTION_REQUIREPASS));
    assert_bytes_equal(printed(f, OPTION_REQUIREPASS), B(""));
    assert_int_equal(set(f, OPTION_REQUIREPASS, "hunter2"), MEMENTO_OK);
    assert_true(config_has_secret(&f->config, OPTION_REQUIREPASS));
    assert_true(config_secret_is(&f->config, OPTION_REQUIREPASS, B("hunter2")));
    assert_false(config_secret_is(&f->config, OPTION_REQUIREPASS, B("hunter3")));
    assert_false(config_secret_is(&f->config, OPTION_REQUIREPASS, B("hunter22")));
    assert_false(config_secret_is(&f->config, OPTION_REQUIREPASS, B("")));
    struct bytes shown = printed(f, OPTION_REQUIREPASS);
    assert_null(memmem(shown.data, shown.len, "hunter2", 7));
    assert_true(shown.len > 0);
    assert_int_equal(set(f, OPTION_REQUIREPASS, ""), MEMENTO_OK);
    assert_false(config_has_secret(&f->config, OPTION_REQUIREPASS));
}

static void several_changes_are_prepared_before_any_is_in_force(void **state)
{
    struct fixture *f = *state;
    struct config_change timeout, password;
    assert_int_equal(config_prepare(OPTION_TIMEOUT, B("9"), &timeout, &f->error),
                     MEMENTO_OK);
    assert_int_equal(config_prepare(OPTION_REQUIREPASS, B("x"), &password, &f->error),
                     MEMENTO_OK);
    assert_int_equal(config_number(&f->config, OPTION_TIMEOUT), 0);
    assert_false(config_has_secret(&f->config, OPTION_REQUIREPASS));
    config_apply(&f->config, &timeout);
    config_drop(&password);
    assert_int_equal(config_number(&f->config, OPTION_TIMEOUT), 9);
    assert_false(config_has_secret(&f->config, OPTION_REQUIREPASS));
}

static void without_memory_a_text_stays_as_it_was(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(set(f, OPTION_LOGFILE, "/before"), MEMENTO_OK);
    buf_reserve(&f->error, 256);
    os_fail_at(OS_MEMORY, 1, ENOMEM, false);
    assert_int_equal(set(f, OPTION_LOGFILE, "/after"), MEMENTO_ERR_NO_MEMORY);
    os_fail_never();
    assert_bytes_equal(buf_bytes(&f->error), B("out of memory"));
    assert_bytes_equal(text(f, OPTION_LOGFILE), B("/before"));
}

/* ---- the file ---- */

static void a_file_sets_options_and_passes_over_comments(void **state)
{
    struct fixture *f = *state;
    write_file(f, B("# a comment with \"one quote\n"
                    "\n"
                    "  \t # another\n"
                    "maxclients 77\r\n"
                    "\tLOGFILE \"/tmp/a b\\x2fc\"\n"
                    "bind 127.0.0.1 ::1 10.0.0.1\n"
                    "max-value-size 2mb\n"
                    "save \"\"\n"
                    "appendonly yes\n"
                    "timeout 5\n"
                    "timeout 6"));
    assert_int_equal(config_read_file(&f->config, f->path, &f->error), MEMENTO_OK);
    assert_int_equal(f->error.len, 0);
    assert_int_equal(config_number(&f->config, OPTION_MAXCLIENTS), 77);
    assert_bytes_equal(text(f, OPTION_LOGFILE), B("/tmp/a b/c"));
    assert_bytes_equal(text(f, OPTION_BIND), B("127.0.0.1 ::1 10.0.0.1"));
    assert_int_equal(config_number(&f->config, OPTION_MAX_VALUE_SIZE), 2 * 1024 * 1024);
    assert_int_equal(config_number(&f->config, OPTION_TIMEOUT), 6);
}

static void an_error_in_a_file_names_the_line_and_what_was_meant(void **state)
{
    struct fixture *f = *state;
    assert_file_error(f, "\n# x\nmaxclient 5\n",
                      ":3: there is no option maxclient; did you mean maxclients?");
    assert_file_error(f, "entirely-different 5",
                      ":1: there is no option entirely-different");
    assert_file_error(f, "timeout\n",
                      ":1: timeout: a value is missing; an empty one is "
                      "written \"\"");
    assert_file_error(f, "timeout 1 2\n",
                      ":1: timeout: one value is expected; quote one that "
                      "contains spaces");
    assert_file_error(f, "timeout 1\nlogfile \"x\n", ":2: unbalanced quotes");
    assert_file_error(f, "port 65436\n",
                      ":1: port: argument must be between 0 and 65435 inclusive");
    assert_file_error(
        f, "save 3600 1\n",
        ":1: save: argument can only be '': There is no schedule for snapshots: the log "
        "is compacted when that pays");
    assert_file_error(f, "appendonly no\n",
                      ":1: appendonly: argument can only be 'yes': Every write is "
                      "logged; memory-only yes keeps no log");
}

static void a_restore_stands_on_the_command_line_only(void **state)
{
    struct fixture *f = *state;
    assert_file_error(f, "restore-to seq:5\n",
                      ":1: restore-to: it is for one start, and stands on the command "
                      "line only: --restore-to");
    write_file(f, B("restore-to \"\"\n"));
    f->error.len = 0;
    assert_int_equal(config_read_file(&f->config, f->path, &f->error), MEMENTO_OK);
    assert_int_equal(READ(f, "--restore-to", "seq:5"), CONFIG_RUN);
    assert_bytes_equal(text(f, OPTION_RESTORE_TO), B("seq:5"));
}

static void a_file_that_cannot_be_read_is_an_error_with_the_reason(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(config_read_file(&f->config, f->path, &f->error), MEMENTO_ERR_IO);
    const char *error = buf_c_string(&f->error);
    assert_non_null(strstr(error, f->path));
    assert_non_null(strstr(error, strerror(ENOENT)));
}

/* Takes the "# " from the lines that are a default, as a user would. */
static void uncomment(struct bytes file, struct buf *out)
{
    size_t at = 0;
    while (at < file.len) {
        const char *line = file.data + at;
        const char *end = memchr(line, '\n', file.len - at);
        size_t len = end == NULL ? file.len - at : (size_t)(end - line);
        const char *space = len > 2 ? memchr(line + 2, ' ', len - 2) : NULL;
        const char *nearest;
        bool is_default =
            space != NULL && memcmp(line, "# ", 2) == 0 &&
            config_find(bytes_of(line + 2, (size_t)(space - line - 2)), &nearest) >= 0;
        buf_append(out, is_default ? line + 2 : line, is_default ? len - 2 : len);
        buf_append_char(out, '\n');
        at += len + 1;
    }
}

static void the_printed_file_holds_every_option_that_can_be_chosen(void **state)
{
    struct fixture *f = *state;
    struct buf file, active;
    buf_init(&file);
    buf_init(&active);
    config_print_file(&file);
    uncomment(buf_bytes(&file), &active);
    write_file(f, buf_bytes(&active));
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (option_rows[i].kind != OPTION_FIXED) {
            char line[256];
            snprintf(line, sizeof(line), "\n%s ", option_rows[i].name);
            assert_non_null(memmem(active.data, active.len, line, strlen(line)));
        }
    }
    struct config untouched;
    config_init(&untouched);
    assert_int_equal(set(f, OPTION_TIMEOUT, "9"), MEMENTO_OK);
    assert_int_equal(config_read_file(&f->config, f->path, &f->error), MEMENTO_OK);
    for (int i = 0; i < OPTION_COUNT; i++) {
        assert_int_equal(config_number(&f->config, (enum option_id)i),
                         config_number(&untouched, (enum option_id)i));
    }
    config_fini(&untouched);
    buf_fini(&file);
    buf_fini(&active);
}

static void printed_lines_fit_the_page(void **state)
{
    (void)state;
    void (*const printers[])(struct buf *) = {config_print_file, config_print_help};
    for (size_t i = 0; i < ARRAY_LEN(printers); i++) {
        struct buf out;
        buf_init(&out);
        printers[i](&out);
        assert_true(out.len > 0);
        size_t column = 0;
        for (size_t at = 0; at < out.len; at++) {
            column = out.data[at] == '\n' ? 0 : column + 1;
            assert_true(column <= 90);
        }
        assert_int_equal(out.data[out.len - 1], '\n');
        buf_fini(&out);
    }
}

static void what_redis_calls_never_is_no(void **state)
{
    struct fixture *f = *state;
    const char *nearest;
    assert_int_equal(config_find(B("appendfsync"), &nearest), OPTION_FSYNC_POLICY);
    assert_int_equal(set(f, OPTION_FSYNC_POLICY, "no"), MEMENTO_OK);
    assert_bytes_equal(printed(f, OPTION_FSYNC_POLICY), B("never"));
    f->text.len = 0;
    config_print_as(&f->config, "appendfsync", OPTION_FSYNC_POLICY, &f->text);
    assert_bytes_equal(buf_bytes(&f->text), B("no"));
    f->text.len = 0;
    config_print_as(&f->config, "fsync-policy", OPTION_FSYNC_POLICY, &f->text);
    assert_bytes_equal(buf_bytes(&f->text), B("never"));
}

/* ---- the command line ---- */

static void appendonly_tells_whether_there_is_a_log(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(READ(f, "--port", "7001"), CONFIG_RUN);
    assert_bytes_equal(printed(f, OPTION_APPENDONLY), B("yes"));
    assert_int_equal(READ(f, "--memory-only", "yes"), CONFIG_RUN);
    assert_bytes_equal(printed(f, OPTION_APPENDONLY), B("no"));
}

static void a_switch_that_stands_alone_is_on(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(READ(f, "--memory-only", "--port", "7001"), CONFIG_RUN);
    assert_int_equal(config_number(&f->config, OPTION_MEMORY_ONLY), 1);
    assert_int_equal(config_number(&f->config, OPTION_PORT), 7001);
    assert_int_equal(READ(f, "--memory-only", "no"), CONFIG_RUN);
    assert_int_equal(config_number(&f->config, OPTION_MEMORY_ONLY), 0);
    assert_int_equal(READ(f, "--port", "7001", "--memory-only"), CONFIG_RUN);
    assert_int_equal(config_number(&f->config, OPTION_MEMORY_ONLY), 1);
}

static void the_command_line_takes_long_short_and_attached_values(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        READ(f, "-p", "7001", "--timeout=3", "-s/tmp/m.sock", "--maxclients", "9"),
        CONFIG_RUN);
    assert_int_equal(config_number(&f->config, OPTION_PORT), 7001);
    assert_int_equal(config_number(&f->config, OPTION_TIMEOUT), 3);
    assert_int_equal(config_number(&f->config, OPTION_MAXCLIENTS), 9);
    assert_bytes_equal(text(f, OPTION_UNIXSOCKET), B("/tmp/m.sock"));
    assert_int_equal(READ(f, "--logfile="), CONFIG_RUN);
    assert_bytes_equal(text(f, OPTION_LOGFILE), B(""));
}

static void the_command_line_wins_over_the_file_wherever_it_names_it(void **state)
{
    struct fixture *f = *state;
    write_file(f, B("port 7002\ntimeout 4\nbind 10.0.0.1\n"));
    assert_int_equal(READ(f, "--port", "7003", "--config", f->path), CONFIG_RUN);
    assert_int_equal(config_number(&f->config, OPTION_PORT), 7003);
    assert_int_equal(config_number(&f->config, OPTION_TIMEOUT), 4);
    assert_bytes_equal(text(f, OPTION_BIND), B("10.0.0.1"));
}

static void addresses_add_up_on_the_command_line(void **state)
{
    struct fixture *f = *state;
    write_file(f, B("bind 10.0.0.1\n"));
    assert_int_equal(READ(f, "--config", f->path, "-a", "127.0.0.1", "--bind", "::1"),
                     CONFIG_RUN);
    assert_bytes_equal(text(f, OPTION_BIND), B("127.0.0.1 ::1"));
}

static void what_is_asked_for_besides_options_is_told(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(READ(f, "--help"), CONFIG_HELP);
    assert_int_equal(READ(f, "-h"), CONFIG_HELP);
    assert_int_equal(READ(f, "-v"), CONFIG_VERSION);
    assert_int_equal(READ(f, "--port", "7004", "--version"), CONFIG_VERSION);
    assert_int_equal(READ(f, "--print-config"), CONFIG_PRINT);
    assert_int_equal(config_number(&f->config, OPTION_PORT), 6737);
}

static void what_is_not_understood_is_refused_with_advice(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *words[4];
        const char *error;
    } cases[] = {
        {{"--prot", "5"}, "there is no option --prot; did you mean --port?"},
        {{"--entirely-different"},
         "there is no option --entirely-different; --help lists them all"},
        {{"-z"}, "there is no option -z; --help lists them all"},
        {{"--port"}, "--port needs a value: <port>"},
        {{"--help=yes"}, "--help takes no value"},
        {{"memento.conf"},
         "memento.conf is no option; options begin with -- and a file is named by --config"},
        {{"-"}, "- is no option; options begin with -- and a file is named by --config"},
        {{"--port", "65436"}, "--port: argument must be between 0 and 65435 inclusive"},
        {{"--config", "a", "--config=b"}, "--config can be given once"},
        {{"-c"}, "cluster mode is not there yet"},
        {{"-f", "nodes"}, "cluster mode is not there yet"},
        {{"-i", "name"}, "cluster mode is not there yet"},
        {{"--port=0"}, "port 0 and no unixsocket: no client could connect"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(read_words(f, cases[i].words, NULL), CONFIG_REFUSED);
        assert_bytes_equal(buf_bytes(&f->error), bytes_of_string(cases[i].error));
    }
    assert_int_equal(READ(f, "--port=0", "-s", "/tmp/m.sock"), CONFIG_RUN);
}

static void a_wrong_file_refuses_the_command_line(void **state)
{
    struct fixture *f = *state;
    write_file(f, B("prot 5\n"));
    assert_int_equal(READ(f, "--config", f->path), CONFIG_REFUSED);
    assert_non_null(strstr(buf_c_string(&f->error), ":1: there is no option prot"));
}

static void a_password_is_wiped_from_the_command_line(void **state)
{
    struct fixture *f = *state;
    static const char *const forms[][4] = {
        {"--requirepass", "hunter2", "--timeout", NULL},
        {"--requirepass=hunter2", "--timeout", "1", NULL},
        {"--requirepass", "hunter2", "--timeout=1", NULL},
    };
    trace_set_level(TRACE_NOTHING);
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct arguments a = {.argc = 0};
        enum config_wish wish = read_words(f, forms[i], &a);
        assert_int_equal(wish, i == 0 ? CONFIG_REFUSED : CONFIG_RUN);
        assert_true(i == 0 ||
                    config_secret_is(&f->config, OPTION_REQUIREPASS, B("hunter2")));
        assert_null(memmem(a.storage, sizeof(a.storage), "unter2", 6));
    }
    trace_set_level(TRACE_INFO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_default_is_a_value_that_its_option_takes),
        TEST(a_number_is_taken_from_its_lowest_to_its_highest),
        TEST(no_two_rows_share_a_name_or_a_letter),
        TEST(loglevel_counts_as_the_traces_do),
        TEST(a_name_is_found_in_any_case_and_by_its_alias),
        TEST(what_is_refused_changes_nothing_and_says_what_would_be_right),
        TEST(sizes_take_units_and_are_printed_in_bytes),
        TEST(a_mode_is_a_text_and_the_number_it_means),
        TEST(texts_have_a_longest_length),
        TEST(a_secret_is_known_and_never_printed),
        TEST(several_changes_are_prepared_before_any_is_in_force),
        TEST(without_memory_a_text_stays_as_it_was),
        TEST(a_file_sets_options_and_passes_over_comments),
        TEST(an_error_in_a_file_names_the_line_and_what_was_meant),
        TEST(a_restore_stands_on_the_command_line_only),
        TEST(a_file_that_cannot_be_read_is_an_error_with_the_reason),
        TEST(the_printed_file_holds_every_option_that_can_be_chosen),
        TEST(printed_lines_fit_the_page),
        TEST(what_redis_calls_never_is_no),
        TEST(appendonly_tells_whether_there_is_a_log),
        TEST(a_switch_that_stands_alone_is_on),
        TEST(the_command_line_takes_long_short_and_attached_values),
        TEST(the_command_line_wins_over_the_file_wherever_it_names_it),
        TEST(addresses_add_up_on_the_command_line),
        TEST(what_is_asked_for_besides_options_is_told),
        TEST(what_is_not_understood_is_refused_with_advice),
        TEST(a_wrong_file_refuses_the_command_line),
        TEST(a_password_is_wiped_from_the_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
