/* How much a test repeats: in every run so much that it would be found, and all of it with
 * TURNPIKE_THOROUGH in the environment, as tests/run --soak sets it. */
#ifndef TESTS_THOROUGH_H
#define TESTS_THOROUGH_H

#include <stdlib.h>

static inline unsigned thorough(unsigned usual, unsigned all)
{
    return getenv("TURNPIKE_THOROUGH") ? all : usual;
}

#endif
