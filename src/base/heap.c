#include "base/heap.h"

#include "base/check.h"
#include "base/os.h"

#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Newer than the headers of some systems that memento builds on; the number is
 * Linux's. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define RESERVE_ALIGNMENT ((size_t)2 * 1024 * 1024)

/* On a line of its own: whoever counts shall not disturb a neighbour. */
static CACHE_ALIGNED size_t bytes_used;

static void count_taken(void *pointer)
{
    __atomic_fetch_add(&bytes_used, malloc_usable_size(pointer), __ATOMIC_RELAXED);
}

static void *counted(void *pointer)
{
    if (LIKELY(pointer != NULL)) {
        count_taken(pointer);
    }
    return pointer;
}

void *heap_alloc(size_t size)
{
    if (os_must_fail(OS_MEMORY)) {
        return NULL;
    }
    return counted(malloc(size > 0 ? size : 1));
}

void *heap_alloc_zeroed(size_t count, size_t size)
{
    if (os_must_fail(OS_MEMORY)) {
        return NULL;
    }
    /* calloc would refuse too, but under a sanitizer it stops the program. */
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return counted(calloc(1, bytes > 0 ? bytes : 1));
}

void *heap_realloc(void *pointer, size_t size)
{
    if (os_must_fail(OS_MEMORY)) {
        return NULL;
    }
    size_t bytes_before = pointer != NULL ? malloc_usable_size(pointer) : 0;
    void *moved = realloc(pointer, size > 0 ? size : 1);
    if (moved != NULL) {
        __atomic_fetch_sub(&bytes_used, bytes_before, __ATOMIC_RELAXED);
        count_taken(moved);
    }
    return moved;
}

void *heap_copy(const void *data, size_t size)
{
    void *copy = heap_alloc(size);
    if (copy != NULL && size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

void *heap_alloc_aligned(size_t alignment, size_t size)
{
    DCHECK(alignment > 0 && (alignment & (alignment - 1)) == 0);
    if (os_must_fail(OS_MEMORY)) {
        return NULL;
    }
    if (alignment < sizeof(void *)) {
        alignment = sizeof(void *); /* the least that posix_memalign takes */
    }
    void *pointer = NULL;
    int error = posix_memalign(&pointer, alignment, size > 0 ? size : 1);
    if (error != 0) {
        errno = error;
        return NULL;
    }
    return counted(pointer);
}

void heap_free(void *pointer)
{
    if (pointer != NULL) {
        __atomic_fetch_sub(&bytes_used, malloc_usable_size(pointer), __ATOMIC_RELAXED);
        free(pointer);
    }
}

size_t heap_bytes_used(void)
{
    return __atomic_load_n(&bytes_used, __ATOMIC_RELAXED);
}

void *heap_reserve(size_t size)
{
    DCHECK(size > 0 && size % RESERVE_ALIGNMENT == 0);
    if (os_must_fail(OS_MEMORY)) {
        return NULL;
    }
    if (size > SIZE_MAX - RESERVE_ALIGNMENT) {
        errno = ENOMEM;
        return NULL;
    }

    /* The kernel aligns to a page only. Ask for one alignment too much and give back what
     * stands out on either side. */
    char *mapped = mmap(NULL, size + RESERVE_ALIGNMENT, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
        return NULL;
    }
    size_t misplaced = (uintptr_t)mapped % RESERVE_ALIGNMENT;
    size_t before = misplaced > 0 ? RESERVE_ALIGNMENT - misplaced : 0;
    size_t after = RESERVE_ALIGNMENT - before;
    char *base = mapped + before;
    if (before > 0) {
        munmap(mapped, before);
    }
    if (after > 0) {
        munmap(base + size, after);
    }

    /* What users store is large and private: it does not belong into a core file. */
    (void)madvise(base, size, MADV_DONTDUMP);
    return base;
}

void heap_unreserve(void *base, size_t size)
{
    if (base != NULL) {
        munmap(base, size);
    }
}

/* Adds nothing to one byte of each page: the page comes, its content stays, and whoever
 * writes to the same byte at this moment loses nothing. */
static void touch_pages(char *base, size_t size)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t at = 0; at < size; at += page_bytes) {
        (void)__atomic_fetch_add(base + at, 0, __ATOMIC_RELAXED);
    }
}

void heap_populate(void *base, size_t size)
{
    /* Kernels before 5.14 do not know the advice and answer EINVAL. */
    bool refused =
        os_must_fail(OS_MEMORY) || madvise(base, size, MADV_POPULATE_WRITE) != 0;
    if (refused && errno == EINVAL) {
        touch_pages(base, size);
    }
}

void heap_discard(void *base, size_t size)
{
    (void)madvise(base, size, MADV_DONTNEED);
}
