#include "support/simos_disk.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* malloc, not heap_alloc: a test that lets memory run out means the program's, not ours. */

#define PAGE_BYTES 4096

/* Pages are shared between the images of all disks; the last one lets it go. */
struct page {
    size_t references;
    char bytes[PAGE_BYTES];
};

/* The bytes of a file. A page that is NULL, or behind the last, is zeros. */
struct image {
    struct page **pages;
    size_t page_count;
    uint64_t size;
};

/* A write or truncation on its way to the disk. Never changed once it is made, so shared. */
struct change {
    size_t references;
    uint64_t offset;
    uint64_t len;
    uint64_t size_after; /* of the file */
    bool is_zeros;       /* what a truncation cut off */
    char data[];
};

struct name {
    char text[DISK_NAME_MAX];
    size_t node;
};

struct names {
    struct name *names;
    size_t count;
};

/* One change of a directory: it happens whole or not at all. "": none. */
struct move {
    char from[DISK_NAME_MAX]; /* goes away */
    char to[DISK_NAME_MAX];   /* appears, or is replaced */
    size_t node;
};

/* A file or a directory. Shared between disks until one changes it. */
struct node {
    size_t references;
    bool is_dir;
    bool has_lost_pages; /* shown and not kept, and no change will bring them there */
    struct image shown, kept;
    struct change **changes;
    size_t change_count;
    struct names shown_names, kept_names;
    struct move *moves;
    size_t move_count;
};

struct disk {
    struct node **nodes; /* a number is never used twice */
    size_t node_count;
    uint64_t generation;
};

static void *must(void *memory)
{
    CHECK(memory != NULL);
    return memory;
}

/* ---- images ---- */

static void page_release(struct page *page)
{
    if (page != NULL && --page->references == 0) {
        free(page);
    }
}

static void image_fini(struct image *image)
{
    for (size_t i = 0; i < image->page_count; i++) {
        page_release(image->pages[i]);
    }
    free(image->pages);
    *image = (struct image){0};
}

static struct image image_copy(const struct image *image)
{
    struct image copy = *image;
    copy.pages = must(malloc((image->page_count + 1) * sizeof(struct page *)));
    for (size_t i = 0; i < image->page_count; i++) {
        copy.pages[i] = image->pages[i];
        if (copy.pages[i] != NULL) {
            copy.pages[i]->references++;
        }
    }
    return copy;
}

static void image_replace(struct image *image, const struct image *with)
{
    struct image copy = image_copy(with);
    image_fini(image);
    *image = copy;
}

/* A page that is this image's alone. */
static struct page *image_page(struct image *image, size_t index)
{
    if (index >= image->page_count) {
        image->pages = must(realloc(image->pages, (index + 1) * sizeof(struct page *)));
        while (image->page_count <= index) {
            image->pages[image->page_count++] = NULL;
        }
    }
    struct page *page = image->pages[index];
    if (page == NULL || page->references > 1) {
        struct page *own = must(calloc(1, sizeof(*own)));
        own->references = 1;
        if (page != NULL) {
            memcpy(own->bytes, page->bytes, PAGE_BYTES);
            page->references--;
        }
        image->pages[index] = own;
    }
    return image->pages[index];
}

/* Data NULL: zeros. The size is the caller's matter. */
static void image_write(struct image *image, const char *data, uint64_t len,
                        uint64_t offset)
{
    while (len > 0) {
        size_t at = offset % PAGE_BYTES;
        size_t part = PAGE_BYTES - at < len ? PAGE_BYTES - at : (size_t)len;
        size_t index = (size_t)(offset / PAGE_BYTES);
        bool is_hole = index >= image->page_count || image->pages[index] == NULL;
        if (data != NULL) {
            memcpy(image_page(image, index)->bytes + at, data, part);
            data += part;
        } else if (!is_hole) {
            memset(image_page(image, index)->bytes + at, 0, part);
        }
        offset += part;
        len -= part;
    }
}

