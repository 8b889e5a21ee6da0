#include "cli/prompt.h"

#include "base/heap.h"
#include "base/os.h"
#include "cli/glyph.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define INPUT_BYTES_MAX 4096

/* An ESC that nothing follows within this time is the key of that name. */
#define ESCAPE_WAIT_MS 50

/* Bytes of what is searched for. */
#define QUERY_BYTES_MAX 256

#define KEY_CTRL(letter) ((letter) - 'A' + 1)

enum {
    KEY_ENTER = 13,
    KEY_ESCAPE = 27,
    KEY_BACKSPACE = 127,
    /* Beyond what a byte can be. */
    KEY_UP = 1000,
    KEY_DOWN,
    KEY_LEFT,
    KEY_RIGHT,
    KEY_HOME,
    KEY_END,
    KEY_DELETE,
    KEY_WORD_LEFT,
    KEY_WORD_RIGHT,
    KEY_KILL_WORD_LEFT,
    KEY_KILL_WORD_RIGHT,
    KEY_UNKNOWN,
    KEY_NONE /* the input has ended */
};

struct prompt {
    struct prompt_hooks hooks;
    bool edits;           /* both sides are terminals that understand how */
    struct termios usual; /* the terminal's state before the first line */
    bool has_usual;

    char input[INPUT_BYTES_MAX]; /* read and not yet used */
    size_t input_at, input_len;

    const char *title;
    struct buf line;
    size_t cursor; /* a byte of the line where a character begins, or its end */
    struct buf killed;

    /* The history, oldest first, and the line of it that is being edited; `count` is the
     * one being typed, which waits in `typed` meanwhile. */
    struct buf lines[HISTORY_LINES_MAX];
    size_t line_count, line_at;
    struct buf typed;
    struct buf path; /* of the history's file; empty: none */

    bool searching;
    struct buf query, found_title;
    size_t found_at;

    struct buf screen; /* what is about to be drawn */
    unsigned columns, rows;
    unsigned drawn_columns, drawn_row, drawn_column; /* where the cursor was left */
    bool listed; /* the last key was a Tab that could not decide */
};

/* ---- the terminal ---- */

static bool is_terminal_able(void)
{
    const char *term = getenv("TERM");
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term != NULL &&
           term[0] != '\0' && strcasecmp(term, "dumb") != 0;
}

static struct winsize terminal_size(void)
{
    struct winsize size = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 ||
        size.ws_row < 2) {
        size = (struct winsize){.ws_col = 80, .ws_row = 24}; /* it does not know itself */
    }
    return size;
}

static void measure(struct prompt *prompt)
{
    struct winsize size = terminal_size();
    prompt->columns = size.ws_col > 1 ? size.ws_col : 2;
    prompt->rows = size.ws_row;
}

unsigned prompt_width(void)
{
    return terminal_size().ws_col;
}

/* Keys come as they are typed. While no line is being typed (`waits`) Ctrl-C is a signal;
 * what is typed ahead is kept for the next line, and not echoed into what is being
 * printed. */
static bool keys_set(struct prompt *prompt, bool waits)
{
    struct termios keys = prompt->usual;
    keys.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
    keys.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | (waits ? 0 : ISIG));
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &keys) == 0;
}

static bool keys_begin(struct prompt *prompt)
{
    prompt->has_usual = prompt->has_usual || tcgetattr(STDIN_FILENO, &prompt->usual) == 0;
    return prompt->has_usual && keys_set(prompt, false);
}

static void keys_end(struct prompt *prompt)
{
    (void)keys_set(prompt, true);
}

static void terminal_restore(struct prompt *prompt)
{
    if (prompt->has_usual) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &prompt->usual);
    }
}

static void write_all(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t wrote = os_write(STDOUT_FILENO, data, len);
        if (wrote <= 0) {
            return; /* the terminal has gone: the next read says so */
        }
        data += wrote;
        len -= (size_t)wrote;
    }
}

static void write_string(const char *string)
{
    write_all(string, strlen(string));
}

/* ---- drawing ---- */

/* A character as it is drawn in a line: what is not printable has a stand-in. */
static unsigned cell_text(struct bytes line, size_t at, struct glyph *glyph, char text[8])
{
    *glyph = glyph_at(line, at);
    if (glyph->is_printable) {
        memcpy(text, line.data + at, glyph->bytes);
        return glyph->bytes;
    }
    if (glyph->code < 0x20 || glyph->code == 0x7f) {
        text[0] = '^';
        text[1] = (char)(glyph->code ^ 0x40);
        glyph->cells = 2;
        return 2;
    }
    text[0] = '?';
    glyph->cells = 1;
    return 1;
}

/* Where the next character will be drawn. */
struct pen {
    unsigned row, column;
};

