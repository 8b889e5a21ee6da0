/* pages.c - free pages are stacks through page_info.next; the thread keeps the next fresh
 * memory populated and discards what too many free pages hold. */
#include "store/pages.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/lock.h"
#include "base/os.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* What the thread populates at a time. Not a huge page: faulting one in takes some milliseconds
 * on a virtual machine, at once, and whoever shares the core waits; small pages measured the same
 * for requests, and a third of the stall while growing. */
#define STEP_BYTES     (2u << 20)
#define PAGES_PER_STEP (STEP_BYTES / PAGE_BYTES)

/* Below this much address space there is no point in starting. */
#define RESERVE_BYTES_MIN (64ull << 20)

/* How much fresh memory is kept populated: 4 MiB while nobody takes any, and twice as
 * much, up to 32 MiB, each time the thread has to work again within RATE_MS: so it follows the
 * rate at which memory is taken, before it runs out. A page that was not populated in time costs
 * whoever takes it its faults. Each second without work halves it again and gives the rest back. */
#define AHEAD_PAGES_MIN (2 * PAGES_PER_STEP)
#define AHEAD_PAGES_MAX (16 * PAGES_PER_STEP)
#define RATE_MS         100
#define REST_MS         1000

/* Free pages of a kind whose memory is kept: 16 MiB; what is over goes back to the kernel. */
#define WARM_PAGES_MAX 256
/* Pages the thread discards or populates between two looks at the lock. */
#define THREAD_BATCH 32

/* A page whose index has 32 low bits of zero: the table means "empty" by that. */
#define PAGE_IS_SKIPPED(page) \
    (((page) & ((1u << (32 + INDEX_UNIT_SHIFT - PAGE_SHIFT)) - 1)) == 0)

struct page_stack {
    uint32_t top;
    uint32_t count;
};

struct pages {
    char *base;
    struct page_info *infos;
    size_t reserved_bytes;
    size_t infos_bytes;
    uint32_t page_count;

    struct lock lock CACHE_ALIGNED;
    struct page_stack warm[PAGE_KINDS]; /* free, with memory behind */
    struct page_stack cold[PAGE_KINDS]; /* free, their memory given back */
    uint32_t fresh;                     /* pages from here on were never taken */
    uint32_t populated;                 /* fresh pages below this have memory behind */
    uint32_t ahead;                     /* how many such pages the thread aims at */
    uint64_t worked_ns;                 /* when the thread last populated something */
    bool is_stopping;
    pthread_cond_t work;
    struct thread thread;

    _Atomic size_t pages_used;
};

static void stack_push(struct pages *pages, struct page_stack *stack, uint32_t page)
{
    pages->infos[page].next = stack->top;
    stack->top = page;
    stack->count++;
}

static uint32_t stack_pop(struct pages *pages, struct page_stack *stack)
{
    uint32_t page = stack->top;
    if (page != PAGE_NONE) {
        stack->top = pages->infos[page].next;
        stack->count--;
    }
    return page;
}

static char *page_bytes(const struct pages *pages, uint32_t page)
{
    return pages->base + ((size_t)page << PAGE_SHIFT);
}

/* Fresh memory the thread has populated and nobody has taken. */
static uint32_t pages_populated_ahead(const struct pages *pages)
{
    return pages->populated > pages->fresh ? pages->populated - pages->fresh : 0;
}

/* Free pages of a kind that may keep their memory: never fewer than the thread wants ready, or
 * it would discard what it has just populated, for ever. */
static uint32_t pages_warm_max(const struct pages *pages, enum page_kind kind)
{
    uint32_t wanted = kind == PAGE_CHUNKS ? pages->ahead + THREAD_BATCH : 0;
    return wanted > WARM_PAGES_MAX ? wanted : WARM_PAGES_MAX;
}

static bool pages_has_surplus(const struct pages *pages, enum page_kind kind)
{
    return pages->warm[kind].count > pages_warm_max(pages, kind);
}

static bool pages_is_low(const struct pages *pages)
{
    uint32_t end = pages->populated > pages->fresh ? pages->populated : pages->fresh;
    return pages->warm[PAGE_CHUNKS].count + pages_populated_ahead(pages) < pages->ahead &&
           (end < pages->page_count || pages->cold[PAGE_CHUNKS].count > 0);
}

/* Takes a batch off the warm stack, gives its memory back without the lock, and keeps the
 * pages as cold ones. */
