/* slab.c - a free chunk holds the place of the next free one of its page in its first two
 * bytes; everything else about a page is in its page_info. */
#include "store/slab.h"

#include "base/check.h"

#include <assert.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISONS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISONS 1
#endif
#endif

/* Under AddressSanitizer nobody may touch a free chunk beyond the link in it. */
#ifdef SLAB_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(pointer, size)   ASAN_POISON_MEMORY_REGION(pointer, size)
#define UNPOISON(pointer, size) ASAN_UNPOISON_MEMORY_REGION(pointer, size)
#else
#define POISON(pointer, size)   ((void)(pointer), (void)(size))
#define UNPOISON(pointer, size) ((void)(pointer), (void)(size))
#endif

#define SLAB_LINK_BYTES  4
#define SLAB_STEP_COUNT  ((SLAB_STEPS_TO - SLAB_CHUNK_MIN) / SLAB_STEP + 1)
#define SLAB_EIGHTHS_LOG 8 /* log2 of SLAB_STEPS_TO */
#define SLAB_LINE_CLASS  SLAB_SIZE_CLASSES

static_assert(SLAB_STEPS_TO == 1u << SLAB_EIGHTHS_LOG, "eighths start where steps end");
static_assert(SLAB_CHUNK_MAX == SLAB_STEPS_TO << 6, "six doublings");
static_assert(SLAB_CLASSES <= UINT8_MAX, "page_info has a byte for the class");

static unsigned class_of(size_t bytes)
{
    if (LIKELY(bytes <= SLAB_STEPS_TO)) {
        size_t over = bytes > SLAB_CHUNK_MIN ? bytes - SLAB_CHUNK_MIN : 0;
        return (unsigned)((over + SLAB_STEP - 1) / SLAB_STEP);
    }
    unsigned log = 63u - (unsigned)__builtin_clzll(bytes - 1);
    unsigned eighth = (unsigned)((bytes - 1) >> (log - 3)) - 8;
    return SLAB_STEP_COUNT + (log - SLAB_EIGHTHS_LOG) * 8 + eighth;
}

static size_t class_chunk_bytes(unsigned index)
{
    if (index == SLAB_LINE_CLASS) {
        return SLAB_LINE_BYTES;
    }
    if (index < SLAB_STEP_COUNT) {
        return SLAB_CHUNK_MIN + index * SLAB_STEP;
    }
    unsigned over = index - SLAB_STEP_COUNT;
    return (size_t)(over % 8 + 9) << (over / 8 + SLAB_EIGHTHS_LOG - 3);
}

void slab_init(struct slab *slab, struct pages *pages)
{
    memset(slab, 0, sizeof(*slab));
    slab->pages = pages;
    slab->base = pages_base(pages);
    slab->infos = pages_infos(pages);
    for (unsigned i = 0; i < SLAB_CLASSES; i++) {
        size_t bytes = class_chunk_bytes(i);
        CHECK((class_of(bytes) == i || i == SLAB_LINE_CLASS) && bytes <= SLAB_CHUNK_MAX);
        slab->classes[i].chunk_bytes = (uint16_t)bytes;
        slab->classes[i].chunks_per_page = (uint16_t)(PAGE_BYTES / bytes);
    }
}

static void list_push(struct slab *slab, uint32_t *head, uint32_t page)
{
    struct page_info *info = &slab->infos[page];
    info->prev = PAGE_NONE;
    info->next = *head;
    if (*head != PAGE_NONE) {
        slab->infos[*head].prev = page;
    }
    *head = page;
}

static void list_take_out(struct slab *slab, uint32_t *head, uint32_t page)
{
    struct page_info *info = &slab->infos[page];
    if (info->prev == PAGE_NONE) {
        *head = info->next;
    } else {
        slab->infos[info->prev].next = info->next;
    }
    if (info->next != PAGE_NONE) {
        slab->infos[info->next].prev = info->prev;
    }
}

static enum page_kind class_kind(unsigned class_index)
{
    return class_index == SLAB_LINE_CLASS ? PAGE_LINES : PAGE_CHUNKS;
}

static void page_give(struct slab *slab, uint32_t page)
{
    UNPOISON(slab->base + ((size_t)page << PAGE_SHIFT), PAGE_BYTES);
    pages_give(slab->pages, page, class_kind(slab->infos[page].class_index), false);
}

static void list_give_pages(struct slab *slab, uint32_t *head)
{
    while (*head != PAGE_NONE) {
        uint32_t page = *head;
        *head = slab->infos[page].next;
        page_give(slab, page);
    }
}

/* The link in a free chunk. A late reader of a line may be reading just there. */
static void chunk_set_link(char *chunk, uint16_t link, unsigned class_index)
{
    if (class_index == SLAB_LINE_CLASS) {
        __atomic_store_n((uint16_t *)(void *)chunk, link, __ATOMIC_RELAXED);
    } else {
        memcpy(chunk, &link, sizeof(link));
    }
}

static uint16_t chunk_link(const char *chunk)
{
    uint16_t link;
    memcpy(&link, chunk, sizeof(link));
    return link;
}

void slab_clear(struct slab *slab)
{
    for (unsigned i = 0; i < SLAB_CLASSES; i++) {
        struct slab_class *class = &slab->classes[i];
        list_give_pages(slab, &class->page_with_room);
        list_give_pages(slab, &class->page_full);
        class->pages = 0;
        class->chunks_used = 0;
    }
    slab->bytes_used = 0;
}