/* Characters that would not fit begin a row, as the terminal does it. */
static void pen_fit(const struct prompt *prompt, struct pen *pen, unsigned cells)
{
    if (cells > 0 && pen->column + cells > prompt->columns) {
        pen->row++;
        pen->column = 0;
    }
}

static void draw_text(struct prompt *prompt, struct pen *pen, struct bytes text)
{
    for (size_t at = 0; at < text.len;) {
        char shown[8];
        struct glyph glyph;
        unsigned len = cell_text(text, at, &glyph, shown);
        pen_fit(prompt, pen, glyph.cells);
        pen->column += glyph.cells;
        buf_append(&prompt->screen, shown, len);
        at += glyph.bytes;
    }
}

static size_t cells_of(struct bytes text)
{
    size_t cells = 0;
    for (size_t at = 0; at < text.len;) {
        char shown[8];
        struct glyph glyph;
        cell_text(text, at, &glyph, shown);
        cells += glyph.cells;
        at += glyph.bytes;
    }
    return cells;
}

/* The byte that is drawn first. 0 while the cursor is in the first screenful; beyond, the
 * window moves by half of its size, so that it stands still most of the time. */
static size_t window_start(const struct prompt *prompt)
{
    struct bytes line = buf_bytes(&prompt->line);
    size_t title_cells = cells_of(bytes_of_string(prompt->title));
    size_t screen_cells = (size_t)(prompt->rows - 1) * (prompt->columns - 1);
    size_t half = (screen_cells > title_cells + 2 ? screen_cells - title_cells : 2) / 2;
    size_t cursor_cells = cells_of(bytes_of(line.data, prompt->cursor));
    size_t skipped = cursor_cells / half <= 1 ? 0 : (cursor_cells / half - 1) * half;
    size_t at = 0;
    for (size_t cells = 0; cells < skipped && at < prompt->cursor;) {
        char shown[8];
        struct glyph glyph;
        cell_text(line, at, &glyph, shown);
        cells += glyph.cells;
        at += glyph.bytes;
    }
    return at;
}

/* Goes back to where the title began. When the window has another width than it was drawn
 * for, the terminal has wrapped the rows anew. */
static void draw_erase(struct prompt *prompt)
{
    size_t cells =
        (size_t)prompt->drawn_row * prompt->drawn_columns + prompt->drawn_column;
    size_t up = cells / prompt->columns;
    if (up > 0) {
        buf_appendf(&prompt->screen, "\x1b[%zuA", up);
    }
    buf_append_string(&prompt->screen, "\r\x1b[J");
}

static void draw_hint(struct prompt *prompt, struct pen *pen)
{
    struct buf hint;
    buf_init(&hint);
    if (!prompt->searching && prompt->cursor == prompt->line.len &&
        prompt->line.len > 0 && prompt->hooks.hint != NULL) {
        prompt->hooks.hint(buf_bytes(&prompt->line), &hint);
    }
    /* It ends with the row: a hint is not worth a line of the screen. */
    size_t room =
        prompt->columns - pen->column > 1 ? prompt->columns - pen->column - 1 : 0;
    size_t len = hint.len < room ? hint.len : room;
    if (len > 0) {
        buf_append_string(&prompt->screen, "\x1b[90m");
        draw_text(prompt, pen, bytes_of(hint.data, len));
        buf_append_string(&prompt->screen, "\x1b[0m");
    }
    buf_fini(&hint);
}

/* Draws the line until the screen is full; tells where the cursor belongs. */
static struct pen draw_line(struct prompt *prompt, struct pen *pen)
{
    struct bytes line = buf_bytes(&prompt->line);
    struct pen cursor = *pen;
    size_t at = window_start(prompt);
    while (at < line.len) {
        char shown[8];
        struct glyph glyph;
        unsigned len = cell_text(line, at, &glyph, shown);
        struct pen next = *pen;
        pen_fit(prompt, &next, glyph.cells);
        if (next.row >= prompt->rows) {
            return cursor;
        }
        *pen = next;
        if (at == prompt->cursor) {
            cursor = *pen;
        }
        pen->column += glyph.cells;
        buf_append(&prompt->screen, shown, len);
        at += glyph.bytes;
    }
    if (pen->column == prompt->columns) {
        buf_append_string(&prompt->screen, "\r\n"); /* no terminal goes there by itself */
        *pen = (struct pen){pen->row + 1, 0};
    }
    if (prompt->cursor == line.len) {
        cursor = *pen;
    }
    return cursor;
}

