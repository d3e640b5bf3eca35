/* Writes the configuration reference to standard output: `configuration-reference >
 * docs/configuration.md`. */
#include "config/reference.h"

int main(void)
{
    return reference_write(stdout) < 0 || fflush(stdout) != 0;
}
