/* response_fuzz.c - whatever a server sends: the client's parser stays inside its input, its
 * tree is consistent, and a response that is complete stays the same with more behind it. */
#include "base/check.h"
#include "protocol/response.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Children end inside their parent, and every view lies in the input. */
static void check_tree(const struct response *response, struct bytes input)
{
    CHECK(response->count > 0);
    CHECK(response->nodes[0].end == response->count);
    for (size_t i = 0; i < response->count; i++) {
        const struct response_node *node = &response->nodes[i];
        CHECK(node->end > i && node->end <= response->count);
        if (node->bytes.len > 0) {
            CHECK(node->bytes.data >= input.data);
            CHECK(node->bytes.data + node->bytes.len <= input.data + input.len);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct response response;
    response_init(&response);
    struct bytes input = bytes_of(data, size);
    size_t consumed = 0;
    enum memento_status status = response_parse(&response, input, &consumed);
    if (status == MEMENTO_OK) {
        CHECK(consumed > 0 && consumed <= size);
        check_tree(&response, input);
        size_t nodes = response.count;
        size_t again;
        CHECK(response_parse(&response, bytes_of(data, consumed), &again) == MEMENTO_OK);
        CHECK(again == consumed && response.count == nodes);
        CHECK(response_parse(&response, bytes_of(data, consumed - 1), &again) !=
              MEMENTO_OK);
    }
    response_fini(&response);
    return 0;
}
