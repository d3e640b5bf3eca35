/*
 * The store of a world: users and OAuth keys that lie elsewhere, asked by workers and answered when
 * a test wants it; and revocations, which reach all workers at once. What always holds: an answer
 * comes after the worker's turn, never from within it, as net/ does it. Called by world.c, by the
 * relays and by tests.
 */
#include "tests/scenario/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct world_question {
    unsigned worker;
    struct store_question what;
};

int world_store_ask(void *worker, const struct store_question *question)
{
    const struct world_worker *k = worker;
    struct world_store *s = &k->world->store;
    if (s->mode == WORLD_STORE_FULL)
        return -EAGAIN;
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 16;
        s->questions = realloc(s->questions, s->cap * sizeof(s->questions[0]));
        if (!s->questions)
            world_fail("out of memory");
    }
    if (question->name_len == 0 || question->name_len > STORE_NAME_MAX)
        world_fail("a question about a name that cannot be");
    s->questions[s->count++] = (struct world_question){k->number, *question};
    s->asked++;
    return 0;
}

struct store_oauth_key world_oauth_key(const char *kid)
{
    struct store_oauth_key key = {.key_len = 32, .algorithm = AUTH_OAUTH_A256GCM};
    memset(key.key, kid[strlen(kid) - 1], sizeof(key.key));
    return key;
}

static void look_up(const struct world_store *s, struct store_answer *answer)
{
    const struct store_question *q = &answer->question;
    const struct slice name = slice_of(q->name, q->name_len);
    answer->verdict = STORE_NOT_FOUND;
    if (q->kind == STORE_OAUTH_KEY && q->realm == REALM_TOKENS &&
        slice_equal(name, slice_of_string(WORLD_STORED_KID))) {
        answer->verdict = STORE_FOUND;
        answer->u.oauth = world_oauth_key(WORLD_STORED_KID);
    }
    for (unsigned i = 0; i < WORLD_STORE_USERS && q->kind == STORE_USER; i++)
        if (s->users[i].key.len > 0 && s->users[i].realm == q->realm &&
            slice_equal(name, slice_of_string(s->users[i].name))) {
            answer->verdict = STORE_FOUND;
            answer->u.user = s->users[i].key;
        }
}

bool world_store_answer(struct world *w)
{
    struct world_store *s = &w->store;
    if (s->count == 0)
        return false;
    const struct world_question first = s->questions[0];
    memmove(&s->questions[0], &s->questions[1], --s->count * sizeof(s->questions[0]));
    struct store_answer answer = {.question = first.what, .verdict = STORE_UNREACHABLE};
    if (!s->unreachable)
        look_up(s, &answer);
    relay_store_answer(w->worker[first.worker].relay, &answer, &w->now);
    return true;
}

void world_store_lose(struct world *w)
{
    w->store.count = 0;
}

/* That of the user, or a free one. */
static unsigned place_of(const struct world_store *s, uint32_t realm, const char *name)
{
    unsigned free_one = WORLD_STORE_USERS;
    for (unsigned i = 0; i < WORLD_STORE_USERS; i++) {
        if (s->users[i].key.len == 0)
            free_one = i;
        else if (s->users[i].realm == realm && strcmp(s->users[i].name, name) == 0)
            return i;
    }
    if (free_one == WORLD_STORE_USERS)
        world_fail("no room in the store");
    return free_one;
}

void world_store_set_user(struct world *w, uint32_t realm, const char *name, const char *password)
{
    struct world_store *s = &w->store;
    const unsigned at = place_of(s, realm, name);
    memset(&s->users[at], 0, sizeof(s->users[at]));
    if (!password)
        return;
    s->users[at].realm = realm;
    snprintf(s->users[at].name, sizeof(s->users[at].name), "%s", name);
    const struct slice parts[] = {slice_of_string(name), slice_of_string(":"),
        slice_of_string(world_realm_name(realm)), slice_of_string(":"), slice_of_string(password)};
    s->users[at].key.len = CRYPTO_MD5_LEN;
    if (crypto_digest(w->crypto, CRYPTO_MD5, parts, 5, s->users[at].key.bytes) != 0)
        world_fail("no MD5");
}

static void revoke(struct world *w, const struct revocation *v)
{
    for (unsigned i = 0; i < w->settings.workers; i++)
        relay_revoke(w->worker[i].relay, v, &w->now);
    world_run(w);
}

static struct revocation revocation_of(
    enum revocation_kind kind, uint32_t realm, const char *id, int64_t until)
{
    struct revocation v = {
        .kind = (uint8_t)kind, .realm = realm, .until = until, .id_len = (uint16_t)strlen(id)};
    memcpy(v.id, id, v.id_len);
    return v;
}

void world_revoke(struct world *w, enum revocation_kind kind, uint32_t realm, const char *id)
{
    const struct revocation v = revocation_of(kind, realm, id, w->now.wall_s + 3600);
    revoke(w, &v);
}

void world_take_back(struct world *w, enum revocation_kind kind, uint32_t realm, const char *id)
{
    const struct revocation v = revocation_of(kind, realm, id, 0);
    revoke(w, &v);
}

int world_want_keys(void *worker, const struct srtp_wanted *wanted)
{
    struct world_wants *wants = &((struct world_worker *)worker)->world->wants;
    if (wants->full)
        return -EAGAIN;
    if (wants->count == wants->cap) {
        wants->cap = wants->cap ? 2 * wants->cap : 16;
        wants->list = realloc(wants->list, wants->cap * sizeof(wants->list[0]));
        if (!wants->list)
            world_fail("out of memory");
    }
    wants->list[wants->count++] = *wanted;
    return 0;
}
