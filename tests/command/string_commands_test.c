/* Replies of the string commands, as Redis 7.0.15 gives them, and what they leave behind. */
#define FIXTURE_STRINGS_ONLY
#include "base/os.h"
#include "command/fixture.h"

#include <errno.h>

#define OK         "+OK\r\n"
#define NIL        "$-1\r\n"
#define SYNTAX     "-ERR syntax error\r\n"
#define NO_INTEGER "-ERR value is not an integer or out of range\r\n"
#define TOO_LARGE  "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"

static struct item find(struct fixture *f, const char *name)
{
    struct bytes bytes = bytes_of_string(name);
    struct key key = engine_key(&f->engine, bytes, engine_hash(&f->engine, bytes), 0);
    struct shard *shard = engine_lock(&f->writer, &key);
    struct item item;
    if (engine_find(&f->writer, shard, &key, &item) != MEMENTO_OK) {
        item = (struct item){.version = 0};
    }
    engine_unlock(&f->writer, shard);
    return item; /* only its numbers are of use after this */
}

static int64_t deadline_of(struct fixture *f, const char *name)
{
    struct item item = find(f, name);
    assert_true(item.version > 0);
    return item.deadline_ms;
}

/* ---- SET and its kin ---- */

static void set_and_get(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "GET k", NIL);
    assert_replies(f, "SET k hello", OK);
    assert_replies(f, "get k", "$5\r\nhello\r\n");
    assert_replies(f, "SET k \"\\x00\\r\\n\"", OK);
    assert_replies(f, "GET k", "$3\r\n\x00\r\n\r\n");
    assert_replies(f, "SET k \"\"", OK);
    assert_replies(f, "GET k", "$0\r\n\r\n");
    assert_replies(f, "SET \"\" empty", OK);
    assert_replies(f, "GET \"\"", "$5\r\nempty\r\n");
}

static void set_forgets_the_old_deadline_unless_told_to_keep_it(void **state)
{
    struct fixture *f = *state;
    int64_t now = f->writer.now_ms;
    assert_replies(f, "SET k v EX 10", OK);
    assert_int_equal(deadline_of(f, "k"), now + 10000);
    assert_replies(f, "SET k w KEEPTTL", OK);
    assert_int_equal(deadline_of(f, "k"), now + 10000);
    assert_replies(f, "GET k", "$1\r\nw\r\n");
    assert_replies(f, "SET k v", OK);
    assert_int_equal(deadline_of(f, "k"), ENTRY_NO_DEADLINE);
    assert_replies(f, "SET new v KEEPTTL", OK);
    assert_int_equal(deadline_of(f, "new"), ENTRY_NO_DEADLINE);
}

static void set_takes_times_in_four_forms(void **state)
{
    struct fixture *f = *state;
    int64_t now = f->writer.now_ms;
    assert_replies(f, "SET k v PX 1500", OK);
    assert_int_equal(deadline_of(f, "k"), now + 1500);
    assert_replies(f, "SET k v exat 99999999999", OK);
    assert_int_equal(deadline_of(f, "k"), 99999999999000);
    assert_replies(f, "SET k v PXAT 99999999999999", OK);
    assert_int_equal(deadline_of(f, "k"), 99999999999999);
    assert_replies(f, "SETEX k 7 v", OK);
    assert_int_equal(deadline_of(f, "k"), now + 7000);
    assert_replies(f, "PSETEX k 7 v", OK);
    assert_int_equal(deadline_of(f, "k"), now + 7);
    /* The last of several counts. */
    assert_replies(f, "SET k v EX 10 EX 20", OK);
    assert_int_equal(deadline_of(f, "k"), now + 20000);
    /* A deadline so late is still one. */
    assert_replies(f, "SET k v PXAT 9223372036854775807", OK);
    assert_true(deadline_of(f, "k") != ENTRY_NO_DEADLINE);
}

static void a_deadline_that_has_passed_deletes_at_once(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SET k v", OK);
    assert_replies(f, "SET k w EXAT 1", OK);
    assert_int_equal(engine_count(&f->engine, 0), 0);
    assert_replies(f, "SET k v", OK);
    assert_replies(f, "GETEX k PXAT 1", "$1\r\nv\r\n");
    assert_int_equal(engine_count(&f->engine, 0), 0);
}

