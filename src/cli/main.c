/* main.c - memento-cli: options, the connection, and the three ways to use it: one
 * command from the command line, lines typed or piped in, and --pipe. See README.md of
 * this folder. */
#include <memento/limits.h>
#include <memento/version.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/nearest.h"
#include "base/number.h"
#include "base/os.h"
#include "cli/prompt.h"
#include "cli/show.h"
#include "client/client.h"
#include "client/pipe.h"
#include "command/spec.h"
#include "protocol/request.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_HOST "127.0.0.1"
#define DEFAULT_PORT 6737

/* Connecting takes longer than this only where nobody listens. */
#define CONNECT_TIMEOUT_MS 10000

/* --pipe gives up when the server does not move for so long. */
#define PIPE_QUIET_MS 30000

/* Errors that --pipe prints; all are counted. */
#define PIPE_ERRORS_SHOWN 10

/* Times a password may be mistyped. */
#define PASSWORD_TRIES 3

/* A command that takes longer has its time printed. */
#define SLOW_NS 500000000ULL

enum { EXIT_OK = 0, EXIT_ERROR = 1, EXIT_USAGE = 2 };

/* ---- options ---- */

struct options {
    const char *host, *socket;
    int port;
    int database;
    int protocol;
    bool raw, no_raw;
    bool pipe;
    bool last_from_stdin;
    char *password; /* in argv, until it has been copied */
    char **words;   /* the command, in argv */
    size_t word_count;
};

enum option {
    OPTION_HOST,
    OPTION_PORT,
    OPTION_SOCKET,
    OPTION_PASSWORD,
    OPTION_DATABASE,
    OPTION_RESP3,
    OPTION_LAST,
    OPTION_RAW,
    OPTION_NO_RAW,
    OPTION_PIPE,
    OPTION_HELP,
    OPTION_VERSION
};

static const struct option_row {
    enum option option;
    const char *name;
    const char *argument; /* NULL: none */
    const char *summary;
} option_rows[] = {
    {OPTION_HOST, "-h", "HOST", "the server's name or address (" DEFAULT_HOST ")"},
    {OPTION_PORT, "-p", "PORT", "its port (6737)"},
    {OPTION_SOCKET, "-s", "SOCKET", "its unix socket, instead of host and port"},
    {OPTION_PASSWORD, "-a", "PASSWORD", "others may see it: better set MEMENTO_AUTH"},
    {OPTION_DATABASE, "-n", "NUMBER", "the database (0)"},
    {OPTION_RESP3, "-3", NULL, "speak RESP3"},
    {OPTION_LAST, "-x", NULL, "the last argument of the command comes from stdin"},
    {OPTION_RAW, "--raw", NULL,
     "print the bytes of replies, as when stdout is no terminal"},
    {OPTION_NO_RAW, "--no-raw", NULL,
     "print replies typed and escaped, as on a terminal"},
    {OPTION_PIPE, "--pipe", NULL, "send stdin as it is, count replies and errors"},
    {OPTION_HELP, "--help", NULL, "print this"},
    {OPTION_VERSION, "--version", NULL, "print the version"},
};

static_assert(DEFAULT_PORT == 6737, "--help says so");

static void print_usage(FILE *out)
{
    fputs("Usage: memento-cli [OPTIONS] [HOST [PORT]] [COMMAND [ARGUMENT ...]]\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++) {
        const struct option_row *row = &option_rows[i];
        int len = fprintf(out, "  %s %s", row->name,
                          row->argument != NULL ? row->argument : "");
        fprintf(out, "%*s%s\n", len < 18 ? 18 - len : 1, "", row->summary);
    }
    fputs(
        "\nHOST is localhost, a name with a dot, an address, or any name that its PORT "
        "follows;\nothers need -h. A COMMAND that memento does not have is sent when -h, "
        "-p, -s or -n\nis given.\n\n"
        "Without a command, lines are read from the terminal or from stdin. The "
        "password\ncomes from the environment variable MEMENTO_AUTH, or is asked for.\n"
        "Exit status: 0 done; 1 an error reply, or no connection; 2 bad usage.\n",
        out);
}

