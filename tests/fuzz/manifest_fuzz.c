/* manifest_fuzz.c - whatever the bytes: the parser stays inside them, and a manifest that it
 * takes has one text only: printed again it is the same. The checksum, which no fuzzer would
 * find, is put behind the bytes unless they begin with NUL. */
#include "base/buf.h"
#include "base/check.h"
#include "base/crc.h"
#include "log/manifest.h"

#include <inttypes.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(struct bytes text)
{
    struct manifest manifest, copy;
    struct buf why, printed;
    buf_init(&why);
    buf_init(&printed);
    if (manifest_parse(text, &manifest, &why) == MEMENTO_OK) {
        CHECK(why.len == 0);
        CHECK(manifest_copy(&copy, &manifest) == MEMENTO_OK);
        manifest_print(&copy, &printed);
        CHECK(bytes_equal(buf_bytes(&printed), text));
        manifest_fini(&copy);
        manifest_fini(&manifest);
    } else {
        CHECK(why.len > 0);
    }
    buf_fini(&why);
    buf_fini(&printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0 && data[0] == 0) {
        parse(bytes_of(data + 1, size - 1));
        return 0;
    }
    struct buf text;
    buf_init(&text);
    buf_append(&text, data, size);
    buf_appendf(&text, "crc %08" PRIx32 "\n", crc32c(0, bytes_of(data, size)));
    parse(buf_bytes(&text));
    buf_fini(&text);
    return 0;
}