static void draw(struct prompt *prompt)
{
    measure(prompt);
    buf_reset(&prompt->screen, INPUT_BYTES_MAX);
    draw_erase(prompt);
    struct pen pen = {0, 0};
    draw_text(prompt, &pen, bytes_of_string(prompt->title));
    struct pen cursor = draw_line(prompt, &pen);
    draw_hint(prompt, &pen);
    if (pen.row > cursor.row) {
        buf_appendf(&prompt->screen, "\x1b[%uA", pen.row - cursor.row);
    }
    buf_append_char(&prompt->screen, '\r');
    if (cursor.column > 0) {
        buf_appendf(&prompt->screen, "\x1b[%uC", cursor.column);
    }
    write_all(prompt->screen.data, prompt->screen.len);
    prompt->drawn_columns = prompt->columns;
    prompt->drawn_row = cursor.row;
    prompt->drawn_column = cursor.column;
}

/* What is drawn next begins at the left edge of a fresh row. */
static void draw_forget(struct prompt *prompt)
{
    prompt->drawn_row = prompt->drawn_column = 0;
    prompt->drawn_columns = prompt->columns;
}

/* Leaves the line on the screen as it is, without its hint. */
static void draw_finish(struct prompt *prompt, const char *mark)
{
    size_t cursor = prompt->cursor;
    void (*hint)(struct bytes, struct buf *) = prompt->hooks.hint;
    prompt->hooks.hint = NULL;
    prompt->cursor = prompt->line.len;
    draw(prompt);
    prompt->hooks.hint = hint;
    prompt->cursor = cursor;
    write_string(mark);
    write_string("\r\n");
    draw_forget(prompt);
}

static void ring(void)
{
    write_string("\a");
}

/* ---- keys ---- */

static bool fill(struct prompt *prompt)
{
    ssize_t got = os_read(STDIN_FILENO, prompt->input, sizeof(prompt->input));
    prompt->input_at = 0;
    prompt->input_len = got > 0 ? (size_t)got : 0;
    return got > 0;
}

static bool has_input(const struct prompt *prompt)
{
    return prompt->input_at < prompt->input_len;
}

static int next_byte(struct prompt *prompt)
{
    if (!has_input(prompt) && !fill(prompt)) {
        return KEY_NONE;
    }
    return (unsigned char)prompt->input[prompt->input_at++];
}

/* A byte that belongs to the one before, or KEY_NONE: it does not come. */
static int next_byte_soon(struct prompt *prompt)
{
    struct pollfd event = {.fd = STDIN_FILENO, .events = POLLIN};
    if (!has_input(prompt) && poll(&event, 1, ESCAPE_WAIT_MS) <= 0) {
        return KEY_NONE;
    }
    return next_byte(prompt);
}

static int key_of_letter(int letter, bool with_modifier)
{
    switch (letter) {
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'C':
        return with_modifier ? KEY_WORD_RIGHT : KEY_RIGHT;
    case 'D':
        return with_modifier ? KEY_WORD_LEFT : KEY_LEFT;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_END;
    default:
        return KEY_UNKNOWN;
    }
}

static int key_of_number(int number)
{
    switch (number) {
    case 1:
    case 7:
        return KEY_HOME;
    case 3:
        return KEY_DELETE;
    case 4:
    case 8:
        return KEY_END;
    default:
        return KEY_UNKNOWN;
    }
}

/* ESC [ numbers letter, or ESC [ number ~. Whatever it is, all of it is taken: the rest
 * of a key that is not known must not appear as text. */
static int key_of_sequence(struct prompt *prompt)
{
    int number = 0;
    bool with_modifier = false;
    for (;;) {
        int byte = next_byte_soon(prompt);
        if (byte >= '0' && byte <= '9') {
            number =
                number < 1000 && !with_modifier ? number * 10 + (byte - '0') : number;
        } else if (byte == ';') {
            with_modifier = true;
        } else if (byte == '~') {
            return key_of_number(number);
        } else if (byte == KEY_NONE || (byte >= 0x40 && byte <= 0x7e)) {
            return key_of_letter(byte, with_modifier);
        }
    }
}

static int key_of_escape(struct prompt *prompt)
{
    int byte = next_byte_soon(prompt);
    switch (byte) {
    case KEY_NONE:
        return KEY_ESCAPE;
    case '[':
        return key_of_sequence(prompt);
    case 'O':
        return key_of_letter(next_byte_soon(prompt), false);
    case 'b':
    case 'B':
        return KEY_WORD_LEFT;
    case 'f':
    case 'F':
        return KEY_WORD_RIGHT;
    case 'd':
    case 'D':
        return KEY_KILL_WORD_RIGHT;
    case KEY_BACKSPACE:
    case KEY_CTRL('H'):
        return KEY_KILL_WORD_LEFT;
    default:
        return KEY_UNKNOWN;
    }
}