PRINTF_LIKE(1, 2) static int usage_error(const char *format, ...)
{
    va_list arguments;
    fputs("memento-cli: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("; memento-cli --help says more\n", stderr);
    return EXIT_USAGE;
}

static int unknown_option(const char *given)
{
    const char *names[ARRAY_LEN(option_rows)];
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++) {
        names[i] = option_rows[i].name;
    }
    const char *nearest =
        nearest_name(bytes_of_string(given), names, ARRAY_LEN(option_rows));
    if (nearest != NULL) {
        return usage_error("unknown option %s, did you mean %s?", given, nearest);
    }
    return usage_error("unknown option %s", given);
}

/* A number of [min, max] that is the value of an option or the port. */
static bool parse_number(const char *text, int min, int max, int *number)
{
    int64_t value;
    if (!number_parse_int64(bytes_of_string(text), &value) || value < min ||
        value > max) {
        return false;
    }
    *number = (int)value;
    return true;
}

/* What main shall return, or -1: go on. */
static int apply_option(struct options *options, enum option option, char *value)
{
    switch (option) {
    case OPTION_HOST:
        options->host = value;
        return -1;
    case OPTION_PORT:
        return parse_number(value, 1, 65535, &options->port)
                   ? -1
                   : usage_error("%s is no port", value);
    case OPTION_SOCKET:
        options->socket = value;
        return -1;
    case OPTION_PASSWORD:
        options->password = value;
        return -1;
    case OPTION_DATABASE:
        return parse_number(value, 0, INT32_MAX, &options->database)
                   ? -1
                   : usage_error("%s is no database's number", value);
    case OPTION_RESP3:
        options->protocol = 3;
        return -1;
    case OPTION_LAST:
        options->last_from_stdin = true;
        return -1;
    case OPTION_RAW:
        options->raw = true;
        return -1;
    case OPTION_NO_RAW:
        options->no_raw = true;
        return -1;
    case OPTION_PIPE:
        options->pipe = true;
        return -1;
    case OPTION_HELP:
        print_usage(stdout);
        return EXIT_OK;
    case OPTION_VERSION:
        puts("memento-cli " MEMENTO_VERSION);
        return EXIT_OK;
    }
    return -1;
}

static const struct option_row *option_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++) {
        if (strcmp(option_rows[i].name, name) == 0) {
            return &option_rows[i];
        }
    }
    return NULL;
}

/* Takes the option at argv[*at] and its value. */
static int parse_option(struct options *options, int argc, char **argv, int *at)
{
    char *name = argv[(*at)++];
    const struct option_row *row = option_find(name);
    if (row == NULL) {
        return unknown_option(name);
    }
    if (row->argument != NULL && *at == argc) {
        if (row->option == OPTION_HOST) { /* -h alone: what else could be meant */
            print_usage(stdout);
            return EXIT_OK;
        }
        return usage_error("%s needs a %s", name, row->argument);
    }
    return apply_option(options, row->option,
                        row->argument != NULL ? argv[(*at)++] : NULL);
}

static bool is_command(const char *word)
{
    return command_find(bytes_of_string(word)) != NULL;
}

/* What only hosts look like. */
static bool is_host(const char *word)
{
    return strpbrk(word, ".:") != NULL || strcasecmp(word, "localhost") == 0;
}

static bool is_digits(const char *word)
{
    return word[0] != '\0' && word[strspn(word, "0123456789")] == '\0';
}

/* A mistyped command shall be told of, not looked up as a host. */
static int unknown_command(const char *word)
{
    const char *nearest = show_nearest_command(bytes_of_string(word));
    fprintf(stderr, "memento-cli: no command '%s'; ", word);
    if (nearest != NULL) {
        fputs("did you mean ", stderr);
        for (const char *at = nearest; *at != '\0'; at++) {
            putc(toupper((unsigned char)*at), stderr);
        }
        putc('?', stderr);
    } else {
        fprintf(stderr, "-p %d sends it all the same", DEFAULT_PORT);
    }
    fprintf(stderr, " (a host: memento-cli -h %s)\n", word);
    return EXIT_USAGE;
}

/* The host at argv[*at], and the port that may stand behind it. No command begins with a
 * digit: such a word is a port, if a mistyped one. */
