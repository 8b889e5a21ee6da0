#include "workload.h"

#include "base/buf.h"
#include "base/heap.h"

#include <stdio.h>

/* Any alphabet without blanks and quotes will do; these 64 are drawn from with 6 bits. */
static const char letters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789xy";

/* SplitMix64's mixer: neighbouring keys get values that have nothing in common. */
void workload_pattern(uint64_t key, char pattern[SCANNER_PATTERN_BYTES])
{
    uint64_t word = key + 0x9e3779b97f4a7c15;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    word ^= word >> 31;
    for (unsigned i = 0; i < SCANNER_PATTERN_BYTES; i++, word >>= 4) {
        pattern[i] = "0123456789abcdef"[word & 15];
    }
}

/* Appends the key with all digits zero, and notes where they end. */
static void append_key(struct template *template, struct buf *out,
                       const struct options *options)
{
    size_t prefix = strlen(options->key_prefix);
    buf_append(out, options->key_prefix, prefix);
    for (size_t i = prefix; i < options->key_bytes; i++) {
        buf_append_char(out, '0');
    }
    template->digits_end = out->len;
}

/* A value of random letters, so that nobody gains by compressing it. */
static void append_value(struct template *template, struct buf *out,
                         const struct options *options)
{
    struct random random;
    random_init(&random, options->seed);
    template->value_at = out->len;
    for (uint64_t i = 0; i < options->value_bytes; i++) {
        buf_append_char(out, letters[random_below(&random, 64)]);
    }
}

static void append_get(struct template *template, struct buf *out,
                       const struct options *options)
{
    if (options->dialect == DIALECT_RESP2 || options->dialect == DIALECT_RESP3) {
        buf_appendf(out, "*2\r\n$3\r\nGET\r\n$%llu\r\n",
                    (unsigned long long)options->key_bytes);
    } else {
        buf_append_string(out, options->dialect == DIALECT_TEXT ? "GET " : "get ");
    }
    append_key(template, out, options);
    buf_append_string(out, "\r\n");
}

static void append_set(struct template *template, struct buf *out,
                       const struct options *options)
{
    unsigned long long value_bytes = options->value_bytes;
    if (options->dialect == DIALECT_RESP2 || options->dialect == DIALECT_RESP3) {
        buf_appendf(out, "*3\r\n$3\r\nSET\r\n$%llu\r\n",
                    (unsigned long long)options->key_bytes);
        append_key(template, out, options);
        buf_appendf(out, "\r\n$%llu\r\n", value_bytes);
    } else if (options->dialect == DIALECT_TEXT) {
        buf_append_string(out, "SET ");
        append_key(template, out, options);
        buf_append_string(out, " ");
    } else {
        buf_append_string(out, "set ");
        append_key(template, out, options);
        buf_appendf(out, " 0 0 %llu\r\n", value_bytes);
    }
    append_value(template, out, options);
    buf_append_string(out, "\r\n");
}

/* A reply that begins with `head`, has `more` bytes behind it, and is settled by `head`. */
static struct usual_reply usual_of(const char *head, size_t more)
{
    struct usual_reply usual = {.len = SIZE_MAX};
    size_t len = strlen(head);
    if (len <= sizeof(usual.head)) {
        memcpy(&usual.head, head, len);
        memset(&usual.mask, 0xff, len);
        usual.len = len + more;
    }
    return usual;
}

static void fill_usual(struct workload *workload)
{
    char head[32];
    struct usual_reply none = {.len = SIZE_MAX};
    workload->usual[OPERATION_GET] = none;
    switch (workload->dialect) {
    case DIALECT_RESP2:
    case DIALECT_RESP3:
        snprintf(head, sizeof(head), "$%zu\r\n", workload->value_bytes);
        if (!workload->verify) {
            workload->usual[OPERATION_GET] = usual_of(head, workload->value_bytes + 2);
        }
        workload->usual[OPERATION_SET] = usual_of("+OK\r\n", 0);
        break;
    case DIALECT_TEXT:
        workload->usual[OPERATION_SET] = usual_of("OK\r\n", 0);
        break;
    case DIALECT_MEMCACHED:
        workload->usual[OPERATION_SET] = usual_of("STORED\r\n", 0);
        break;
    }
}

