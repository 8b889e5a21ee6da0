/* request_fuzz.c - whatever bytes come: the parser stays inside its input, and the requests are
 * the same whether the bytes come at once or in pieces. The first byte chooses the pieces. */
#include "base/buf.h"
#include "base/check.h"
#include "protocol/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small limits, so that every one of them is met. */
static const struct request_limits limits = {
    .words_max = 64, .word_bytes_max = 512, .line_bytes_max = 256};

static void note(struct buf *out, enum request_status status,
                 const struct request *request, const struct words *words)
{
    buf_appendf(out, "%d %d", (int)status, (int)request->is_resp);
    if (status != REQUEST_READY) {
        buf_append_string(out, request->error);
        return;
    }
    for (size_t i = 0; i < request->count; i++) {
        struct bytes word = words->items[request->first + i];
        buf_appendf(out, "|%zu:", word.len);
        buf_append_bytes(out, word);
    }
}

static void parse_in_pieces(const uint8_t *data, size_t size, size_t piece,
                            struct buf *out)
{
    struct parser parser;
    struct words words;
    struct buf in;
    parser_init(&parser);
    words_init(&words);
    buf_init(&in);
    enum request_status status = REQUEST_PARTIAL;
    for (size_t fed = 0; fed < size && status != REQUEST_BROKEN;) {
        size_t step = piece < size - fed ? piece : size - fed;
        buf_append(&in, data + fed, step);
        fed += step;
        do {
            struct request request = {0};
            size_t consumed;
            status = request_parse(&parser, in.data, in.len, &limits, &words, &request,
                                   &consumed);
            CHECK(consumed <= in.len);
            CHECK(consumed > 0 || status == REQUEST_PARTIAL || status == REQUEST_BROKEN);
            if (status != REQUEST_PARTIAL && status != REQUEST_EMPTY) {
                note(out, status, &request, &words);
            }
            buf_consume(&in, consumed);
            words.count = 0;
        } while (status != REQUEST_PARTIAL && status != REQUEST_BROKEN);
    }
    buf_fini(&in);
    words_fini(&words);
    parser_fini(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct buf whole, pieces;
    buf_init(&whole);
    buf_init(&pieces);
    parse_in_pieces(data + 1, size - 1, size, &whole);
    parse_in_pieces(data + 1, size - 1, 1 + data[0] % 32, &pieces);
    CHECK(bytes_equal(buf_bytes(&whole), buf_bytes(&pieces)));
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
