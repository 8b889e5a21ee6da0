/* corpus_main.c - runs a fuzz target over every file of a folder: the corpus as a plain test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_file(const char *folder, const char *name, uint8_t *data, size_t max)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(data, 1, max, file);
    fclose(file);
    return size;
}

int main(int argc, char **argv)
{
    enum { FILE_BYTES_MAX = 1 << 20 };
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    uint8_t *data = malloc(FILE_BYTES_MAX);
    if (folder == NULL || data == NULL) {
        fprintf(stderr, "usage: corpus_NAME FOLDER\n");
        return 1;
    }
    unsigned files = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] != '.') {
            LLVMFuzzerTestOneInput(
                data, read_file(argv[1], entry->d_name, data, FILE_BYTES_MAX));
            files++;
        }
    }
    closedir(folder);
    free(data);
    printf("%u files\n", files);
    return files > 0 ? 0 : 1;
}