static void a_key_is_gone_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SET k v PX 100", OK);
    f->writer.now_ms += 99;
    assert_replies(f, "GET k", "$1\r\nv\r\n");
    f->writer.now_ms += 1;
    assert_replies(f, "GET k", NIL);
    assert_replies(f, "SET k v XX", NIL);
    assert_replies(f, "SETNX k v", ":1\r\n");
}

static void set_under_conditions(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SET k a XX", NIL);
    assert_replies(f, "GET k", NIL);
    assert_replies(f, "SET k a NX", OK);
    assert_replies(f, "SET k b NX", NIL);
    assert_replies(f, "GET k", "$1\r\na\r\n");
    assert_replies(f, "SET k b XX", OK);
    assert_replies(f, "SETNX k c", ":0\r\n");
    assert_replies(f, "GET k", "$1\r\nb\r\n");
    /* With GET the reply is the value before, whether it was stored or not. */
    assert_replies(f, "SET k c GET", "$1\r\nb\r\n");
    assert_replies(f, "SET k d NX GET", "$1\r\nc\r\n");
    assert_replies(f, "GET k", "$1\r\nc\r\n");
    assert_replies(f, "SET none d XX GET", NIL);
    assert_replies(f, "SET new d NX GET", NIL);
    assert_replies(f, "GET new", "$1\r\nd\r\n");
    assert_replies(f, "GETSET k e", "$1\r\nc\r\n");
    assert_replies(f, "GETSET newer e", NIL);
    assert_replies(f, "GET newer", "$1\r\ne\r\n");
}

static void options_that_contradict_are_a_syntax_error(void **state)
{
    struct fixture *f = *state;
    static const char *const lines[] = {
        "SET k v NX XX",
        "SET k v XX NX",
        "SET k v EX 10 PX 10",
        "SET k v PX 10 EXAT 10",
        "SET k v EX 10 KEEPTTL",
        "SET k v KEEPTTL PXAT 10",
        "SET k v EX",
        "SET k v foo",
        "SET k v PERSIST",
        "SET k v NX 10",
        "GETEX k KEEPTTL",
        "GETEX k NX",
        "GETEX k PERSIST EX 10",
        "GETEX k EX 10 PERSIST",
        "GETEX k PX 1 PXAT 1",
        "GETEX k GET",
        "GETEX k EXAT",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_replies(f, lines[i], SYNTAX);
    }
    assert_replies(f, "GET k", NIL);
}

static void times_that_mean_nothing_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const times[] = {
        "EX 0",
        "EX -1",
        "PX 0",
        "PXAT -5",
        "EXAT 0",
        "EX 9223372036854775807",
        "EX 9223372036854775",
        "PX 9223372036854775807",
    };
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        char line[100];
        snprintf(line, sizeof(line), "SET k v %s", times[i]);
        assert_replies(f, line, "-ERR invalid expire time in 'set' command\r\n");
    }
    assert_replies(f, "SET k v EX ten", NO_INTEGER);
    assert_replies(f, "SETEX k 0 v", "-ERR invalid expire time in 'setex' command\r\n");
    assert_replies(f, "PSETEX k -1 v",
                   "-ERR invalid expire time in 'psetex' command\r\n");
    assert_replies(f, "GET k", NIL);
    assert_replies(f, "GETEX k EX 0", NIL); /* absent: nothing to be wrong about */
    assert_replies(f, "SET k v", OK);
    assert_replies(f, "GETEX k EX 0", "-ERR invalid expire time in 'getex' command\r\n");
}

static void a_person_who_forgot_the_quotes_is_told_how_to_write_it(void **state)
{
    struct fixture *f = *state;
    fixture_dialect(f, DIALECT_TEXT);
    assert_replies(f, "SET greeting hello world",
                   "(error) ERR syntax error: quote a value that contains spaces: "
                   "SET greeting \"hello world\"\r\n");
    assert_replies(f, "GET greeting", "(null)\r\n");
    assert_replies(f, "SET greeting hello EX 10", "OK\r\n");
}

