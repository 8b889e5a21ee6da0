#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Enough to see what differs; a failing test prints no more of a large value. */
#define SHOWN_BYTES_MAX 120

static void show(const char *title, struct bytes bytes)
{
    char text[SHOWN_BYTES_MAX * 4 + 1];
    size_t used = 0;
    for (size_t i = 0; i < bytes.len && i < SHOWN_BYTES_MAX; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        if (byte >= 0x20 && byte < 0x7f) {
            text[used++] = (char)byte;
        } else {
            used += (size_t)snprintf(text + used, 5, "\\x%02x", byte);
        }
    }
    text[used] = '\0';
    print_error("%s (%zu bytes) \"%s\"\n", title, bytes.len, text);
}

void test_bytes_equal(struct bytes actual, struct bytes expected, const char *file,
                      int line)
{
    if (!bytes_equal(actual, expected)) {
        show("is       ", actual);
        show("should be", expected);
        _fail(file, line);
    }
}

static pid_t child;

_Bool test_fork_is_child(void)
{
    fflush(NULL);
    child = fork();
    if (child == 0) {
        /* The abort is awaited: no handler of cmocka or a sanitizer, no core, no
         * noise. */
        signal(SIGABRT, SIG_DFL);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        return 1;
    }
    return 0;
}

void test_child_survives(void)
{
    _exit(0);
}

void test_child_must_abort(const char *file, int line)
{
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status) ||
        WTERMSIG(status) != SIGABRT) {
        print_error("no check failed\n");
        _fail(file, line);
    }
}

void test_folder_create(char path[TEST_PATH_MAX])
{
    const char *parent = getenv("TMPDIR");
    snprintf(path, TEST_PATH_MAX, "%s/memento-test-XXXXXX",
             parent != NULL ? parent : "/tmp");
    if (mkdtemp(path) == NULL) {
        fail_msg("no folder %s", path);
    }
}

void test_folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char file[TEST_PATH_MAX + sizeof(entry->d_name) + 1];
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        unlink(file); /* fails for . and .., as it should */
    }
    closedir(folder);
    rmdir(path);
}