static void pages_discard_some(struct pages *pages, enum page_kind kind)
    REQUIRES(pages->lock)
{
    uint32_t batch[THREAD_BATCH];
    unsigned count = 0;
    while (count < THREAD_BATCH && pages_has_surplus(pages, kind)) {
        batch[count++] = stack_pop(pages, &pages->warm[kind]);
    }
    lock_release(&pages->lock);
    for (unsigned i = 0; i < count; i++) {
        heap_discard(page_bytes(pages, batch[i]), PAGE_BYTES);
    }
    lock_acquire(&pages->lock);
    for (unsigned i = 0; i < count; i++) {
        pages->infos[batch[i]].is_zero = true;
        stack_push(pages, &pages->cold[kind], batch[i]);
    }
}

/* Pages whose memory was given back are used again before fresh ones. */
static void pages_rewarm_some(struct pages *pages) REQUIRES(pages->lock)
{
    uint32_t batch[THREAD_BATCH];
    unsigned count = 0;
    while (count < THREAD_BATCH && pages->cold[PAGE_CHUNKS].count > 0) {
        batch[count++] = stack_pop(pages, &pages->cold[PAGE_CHUNKS]);
    }
    lock_release(&pages->lock);
    for (unsigned i = 0; i < count; i++) {
        heap_populate(page_bytes(pages, batch[i]), PAGE_BYTES);
    }
    lock_acquire(&pages->lock);
    for (unsigned i = 0; i < count; i++) {
        stack_push(pages, &pages->warm[PAGE_CHUNKS], batch[i]);
    }
}

static void pages_populate_next(struct pages *pages) REQUIRES(pages->lock)
{
    /* The end of the step that the next unpopulated page lies in. */
    uint32_t first = pages->populated > pages->fresh ? pages->populated : pages->fresh;
    uint32_t end = (first / PAGES_PER_STEP + 1) * PAGES_PER_STEP;
    if (end > pages->page_count) {
        end = pages->page_count;
    }
    lock_release(&pages->lock);
    heap_populate(page_bytes(pages, first), (size_t)(end - first) << PAGE_SHIFT);
    lock_acquire(&pages->lock);
    pages->populated = end;
}

/* Nobody took memory for a while: half of what is kept ahead will do. The tail of it is given
 * back under the lock, for a page of it that were taken meanwhile would lose its bytes. */
static void pages_rest(struct pages *pages) REQUIRES(pages->lock)
{
    pages->ahead /= 2;
    uint32_t keep =
        (pages->fresh + pages->ahead) / PAGES_PER_STEP * PAGES_PER_STEP + PAGES_PER_STEP;
    if (keep < pages->populated) {
        heap_discard(page_bytes(pages, keep), (size_t)(pages->populated - keep)
                                                  << PAGE_SHIFT);
        pages->populated = keep;
    }
}