enum memento_status workload_init(struct workload *workload,
                                  const struct options *options)
{
    *workload = (struct workload){.dialect = options->dialect,
                                  .keyspace = options->keyspace,
                                  .value_bytes = options->value_bytes,
                                  .gets = options->gets,
                                  .sets = options->sets,
                                  .verify = options->verify};
    workload->digits = 1;
    for (uint64_t rest = (options->keyspace - 1) / 10; rest > 0; rest /= 10) {
        workload->digits++;
    }
    fill_usual(workload);
    for (int operation = 0; operation < OPERATIONS; operation++) {
        struct template *template = &workload->templates[operation];
        struct buf out;
        buf_init(&out);
        if (operation == OPERATION_GET) {
            append_get(template, &out, options);
        } else {
            append_set(template, &out, options);
        }
        bool failed = out.failed;
        template->data = out.data; /* the buffer's memory is the template's from now on */
        template->len = out.len;
        if (failed) {
            return MEMENTO_ERR_NO_MEMORY;
        }
    }
    return MEMENTO_OK;
}

void workload_fini(struct workload *workload)
{
    for (int operation = 0; operation < OPERATIONS; operation++) {
        heap_free(workload->templates[operation].data);
        workload->templates[operation].data = NULL;
    }
}

enum operation workload_draw(const struct workload *workload, struct random *random,
                             uint64_t *key)
{
    *key = random_below(random, workload->keyspace);
    if (workload->sets == 0) {
        return OPERATION_GET;
    }
    if (workload->gets == 0) {
        return OPERATION_SET;
    }
    uint64_t at = random_below(random, workload->gets + workload->sets);
    return at < workload->gets ? OPERATION_GET : OPERATION_SET;
}

enum memento_status batch_init(struct batch *batch, const struct workload *workload,
                               enum operation only, uint64_t count)
{
    const struct template *get = &workload->templates[OPERATION_GET];
    const struct template *set = &workload->templates[OPERATION_SET];
    size_t largest = get->len > set->len ? get->len : set->len;
    *batch = (struct batch){.laid_out = only};
    batch->data = heap_alloc(largest * count);
    if (batch->data == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    for (uint64_t i = 0; i < count && only != OPERATIONS; i++) {
        const struct template *template = &workload->templates[only];
        memcpy(batch->data + i * template->len, template->data, template->len);
    }
    return MEMENTO_OK;
}

void batch_fini(struct batch *batch)
{
    heap_free(batch->data);
    batch->data = NULL;
}

void batch_clear(struct batch *batch)
{
    batch->len = 0;
    batch->count = 0;
}

static const char digit_pairs[] = "00010203040506070809"
                                  "10111213141516171819"
                                  "20212223242526272829"
                                  "30313233343536373839"
                                  "40414243444546474849"
                                  "50515253545556575859"
                                  "60616263646566676869"
                                  "70717273747576777879"
                                  "80818283848586878889"
                                  "90919293949596979899";

/* All the digits a key of this keyspace can have, for other ones stood there before. */
static void put_digits(char *end, unsigned digits, uint64_t number)
{
    for (; digits >= 2; digits -= 2) {
        end -= 2;
        memcpy(end, digit_pairs + 2 * (number % 100), 2);
        number /= 100;
    }
    if (digits > 0) {
        end[-1] = (char)('0' + number % 10);
    }
}

static void put_value(char *value, size_t len, uint64_t key)
{
    char pattern[SCANNER_PATTERN_BYTES];
    workload_pattern(key, pattern);
    for (; len >= sizeof(pattern); len -= sizeof(pattern), value += sizeof(pattern)) {
        memcpy(value, pattern, sizeof(pattern));
    }
    memcpy(value, pattern, len);
}

void batch_append(struct batch *batch, const struct workload *workload,
                  enum operation operation, uint64_t key)
{
    const struct template *template = &workload->templates[operation];
    char *request = batch->data + batch->len;
    if (batch->laid_out != operation) {
        memcpy(request, template->data, template->len);
    }
    put_digits(request + template->digits_end, workload->digits, key);
    if (operation == OPERATION_SET && workload->verify) {
        put_value(request + template->value_at, workload->value_bytes, key);
    }
    batch->len += template->len;
    batch->count++;
}