static size_t image_read(const struct image *image, char *data, size_t len,
                         uint64_t offset)
{
    if (offset >= image->size) {
        return 0;
    }
    len = image->size - offset < len ? (size_t)(image->size - offset) : len;
    for (size_t done = 0; done < len;) {
        size_t index = (size_t)((offset + done) / PAGE_BYTES);
        size_t at = (offset + done) % PAGE_BYTES;
        size_t part = PAGE_BYTES - at < len - done ? PAGE_BYTES - at : len - done;
        const struct page *page = index < image->page_count ? image->pages[index] : NULL;
        if (page != NULL) {
            memcpy(data + done, page->bytes + at, part);
        } else {
            memset(data + done, 0, part);
        }
        done += part;
    }
    return len;
}

/* ---- names ---- */

static struct name *names_find(const struct names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->names[i].text, text) == 0) {
            return &names->names[i];
        }
    }
    return NULL;
}

static void name_copy(char to[DISK_NAME_MAX], const char *from)
{
    CHECK(strlen(from) < DISK_NAME_MAX);
    strcpy(to, from);
}

static void names_set(struct names *names, const char *text, size_t node)
{
    struct name *name = names_find(names, text);
    if (name == NULL) {
        names->names =
            must(realloc(names->names, (names->count + 1) * sizeof(struct name)));
        name = &names->names[names->count++];
        name_copy(name->text, text);
    }
    name->node = node;
}

static void names_remove(struct names *names, const char *text)
{
    struct name *name = names_find(names, text);
    if (name != NULL) {
        size_t behind = (size_t)(names->names + names->count - (name + 1));
        memmove(name, name + 1, behind * sizeof(*name));
        names->count--;
    }
}

static struct names names_copy(const struct names *names)
{
    struct names copy = {must(malloc((names->count + 1) * sizeof(struct name))),
                         names->count};
    if (names->count > 0) {
        memcpy(copy.names, names->names, names->count * sizeof(struct name));
    }
    return copy;
}

static void names_replace(struct names *names, const struct names *with)
{
    struct names copy = names_copy(with);
    free(names->names);
    *names = copy;
}

static void names_apply(struct names *names, const struct move *move)
{
    if (move->from[0] != '\0') {
        names_remove(names, move->from);
    }
    if (move->to[0] != '\0') {
        names_set(names, move->to, move->node);
    }
}

/* ---- nodes ---- */

static void node_forget_changes(struct node *node)
{
    for (size_t i = 0; i < node->change_count; i++) {
        if (--node->changes[i]->references == 0) {
            free(node->changes[i]);
        }
    }
    free(node->changes);
    node->changes = NULL;
    node->change_count = 0;
}

static void node_forget_moves(struct node *node)
{
    free(node->moves);
    node->moves = NULL;
    node->move_count = 0;
}

static void node_release(struct node *node)
{
    if (--node->references > 0) {
        return;
    }
    node_forget_changes(node);
    node_forget_moves(node);
    image_fini(&node->shown);
    image_fini(&node->kept);
    free(node->shown_names.names);
    free(node->kept_names.names);
    free(node);
}

static struct node *node_copy(const struct node *node)
{
    struct node *copy = must(malloc(sizeof(*copy)));
    *copy = *node;
    copy->references = 1;
    copy->shown = image_copy(&node->shown);
    copy->kept = image_copy(&node->kept);
    copy->shown_names = names_copy(&node->shown_names);
    copy->kept_names = names_copy(&node->kept_names);
    copy->changes = must(malloc((node->change_count + 1) * sizeof(struct change *)));
    for (size_t i = 0; i < node->change_count; i++) {
        copy->changes[i] = node->changes[i];
        copy->changes[i]->references++;
    }
    copy->moves = must(malloc((node->move_count + 1) * sizeof(struct move)));
    if (node->move_count > 0) {
        memcpy(copy->moves, node->moves, node->move_count * sizeof(struct move));
    }
    return copy;
}

static struct node *node_of(const struct disk *disk, size_t number)
{
    CHECK(number < disk->node_count);
    return disk->nodes[number];
}

/* The node, to be changed: this disk's alone. */
static struct node *node_own(struct disk *disk, size_t number)
{
    struct node *node = node_of(disk, number);
    if (node->references > 1) {
        struct node *copy = node_copy(node);
        node->references--;
        disk->nodes[number] = node = copy;
    }
    disk->generation++;
    return node;
}

/* ---- disks ---- */

