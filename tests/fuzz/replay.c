/*
 * Runs a fuzz target over files and folders of inputs, without libFuzzer: the corpora are
 * regression tests under gcc and under every sanitizer. With --reasons it fails unless each outcome
 * that the target expects was drawn at least once, so that a corpus cannot quietly stop reaching
 * something.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1u << 20)

static size_t inputs;

/* The input lies in memory of exactly its size, so that a sanitizer sees any byte read too far. */
static int replay_file(const char *path)
{
    static uint8_t buffer[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return -errno;
    const size_t len = fread(buffer, 1, sizeof(buffer), file);
    const bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return -EIO;
    uint8_t *exact = malloc(len == 0 ? 1 : len);
    if (exact == NULL)
        return -ENOMEM;
    memcpy(exact, buffer, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    inputs++;
    return 0;
}

static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -errno;
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(folder)) != NULL;) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        const int len = snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        result = len < 0 || (size_t)len >= sizeof(file) ? -ENAMETOOLONG : replay_file(file);
    }
    closedir(folder);
    return result;
}

static int replay_path(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return -errno;
    return S_ISDIR(info.st_mode) ? replay_folder(path) : replay_file(path);
}

/* How many expected outcomes were not drawn. */
static unsigned count_missing(void)
{
    unsigned missing = 0;
    for (size_t i = 0; i < fuzz_reasons.count; i++) {
        const bool named = fuzz_reasons.names != NULL;
        const size_t outcome = named ? i : fuzz_reasons.expected[i];
        const char *name = named ? fuzz_reasons.names[i] : reason_name((enum reason)outcome);
        printf("%6llu %s\n", (unsigned long long)fuzz_reasons.seen[outcome], name);
        missing += fuzz_reasons.seen[outcome] == 0;
    }
    return missing;
}

int main(int argc, char **argv)
{
    bool check_reasons = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--reasons") == 0) {
            check_reasons = true;
            continue;
        }
        const int result = replay_path(argv[i]);
        if (result < 0) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(-result));
            return 1;
        }
    }
    const unsigned missing = count_missing();
    printf("%zu inputs, %u outcomes missing\n", inputs, missing);
    return inputs == 0 || (check_reasons && missing > 0) ? 1 : 0;
}