static int parse_host(struct options *options, int argc, char **argv, int *at)
{
    options->host = argv[(*at)++];
    if (*at == argc || argv[*at][0] < '0' || argv[*at][0] > '9') {
        return -1;
    }
    if (!parse_number(argv[*at], 1, 65535, &options->port)) {
        return usage_error("%s is no command and, as it would be a host, %s is no port",
                           options->host, argv[*at]);
    }
    ++*at;
    return -1;
}

/* The first word that is no option: a command when the table has it; a host when it looks
 * like one, or a number follows it; or else a slip, unless an option says which server is
 * meant, so that commands of other servers can be sent. */
static int parse_arguments(struct options *options, int argc, char **argv)
{
    bool has_host = false, sends_any = false;
    int at = 1;
    while (at < argc) {
        int result;
        const char *word = argv[at];
        if (word[0] == '-' && word[1] != '\0') {
            has_host |= strcmp(word, "-h") == 0 || strcmp(word, "-s") == 0;
            sends_any |= has_host || strcmp(word, "-p") == 0 || strcmp(word, "-n") == 0;
            result = parse_option(options, argc, argv, &at);
        } else if (has_host || is_command(word)) {
            break;
        } else if (is_host(word) ||
                   (!sends_any && at + 1 < argc && is_digits(argv[at + 1]))) {
            has_host = true;
            result = parse_host(options, argc, argv, &at);
        } else if (sends_any) {
            break;
        } else {
            return unknown_command(word);
        }
        if (result >= 0) {
            return result;
        }
    }
    options->words = argv + at;
    options->word_count = (size_t)(argc - at);
    if (options->pipe && options->word_count > 0) {
        return usage_error("--pipe takes no command");
    }
    if (options->last_from_stdin && options->word_count == 0) {
        return usage_error("-x needs a command");
    }
    return -1;
}

/* ---- the session ---- */

struct session {
    const struct options *options;
    struct client client;
    struct prompt *prompt;
    struct buf password;
    struct words words;
    bool is_terminal; /* somebody types and reads */
    bool formats;     /* typed and escaped, not raw */
    int database;
    int queued_database; /* SELECT inside MULTI; -1: none */
    bool in_multi;
    bool replies_off, reply_skipped; /* CLIENT REPLY */
};

/* Ctrl-C while a reply is awaited: cuts the connection, which ends the wait. A signal
 * handler can reach nothing but globals. */
static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t waiting_fd = -1;

static void on_interrupt(int signal)
{
    (void)signal;
    int error = errno;
    interrupted = 1;
    if (waiting_fd >= 0) {
        shutdown(waiting_fd, SHUT_RDWR);
    }
    errno = error;
}

static void complain(const char *what, const char *why)
{
    fflush(stdout);
    fputs(what, stderr);
    show_escaped(stderr, bytes_of_string(why));
    putc('\n', stderr);
}

static void append_address(const struct session *session, struct buf *out)
{
    const struct options *options = session->options;
    if (options->socket != NULL) {
        buf_append_string(out, options->socket);
    } else if (strchr(options->host, ':') != NULL) {
        buf_appendf(out, "[%s]:%d", options->host, options->port);
    } else {
        buf_appendf(out, "%s:%d", options->host, options->port);
    }
}

/* Copies a secret to where it stays, and wipes where it came from. */
static void take_secret(struct buf *to, char *from)
{
    size_t len = strlen(from);
    buf_append(to, from, len);
    explicit_bzero(from, len);
}

static void forget_password(struct session *session)
{
    if (session->password.cap > 0) {
        explicit_bzero(session->password.data, session->password.cap);
    }
    session->password.len = 0;
}

/* Refused passwords are told of; whatever comes next may still be allowed. */
static enum memento_status login(struct session *session)
{
    enum memento_status status =
        client_authenticate(&session->client, buf_bytes(&session->password));
    if (status == MEMENTO_ERR_INVALID) {
        complain("The password was refused: ", session->client.error);
    }
    return status;
}

