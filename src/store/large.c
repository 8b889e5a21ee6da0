/* large.c */
#include "store/large.h"

#include "base/check.h"
#include "base/heap.h"

struct large *large_create(size_t cap)
{
    if (cap > SIZE_MAX - sizeof(struct large)) {
        return NULL;
    }
    struct large *large = heap_alloc(sizeof(*large) + cap);
    if (large != NULL) {
        atomic_init(&large->references, 1);
        atomic_init(&large->keys, 0);
        large->len = 0;
        large->cap = cap;
    }
    return large;
}

struct large *large_resize(struct large *large, size_t cap)
{
    CHECK(large_is_ours_alone(large) && cap >= large->len);
    if (cap > SIZE_MAX - sizeof(struct large)) {
        return NULL;
    }
    struct large *moved = heap_realloc(large, sizeof(*large) + cap);
    if (moved != NULL) {
        moved->cap = cap;
    }
    return moved;
}

struct large *large_take(struct large *large)
{
    uint32_t before =
        atomic_fetch_add_explicit(&large->references, 1, memory_order_relaxed);
    CHECK(before > 0 && before < UINT32_MAX);
    return large;
}

void large_drop(struct large *large)
{
    if (large == NULL) {
        return;
    }
    /* Release, so that what we read of the block happens before it is freed; acquire, so
     * that the one who frees comes after all of them. */
    uint32_t before =
        atomic_fetch_sub_explicit(&large->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1) {
        heap_free(large);
    }
}

void large_count_key(struct large *large, bool is_added)
{
    atomic_fetch_add_explicit(&large->keys, is_added ? 1 : UINT32_MAX,
                              memory_order_relaxed);
}
