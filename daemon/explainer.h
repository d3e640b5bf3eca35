/*
 * `turnpikectl explain`: the judgement of auth/explain.h with what this thread knows, and with what
 * the store says where it takes that. Control thread.
 */
#ifndef DAEMON_EXPLAINER_H
#define DAEMON_EXPLAINER_H

#include "admin/ops.h"
#include "daemon/lookups.h"

struct explainer;

/* Borrowed for life. */
struct explainer_deps {
    struct lookups *lookups;
    const struct auth *const *auth; /* as it is in force; changes with a reload */
};

/* NULL: out of memory, or no randomness. */
struct explainer *explainer_new(const struct explainer_deps *deps);
/* After the store has answered everything. NULL: nothing happens. */
void explainer_free(struct explainer *e);

/* As admin_ops.explain. */
void explainer_ask(struct explainer *e, const struct admin_explain *what);
/* What workers learn, it learns too. */
void explainer_secrets(struct explainer *e, const struct store_secrets *secrets);
void explainer_revoke(struct explainer *e, const struct revocation *v);
/* As auth_knows_secret, by what is in force. */
enum auth_known explainer_knows(struct explainer *e, uint32_t realm, struct slice id);
/* At a reload: forgets what the store has answered. */
void explainer_forget(struct explainer *e);

#endif
