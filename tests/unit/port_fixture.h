/* What tests of the map of relayed ports begin with: one address without a claimed port. */
#ifndef TESTS_UNIT_PORT_FIXTURE_H
#define TESTS_UNIT_PORT_FIXTURE_H

#include "relay/ports.h"

struct port_fixture {
    struct port_maps *maps;
    struct port_map *map;
};

static inline int port_fixture_set_up(void **state)
{
    static struct port_fixture f;
    struct addr addr = addr_ipv4(192, 0, 2, 1, 0);

    f.maps = port_maps_new();
    f.map = f.maps ? port_maps_add(f.maps, &addr, &addr) : NULL;
    *state = &f;
    return f.map ? 0 : -1;
}

static inline int port_fixture_tear_down(void **state)
{
    struct port_fixture *f = *state;

    /* A test that failed half-way has left ports claimed, and freeing would abort before it is
     * reported. */
    if (port_map_claimed(f->map) != 0)
        return -1;
    port_maps_free(f->maps);
    return 0;
}

#endif