/* Asks for the password until it is right: OK. */
static enum memento_status ask_password(struct session *session)
{
    fflush(stdout);
    enum memento_status status = MEMENTO_ERR_INVALID;
    for (int i = 0; i < PASSWORD_TRIES && status == MEMENTO_ERR_INVALID; i++) {
        forget_password(session);
        if (prompt_read_secret(session->prompt, "Password: ", &session->password) !=
            PROMPT_LINE) {
            return MEMENTO_ERR_INVALID;
        }
        status = login(session);
    }
    if (status != MEMENTO_OK) {
        forget_password(session);
    }
    return status;
}

static const struct response_node *root(const struct session *session)
{
    return &session->client.response.nodes[0];
}

static bool is_error(const struct session *session)
{
    return root(session)->type == RESPONSE_ERROR;
}

static enum memento_status wait_response(struct session *session)
{
    waiting_fd = session->client.fd;
    enum memento_status status = client_read(&session->client);
    waiting_fd = -1;
    return status;
}

static void show(const struct session *session, enum show_form form)
{
    show_response(stdout, &session->client.response, session->formats ? form : SHOW_RAW);
}

/* The answer to a request. Messages that the server pushes in between are no answer,
 * unless they are what was asked for. */
static enum memento_status read_answer(struct session *session, bool takes_push)
{
    enum memento_status status = wait_response(session);
    while (status == MEMENTO_OK && !takes_push && root(session)->type == RESPONSE_PUSH) {
        show(session, SHOW_TYPED);
        status = wait_response(session);
    }
    return status;
}

/* Sends a request and reads its answer. When the server wants a password and there is
 * somebody to ask, it is asked for and the request repeated: it had not been carried out.
 * ERR_INVALID: no password was to be had. */
static enum memento_status converse(struct session *session, const struct bytes *words,
                                    size_t count, bool takes_push)
{
    client_request(&session->client, words, count);
    enum memento_status status = read_answer(session, takes_push);
    if (status == MEMENTO_OK && is_error(session) && session->prompt != NULL &&
        bytes_start_with(root(session)->bytes, BYTES("NOAUTH")) && isatty(STDIN_FILENO)) {
        status = ask_password(session);
        if (status == MEMENTO_OK) {
            client_request(&session->client, words, count);
            status = read_answer(session, takes_push);
        }
    }
    return status;
}

/* One request of the handshake; an error reply is a failure. */
static bool shake_hands(struct session *session, const char *word, int number)
{
    char digits[NUMBER_SHORT_MAX];
    size_t len = number_format_int64(digits, number);
    const struct bytes words[] = {bytes_of_string(word), bytes_of(digits, len)};
    enum memento_status status = converse(session, words, ARRAY_LEN(words), false);
    if (status == MEMENTO_OK && is_error(session)) {
        fflush(stdout);
        fprintf(stderr, "%s %d: ", word, number);
        show_escaped(stderr, root(session)->bytes);
        putc('\n', stderr);
        return false;
    }
    if (status != MEMENTO_OK && status != MEMENTO_ERR_INVALID) {
        complain("Lost the server: ", session->client.error);
    }
    return status == MEMENTO_OK;
}

/* Connects and brings the connection to where the last one was. False, and the reason is
 * told, when it cannot be used. */
static bool session_open(struct session *session)
{
    const struct options *options = session->options;
    struct client *client = &session->client;
    session->in_multi = session->replies_off = session->reply_skipped = false;
    session->queued_database = -1;
    if (client_connect(client, options->host, options->port, options->socket,
                       CONNECT_TIMEOUT_MS) != MEMENTO_OK) {
        struct buf text;
        buf_init(&text);
        buf_append_string(&text, "Could not connect to ");
        append_address(session, &text);
        buf_append_string(&text, ": ");
        complain(buf_c_string(&text), client->error);
        buf_fini(&text);
        return false;
    }
    client->timeout_ms = 0; /* a command may take as long as it takes: there is Ctrl-C */
    if (session->password.len > 0) {
        enum memento_status status = login(session);
        if (status != MEMENTO_OK && status != MEMENTO_ERR_INVALID) {
            complain("Lost the server: ", client->error);
            return false;
        }
    }
    if (options->protocol == 3 && !shake_hands(session, "HELLO", 3)) {
        client_disconnect(client);
        return false;
    }
    if (session->database > 0 && !shake_hands(session, "SELECT", session->database)) {
        session->database = 0;
        return session->is_terminal && client->fd >= 0;
    }
    return client->fd >= 0;
}

