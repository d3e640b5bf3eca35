/*
 * Why a credential is, or would be, refused: the same judgement as auth_check, without a request,
 * for `turnpikectl explain`. Never says a secret.
 */
#ifndef AUTH_EXPLAIN_H
#define AUTH_EXPLAIN_H

#include "auth/auth.h"

struct auth_question {
    uint32_t realm;
    struct slice user;     /* name or kid, as a client sends it */
    struct slice password; /* len 0: not given, only the name is judged */
    struct slice token;    /* an access token, decoded from base64; len 0: none */
};

struct auth_explanation {
    enum reason reason; /* REASON_NONE: accepted, as far as was given */
    enum auth_source source;
    char credential[32]; /* id of the secret or of the token that it belongs to; "": none */
    int64_t expires_at;  /* wall clock, s; 0: never, or unknown */
    bool pending; /* ask `need`, let the worker learn the answer, and call again with asked */
    struct store_need need;
    char text[256]; /* a sentence: "expired 42 s ago", "signed by the retired secret \"old\"" */
};

/* `asked` as in auth_request. On the thread of `w`. */
void auth_explain(const struct auth *auth, struct auth_worker *w, const struct auth_question *q,
    bool asked, const struct instant *now, struct auth_explanation *out);

#endif
