/* linear.c - see linear.h. */
#include "linear.h"

#include <stdlib.h>
#include <string.h>

#define OPEN_MAX         64
#define CONFIGS_MAX      (4u * 1024 * 1024)
#define TABLE_SIZE_LEAST 64

/* ---- what operations do ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static bool value_equal(struct value a, struct value b)
{
    return a.hash == b.hash && a.len == b.len && a.exists == b.exists;
}

struct value value_append(struct value value, uint64_t token, uint32_t len)
{
    return (struct value){mix(value.hash * 31 + token + 1), value.len + len, 1};
}

bool event_apply(const struct event *event, struct value value, struct value *after)
{
    bool is_answered = event->is_answered;
    switch ((enum event_kind)event->kind) {
    case EVENT_READ:
        *after = value;
        return !is_answered || value_equal(value, event->seen);
    case EVENT_WRITE:
        *after = event->wanted;
        return true;
    case EVENT_DELETE:
        *after = (struct value){0};
        return !is_answered || value.exists == event->seen.exists;
    case EVENT_INCR:
        *after = (struct value){value.hash + 1, 0, 1};
        return !is_answered || after->hash == event->seen.hash;
    case EVENT_APPEND:
        *after = value_append(value, event->wanted.hash, event->wanted.len);
        return !is_answered || after->len == event->seen.len;
    case EVENT_CAS:
        *after = event->wanted;
        return value_equal(value, event->seen);
    }
    return false;
}

void event_show(const struct event *event, int64_t origin_ns, struct buf *out)
{
    static const char *const names[] = {"read", "write",  "delete",
                                        "incr", "append", "cas"};
    buf_appendf(out,
                "%12lld..%12lld us  client %2u  %-6s", /* from the round's beginning */
                (long long)(event->invoked_ns - origin_ns) / 1000,
                (long long)(event->returned_ns - origin_ns) / 1000, event->client,
                names[event->kind]);
    if (event->kind == EVENT_WRITE || event->kind == EVENT_APPEND ||
        event->kind == EVENT_CAS) {
        buf_appendf(out, " wanted %llx/%u", (unsigned long long)event->wanted.hash,
                    event->wanted.len);
    }
    if (!event->is_answered) {
        buf_append_string(out, " without an answer");
    } else if (event->seen.exists || event->seen.len > 0 || event->seen.hash > 0) {
        buf_appendf(out, " seen %llx/%u", (unsigned long long)event->seen.hash,
                    event->seen.len);
    } else if (event->kind == EVENT_READ || event->kind == EVENT_DELETE) {
        buf_append_string(out, " seen nothing");
    }
    buf_append_char(out, '\n');
}

/* ---- sets of configurations ---- */

struct config {
    struct value value;
    uint64_t done; /* open operations, by slot, that have taken effect */
};

struct configs {
    struct config *items;
    size_t count, cap;
    uint32_t *table;   /* index + 1 of an item, 0 free */
    size_t table_size; /* a power of two */
    bool failed;       /* no memory, or beyond CONFIGS_MAX */
};

static void configs_fini(struct configs *set)
{
    free(set->items);
    free(set->table);
}

static size_t config_slot(const struct configs *set, const struct config *config)
{
    uint64_t hash = mix(config->value.hash ^ mix(config->done + config->value.len * 2u +
                                                 config->value.exists));
    return hash & (set->table_size - 1);
}

static void configs_place(struct configs *set, uint32_t index)
{
    size_t slot = config_slot(set, &set->items[index]);
    while (set->table[slot] != 0) {
        slot = (slot + 1) & (set->table_size - 1);
    }
    set->table[slot] = index + 1;
}

static void configs_grow(struct configs *set)
{
    size_t cap = set->cap == 0 ? TABLE_SIZE_LEAST / 2 : set->cap * 2;
    struct config *items = realloc(set->items, cap * sizeof(*items));
    uint32_t *table = calloc(cap * 2, sizeof(*table));
    set->items = items == NULL ? set->items : items;
    if (items == NULL || table == NULL || cap > CONFIGS_MAX) {
        free(table);
        set->failed = true;
        return;
    }
    free(set->table);
    set->cap = cap;
    set->table = table;
    set->table_size = cap * 2;
    for (uint32_t i = 0; i < set->count; i++) {
        configs_place(set, i);
    }
}

/* Adds it unless it is there. */
static void configs_add(struct configs *set, struct config config)
{
    if (set->count == set->cap) {
        configs_grow(set);
    }
    if (set->failed) {
        return;
    }
    size_t slot = config_slot(set, &config);
    for (; set->table[slot] != 0; slot = (slot + 1) & (set->table_size - 1)) {
        const struct config *other = &set->items[set->table[slot] - 1];
        if (other->done == config.done && value_equal(other->value, config.value)) {
            return;
        }
    }
    set->items[set->count] = config;
    set->table[slot] = (uint32_t)++set->count;
}

static void configs_clear(struct configs *set)
{
    set->count = 0;
    if (set->table != NULL) {
        memset(set->table, 0, set->table_size * sizeof(*set->table));
    }
}

/* ---- the search ---- */

