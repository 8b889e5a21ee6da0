/* mailbox.h - how threads talk: a bounded queue of small messages and an eventfd that
 * wakes the owner's epoll loop.
 *
 * Any thread posts, one owner takes. A full mailbox refuses: the poster decides what
 * then. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mail {
    int kind;
    uint64_t number;
    void *pointer;
};

struct mailbox {
    struct lock lock;
    struct mail *items; /* a ring */
    size_t first, count, capacity;
    int event_fd; /* readable when there may be mail */
};

MUST_USE enum memento_status mailbox_init(struct mailbox *mailbox, size_t capacity);
void mailbox_fini(struct mailbox *mailbox);
/* Any thread. MEMENTO_AGAIN when full. */
MUST_USE enum memento_status mailbox_post(struct mailbox *mailbox, struct mail mail);
/* Wakes the owner without a message. Any thread. */
void mailbox_wake(struct mailbox *mailbox);
/* The owner, after event_fd became readable: resets it. Then take until false. */
void mailbox_drain(struct mailbox *mailbox);
MUST_USE bool mailbox_take(struct mailbox *mailbox, struct mail *mail);