/* Draws before it waits, and only then: a pasted text is drawn once. */
static int next_key(struct prompt *prompt)
{
    if (!has_input(prompt)) {
        draw(prompt);
    }
    int byte = next_byte(prompt);
    return byte == KEY_ESCAPE ? key_of_escape(prompt) : byte;
}

/* ---- changing the line ---- */

static void insert(struct prompt *prompt, const char *data, size_t len)
{
    struct buf *line = &prompt->line;
    if (len > PROMPT_LINE_BYTES_MAX - line->len || !buf_reserve(line, len)) {
        ring();
        return;
    }
    char *at = line->data + prompt->cursor;
    memmove(at + len, at, line->len - prompt->cursor);
    memcpy(at, data, len);
    line->len += len;
    prompt->cursor += len;
}

static void replace_line(struct prompt *prompt, struct bytes line)
{
    prompt->line.len = 0;
    buf_append_bytes(&prompt->line, line);
    prompt->cursor = prompt->line.len;
}

/* Removes [from, to), and the cursor stands there. */
static void erase(struct prompt *prompt, size_t from, size_t to)
{
    struct buf *line = &prompt->line;
    memmove(line->data + from, line->data + to, line->len - to);
    line->len -= to - from;
    prompt->cursor = from;
}

/* As erase, and Ctrl-Y brings it back. */
static void kill_range(struct prompt *prompt, size_t from, size_t to)
{
    if (from < to) {
        prompt->killed.len = 0;
        buf_append(&prompt->killed, prompt->line.data + from, to - from);
        erase(prompt, from, to);
    }
}

/* The end of the character at `at`, with what combines with it. */
static size_t right_of(const struct prompt *prompt, size_t at)
{
    struct bytes line = buf_bytes(&prompt->line);
    if (at < line.len) {
        at += glyph_at(line, at).bytes;
    }
    while (at < line.len) {
        struct glyph glyph = glyph_at(line, at);
        if (!glyph.is_printable || glyph.cells > 0) {
            break;
        }
        at += glyph.bytes;
    }
    return at;
}

/* The beginning of the character in front of `at`: a character has at most four bytes,
 * and what they are is only known from their first. */
static size_t left_of(const struct prompt *prompt, size_t at)
{
    struct bytes line = buf_bytes(&prompt->line);
    while (at > 0) {
        size_t start = at - 1;
        for (size_t back = 2; back <= 4 && back <= at; back++) {
            if (glyph_at(line, at - back).bytes == back) {
                start = at - back;
            }
        }
        at = start;
        struct glyph glyph = glyph_at(line, at);
        if (!glyph.is_printable || glyph.cells > 0) {
            break;
        }
    }
    return at;
}

static bool is_word_byte(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '_' || (unsigned char)byte >= 0x80;
}

static bool is_not_space(char byte)
{
    return byte != ' ' && byte != '\t';
}

static size_t word_left(const struct prompt *prompt, bool (*is_word)(char))
{
    size_t at = prompt->cursor;
    while (at > 0 && !is_word(prompt->line.data[at - 1])) {
        at--;
    }
    while (at > 0 && is_word(prompt->line.data[at - 1])) {
        at--;
    }
    return at;
}

static size_t word_right(const struct prompt *prompt)
{
    size_t at = prompt->cursor;
    while (at < prompt->line.len && !is_word_byte(prompt->line.data[at])) {
        at++;
    }
    while (at < prompt->line.len && is_word_byte(prompt->line.data[at])) {
        at++;
    }
    return at;
}

/* Exchanges the two characters around the cursor, at the end of the line the last two. */
static void transpose(struct prompt *prompt)
{
    size_t middle = prompt->cursor == prompt->line.len ? left_of(prompt, prompt->cursor)
                                                       : prompt->cursor;
    size_t from = left_of(prompt, middle);
    size_t to = right_of(prompt, middle);
    if (from == middle || middle == to) {
        ring();
        return;
    }
    struct buf first;
    buf_init(&first);
    buf_append(&first, prompt->line.data + from, middle - from);
    if (!first.failed) {
        memmove(prompt->line.data + from, prompt->line.data + middle, to - middle);
        memcpy(prompt->line.data + from + (to - middle), first.data, first.len);
        prompt->cursor = to;
    }
    buf_fini(&first);
}

/* ---- the history ---- */

static void history_go(struct prompt *prompt, size_t at)
{
    if (prompt->line_at == prompt->line_count) {
        prompt->typed.len = 0;
        buf_append_bytes(&prompt->typed, buf_bytes(&prompt->line));
    }
    prompt->line_at = at;
    replace_line(prompt, buf_bytes(at == prompt->line_count ? &prompt->typed
                                                            : &prompt->lines[at]));
}