/* Connects when there is no connection, or the server has closed it meanwhile: the
 * request has not been sent yet, so nothing can happen twice. */
static bool session_ready(struct session *session)
{
    struct client *client = &session->client;
    if (client->fd >= 0) {
        enum memento_status status;
        do {
            status = client_receive(client);
        } while (status == MEMENTO_OK);
        while (client_take(client) == MEMENTO_OK) {
            show(session, SHOW_TYPED); /* messages pushed since the last command */
        }
        if (status == MEMENTO_AGAIN) {
            return true;
        }
        complain("The connection was lost; connecting again.", "");
        client_disconnect(client);
    }
    return session_open(session);
}

/* ---- what is known of commands ---- */

static bool is_word(const struct bytes *words, size_t count, size_t at, const char *word)
{
    return at < count && bytes_is(words[at], word);
}

static bool is_any(struct bytes word, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_is(word, names[i])) {
            return true;
        }
    }
    return false;
}

/* Commands after which messages come until the connection ends. */
static bool is_stream(const struct bytes *words)
{
    static const char *const names[] = {"subscribe", "psubscribe", "ssubscribe",
                                        "monitor",   "sub",        "tail"};
    return is_any(words[0], names, ARRAY_LEN(names));
}

static bool is_unsubscribe(const struct bytes *words)
{
    static const char *const names[] = {"unsubscribe", "punsubscribe", "sunsubscribe"};
    return is_any(words[0], names, ARRAY_LEN(names));
}

/* Commands whose value is a text to be read. RESP3 says so itself. */
static enum show_form form_of(const struct bytes *words, size_t count)
{
    static const char *const names[] = {"info", "keyspace", "clusterinfo", "lolwut"};
    bool is_text =
        is_any(words[0], names, ARRAY_LEN(names)) ||
        (is_word(words, count, 0, "client") &&
         (is_word(words, count, 1, "list") || is_word(words, count, 1, "info"))) ||
        (is_word(words, count, 0, "cluster") &&
         (is_word(words, count, 1, "nodes") || is_word(words, count, 1, "info"))) ||
        (is_word(words, count, 0, "memory") && is_word(words, count, 1, "doctor"));
    return is_text ? SHOW_LINES : SHOW_TYPED;
}

/* How many answers a request gets: CLIENT REPLY may have asked for silence, and
 * UNSUBSCRIBE answers for each channel. */
static size_t answers_of(struct session *session, const struct bytes *words, size_t count)
{
    if (is_word(words, count, 0, "client") && is_word(words, count, 1, "reply")) {
        session->replies_off = is_word(words, count, 2, "off") ||
                               (session->replies_off && !is_word(words, count, 2, "on"));
        session->reply_skipped = is_word(words, count, 2, "skip");
        return session->replies_off || session->reply_skipped ? 0 : 1;
    }
    bool silent = session->replies_off || session->reply_skipped;
    session->reply_skipped = false;
    if (silent) {
        return 0;
    }
    return is_unsubscribe(words) && count > 2 ? count - 1 : 1;
}

/* Words that nobody wants to find in a file. */
static bool is_secret(const struct bytes *words, size_t count)
{
    static const char *const everywhere[] = {"requirepass", "masterauth", "auth",
                                             "auth2"};
    bool may_hold_one =
        is_word(words, count, 0, "auth") || is_word(words, count, 0, "acl");
    for (size_t i = 0; i < count && !may_hold_one; i++) {
        may_hold_one =
            is_any(words[i], everywhere, ARRAY_LEN(everywhere)) &&
            (is_word(words, count, 0, "hello") || is_word(words, count, 0, "config") ||
             is_word(words, count, 0, "migrate"));
    }
    return may_hold_one;
}

