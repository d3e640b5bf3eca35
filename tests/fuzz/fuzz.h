/*
 * What every fuzz target shares. A target is one file fuzz_<x>.c that defines
 * LLVMFuzzerTestOneInput and fuzz_reasons; it is linked with libFuzzer (clang, -Dfuzz=true) and
 * always with replay.c, which runs the committed corpus under any compiler.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "base/counters.h"

/* Aborts, also in a release build: a violated invariant is a finding. */
#define FUZZ_REQUIRE(condition)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: violated: %s\n", __FILE__, __LINE__, #condition);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What the target may answer, all of which the corpus must draw; and what it did answer. */
struct fuzz_reasons {
    const enum reason *expected;
    size_t count;
    uint64_t seen[REASON_COUNT];
    const char *const *names; /* NULL, or what to call outcomes that are no reasons: `expected` is
                                 NULL then, and outcomes are 0..count-1 */
};
extern struct fuzz_reasons fuzz_reasons;

/* Counts a reason; one that is not expected is a finding. */
static inline void fuzz_note(enum reason reason)
{
    size_t i = 0;
    while (i < fuzz_reasons.count && fuzz_reasons.expected[i] != reason)
        i++;
    FUZZ_REQUIRE(i < fuzz_reasons.count);
    fuzz_reasons.seen[reason]++;
}

/* The same for outcomes that are no reasons. */
static inline void fuzz_note_outcome(unsigned outcome)
{
    FUZZ_REQUIRE(outcome < fuzz_reasons.count && outcome < REASON_COUNT);
    fuzz_reasons.seen[outcome]++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