struct search {
    const struct event *open[OPEN_MAX]; /* by slot; NULL: free */
    struct configs now, seen, next;
};

/* From every configuration to those in which the operation in `slot` has taken effect. */
static void search_return(struct search *search, unsigned slot)
{
    uint64_t bit = UINT64_C(1) << slot;
    configs_clear(&search->seen);
    configs_clear(&search->next);
    for (size_t i = 0; i < search->now.count; i++) {
        configs_add(&search->seen, search->now.items[i]);
    }
    /* `seen` grows while it is gone through: it is the queue and the memory in one. */
    for (size_t i = 0; i < search->seen.count; i++) {
        struct config config = search->seen.items[i];
        bool is_done = (config.done & bit) != 0;
        bool may_never_be = !search->open[slot]->is_answered && i < search->now.count;
        if (is_done || may_never_be) {
            configs_add(&search->next, (struct config){config.value, config.done & ~bit});
        }
        if (is_done) {
            continue;
        }
        for (unsigned other = 0; other < OPEN_MAX; other++) {
            uint64_t other_bit = UINT64_C(1) << other;
            struct config after = {.done = config.done | other_bit};
            if (search->open[other] != NULL && (config.done & other_bit) == 0 &&
                event_apply(search->open[other], config.value, &after.value)) {
                configs_add(&search->seen, after);
            }
        }
    }
    search->open[slot] = NULL;
    struct configs old = search->now;
    search->now = search->next;
    search->next = old;
}

/* An invocation or a return, in the order of time. */
struct moment {
    int64_t time_ns;
    uint32_t event;
    bool is_return;
};

/* What happens at the same time is taken as overlapping. */
static int moment_compare(const void *left, const void *right)
{
    const struct moment *a = left, *b = right;
    if (a->time_ns != b->time_ns) {
        return a->time_ns < b->time_ns ? -1 : 1;
    }
    return (int)a->is_return - (int)b->is_return;
}

static struct moment *moments_of(const struct event *const *events, size_t count)
{
    struct moment *moments = malloc((2 * count + 1) * sizeof(*moments));
    for (size_t i = 0; moments != NULL && i < count; i++) {
        moments[2 * i] = (struct moment){events[i]->invoked_ns, (uint32_t)i, false};
        moments[2 * i + 1] = (struct moment){events[i]->returned_ns, (uint32_t)i, true};
    }
    if (moments != NULL) {
        qsort(moments, 2 * count, sizeof(*moments), moment_compare);
    }
    return moments;
}

static enum verdict search_run(struct search *search, const struct event *const *events,
                               const struct moment *moments, size_t count,
                               unsigned char *slots, const struct event **culprit)
{
    for (size_t i = 0; i < 2 * count; i++) {
        uint32_t event = moments[i].event;
        if (!moments[i].is_return) {
            unsigned slot = 0;
            while (slot < OPEN_MAX && search->open[slot] != NULL) {
                slot++;
            }
            if (slot == OPEN_MAX) {
                return UNDECIDED;
            }
            slots[event] = (unsigned char)slot;
            search->open[slot] = events[event];
            continue;
        }
        search_return(search, slots[event]);
        if (search->now.failed || search->seen.failed || search->next.failed) {
            return UNDECIDED;
        }
        if (search->now.count == 0) {
            *culprit = events[event];
            return NOT_LINEARIZABLE;
        }
    }
    return LINEARIZABLE;
}

void frontier_init(struct frontier *frontier)
{
    *frontier = (struct frontier){0};
}

void frontier_fini(struct frontier *frontier)
{
    free(frontier->values);
    *frontier = (struct frontier){0};
}

/* Nothing is open: what is left of the configurations are values. */
static bool frontier_take(struct frontier *frontier, const struct configs *configs)
{
    if (frontier->cap < configs->count) {
        struct value *values =
            realloc(frontier->values, configs->count * sizeof(*values));
        if (values == NULL) {
            return false;
        }
        frontier->values = values;
        frontier->cap = configs->count;
    }
    frontier->count = configs->count;
    for (size_t i = 0; i < configs->count; i++) {
        frontier->values[i] = configs->items[i].value;
    }
    return true;
}

enum verdict linear_check(struct frontier *frontier, const struct event *const *events,
                          size_t count, const struct event **culprit)
{
    struct search *search = calloc(1, sizeof(*search));
    struct moment *moments = moments_of(events, count);
    unsigned char *slots = malloc(count + 1);
    enum verdict verdict = UNDECIDED;
    if (search != NULL && moments != NULL && slots != NULL) {
        if (frontier->count == 0) {
            configs_add(&search->now, (struct config){0});
        }
        for (size_t i = 0; i < frontier->count; i++) {
            configs_add(&search->now, (struct config){.value = frontier->values[i]});
        }
        verdict = search_run(search, events, moments, count, slots, culprit);
        if (verdict == LINEARIZABLE && !frontier_take(frontier, &search->now)) {
            verdict = UNDECIDED;
        }
    }
    if (search != NULL) {
        configs_fini(&search->now);
        configs_fini(&search->seen);
        configs_fini(&search->next);
    }
    free(search);
    free(moments);
    free(slots);
    return verdict;
}