/* Keeps the prompt true: the database and whether a transaction is open. */
static void note_answer(struct session *session, const struct bytes *words, size_t count)
{
    const struct response_node *node = root(session);
    bool is_ok = node->type == RESPONSE_STATUS && bytes_is(node->bytes, "OK");
    int64_t number;
    if (is_word(words, count, 0, "select") && count == 2 &&
        number_parse_int64(words[1], &number) && number >= 0 && number <= INT32_MAX) {
        if (session->in_multi) {
            session->queued_database = (int)number;
        } else if (is_ok) {
            session->database = (int)number;
        }
    } else if (is_word(words, count, 0, "multi") && is_ok) {
        session->in_multi = true;
        session->queued_database = -1;
    } else if (is_word(words, count, 0, "exec") || is_word(words, count, 0, "discard")) {
        bool ran = node->type == RESPONSE_LIST && session->queued_database >= 0;
        session->database = ran ? session->queued_database : session->database;
        session->in_multi = false;
    } else if (is_word(words, count, 0, "reset") && node->type == RESPONSE_STATUS) {
        session->database = 0;
        session->in_multi = false;
    }
}

/* ---- running a command ---- */

/* Prints what comes until the connection ends, or Ctrl-C ends it. */
static void follow(struct session *session)
{
    if (session->is_terminal) {
        puts("Reading messages; Ctrl-C stops.");
    }
    fflush(stdout);
    while (!ferror(stdout) && wait_response(session) == MEMENTO_OK) {
        show(session, SHOW_TYPED);
        fflush(stdout);
    }
    if (interrupted) {
        (void)session_open(session); /* as if the messages had never been asked for */
    } else {
        complain("Lost the server: ", session->client.error);
    }
}

static void show_duration(const struct session *session, uint64_t since_ns)
{
    uint64_t took_ns = clock_monotonic_ns() - since_ns;
    if (session->is_terminal && took_ns >= SLOW_NS) {
        printf("(%.2fs)\n", (double)took_ns / 1e9);
    }
}

/* No answer will come. */
static bool lost(struct session *session, const struct bytes *words, size_t count)
{
    if (session->client.fd >= 0) {
        return false; /* no password: that has been told */
    }
    if (interrupted) {
        puts("Interrupted; the server may carry it out all the same.");
        return false;
    }
    if (is_word(words, count, 0, "shutdown")) {
        return true; /* this is what was asked for */
    }
    complain("Lost the server: ", session->client.error);
    return false;
}

/* True when the server has carried it out. */
static bool run_command(struct session *session, const struct bytes *words, size_t count)
{
    size_t answers = answers_of(session, words, count);
    bool streams = is_stream(words);
    interrupted = 0;
    uint64_t since_ns = clock_monotonic_ns();
    if (answers == 0) {
        client_request(&session->client, words, count);
        return client_flush(&session->client) == MEMENTO_OK;
    }
    bool takes_push = streams || is_unsubscribe(words);
    enum memento_status status = converse(session, words, count, takes_push);
    if (status != MEMENTO_OK) {
        return lost(session, words, count);
    }
    bool done = !is_error(session);
    show(session, form_of(words, count));
    note_answer(session, words, count);
    for (size_t i = 1; i < answers && done && status == MEMENTO_OK; i++) {
        status = read_answer(session, true);
        if (status == MEMENTO_OK) {
            show(session, SHOW_TYPED);
        }
    }
    show_duration(session, since_ns);
    if (streams && done) {
        follow(session);
    }
    return done && status == MEMENTO_OK;
}

/* ---- a command on the command line ---- */

/* The rest of stdin. */
static bool read_stdin(struct buf *out)
{
    ssize_t got = 1;
    while (got > 0 && out->len <= (uint64_t)MEMENTO_VALUE_BYTES_MAX &&
           buf_reserve(out, 65536)) {
        got = os_read(STDIN_FILENO, out->data + out->len, out->cap - out->len);
        out->len += got > 0 ? (size_t)got : 0;
    }
    return got == 0;
}

static int run_once(struct session *session)
{
    const struct options *options = session->options;
    struct words *words = &session->words;
    struct buf last;
    buf_init(&last);
    int result = EXIT_ERROR;
    size_t count = options->word_count + (options->last_from_stdin ? 1 : 0);
    words->items = heap_alloc_zeroed(count, sizeof(*words->items));
    if (words->items == NULL) {
        complain("Out of memory", "");
        goto out;
    }
    words->count = words->cap = count;
    for (size_t i = 0; i < options->word_count; i++) {
        words->items[i] = bytes_of_string(options->words[i]);
    }
    if (options->last_from_stdin) {
        if (!read_stdin(&last)) {
            complain("Could not read stdin", "");
            goto out;
        }
        words->items[count - 1] = buf_bytes(&last);
    }
    if (bytes_is(words->items[0], "help")) {
        bool known = show_help(stdout, words->items + 1, count - 1, prompt_width());
        result = known ? EXIT_OK : EXIT_ERROR;
    } else if (session_open(session) && run_command(session, words->items, count)) {
        result = EXIT_OK;
    }
out:
    buf_fini(&last);
    return result;
}