static void history_older(struct prompt *prompt)
{
    if (prompt->line_at == 0) {
        ring();
    } else {
        history_go(prompt, prompt->line_at - 1);
    }
}

static void history_newer(struct prompt *prompt)
{
    if (prompt->line_at == prompt->line_count) {
        ring();
    } else {
        history_go(prompt, prompt->line_at + 1);
    }
}

/* False when it is the last line again, or there is no memory for it. */
static bool history_append(struct prompt *prompt, struct bytes line)
{
    size_t count = prompt->line_count;
    if (line.len == 0 ||
        (count > 0 && bytes_equal(buf_bytes(&prompt->lines[count - 1]), line))) {
        return false;
    }
    if (count == HISTORY_LINES_MAX) {
        buf_fini(&prompt->lines[0]);
        memmove(&prompt->lines[0], &prompt->lines[1], (count - 1) * sizeof(struct buf));
        count--;
    }
    struct buf *last = &prompt->lines[count];
    buf_init(last);
    buf_append_bytes(last, line);
    if (last->failed) {
        buf_fini(last);
        prompt->line_count = count;
        return false;
    }
    prompt->line_count = count + 1;
    return true;
}

/* Opens the history's file, which is a file of its owner's and of nobody else's; -1 if
 * not. */
static int history_file(const char *path, int flags)
{
    int fd = os_open(path, flags | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0) {
        return -1;
    }
    struct stat stat;
    bool usable = fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) &&
                  stat.st_uid == geteuid() &&
                  ((stat.st_mode & 077) == 0 || fchmod(fd, 0600) == 0);
    if (!usable) {
        os_close(fd);
        return -1;
    }
    return fd;
}

static bool write_file(int fd, struct bytes data)
{
    size_t at = 0;
    while (at < data.len) {
        ssize_t wrote = os_write(fd, data.data + at, data.len - at);
        if (wrote <= 0) {
            return false;
        }
        at += (size_t)wrote;
    }
    return true;
}

/* Writes the newest lines to a file of its own and puts that in place of the old one. */
static void history_rewrite(struct prompt *prompt)
{
    struct buf text, path;
    buf_init(&text);
    buf_init(&path);
    for (size_t i = 0; i < prompt->line_count; i++) {
        buf_append_bytes(&text, buf_bytes(&prompt->lines[i]));
        buf_append_char(&text, '\n');
    }
    buf_appendf(&path, "%s.%ld", buf_c_string(&prompt->path), (long)getpid());
    int fd =
        text.failed ? -1 : history_file(buf_c_string(&path), O_WRONLY | O_CREAT | O_EXCL);
    if (fd >= 0) {
        bool written = write_file(fd, buf_bytes(&text));
        os_close(fd);
        if (!written || rename(buf_c_string(&path), buf_c_string(&prompt->path)) != 0) {
            unlink(buf_c_string(&path));
        }
    }
    buf_fini(&text);
    buf_fini(&path);
}

/* Lines of the file, of which there may be more than are kept. */
static size_t history_read(struct prompt *prompt, struct bytes text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.len;) {
        const char *newline = memchr(text.data + at, '\n', text.len - at);
        size_t end = newline != NULL ? (size_t)(newline - text.data) : text.len;
        if (end - at <= HISTORY_LINE_BYTES_MAX) {
            (void)history_append(prompt, bytes_of(text.data + at, end - at));
        }
        at = end + 1;
        count++;
    }
    return count;
}

void prompt_open_history(struct prompt *prompt, const char *path)
{
    buf_append_string(&prompt->path, path);
    int fd = history_file(path, O_RDONLY);
    if (fd < 0) {
        return; /* there is none yet, or none may be used: appending asks again */
    }
    /* Twice of what is kept: sessions side by side may have added more than that. */
    size_t max = (size_t)2 * HISTORY_LINES_MAX * HISTORY_LINE_BYTES_MAX;
    struct buf text;
    buf_init(&text);
    ssize_t got = 1;
    while (got > 0 && text.len < max && buf_reserve(&text, INPUT_BYTES_MAX)) {
        got = os_read(fd, text.data + text.len, INPUT_BYTES_MAX);
        text.len += got > 0 ? (size_t)got : 0;
    }
    os_close(fd);
    size_t count = history_read(prompt, buf_bytes(&text));
    if (count > HISTORY_LINES_MAX || text.len >= max) {
        history_rewrite(prompt);
    }
    buf_fini(&text);
}

