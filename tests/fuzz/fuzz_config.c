/*
 * Any bytes as a configuration file. A refusal is one line that names the file; what is accepted
 * can be dumped, and the dump with its secrets filled in is read back as the same configuration.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/config_files.h"

/* Refusals have no reason of their own: that the corpus holds something good is what counts. */
static const enum reason expected[] = {REASON_NONE};

struct fuzz_reasons fuzz_reasons = {
    .expected = expected, .count = sizeof(expected) / sizeof(expected[0])};

static void check_refusal(const struct config *c, const struct config_error *error)
{
    const size_t len = strnlen(error->text, sizeof(error->text));
    FUZZ_REQUIRE(len < sizeof(error->text) && strncmp(error->text, "fuzz.yaml:", 10) == 0);
    for (size_t i = 0; i < len; i++)
        FUZZ_REQUIRE((unsigned char)error->text[i] >= 0x20 && error->text[i] != 0x7f);
    FUZZ_REQUIRE(c->auth.realms == NULL);
}

static void check_round_trip(const struct config *c)
{
    struct config again = {0};
    struct config_error error;
    char *dump = config_text(c), *text = config_unmask(dump);
    FUZZ_REQUIRE(dump && text);
    if (config_parse(&again, "dump.yaml", slice_of(text, strlen(text)), &error) != 0) {
        fprintf(stderr, "%s\n%s", error.text, text);
        abort();
    }
    char *second = config_text(&again);
    FUZZ_REQUIRE(second && strcmp(dump, second) == 0);
    config_deinit(&again);
    free(dump);
    free(text);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c = {0};
    struct config_error error;
    memset(&error, 0, sizeof(error));
    const int rc = config_parse(&c, "fuzz.yaml", slice_of(data, size), &error);
    if (rc < 0) {
        check_refusal(&c, &error);
        return 0;
    }
    fuzz_note(REASON_NONE);
    check_round_trip(&c);
    config_deinit(&c);
    return 0;
}
