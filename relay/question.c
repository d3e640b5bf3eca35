/*
 * What this worker has asked the store and has no answer to yet: one question for each name,
 * however many requests wait for it. The answer goes to auth, which remembers it; then all of them
 * run again.
 *
 * What always holds: a question lives as long as a request waits for it, so there are never more of
 * them than requests may wait; its requests are bounded by their own deadlines, and one that nobody
 * answers is asked again. Called by park.c and relay.c.
 */
#include "relay/core.h"

struct question {
    uint64_t handle;
    struct relay *relay;
    uint64_t asked_us;
    struct parked *first; /* who waits; newest first */
    bool answered;        /* no longer in the table */
    struct store_question what;
};

struct slab *question_slab_new(unsigned worker)
{
    return slab_new(worker, sizeof(struct question), QUESTIONS_MAX);
}

static uint64_t hash_of(const struct relay *r, const struct store_need *need)
{
    uint8_t bytes[8 + STORE_NAME_MAX];
    const uint32_t head[2] = {need->kind, need->realm};
    memcpy(bytes, head, sizeof(head));
    memcpy(bytes + sizeof(head), need->name.data, need->name.len);
    return crypto_siphash(r->deps.shared->hash_key, bytes, sizeof(head) + need->name.len);
}

static struct store_need need_of(const struct store_question *what)
{
    return (struct store_need){
        .kind = what->kind, .realm = what->realm, .name = slice_of(what->name, what->name_len)};
}

static bool match(uint32_t slot, const void *key, void *ctx)
{
    const struct question *question = slab_at(((struct relay *)ctx)->questions, slot);
    const struct store_need *need = key, mine = need_of(&question->what);
    return mine.kind == need->kind && mine.realm == need->realm &&
           slice_equal(mine.name, need->name);
}

static struct question *find(struct relay *r, const struct store_need *need)
{
    uint32_t slot = table_find(r->asked, hash_of(r, need), match, need, r);
    return slot == TABLE_NOT_FOUND ? NULL : slab_at(r->questions, slot);
}

static struct question *make(struct relay *r, const struct store_need *need)
{
    uint64_t handle;
    struct question *question = slab_alloc(r->questions, &handle);
    if (!question || table_insert(r->asked, hash_of(r, need), handle_slot(handle))) {
        slab_release(r->questions, question ? handle : HANDLE_NONE);
        return NULL;
    }
    question->handle = handle;
    question->relay = r;
    question->what.kind = (uint8_t)need->kind;
    question->what.realm = need->realm;
    question->what.name_len = (uint16_t)need->name.len;
    memcpy(question->what.name, need->name.data, need->name.len);
    return question;
}

static void no_longer_asked(struct question *question)
{
    const struct store_need need = need_of(&question->what);
    struct relay *r = question->relay;
    table_remove(r->asked, hash_of(r, &need), handle_slot(question->handle));
}

static void release_unwanted(struct question *question)
{
    if (!question->first && !question->answered) {
        no_longer_asked(question);
        slab_release(question->relay->questions, question->handle);
    }
}

/* Asked now, or on its way. An answer that has not come in time never will. */
static bool is_asked(struct question *question, const struct instant *now)
{
    struct relay *r = question->relay;
    if (question->asked_us != 0 && now->mono_us - question->asked_us < PARKED_DEADLINE_US) {
        return true;
    }
    if (r->deps.ask(r->deps.ask_ctx, &question->what)) {
        return false;
    }
    question->asked_us = now->mono_us;
    return true;
}

enum reason question_join(
    struct parked *p, const struct store_need *need, const struct instant *now)
{
    if (need->name.len == 0 || need->name.len > STORE_NAME_MAX) {
        return REASON_STORE_UNREACHABLE;
    }
    struct question *question = find(p->relay, need);
    if (!question) {
        question = make(p->relay, need);
    }
    if (!question) {
        return REASON_MEMORY_EXHAUSTED;
    }
    if (!is_asked(question, now)) {
        release_unwanted(question);
        return REASON_STORE_UNREACHABLE;
    }
    p->store.question = question;
    p->store.next = question->first;
    p->store.link = &question->first;
    if (p->store.next) {
        p->store.next->store.link = &p->store.next;
    }
    question->first = p;
    return REASON_NONE;
}

void question_leave(struct parked *p)
{
    struct question *question = p->store.question;
    *p->store.link = p->store.next;
    if (p->store.next) {
        p->store.next->store.link = p->store.link;
    }
    p->store.question = NULL;
    release_unwanted(question);
}

void question_answered(
    struct relay *r, const struct store_question *what, const struct instant *now)
{
    const struct store_need need = need_of(what);
    struct question *question = need.name.len <= STORE_NAME_MAX ? find(r, &need) : NULL;
    if (!question) {
        return; /* nobody waits any more; auth knows it now */
    }
    question->answered = true;
    no_longer_asked(question);
    while (question->first) {
        park_answered(question->first, now);
    }
    slab_release(r->questions, question->handle);
}