void prompt_remember(struct prompt *prompt, struct bytes line)
{
    bool fits_file = line.len <= HISTORY_LINE_BYTES_MAX &&
                     (line.len == 0 || memchr(line.data, '\n', line.len) == NULL);
    if (!history_append(prompt, line) || !fits_file || prompt->path.len == 0) {
        return;
    }
    int fd = history_file(buf_c_string(&prompt->path), O_WRONLY | O_APPEND | O_CREAT);
    if (fd < 0) {
        return;
    }
    struct buf text;
    buf_init(&text);
    buf_append_bytes(&text, line);
    buf_append_char(&text, '\n');
    (void)write_file(fd, buf_bytes(&text)); /* a full disk costs the memory of a line */
    os_close(fd);
    buf_fini(&text);
}

/* ---- searching the history ---- */

/* The newest line at or before `from` that has the query in it; the one found stays when
 * there is none. */
static void search_from(struct prompt *prompt, size_t from)
{
    if (prompt->query.len == 0) {
        return;
    }
    for (size_t i = from < prompt->line_count ? from + 1 : prompt->line_count; i > 0;
         i--) {
        struct bytes line = buf_bytes(&prompt->lines[i - 1]);
        const char *found =
            memmem(line.data, line.len, prompt->query.data, prompt->query.len);
        if (found != NULL) {
            prompt->found_at = i - 1;
            replace_line(prompt, line);
            prompt->cursor = (size_t)(found - line.data);
            return;
        }
    }
    ring();
}

static void search_title(struct prompt *prompt)
{
    buf_reset(&prompt->found_title, INPUT_BYTES_MAX);
    buf_appendf(&prompt->found_title, "(search) %s: ", buf_c_string(&prompt->query));
    prompt->title = buf_c_string(&prompt->found_title);
}

static void search_begin(struct prompt *prompt)
{
    prompt->searching = true;
    prompt->query.len = 0;
    prompt->found_at = prompt->line_count;
    prompt->typed.len = 0;
    buf_append_bytes(&prompt->typed, buf_bytes(&prompt->line));
    search_title(prompt);
}

static void search_end(struct prompt *prompt, const char *title, bool keep)
{
    prompt->searching = false;
    prompt->title = title;
    if (keep) {
        prompt->line_at = prompt->line_count;
    } else {
        replace_line(prompt, buf_bytes(&prompt->typed));
    }
}

/* True when the key was part of the search; others end it and mean what they mean. */
static bool search_key(struct prompt *prompt, int key, const char *title)
{
    if (key == KEY_CTRL('G') || key == KEY_CTRL('C')) {
        search_end(prompt, title, false);
        return true;
    }
    if (key == KEY_CTRL('R')) {
        if (prompt->found_at == 0) {
            ring();
        } else {
            search_from(prompt, prompt->found_at - 1);
        }
    } else if (key == KEY_BACKSPACE || key == KEY_CTRL('H')) {
        struct bytes query = buf_bytes(&prompt->query);
        size_t len = query.len;
        while (len > 0 && (query.data[len - 1] & 0xc0) == 0x80) {
            len--;
        }
        prompt->query.len = len > 0 ? len - 1 : 0;
        search_from(prompt, prompt->line_count);
    } else if (key >= 0x20 && key < 0x100 && prompt->query.len < QUERY_BYTES_MAX) {
        buf_append_char(&prompt->query, (char)key);
        search_from(prompt, prompt->found_at);
    } else {
        search_end(prompt, title, true);
        return key == KEY_ESCAPE;
    }
    search_title(prompt);
    return true;
}

/* ---- completion ---- */

/* The word at `at` in words separated by spaces. */
static struct bytes word_at(struct bytes words, size_t at)
{
    size_t end = at;
    while (end < words.len && words.data[end] != ' ') {
        end++;
    }
    return bytes_of(words.data + at, end - at);
}

/* How many bytes all words begin with, and how many words there are. */
static size_t common_prefix(struct bytes words, size_t *count, size_t *longest)
{
    struct bytes first = word_at(words, 0);
    size_t common = first.len;
    *count = *longest = 0;
    for (size_t at = 0; at < words.len;) {
        struct bytes word = word_at(words, at);
        size_t same = 0;
        while (same < common && same < word.len && word.data[same] == first.data[same]) {
            same++;
        }
        common = same;
        *longest = word.len > *longest ? word.len : *longest;
        at += word.len + 1;
        ++*count;
    }
    return common;
}

static void list_words(struct prompt *prompt, struct bytes words, size_t longest)
{
    draw_finish(prompt, "");
    size_t width = longest + 2;
    size_t per_row = prompt->columns / width > 0 ? prompt->columns / width : 1;
    struct buf text;
    buf_init(&text);
    size_t column = 0;
    for (size_t at = 0; at < words.len;) {
        struct bytes word = word_at(words, at);
        buf_appendf(&text, "%-*.*s", (int)width, (int)word.len, word.data);
        at += word.len + 1;
        if (++column == per_row || at >= words.len) {
            buf_append_string(&text, "\r\n");
            column = 0;
        }
    }
    write_all(text.data, text.len);
    buf_fini(&text);
}