static COLD uint32_t slab_take_page(struct slab *slab, unsigned class_index)
{
    uint32_t page = pages_take(slab->pages, class_kind(class_index));
    if (page == PAGE_NONE) {
        return PAGE_NONE;
    }
    struct page_info *info = &slab->infos[page];
    info->free_chunk = PAGE_NO_CHUNK;
    info->chunks_used = 0;
    info->chunks_fresh = 0;
    info->class_index = (uint8_t)class_index;
    slab->classes[class_index].pages++;
    list_push(slab, &slab->classes[class_index].page_with_room, page);
    if (class_index != SLAB_LINE_CLASS) {
        POISON(slab->base + ((size_t)page << PAGE_SHIFT), PAGE_BYTES);
    }
    return page;
}

static uint64_t page_first_index(uint32_t page)
{
    return (uint64_t)page << (PAGE_SHIFT - INDEX_UNIT_SHIFT);
}

static ALWAYS_INLINE uint64_t class_alloc(struct slab *slab, unsigned class_index)
{
    struct slab_class *class = &slab->classes[class_index];
    uint32_t page = class->page_with_room;
    if (UNLIKELY(page == PAGE_NONE)) {
        page = slab_take_page(slab, class_index);
        if (page == PAGE_NONE) {
            return 0;
        }
    }

    struct page_info *info = &slab->infos[page];
    uint64_t index = page_first_index(page);
    if (info->free_chunk != PAGE_NO_CHUNK) {
        index += info->free_chunk;
        info->free_chunk = chunk_link(slab_pointer(slab, index));
    } else {
        index += ((size_t)info->chunks_fresh * class->chunk_bytes) >> INDEX_UNIT_SHIFT;
        info->chunks_fresh++;
    }
    info->chunks_used++;
    if (info->chunks_used == class->chunks_per_page) {
        list_take_out(slab, &class->page_with_room, page);
        list_push(slab, &class->page_full, page);
    }
    class->chunks_used++;
    slab->bytes_used += class->chunk_bytes;
    UNPOISON(slab_pointer(slab, index), class->chunk_bytes);
    return index;
}

uint64_t slab_alloc(struct slab *slab, size_t bytes)
{
    CHECK(bytes <= SLAB_CHUNK_MAX);
    return class_alloc(slab, class_of(bytes));
}

uint64_t slab_alloc_line(struct slab *slab)
{
    return class_alloc(slab, SLAB_LINE_CLASS);
}

void slab_free(struct slab *slab, uint64_t index)
{
    uint32_t page = slab_page(index);
    struct page_info *info = &slab->infos[page];
    struct slab_class *class = &slab->classes[info->class_index];
    CHECK(info->chunks_used > 0);

    bool was_full = info->chunks_used == class->chunks_per_page;
    chunk_set_link(slab_pointer(slab, index), info->free_chunk, info->class_index);
    if (info->class_index != SLAB_LINE_CLASS) {
        POISON(slab_pointer(slab, index) + SLAB_LINK_BYTES,
               (size_t) class->chunk_bytes - SLAB_LINK_BYTES);
    }
    info->free_chunk = (uint16_t)(index - page_first_index(page));
    info->chunks_used--;
    class->chunks_used--;
    slab->bytes_used -= class->chunk_bytes;

    if (info->chunks_used == 0) {
        list_take_out(slab, was_full ? &class->page_full : &class->page_with_room, page);
        class->pages--;
        page_give(slab, page);
    } else if (was_full) {
        list_take_out(slab, &class->page_full, page);
        list_push(slab, &class->page_with_room, page);
    }
}

size_t slab_chunk_bytes(const struct slab *slab, size_t bytes)
{
    return slab->classes[class_of(bytes)].chunk_bytes;
}

/* The free chunks of a page, counted along their links. */
static unsigned page_count_free(const struct slab *slab, uint32_t page)
{
    const struct page_info *info = &slab->infos[page];
    const struct slab_class *class = &slab->classes[info->class_index];
    unsigned count = 0;
    uint16_t at = info->free_chunk;
    while (at != PAGE_NO_CHUNK) {
        size_t offset = (size_t)at << INDEX_UNIT_SHIFT;
        CHECK(offset % class->chunk_bytes == 0);
        CHECK(offset / class->chunk_bytes < info->chunks_fresh);
        count++;
        CHECK(count <= class->chunks_per_page); /* no circle */
        at = chunk_link(slab_pointer(slab, page_first_index(page) + at));
    }
    return count;
}

static uint64_t list_verify(const struct slab *slab, unsigned class_index, uint32_t head,
                            bool is_full, uint32_t *pages)
{
    const struct slab_class *class = &slab->classes[class_index];
    uint64_t chunks = 0;
    uint32_t prev = PAGE_NONE;
    for (uint32_t page = head; page != PAGE_NONE; page = slab->infos[page].next) {
        const struct page_info *info = &slab->infos[page];
        CHECK(info->prev == prev);
        CHECK(info->class_index == class_index);
        CHECK(info->chunks_used > 0);
        CHECK((info->chunks_used == class->chunks_per_page) == is_full);
        CHECK(info->chunks_fresh <= class->chunks_per_page);
        CHECK(info->chunks_used + page_count_free(slab, page) == info->chunks_fresh);
        chunks += info->chunks_used;
        (*pages)++;
        CHECK(*pages <= class->pages);
        prev = page;
    }
    return chunks;
}

void slab_verify(const struct slab *slab)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < SLAB_CLASSES; i++) {
        const struct slab_class *class = &slab->classes[i];
        uint32_t pages = 0;
        uint64_t chunks = list_verify(slab, i, class->page_with_room, false, &pages);
        chunks += list_verify(slab, i, class->page_full, true, &pages);
        CHECK(pages == class->pages);
        CHECK(chunks == class->chunks_used);
        bytes += chunks * class->chunk_bytes;
    }
    CHECK(bytes == slab->bytes_used);
}