static void set_makes_a_key_new_and_append_does_not(void **state)
{
    struct fixture *f = *state;
    int64_t then = f->writer.now_ms;
    assert_replies(f, "SET k v", OK);
    assert_replies(f, "SET n 1", OK);
    f->writer.now_ms += 5000;
    assert_replies(f, "APPEND k w", ":2\r\n");
    assert_replies(f, "INCR n", ":2\r\n");
    assert_int_equal(find(f, "k").created_ms, then);
    assert_int_equal(find(f, "n").created_ms, then);
    assert_replies(f, "SET k v", OK);
    assert_int_equal(find(f, "k").created_ms, then + 5000);
}

/* ---- reading ---- */

static void getdel_and_getex(void **state)
{
    struct fixture *f = *state;
    int64_t now = f->writer.now_ms;
    assert_replies(f, "GETDEL k", NIL);
    assert_replies(f, "SET k v", OK);
    assert_replies(f, "GETEX k", "$1\r\nv\r\n");
    assert_int_equal(deadline_of(f, "k"), ENTRY_NO_DEADLINE);
    assert_replies(f, "GETEX k EX 10", "$1\r\nv\r\n");
    assert_int_equal(deadline_of(f, "k"), now + 10000);
    assert_replies(f, "GETEX k", "$1\r\nv\r\n");
    assert_int_equal(deadline_of(f, "k"), now + 10000);
    assert_replies(f, "GETEX k PERSIST", "$1\r\nv\r\n");
    assert_int_equal(deadline_of(f, "k"), ENTRY_NO_DEADLINE);
    assert_replies(f, "GETDEL k", "$1\r\nv\r\n");
    assert_replies(f, "GET k", NIL);
}

static void parts_of_a_value(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SET k \"This is a string\"", OK);
    assert_replies(f, "GETRANGE k 0 3", "$4\r\nThis\r\n");
    assert_replies(f, "GETRANGE k -3 -1", "$3\r\ning\r\n");
    assert_replies(f, "SUBSTR k 10 100", "$6\r\nstring\r\n");
    assert_replies(f, "GETRANGE k 5 3", "$0\r\n\r\n");
    assert_replies(f, "GETRANGE k -1 -2", "$0\r\n\r\n");
    assert_replies(f, "GETRANGE k 16 20", "$0\r\n\r\n");
    assert_replies(f, "GETRANGE k 0 -100", "$1\r\nT\r\n"); /* as Redis has it */
    assert_replies(f, "GETRANGE k -100 -101", "$0\r\n\r\n");
    assert_replies(f, "GETRANGE k -9223372036854775808 9223372036854775807",
                   "$16\r\nThis is a string\r\n");
    assert_replies(f, "GETRANGE none 0 -1", "$0\r\n\r\n");
    assert_replies(f, "GETRANGE none a b", NO_INTEGER);
    assert_replies(f, "STRLEN k", ":16\r\n");
    assert_replies(f, "STRLEN none", ":0\r\n");
}

/* ---- changing in place ---- */

static void append_and_prepend(void **state)
{
    struct fixture *f = *state;
    fixture_add(f, "prepend", command_prepend);
    assert_replies(f, "APPEND k ab", ":2\r\n");
    assert_replies(f, "APPEND k \"\"", ":2\r\n");
    assert_replies(f, "APPEND k cd", ":4\r\n");
    assert_replies(f, "PREPEND k 12345", ":9\r\n");
    assert_replies(f, "GET k", "$9\r\n12345abcd\r\n");
    assert_replies(f, "PREPEND p x", ":1\r\n");
    assert_replies(f, "APPEND empty \"\"", ":0\r\n");
    assert_replies(f, "GET empty", "$0\r\n\r\n");
    assert_replies(f, "SET t v EX 10", OK);
    assert_replies(f, "APPEND t w", ":2\r\n");
    assert_int_equal(deadline_of(f, "t"), f->writer.now_ms + 10000);
}