/* Adds what is certain; a second Tab lists what is possible. */
static void complete(struct prompt *prompt)
{
    if (prompt->hooks.complete == NULL) {
        return;
    }
    struct buf words;
    buf_init(&words);
    size_t from = 0;
    prompt->hooks.complete(bytes_of(prompt->line.data, prompt->cursor), &words, &from);
    size_t count, longest;
    size_t common = common_prefix(buf_bytes(&words), &count, &longest);
    if (count == 0) {
        ring();
    } else if (count == 1 || common > prompt->cursor - from) {
        erase(prompt, from, prompt->cursor);
        insert(prompt, words.data, common);
        if (count == 1 && prompt->cursor == prompt->line.len) {
            insert(prompt, " ", 1);
        }
    } else if (prompt->listed) {
        list_words(prompt, buf_bytes(&words), longest);
    } else {
        ring();
    }
    prompt->listed = count > 1;
    buf_fini(&words);
}

/* ---- editing ---- */

static bool move_key(struct prompt *prompt, int key)
{
    switch (key) {
    case KEY_CTRL('A'):
    case KEY_HOME:
        prompt->cursor = 0;
        return true;
    case KEY_CTRL('E'):
    case KEY_END:
        prompt->cursor = prompt->line.len;
        return true;
    case KEY_CTRL('B'):
    case KEY_LEFT:
        prompt->cursor = left_of(prompt, prompt->cursor);
        return true;
    case KEY_CTRL('F'):
    case KEY_RIGHT:
        prompt->cursor = right_of(prompt, prompt->cursor);
        return true;
    case KEY_WORD_LEFT:
        prompt->cursor = word_left(prompt, is_word_byte);
        return true;
    case KEY_WORD_RIGHT:
        prompt->cursor = word_right(prompt);
        return true;
    case KEY_CTRL('P'):
    case KEY_UP:
        history_older(prompt);
        return true;
    case KEY_CTRL('N'):
    case KEY_DOWN:
        history_newer(prompt);
        return true;
    default:
        return false;
    }
}

static bool change_key(struct prompt *prompt, int key)
{
    switch (key) {
    case KEY_BACKSPACE:
    case KEY_CTRL('H'):
        erase(prompt, left_of(prompt, prompt->cursor), prompt->cursor);
        return true;
    case KEY_DELETE:
    case KEY_CTRL('D'):
        erase(prompt, prompt->cursor, right_of(prompt, prompt->cursor));
        return true;
    case KEY_CTRL('K'):
        kill_range(prompt, prompt->cursor, prompt->line.len);
        return true;
    case KEY_CTRL('U'):
        kill_range(prompt, 0, prompt->cursor);
        return true;
    case KEY_CTRL('W'):
        kill_range(prompt, word_left(prompt, is_not_space), prompt->cursor);
        return true;
    case KEY_KILL_WORD_LEFT:
        kill_range(prompt, word_left(prompt, is_word_byte), prompt->cursor);
        return true;
    case KEY_KILL_WORD_RIGHT:
        kill_range(prompt, prompt->cursor, word_right(prompt));
        return true;
    case KEY_CTRL('Y'):
        insert(prompt, prompt->killed.data, prompt->killed.len);
        return true;
    case KEY_CTRL('T'):
        transpose(prompt);
        return true;
    default:
        return false;
    }
}

/* Ctrl-Z: the shell gets the terminal in its usual state; afterwards it is ours again. */
static void suspend(struct prompt *prompt)
{
    draw_finish(prompt, "");
    terminal_restore(prompt);
    raise(SIGTSTP);
    (void)keys_begin(prompt);
}

static void edit_key(struct prompt *prompt, int key, const char *title)
{
    if (prompt->searching && search_key(prompt, key, title)) {
        return;
    }
    if (key == '\t') {
        complete(prompt);
        return;
    }
    prompt->listed = false;
    if (move_key(prompt, key) || change_key(prompt, key)) {
        return;
    }
    if (key == KEY_CTRL('R')) {
        search_begin(prompt);
    } else if (key == KEY_CTRL('L')) {
        write_string("\x1b[H\x1b[2J");
        draw_forget(prompt);
    } else if (key == KEY_CTRL('Z')) {
        suspend(prompt);
    } else if (key >= 0x20 && key < 0x100) {
        char byte = (char)key;
        insert(prompt, &byte, 1);
    }
}

