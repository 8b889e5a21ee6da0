/* test.h - what every test needs: cmocka, whose header wants these before it, and words
 * for bytes. A test program is linked with its room and the rooms below, nothing else. */
#pragma once

#include "base/bytes.h"

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
/* clang-format on */

/* A view of a string literal; NULs inside it count. */
#define B(literal) BYTES(literal)

/* Prints both sides with control bytes escaped when they differ. */
#define assert_bytes_equal(a, b) test_bytes_equal((a), (b), __FILE__, __LINE__)
void test_bytes_equal(struct bytes actual, struct bytes expected, const char *file,
                      int line);

/* The statement must end in a failed CHECK: run in a child, which must die of SIGABRT. */
#define assert_check_fails(statement)              \
    do {                                           \
        if (test_fork_is_child()) {                \
            statement;                             \
            test_child_survives();                 \
        }                                          \
        test_child_must_abort(__FILE__, __LINE__); \
    } while (0)
_Bool test_fork_is_child(void);
__attribute__((noreturn)) void test_child_survives(void);
void test_child_must_abort(const char *file, int line);

/* A new empty folder under $TMPDIR or /tmp, in a buffer of the caller; removed, with the
 * files in it, by test_folder_remove. */
#define TEST_PATH_MAX 256
void test_folder_create(char path[TEST_PATH_MAX]);
void test_folder_remove(const char *path);
