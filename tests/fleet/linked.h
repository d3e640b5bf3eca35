/* A link on a loop of its own, and what it has said: tests wait for it. */
#ifndef TESTS_FLEET_LINKED_H
#define TESTS_FLEET_LINKED_H

#include "fleet/redis_link.h"
#include "fleet/redis_script.h"

struct linked {
    uv_loop_t loop;
    bool has_loop;
    uv_timer_t tick; /* so that waiting ends */
    struct redis_link *link;
    struct redis_settings settings;     /* for the next linked_begin; the URL is its argument */
    const struct random_source *random; /* NULL: the system's */
    const char *const *channels;
    size_t channel_count;
    unsigned ups, downs;
    enum redis_server server; /* of the last time it came up */
    struct addr address;
    char run_id[41], cause[200];
    unsigned messages;
    char channel[64], payload[64];               /* the last message */
    void (*on_state)(struct linked *l, bool up); /* or NULL */
};

/* One answer, copied: what the callback was given. */
struct answer {
    unsigned calls; /* must become 1 */
    enum redis_result result;
    enum redis_kind kind;
    int64_t integer;
    size_t len, count;
    uint8_t text[256]; /* its beginning */
    uint64_t after_us; /* from asking to the answer */
    uint64_t asked_us;
    void *user;
};

/* Draws the shortest pauses. */
extern const struct random_source linked_hurry;

/* The loop is made by the first of these; who needs it before the link makes it here. */
void linked_loop(struct linked *l);
/* Makes the loop and the link. Aborts where the link cannot be made. */
void linked_begin(struct linked *l, const char *url);
/* The same, but returns what redis_link_new says; `l` is as with linked_begin only with 0. */
int linked_try(struct linked *l, const char *url, char *error, size_t error_cap);
void linked_end(struct linked *l); /* frees the link, runs the loop to its end, closes it */

typedef bool linked_done_fn(struct linked *l, void *ctx);
/* Runs the loop until `done`, at most `ms`; what `done` says last. */
bool linked_run(struct linked *l, linked_done_fn *done, void *ctx, unsigned ms);
void linked_sleep(struct linked *l, unsigned ms); /* runs the loop for that long */
bool linked_up(struct linked *l, unsigned ups);   /* came up so many times, within 8 s */
bool linked_down(struct linked *l, unsigned downs);

/* The callback of a struct answer. */
void linked_answer(void *ctx, enum redis_result result, const struct redis_reply *reply);
/* Issues a command of words that blanks separate. What redis_link_command returns. */
int linked_issue(struct linked *l, const char *words, unsigned deadline_ms, struct answer *out);
/* The same and waits for the answer, with a deadline of 5 s. */
struct answer linked_ask(struct linked *l, const char *words);
bool linked_answered(struct linked *l, struct answer *a, unsigned ms);
/* Whether it is a reply with that text (or that integer, or "(nil)"). */
bool answer_is(const struct answer *a, const char *text);

#endif