static void setrange_pads_with_zeros(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SETRANGE k 3 ab", ":5\r\n");
    assert_replies(f, "GET k",
                   "$5\r\n\x00\x00\x00"
                   "ab\r\n");
    assert_replies(f, "SETRANGE k 0 xyz", ":5\r\n");
    assert_replies(f, "SETRANGE k 4 BCD", ":7\r\n");
    assert_replies(f, "GET k", "$7\r\nxyzaBCD\r\n");
    assert_replies(f, "SETRANGE none 5 \"\"", ":0\r\n");
    assert_replies(f, "GET none", NIL);
    assert_replies(f, "SETRANGE k 100 \"\"", ":7\r\n");
    assert_replies(f, "SETRANGE k -1 a", "-ERR offset is out of range\r\n");
    assert_replies(f, "SETRANGE k x a", NO_INTEGER);
    assert_replies(f, "SETRANGE k 536870911 ab", TOO_LARGE);
    assert_replies(f, "SETRANGE k 9223372036854775807 ab", TOO_LARGE);
    assert_replies(f, "SETRANGE none 536870912 a", TOO_LARGE);
    assert_replies(f, "GET none", NIL);
    assert_replies(f, "GET k", "$7\r\nxyzaBCD\r\n");
}

/* ---- values in a block of their own ---- */

static struct bytes pattern(char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)('a' + i % 23);
    }
    return bytes_of(bytes, len);
}

static void assert_value(struct fixture *f, const char *line, struct bytes value)
{
    char header[40];
    size_t header_len = (size_t)snprintf(header, sizeof(header), "$%zu\r\n", value.len);
    run(f, line);
    struct bytes reply = buf_bytes(&f->text);
    assert_int_equal(reply.len, header_len + value.len + 2);
    assert_bytes_equal(bytes_of(reply.data, header_len), bytes_of(header, header_len));
    assert_bytes_equal(bytes_of(reply.data + header_len, value.len), value);
}

static void large_values_come_back_whole(void **state)
{
    struct fixture *f = *state;
    static char bytes[100000];
    static const size_t lens[] = {8191, 8192, 8193, 16383, 16384, 16385, sizeof(bytes)};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct bytes value = pattern(bytes, lens[i]);
        struct bytes words[] = {B("SET"), B("k"), value};
        assert_string_equal(run_words(f, words, 3), OK);
        assert_value(f, "GET k", value);
        assert_value(f, "GETRANGE k 1 -2", bytes_of(value.data + 1, value.len - 2));
        assert_value(f, "GETSET k small", value);
        assert_value(f, "SET k small GET", B("small"));
        assert_string_equal(run_words(f, words, 3), OK);
        assert_value(f, "GETEX k EX 100", value);
        assert_value(f, "GETDEL k", value);
        assert_replies(f, "GET k", NIL);
        struct bytes pairs[] = {B("MSET"), B("a"), value, B("b"), value};
        assert_string_equal(run_words(f, pairs, 5), OK);
        assert_value(f, "GET b", value);
        struct bytes append[] = {B("APPEND"), B("new"), value};
        assert_true(run_words(f, append, 3)[0] == ':');
        assert_value(f, "GETDEL new", value);
    }
}

static void values_grow_past_what_a_chunk_holds(void **state)
{
    struct fixture *f = *state;
    fixture_add(f, "prepend", command_prepend);
    static char bytes[30000];
    struct bytes value = pattern(bytes, sizeof(bytes));
    for (size_t at = 0; at < sizeof(bytes); at += 1000) {
        struct bytes words[] = {B("APPEND"), B("k"), bytes_of(bytes + at, 1000)};
        run_words(f, words, 3);
        assert_value(f, "GET k", bytes_of(bytes, at + 1000));
    }
    for (size_t at = sizeof(bytes); at > 0; at -= 1000) {
        struct bytes words[] = {B("PREPEND"), B("p"), bytes_of(bytes + at - 1000, 1000)};
        run_words(f, words, 3);
    }
    assert_value(f, "GET p", value);
    assert_replies(f, "SETRANGE r 20000 x", ":20001\r\n");
    memset(bytes, 0, 20000);
    bytes[20000] = 'x';
    assert_value(f, "GET r", bytes_of(bytes, 20001));
}

