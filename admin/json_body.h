/* JSON that clients send. What it is made of is wiped when it is freed: passwords are among it. */
#ifndef ADMIN_JSON_BODY_H
#define ADMIN_JSON_BODY_H

#include <jansson.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/slice.h"

/* Before anything else in the process makes JSON; again is fine. */
void admin_json_init(void);
/* One object, each key once, no NUL in any text. NULL: it is none. The caller's to decref. */
json_t *admin_json_parse(struct slice body);
/* The text of a key; empty where the key is missing. Borrowed from `json`. 0, or -EINVAL: no text,
 * or longer than `max`. */
int admin_json_text(const json_t *json, const char *key, size_t max, struct slice *out);
/* An allocation's id: 16 hexadecimal digits, small letters, not all 0. 0 with *out 0 where the key
 * is missing, or -EINVAL. */
int admin_json_id(const json_t *json, const char *key, uint64_t *out);
/* An integer from 0 to `max`. 0 with *out untouched where the key is missing, or -EINVAL. */
int admin_json_number(const json_t *json, const char *key, uint64_t max, uint64_t *out);
/* An IP address without a port. 0 with *out untouched where the key is missing or its text empty,
 * or -EINVAL. */
int admin_json_address(const json_t *json, const char *key, struct addr *out);
/* True: the object has no keys but those of `known`, `count` many. */
bool admin_json_only(const json_t *json, const char *const *known, size_t count);

#endif