static size_t add_node(struct disk *disk, bool is_dir)
{
    struct node *node = must(calloc(1, sizeof(*node)));
    node->references = 1;
    node->is_dir = is_dir;
    disk->nodes =
        must(realloc(disk->nodes, (disk->node_count + 1) * sizeof(struct node *)));
    disk->nodes[disk->node_count] = node;
    disk->generation++;
    return disk->node_count++;
}

struct disk *disk_create(void)
{
    struct disk *disk = must(calloc(1, sizeof(*disk)));
    add_node(disk, true);
    return disk;
}

struct disk *disk_copy(const struct disk *disk)
{
    struct disk *copy = must(malloc(sizeof(*copy)));
    *copy = *disk;
    copy->nodes = must(malloc(disk->node_count * sizeof(struct node *)));
    for (size_t i = 0; i < disk->node_count; i++) {
        copy->nodes[i] = disk->nodes[i];
        copy->nodes[i]->references++;
    }
    return copy;
}

void disk_destroy(struct disk *disk)
{
    if (disk == NULL) {
        return;
    }
    for (size_t i = 0; i < disk->node_count; i++) {
        node_release(disk->nodes[i]);
    }
    free(disk->nodes);
    free(disk);
}

uint64_t disk_generation(const struct disk *disk)
{
    return disk->generation;
}

/* ---- directories ---- */

size_t disk_find(const struct disk *disk, size_t dir, const char *name)
{
    const struct name *found = names_find(&node_of(disk, dir)->shown_names, name);
    return found != NULL ? found->node : DISK_NONE;
}

bool disk_is_dir(const struct disk *disk, size_t node)
{
    return node_of(disk, node)->is_dir;
}

size_t disk_names(const struct disk *disk, size_t dir)
{
    return node_of(disk, dir)->shown_names.count;
}

const char *disk_name(const struct disk *disk, size_t dir, size_t index)
{
    return node_of(disk, dir)->shown_names.names[index].text;
}

static void add_move(struct disk *disk, size_t dir, const char *from, const char *to,
                     size_t number)
{
    struct node *node = node_own(disk, dir);
    node->moves =
        must(realloc(node->moves, (node->move_count + 1) * sizeof(struct move)));
    struct move *move = &node->moves[node->move_count++];
    name_copy(move->from, from);
    name_copy(move->to, to);
    move->node = number;
    names_apply(&node->shown_names, move);
}

size_t disk_make(struct disk *disk, size_t dir, const char *name, bool is_dir)
{
    size_t number = add_node(disk, is_dir);
    add_move(disk, dir, "", name, number);
    return number;
}

void disk_link(struct disk *disk, size_t dir, const char *name, size_t node)
{
    add_move(disk, dir, "", name, node);
}

void disk_unlink(struct disk *disk, size_t dir, const char *name)
{
    add_move(disk, dir, name, "", DISK_NONE);
}

void disk_rename(struct disk *disk, size_t dir, const char *from, const char *to)
{
    add_move(disk, dir, from, to, disk_find(disk, dir, from));
}

void disk_sync_dir(struct disk *disk, size_t dir)
{
    struct node *node = node_own(disk, dir);
    names_replace(&node->kept_names, &node->shown_names);
    node_forget_moves(node);
}

/* ---- files ---- */

uint64_t disk_size(const struct disk *disk, size_t node)
{
    return node_of(disk, node)->shown.size;
}

size_t disk_read(const struct disk *disk, size_t node, void *data, size_t size,
                 uint64_t offset)
{
    return image_read(&node_of(disk, node)->shown, data, size, offset);
}

/* Data NULL: zeros. */
static void add_change(struct node *node, const void *data, uint64_t len, uint64_t offset,
                       uint64_t size_after)
{
    struct change *change =
        must(malloc(sizeof(*change) + (data != NULL ? (size_t)len : 0)));
    *change = (struct change){.references = 1,
                              .offset = offset,
                              .len = len,
                              .size_after = size_after,
                              .is_zeros = data == NULL};
    if (data != NULL) {
        memcpy(change->data, data, (size_t)len);
    }
    node->changes =
        must(realloc(node->changes, (node->change_count + 1) * sizeof(struct change *)));
    node->changes[node->change_count++] = change;
    image_write(&node->shown, data, len, offset);
    node->shown.size = size_after;
}

void disk_write(struct disk *disk, size_t node, const void *data, size_t size,
                uint64_t offset)
{
    if (size > 0) {
        struct node *own = node_own(disk, node);
        uint64_t end = offset + size;
        add_change(own, data, size, offset,
                   end > own->shown.size ? end : own->shown.size);
    }
}