static enum prompt_result edit(struct prompt *prompt, const char *title)
{
    prompt->line.len = prompt->cursor = 0;
    prompt->line_at = prompt->line_count;
    prompt->title = title;
    prompt->searching = prompt->listed = false;
    measure(prompt);
    draw_forget(prompt);
    for (;;) {
        int key = next_key(prompt);
        if (key == KEY_ENTER || key == '\n') {
            prompt->searching = false;
            prompt->title = title;
            draw_finish(prompt, "");
            return PROMPT_LINE;
        }
        if (key == KEY_CTRL('C') && !prompt->searching) {
            draw_finish(prompt, "^C");
            return PROMPT_CANCELLED;
        }
        if (key == KEY_NONE || (key == KEY_CTRL('D') && prompt->line.len == 0)) {
            draw_finish(prompt, "");
            return PROMPT_END;
        }
        edit_key(prompt, key, title);
    }
}

/* ---- reading without editing ---- */

static enum prompt_result read_plain(struct prompt *prompt, struct buf *line)
{
    for (;;) {
        if (!has_input(prompt) && !fill(prompt)) {
            return line->len > 0 ? PROMPT_LINE : PROMPT_END;
        }
        const char *start = prompt->input + prompt->input_at;
        size_t left = prompt->input_len - prompt->input_at;
        const char *newline = memchr(start, '\n', left);
        size_t len = newline != NULL ? (size_t)(newline - start) : left;
        buf_append(line, start, len);
        prompt->input_at += newline != NULL ? len + 1 : len;
        if (line->failed || line->len > (uint64_t)PROMPT_READ_BYTES_MAX) {
            return PROMPT_FAILED;
        }
        if (newline != NULL) {
            line->len -= line->len > 0 && line->data[line->len - 1] == '\r';
            return PROMPT_LINE;
        }
    }
}

enum prompt_result prompt_read(struct prompt *prompt, const char *title, struct buf *line)
{
    line->len = 0;
    if (title == NULL || !prompt->edits || !keys_begin(prompt)) {
        if (title != NULL) {
            write_string(title);
        }
        return read_plain(prompt, line);
    }
    enum prompt_result result = edit(prompt, title);
    keys_end(prompt);
    if (prompt->line.failed) {
        buf_reset(&prompt->line, 0);
        result = PROMPT_FAILED;
    }
    buf_append_bytes(line, buf_bytes(&prompt->line));
    if (prompt->line.len > 0) {
        explicit_bzero(prompt->line.data,
                       prompt->line.len); /* it may have been a password */
    }
    return line->failed ? PROMPT_FAILED : result;
}

static enum prompt_result read_unseen(struct prompt *prompt, struct buf *secret)
{
    for (;;) {
        int key = next_byte(prompt);
        if (key == KEY_ENTER || key == '\n') {
            return PROMPT_LINE;
        }
        if (key == KEY_CTRL('C')) {
            return PROMPT_CANCELLED;
        }
        if (key == KEY_NONE || key == KEY_CTRL('D')) {
            return PROMPT_END;
        }
        if (key == KEY_BACKSPACE || key == KEY_CTRL('H')) {
            secret->len -= secret->len > 0;
        } else if (key == KEY_CTRL('U')) {
            secret->len = 0;
        } else if (secret->len < secret->cap) {
            buf_append_char(secret, (char)key);
        } else {
            ring();
        }
    }
}

enum prompt_result prompt_read_secret(struct prompt *prompt, const char *title,
                                      struct buf *secret)
{
    secret->len = 0;
    /* All the room there will be: growing would leave copies behind. */
    if (!buf_reserve(secret, INPUT_BYTES_MAX) || !keys_begin(prompt)) {
        return PROMPT_FAILED;
    }
    write_string(title);
    enum prompt_result result = read_unseen(prompt, secret);
    terminal_restore(
        prompt); /* there may be no line after this, and Ctrl-C may end it all */
    write_string("\n");
    if (!has_input(prompt)) {
        explicit_bzero(prompt->input, sizeof(prompt->input));
    }
    return result;
}

/* ---- life ---- */

struct prompt *prompt_create(struct prompt_hooks hooks)
{
    struct prompt *prompt = heap_alloc_zeroed(1, sizeof(*prompt));
    if (prompt != NULL) {
        prompt->hooks = hooks;
        prompt->title = "";
        prompt->edits = is_terminal_able();
        measure(prompt);
        draw_forget(prompt);
    }
    return prompt;
}

void prompt_destroy(struct prompt *prompt)
{
    if (prompt == NULL) {
        return;
    }
    terminal_restore(prompt);
    for (size_t i = 0; i < prompt->line_count; i++) {
        buf_fini(&prompt->lines[i]);
    }
    struct buf *bufs[] = {&prompt->line,       &prompt->killed, &prompt->typed,
                          &prompt->path,       &prompt->query,  &prompt->screen,
                          &prompt->found_title};
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++) {
        buf_fini(bufs[i]);
    }
    heap_free(prompt);
}