/* A value that a reply still points to is not changed under it. */
static void a_value_kept_by_a_reply_survives_a_change(void **state)
{
    struct fixture *f = *state;
    static char bytes[50000];
    struct bytes value = pattern(bytes, sizeof(bytes));
    struct bytes set[] = {B("SET"), B("k"), value};
    run_words(f, set, 3);
    assert_value(f, "SET k other GET", value);
    run_words(f, set, 3);
    buf_reset(&f->out, SIZE_MAX);
    struct bytes get[] = {B("GET"), B("k")};
    struct call call = {.row = command_find(B("get")),
                        .args = get,
                        .count = 2,
                        .session = &f->session,
                        .writer = &f->writer,
                        .reply = &f->reply};
    command_get(&call);
    assert_int_equal(f->reply.pin_count, 1);
    struct buf held = {0};
    buf_append_bytes(&held, f->reply.pins[0].bytes);
    struct bytes append[] = {B("SETRANGE"), B("k"), B("0"), B("CHANGED")};
    struct call change = call;
    struct buf out2;
    struct reply reply2;
    buf_init(&out2);
    reply_init(&reply2, &out2, fixture_release);
    reply2.dialect = DIALECT_RESP2;
    change.row = command_find(B("setrange"));
    change.args = append;
    change.count = 4;
    change.reply = &reply2;
    command_setrange(&change);
    assert_bytes_equal(f->reply.pins[0].bytes, buf_bytes(&held));
    reply_fini(&reply2);
    buf_fini(&out2);
    buf_fini(&held);
    fixture_collect(f);
    assert_value(f, "GETRANGE k 0 6", B("CHANGED"));
}

/* ---- several keys ---- */

static void several_keys_at_once(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "MSET a 1 b 2 a 3", OK);
    assert_replies(f, "MGET a none b a",
                   "*4\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n$1\r\n3\r\n");
    assert_replies(f, "MSET a", "-ERR wrong number of arguments for 'mset' command\r\n");
    assert_replies(f, "MSET a 1 b",
                   "-ERR wrong number of arguments for 'mset' command\r\n");
    assert_replies(f, "MSETNX c 1 a 2", ":0\r\n");
    assert_replies(f, "GET c", NIL);
    assert_replies(f, "MSETNX c 1 d 2", ":1\r\n");
    assert_replies(f, "MSETNX e 1 e 2", ":1\r\n");
    assert_replies(f, "GET e", "$1\r\n2\r\n");
    assert_replies(f, "MSETNX e 1 f",
                   "-ERR wrong number of arguments for 'msetnx' command\r\n");
    assert_replies(f, "SET a 1 EX 10", OK);
    assert_replies(f, "MSET a 2", OK);
    assert_int_equal(deadline_of(f, "a"), ENTRY_NO_DEADLINE);
}

#define MANY 1000

static void many_keys_at_once(void **state)
{
    struct fixture *f = *state;
    static char names[MANY][8];
    static struct bytes pairs[1 + 2 * MANY], keys[1 + MANY];
    pairs[0] = B("MSET");
    keys[0] = B("MGET");
    struct buf expected = {0};
    buf_appendf(&expected, "*%d\r\n", MANY);
    for (size_t i = 0; i < MANY; i++) {
        int len = snprintf(names[i], sizeof(names[i]), "k%zu", i);
        struct bytes name = bytes_of(names[i], (size_t)len);
        pairs[1 + 2 * i] = pairs[2 + 2 * i] = keys[1 + i] = name;
        buf_appendf(&expected, "$%d\r\n%s\r\n", len, names[i]);
    }
    assert_string_equal(run_words(f, pairs, ARRAY_LEN(pairs)), OK);
    run_words(f, keys, ARRAY_LEN(keys));
    assert_bytes_equal(buf_bytes(&f->text), buf_bytes(&expected));
    pairs[0] = B("MSETNX");
    assert_string_equal(run_words(f, pairs, ARRAY_LEN(pairs)), ":0\r\n");
    buf_fini(&expected);
}

static void lookups_are_counted_where_redis_counts_them(void **state)
{
    struct fixture *f = *state;
    run(f, "SET k v");
    run(f, "INCR n");
    assert_int_equal(f->writer.hits + f->writer.misses, 0);
    run(f, "GET k");
    run(f, "STRLEN k");
    run(f, "MGET k none");
    run(f, "GETSET k w");
    assert_int_equal(f->writer.hits, 4);
    assert_int_equal(f->writer.misses, 1);
}