void disk_truncate(struct disk *disk, size_t node, uint64_t size)
{
    struct node *own = node_own(disk, node);
    uint64_t before = own->shown.size;
    add_change(own, NULL, before > size ? before - size : 0, size, size);
}

/* Only the changes: pages that were lost earlier stay lost. */
static void keep_changes(struct node *node)
{
    for (size_t i = 0; i < node->change_count; i++) {
        const struct change *change = node->changes[i];
        image_write(&node->kept, change->is_zeros ? NULL : change->data, change->len,
                    change->offset);
        node->kept.size = change->size_after;
    }
}

void disk_sync(struct disk *disk, size_t node)
{
    struct node *own = node_own(disk, node);
    if (own->has_lost_pages) {
        keep_changes(own);
    } else {
        image_replace(&own->kept, &own->shown);
    }
    node_forget_changes(own);
}

void disk_lose_pages(struct disk *disk, size_t node)
{
    struct node *own = node_own(disk, node);
    uint64_t size = own->shown.size;
    node_forget_changes(own);
    own->has_lost_pages = true;
    if (size != own->kept.size) {
        add_change(own, "", 0, size, size); /* the inode is still to be written */
    }
}

void disk_drop_cache(struct disk *disk, size_t node)
{
    struct node *own = node_own(disk, node);
    uint64_t size = own->shown.size;
    image_replace(&own->shown, &own->kept);
    for (size_t i = 0; i < own->change_count; i++) {
        const struct change *change = own->changes[i];
        image_write(&own->shown, change->is_zeros ? NULL : change->data, change->len,
                    change->offset);
    }
    own->shown.size = size;
    own->has_lost_pages = false;
}

