/* What makes a server slow: passes bytes on both ways, each after a delay, on the loop of the test.
 */
#ifndef TESTS_FLEET_SLOW_PROXY_H
#define TESTS_FLEET_SLOW_PROXY_H

#include <stdint.h>
#include <uv.h>

struct slow_proxy;

/* Listens on 127.0.0.1 and leads to `upstream` there. */
struct slow_proxy *slow_proxy_new(uv_loop_t *loop, uint16_t upstream);
void slow_proxy_free(struct slow_proxy *p); /* its memory goes as the loop runs on */
uint16_t slow_proxy_port(const struct slow_proxy *p);
void slow_proxy_delay(struct slow_proxy *p, unsigned ms); /* for what comes from now on */

#endif