/* Sleeps until there is work, or until the reserve could be made smaller. */
static void pages_wait(struct pages *pages) REQUIRES(pages->lock)
{
    if (pages->ahead == AHEAD_PAGES_MIN) {
        pthread_cond_wait(&pages->work, &pages->lock.mutex);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += REST_MS / 1000;
    if (pthread_cond_timedwait(&pages->work, &pages->lock.mutex, &until) == ETIMEDOUT) {
        pages_rest(pages);
    }
}

static void pages_follow_rate(struct pages *pages) REQUIRES(pages->lock)
{
    uint64_t now_ns = clock_monotonic_ns();
    if (now_ns - pages->worked_ns < RATE_MS * 1000000u &&
        pages->ahead < AHEAD_PAGES_MAX) {
        pages->ahead *= 2;
    }
    pages->worked_ns = now_ns;
}

static void pages_thread(void *context)
{
    struct pages *pages = context;
    lock_acquire(&pages->lock);
    while (!pages->is_stopping) {
        if (pages_is_low(pages)) {
            pages_follow_rate(pages);
            if (pages->cold[PAGE_CHUNKS].count > 0) {
                pages_rewarm_some(pages);
            } else {
                pages_populate_next(pages);
            }
        } else if (pages_has_surplus(pages, PAGE_CHUNKS)) {
            pages_discard_some(pages, PAGE_CHUNKS);
        } else if (pages_has_surplus(pages, PAGE_LINES)) {
            pages_discard_some(pages, PAGE_LINES);
        } else {
            pages_wait(pages);
        }
    }
    lock_release(&pages->lock);
}

static void pages_unreserve(struct pages *pages)
{
    if (pages->infos != NULL) {
        heap_unreserve(pages->infos, pages->infos_bytes);
    }
    if (pages->base != NULL) {
        heap_unreserve(pages->base, pages->reserved_bytes);
    }
}

static bool pages_reserve(struct pages *pages)
{
    size_t bytes = PAGES_BYTES_MAX;
    while (pages->base == NULL && bytes >= RESERVE_BYTES_MIN) {
        pages->base = heap_reserve(bytes);
        pages->reserved_bytes = bytes;
        bytes /= 2;
    }
    if (pages->base == NULL) {
        return false;
    }
    pages->page_count = (uint32_t)(pages->reserved_bytes >> PAGE_SHIFT);
    size_t infos_bytes = pages->page_count * sizeof(struct page_info);
    pages->infos_bytes = (infos_bytes + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
    pages->infos = heap_reserve(pages->infos_bytes);
    return pages->infos != NULL;
}

static void pages_init_work(struct pages *pages)
{
    lock_condition_init(&pages->work);
}

enum memento_status pages_create(struct pages **created)
{
    struct pages *pages = heap_alloc_aligned(64, sizeof(*pages));
    if (pages == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    memset(pages, 0, sizeof(*pages));
    if (!pages_reserve(pages)) {
        pages_unreserve(pages);
        heap_free(pages);
        return MEMENTO_ERR_NO_MEMORY;
    }
    pages->fresh = 1;
    pages->populated = 1;
    pages->ahead = AHEAD_PAGES_MIN;
    lock_init(&pages->lock);
    pages_init_work(pages);
    enum memento_status status =
        thread_start(&pages->thread, "pages", pages_thread, pages);
    if (status != MEMENTO_OK) {
        pthread_cond_destroy(&pages->work);
        lock_fini(&pages->lock);
        pages_unreserve(pages);
        heap_free(pages);
        return status;
    }
    *created = pages;
    return MEMENTO_OK;
}

void pages_destroy(struct pages *pages)
{
    if (pages == NULL) {
        return;
    }
    lock_acquire(&pages->lock);
    pages->is_stopping = true;
    pthread_cond_signal(&pages->work);
    lock_release(&pages->lock);
    thread_join(&pages->thread);
    pthread_cond_destroy(&pages->work);
    lock_fini(&pages->lock);
    pages_unreserve(pages);
    heap_free(pages);
}

/* A page with memory behind if there is one, else one that will fault when it is touched. */
static uint32_t pages_take_locked(struct pages *pages, enum page_kind kind)
{
    uint32_t page = stack_pop(pages, &pages->warm[kind]);
    if (page == PAGE_NONE && pages_populated_ahead(pages) == 0) {
        page = stack_pop(pages, &pages->cold[kind]);
    }
    if (page == PAGE_NONE) {
        while (pages->fresh < pages->page_count && PAGE_IS_SKIPPED(pages->fresh)) {
            pages->fresh++;
        }
        if (pages->fresh < pages->page_count) {
            page = pages->fresh++;
            pages->infos[page].is_zero = true;
        }
    }
    if (page == PAGE_NONE) {
        page = stack_pop(pages, &pages->cold[kind]);
    }
    if (pages_is_low(pages)) {
        pthread_cond_signal(&pages->work);
    }
    return page;
}

/* Word by word, as atomics: a late prefetch of somebody else may still be reading. */
static void page_zero_lines(char *bytes)
{
    uint64_t *words = (uint64_t *)(void *)bytes;
    for (size_t i = 0; i < PAGE_BYTES / sizeof(*words); i++) {
        __atomic_store_n(&words[i], 0, __ATOMIC_RELAXED);
    }
}

uint32_t pages_take(struct pages *pages, enum page_kind kind)
{
    if (os_must_fail(OS_MEMORY)) {
        return PAGE_NONE;
    }
    lock_acquire(&pages->lock);
    uint32_t page = pages_take_locked(pages, kind);
    lock_release(&pages->lock);
    if (page == PAGE_NONE) {
        return PAGE_NONE;
    }
    atomic_fetch_add_explicit(&pages->pages_used, 1, memory_order_relaxed);
    if (kind == PAGE_LINES && !pages->infos[page].is_zero) {
        page_zero_lines(page_bytes(pages, page));
    }
    return page;
}

void pages_give(struct pages *pages, uint32_t page, enum page_kind kind, bool is_zero)
{
    CHECK(page != PAGE_NONE && page < pages->page_count);
    lock_acquire(&pages->lock);
    pages->infos[page].is_zero = is_zero;
    stack_push(pages, &pages->warm[kind], page);
    if (pages_has_surplus(pages, kind)) {
        pthread_cond_signal(&pages->work);
    }
    lock_release(&pages->lock);
    size_t before =
        atomic_fetch_sub_explicit(&pages->pages_used, 1, memory_order_relaxed);
    CHECK(before > 0);
}

char *pages_base(const struct pages *pages)
{
    return pages->base;
}

struct page_info *pages_infos(const struct pages *pages)
{
    return pages->infos;
}

size_t pages_bytes_used(const struct pages *pages)
{
    return atomic_load_explicit(&pages->pages_used, memory_order_relaxed) << PAGE_SHIFT;
}