static void add_used(const struct disk *disk, size_t dir, bool *is_seen, uint64_t *bytes)
{
    const struct names *names = &node_of(disk, dir)->shown_names;
    for (size_t i = 0; i < names->count; i++) {
        size_t number = names->names[i].node;
        if (is_seen[number]) {
            continue;
        }
        is_seen[number] = true;
        *bytes += (disk_size(disk, number) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
        if (disk_is_dir(disk, number)) {
            add_used(disk, number, is_seen, bytes);
        }
    }
}

uint64_t disk_used(const struct disk *disk)
{
    bool *is_seen = must(calloc(disk->node_count, sizeof(*is_seen)));
    uint64_t bytes = 0;
    add_used(disk, DISK_ROOT, is_seen, &bytes);
    free(is_seen);
    return bytes;
}

/* ---- the end of power ---- */

/* How likely something is to have reached the disk: from never to always, so that among many
 * seeds there are disks that wrote nearly everything and disks that wrote nearly nothing. */
static unsigned draw_percent(struct random *random)
{
    static const unsigned percents[] = {0, 10, 50, 90, 100};
    return percents[random_below(random, sizeof(percents) / sizeof(percents[0]))];
}

static bool draw(struct random *random, unsigned percent)
{
    return random_below(random, 100) < percent;
}

/* The part of a change that lies in [from, to). */
static void apply_within(struct image *image, const struct change *change, uint64_t from,
                         uint64_t to)
{
    uint64_t begin = change->offset > from ? change->offset : from;
    uint64_t end = change->offset + change->len < to ? change->offset + change->len : to;
    if (begin < end) {
        image_write(image,
                    change->is_zeros ? NULL : change->data + (begin - change->offset),
                    end - begin, begin);
    }
}

static bool touches(const struct change *change, uint64_t from, uint64_t to)
{
    return change->offset < to && change->offset + change->len > from;
}

/* What becomes of a sector: the disk has it as it was after any number of the writes since the
 * last sync, and may have been in the middle of the next one. */
static void settle_sector(const struct node *node, struct image *image, uint64_t from,
                          unsigned percent, struct random *random)
{
    uint64_t to = from + SECTOR_BYTES;
    uint64_t versions = 0;
    for (size_t i = 0; i < node->change_count; i++) {
        versions += touches(node->changes[i], from, to);
    }
    uint64_t whole =
        draw(random, percent) ? versions : random_below(random, versions + 1);
    bool is_torn = draw(random, 12);
    uint64_t torn_at = from + random_below(random, SECTOR_BYTES);
    if (to > node->kept.size && draw(random, 50)) {
        /* Blocks that the file has just been given: what somebody else left there. */
        char garbage[SECTOR_BYTES];
        for (size_t i = 0; i < sizeof(garbage); i++) {
            garbage[i] = (char)random_next(random);
        }
        uint64_t begin = node->kept.size > from ? node->kept.size : from;
        image_write(image, garbage, to - begin, begin);
    }
    uint64_t version = 0;
    for (size_t i = 0; i < node->change_count && version <= whole; i++) {
        if (touches(node->changes[i], from, to)) {
            if (version < whole) {
                apply_within(image, node->changes[i], from, to);
            } else if (is_torn) {
                apply_within(image, node->changes[i], from, torn_at);
            }
            version++;
        }
    }
}

static int compare_offsets(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* The sectors that some change touches, ascending, each once. */
static uint64_t *touched_sectors(const struct node *node, size_t *count)
{
    size_t room = 1;
    for (size_t i = 0; i < node->change_count; i++) {
        room += (size_t)(node->changes[i]->len / SECTOR_BYTES) + 2;
    }
    uint64_t *sectors = must(malloc(room * sizeof(*sectors)));
    size_t all = 0;
    for (size_t i = 0; i < node->change_count; i++) {
        const struct change *change = node->changes[i];
        uint64_t end = change->offset + change->len;
        for (uint64_t at = change->offset / SECTOR_BYTES * SECTOR_BYTES; at < end;
             at += SECTOR_BYTES) {
            sectors[all++] = at;
        }
    }
    qsort(sectors, all, sizeof(*sectors), compare_offsets);
    *count = 0;
    for (size_t i = 0; i < all; i++) {
        if (i == 0 || sectors[i] != sectors[i - 1]) {
            sectors[(*count)++] = sectors[i];
        }
    }
    return sectors;
}

/* Nothing of an earlier, longer life of the file shows when it grows again. */
static void cut_image(struct image *image, uint64_t size)
{
    uint64_t end = (uint64_t)image->page_count * PAGE_BYTES;
    if (end > size) {
        image_write(image, NULL, end - size, size);
    }
    image->size = size;
}

static void settle_file(struct node *node, struct random *random)
{
    unsigned percent = draw_percent(random);
    uint64_t size = node->kept.size;
    if (node->change_count > 0) {
        size_t last = node->change_count - 1;
        uint64_t at = draw(random, percent) ? last + 1 : random_below(random, last + 2);
        size = at == 0 ? size : node->changes[at - 1]->size_after;
    }
    size_t count;
    uint64_t *sectors = touched_sectors(node, &count);
    struct image image = image_copy(&node->kept);
    for (size_t i = 0; i < count; i++) {
        settle_sector(node, &image, sectors[i], percent, random);
    }
    free(sectors);
    cut_image(&image, size);
    image_fini(&node->kept);
    node->kept = image;
}

static void settle_dir(struct node *node, struct random *random)
{
    unsigned percent = draw_percent(random);
    for (size_t i = 0; i < node->move_count; i++) {
        if (draw(random, percent)) {
            names_apply(&node->kept_names, &node->moves[i]);
        }
    }
}

static void settle(struct node *node, enum disk_loss loss, struct random *random)
{
    if (loss == DISK_DROPS_SOME && node->is_dir) {
        settle_dir(node, random);
    } else if (loss == DISK_DROPS_SOME) {
        settle_file(node, random);
    } else if (loss == DISK_KEEPS_ALL) {
        keep_changes(node);
        names_replace(&node->kept_names, &node->shown_names);
    }
    node_forget_changes(node);
    node_forget_moves(node);
    image_replace(&node->shown, &node->kept);
    names_replace(&node->shown_names, &node->kept_names);
    node->has_lost_pages = false;
}

void disk_lose_power(struct disk *disk, enum disk_loss loss, uint64_t seed)
{
    struct random random;
    random_init(&random, seed);
    for (size_t i = 0; i < disk->node_count; i++) {
        const struct node *node = disk->nodes[i];
        if (node->change_count > 0 || node->move_count > 0 || node->has_lost_pages) {
            settle(node_own(disk, i), loss, &random);
        }
    }
}
