#include "base/mailbox.h"

#include "base/check.h"
#include "base/heap.h"
#include "base/os.h"

enum memento_status mailbox_init(struct mailbox *mailbox, size_t capacity)
{
    CHECK(capacity > 0);
    *mailbox = (struct mailbox){.capacity = capacity, .event_fd = -1};
    mailbox->items = heap_alloc_zeroed(capacity, sizeof(mailbox->items[0]));
    if (mailbox->items == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    mailbox->event_fd = os_eventfd();
    if (mailbox->event_fd < 0) {
        heap_free(mailbox->items);
        mailbox->items = NULL;
        return MEMENTO_ERR_IO;
    }
    lock_init(&mailbox->lock);
    return MEMENTO_OK;
}

void mailbox_fini(struct mailbox *mailbox)
{
    if (mailbox->items == NULL) {
        return; /* mailbox_init had failed */
    }
    lock_fini(&mailbox->lock);
    os_close(mailbox->event_fd);
    heap_free(mailbox->items);
    mailbox->items = NULL;
    mailbox->event_fd = -1;
}

enum memento_status mailbox_post(struct mailbox *mailbox, struct mail mail)
{
    lock_acquire(&mailbox->lock);
    bool is_full = mailbox->count == mailbox->capacity;
    bool was_empty = mailbox->count == 0;
    if (!is_full) {
        size_t at = mailbox->first + mailbox->count;
        mailbox->items[at < mailbox->capacity ? at : at - mailbox->capacity] = mail;
        mailbox->count++;
    }
    lock_release(&mailbox->lock);

    /* Only the first letter rings: the owner takes until the box is empty, so whoever
     * posts behind it is seen in the same round. */
    if (was_empty && !is_full) {
        mailbox_wake(mailbox);
    }
    return is_full ? MEMENTO_AGAIN : MEMENTO_OK;
}

void mailbox_wake(struct mailbox *mailbox)
{
    /* Can only fail with EAGAIN, when 2^64 - 2 rings are waiting already. */
    uint64_t one = 1;
    (void)!os_write(mailbox->event_fd, &one, sizeof(one));
}

void mailbox_drain(struct mailbox *mailbox)
{
    uint64_t rings;
    (void)!os_read(mailbox->event_fd, &rings, sizeof(rings));
}

bool mailbox_take(struct mailbox *mailbox, struct mail *mail)
{
    lock_acquire(&mailbox->lock);
    bool has_mail = mailbox->count > 0;
    if (has_mail) {
        *mail = mailbox->items[mailbox->first];
        mailbox->first = mailbox->first + 1 == mailbox->capacity ? 0 : mailbox->first + 1;
        mailbox->count--;
    }
    lock_release(&mailbox->lock);
    return has_mail;
}