/* ---- lines ---- */

enum line_result { LINE_DONE, LINE_FAILED, LINE_QUIT };

/* What needs no server. */
static bool run_local(struct session *session, const struct bytes *words, size_t count,
                      enum line_result *result)
{
    *result = LINE_DONE;
    if (is_word(words, count, 0, "help") || is_word(words, count, 0, "?") ||
        is_word(words, count, 0, "h")) {
        bool known = show_help(stdout, words + 1, count - 1, prompt_width());
        *result = known ? LINE_DONE : LINE_FAILED;
        return true;
    }
    if (count == 1 && (bytes_is(words[0], "quit") || bytes_is(words[0], "exit"))) {
        *result = LINE_QUIT;
        return true;
    }
    if (session->is_terminal && count == 1 && bytes_is(words[0], "clear")) {
        fputs("\x1b[H\x1b[2J", stdout);
        return true;
    }
    return false;
}

/* Runs a line; its bytes are changed. */
static enum line_result run_line(struct session *session, struct buf *line)
{
    struct buf typed;
    buf_init(&typed);
    buf_append_bytes(&typed, buf_bytes(line));
    session->words.count = 0;
    bool valid = words_split(&session->words, line->data, line->len) && !typed.failed;
    const struct bytes *words = session->words.items;
    size_t count = session->words.count;
    if (session->is_terminal && count > 0 && !is_secret(words, count)) {
        prompt_remember(session->prompt, buf_bytes(&typed));
    }
    if (typed.len > 0) {
        explicit_bzero(typed.data, typed.len);
    }
    buf_fini(&typed);
    enum line_result result = LINE_DONE;
    if (!valid) {
        complain("A quote is not closed, or something else than a space follows one.",
                 "");
        return LINE_FAILED;
    }
    if (count == 0 || run_local(session, words, count, &result)) {
        return result;
    }
    bool done = session_ready(session) && run_command(session, words, count);
    return done ? LINE_DONE : LINE_FAILED;
}

static const char *make_title(const struct session *session, struct buf *title)
{
    title->len = 0;
    if (session->client.fd < 0) {
        return "not connected> ";
    }
    append_address(session, title);
    if (session->database > 0) {
        buf_appendf(title, "[%d]", session->database);
    }
    buf_append_string(title, session->in_multi ? "(TX)> " : "> ");
    return buf_c_string(title);
}

static void begin_terminal(struct session *session)
{
    /* Ctrl-C ends what is waited for, not the program. */
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    const char *home = getenv("HOME");
    if (home != NULL && home[0] != '\0') {
        struct buf path;
        buf_init(&path);
        buf_appendf(&path, "%s/.memento_history", home);
        prompt_open_history(session->prompt, buf_c_string(&path));
        buf_fini(&path);
    }
    puts("\nMemento CLI v " MEMENTO_VERSION
         "\nType h or ? or help to print the command list\n");
    fflush(stdout);
}

/* From a terminal until the end is asked for; from a file until its end or the first
 * failure to reach the server. */
static int run_lines(struct session *session)
{
    struct buf line, title;
    buf_init(&line);
    buf_init(&title);
    int result = EXIT_OK;
    if (session->is_terminal) {
        begin_terminal(session);
    }
    bool going = session_open(session) || session->is_terminal;
    result = going ? EXIT_OK : EXIT_ERROR;
    while (going && !ferror(stdout)) {
        const char *shown = session->is_terminal ? make_title(session, &title) : NULL;
        enum prompt_result read = prompt_read(session->prompt, shown, &line);
        enum line_result done = LINE_DONE;
        if (read == PROMPT_LINE) {
            done = run_line(session, &line);
            fflush(stdout);
        } else if (read == PROMPT_FAILED) {
            complain("The line is too long", "");
            done = LINE_FAILED;
            going = session->is_terminal;
        } else if (read == PROMPT_END) {
            break;
        }
        if (done == LINE_FAILED && !session->is_terminal) {
            result = EXIT_ERROR;
            going = going && session->client.fd >= 0;
        }
        going = going && done != LINE_QUIT;
        if (line.len > 0) {
            explicit_bzero(line.data, line.len); /* it may have held a password */
        }
    }
    buf_fini(&line);
    buf_fini(&title);
    return result;
}