/* ---- no memory ---- */

/* The `nth` request for memory and all after it are refused while the words run: true when
 * the reply was that. */
static bool is_refused(struct fixture *f, const struct bytes *words, size_t count,
                       uint64_t nth)
{
    os_fail_at(OS_MEMORY, nth, ENOMEM, true);
    const char *reply = run_words(f, words, count);
    os_fail_never();
    if (strncmp(reply, "-OOM ", 5) == 0 || strstr(reply, "Insufficient memory") != NULL) {
        assert_int_equal(buf_bytes(&f->text).len, strcspn(reply, "\r") + 2); /* once */
        return true;
    }
    assert_true(reply[0] != '-');
    return false;
}

static void without_memory_nothing_changes(void **state)
{
    struct fixture *f = *state;
    static char bytes[300000];
    struct bytes large = pattern(bytes, sizeof(bytes));
    const struct bytes requests[][5] = {
        {B("SET"), B("k"), large},
        {B("SET"), B("k"), large, B("GET")},
        {B("GETSET"), B("k"), large},
        {B("MSETNX"), B("x"), large, B("y"), large},
        {B("APPEND"), B("k"), large},
        {B("APPEND"), B("none"), large},
        {B("PREPEND"), B("k"), large},
        {B("SETRANGE"), B("k"), B("9000000"), large},
        {B("SETRANGE"), B("none"), B("100000"), large},
        {B("SETBIT"), B("k"), B("80000000"), B("1")},
        {B("SETBIT"), B("none"), B("80000000"), B("1")},
        {B("BITOP"), B("NOT"), B("none"), B("k")},
        {B("LCS"), B("small"), B("small"), B("LEN")},
    };
    fixture_add(f, "prepend", command_prepend);
    assert_true(
        buf_reserve(&f->out, 4 * sizeof(bytes))); /* replies are not the subject */
    assert_true(buf_reserve(&f->text, 64 * sizeof(bytes)));
    size_t refused = 0;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        size_t count = 0;
        while (count < 5 && requests[i][count].len > 0) {
            count++;
        }
        run(f, "SET k value");
        run(f, "SET small value");
        for (uint64_t nth = 1; is_refused(f, requests[i], count, nth); nth++) {
            refused++;
            assert_replies(f, "MGET k none x y",
                           "*4\r\n$5\r\nvalue\r\n$-1\r\n$-1\r\n$-1\r\n");
            assert_true(nth < 100);
        }
        run(f, "GETDEL none");
        run(f, "GETDEL x");
        run(f, "GETDEL y");
    }
    assert_true(refused >= ARRAY_LEN(requests));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(set_and_get),
        FIXTURE_TEST(set_forgets_the_old_deadline_unless_told_to_keep_it),
        FIXTURE_TEST(set_takes_times_in_four_forms),
        FIXTURE_TEST(a_deadline_that_has_passed_deletes_at_once),
        FIXTURE_TEST(a_key_is_gone_at_its_deadline),
        FIXTURE_TEST(set_under_conditions),
        FIXTURE_TEST(options_that_contradict_are_a_syntax_error),
        FIXTURE_TEST(times_that_mean_nothing_are_refused),
        FIXTURE_TEST(a_person_who_forgot_the_quotes_is_told_how_to_write_it),
        FIXTURE_TEST(set_makes_a_key_new_and_append_does_not),
        FIXTURE_TEST(getdel_and_getex),
        FIXTURE_TEST(parts_of_a_value),
        FIXTURE_TEST(append_and_prepend),
        FIXTURE_TEST(setrange_pads_with_zeros),
        FIXTURE_TEST(large_values_come_back_whole),
        FIXTURE_TEST(values_grow_past_what_a_chunk_holds),
        FIXTURE_TEST(a_value_kept_by_a_reply_survives_a_change),
        FIXTURE_TEST(several_keys_at_once),
        FIXTURE_TEST(many_keys_at_once),
        FIXTURE_TEST(lookups_are_counted_where_redis_counts_them),
        FIXTURE_TEST(without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