/* ---- --pipe ---- */

static void print_error(void *context, struct bytes error)
{
    unsigned *shown = context;
    if (*shown < PIPE_ERRORS_SHOWN) {
        show_escaped(stderr, error);
        putc('\n', stderr);
    } else if (*shown == PIPE_ERRORS_SHOWN) {
        fputs("(further errors are only counted)\n", stderr);
    } else {
        return;
    }
    ++*shown;
}

static void print_sent(void *context)
{
    (void)context;
    puts("All data transferred. Waiting for the last reply...");
    fflush(stdout);
}

static int run_pipe(struct session *session)
{
    if (!session_open(session)) {
        return EXIT_ERROR;
    }
    unsigned shown = 0;
    struct pipe_totals totals;
    enum memento_status status =
        client_pipe(&session->client, STDIN_FILENO, PIPE_QUIET_MS, print_error,
                    print_sent, &shown, &totals);
    if (status == MEMENTO_OK) {
        puts("Last reply received from server.");
    } else {
        complain("Not all was done: ", session->client.error);
    }
    printf("errors: %llu, replies: %llu\n", (unsigned long long)totals.errors,
           (unsigned long long)totals.replies);
    return status == MEMENTO_OK && totals.errors == 0 ? EXIT_OK : EXIT_ERROR;
}

/* ---- main ---- */

/* Without UTF-8, nothing beyond ASCII is printed as it is. A locale that says UTF-8 and
 * is not installed has the characters of any other that says so. */
static void set_locale(void)
{
    const char *name = setlocale(LC_CTYPE, "");
    if (name != NULL) {
        return;
    }
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value != NULL && value[0] != '\0') {
            if (strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL) {
                setlocale(LC_CTYPE, "C.UTF-8");
            }
            return;
        }
    }
}

static void take_password(struct session *session, struct options *options)
{
    if (options->password != NULL) {
        fputs("memento-cli: a password on the command line can be seen by others; "
              "MEMENTO_AUTH can not\n",
              stderr);
        take_secret(&session->password, options->password);
        options->password = NULL;
        return;
    }
    char *from_environment = getenv("MEMENTO_AUTH");
    if (from_environment != NULL) {
        take_secret(&session->password, from_environment);
        unsetenv("MEMENTO_AUTH");
    }
}

static int run(struct session *session)
{
    const struct options *options = session->options;
    if (options->pipe) {
        return run_pipe(session);
    }
    session->prompt = prompt_create(
        (struct prompt_hooks){.hint = show_hint, .complete = show_completions});
    if (session->prompt == NULL) {
        complain("Out of memory", "");
        return EXIT_ERROR;
    }
    return options->word_count > 0 ? run_once(session) : run_lines(session);
}

int main(int argc, char **argv)
{
    set_locale();
    signal(SIGPIPE, SIG_IGN);
    struct options options = {.host = DEFAULT_HOST, .port = DEFAULT_PORT};
    int result = parse_arguments(&options, argc, argv);
    if (result >= 0) {
        return result;
    }
    bool reads_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    struct session session = {
        .options = &options,
        .database = options.database,
        .is_terminal = reads_terminal && options.word_count == 0 && !options.pipe,
        .formats = options.no_raw || (!options.raw && isatty(STDOUT_FILENO))};
    client_init(&session.client);
    buf_init(&session.password);
    words_init(&session.words);
    take_password(&session, &options);

    result = run(&session);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        result = EXIT_ERROR; /* not all of the reply was printed */
    }
    forget_password(&session);
    buf_fini(&session.password);
    words_fini(&session.words);
    prompt_destroy(session.prompt);
    client_fini(&session.client);
    return result;
}
