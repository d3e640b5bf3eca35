/*
 * The section `tls`. Here are paths only: the files are read by tls_context_new, at start and at
 * each reload, so no key is ever part of a configuration. Called through the schema, and by
 * config.c.
 */
#include "config/tls.h"

#include "config/names.h"
#include "config/path.h"
#include "config/values.h"

#include <stdlib.h>
#include <string.h>

/* Each handshake looks through them for the name it asks for. */
#define CERTIFICATES_MAX 64

static void clear_certificates(struct tls_settings *tls)
{
    for (size_t i = 0; i < tls->certificate_count; i++) {
        free(tls->certificates[i].cert);
        free(tls->certificates[i].key);
    }
    free(tls->certificates);
    tls->certificates = NULL;
    tls->certificate_count = 0;
}

void tls_clear(struct tls_settings *tls)
{
    clear_certificates(tls);
    names_clear(&tls->client_names, &tls->client_name_count);
    free(tls->client_ca);
    free(tls->client_crl);
}

static void print_path(const char *path, FILE *out)
{
    if (path)
        value_print_text(out, path);
    else
        fputs("none", out);
}

/* `tls.cert` and `tls.key` are the first of the certificates once the file is read. */
static void print_file(const void *base, const struct schema_key *key, FILE *out)
{
    const struct tls_settings *tls = &((const struct config *)base)->tls;
    const struct tls_certificate_settings none = {0}, *first = tls->certificate_count > 0
                                                                   ? &tls->certificates[0]
                                                                   : &none;

    print_path(strcmp(schema_leaf(key), "cert") == 0 ? first->cert : first->key, out);
}

static bool has_certificate(const void *base, const struct schema_key *key)
{
    return ((const struct config *)base)->tls.certificate_count > 0;
}

const struct schema_type type_tls_file = {.name = "path",
    .form = PEM_FORM,
    .set = path_set,
    .print = print_file,
    .present = has_certificate};

static int set_certificates(void *base, const struct schema_key *key,
    const struct document_node *value, struct fault *fault)
{
    struct tls_settings built = {0}, *tls = &((struct config *)base)->tls;
    int rc = 0;

    if (value->kind != DOCUMENT_SEQUENCE)
        return schema_bad_value(key, value, fault);
    if (value->count > CERTIFICATES_MAX)
        return fault_set(fault, value->line, "'%s' must not hold more than %d certificates",
            key->path, CERTIFICATES_MAX);
    built.certificates = calloc(value->count + 1, sizeof(*built.certificates));
    if (!built.certificates)
        return fault_out_of_memory(fault);
    for (size_t i = 0; i < value->count && rc == 0; i++) {
        built.certificate_count =
            i + 1; /* counted first: what a bad entry has filled in is freed */
        rc = schema_read("tls.certificates[]", &value->children[i], &built.certificates[i], fault);
    }
    if (rc < 0) {
        clear_certificates(&built);
        return rc;
    }
    clear_certificates(tls);
    tls->certificates = built.certificates;
    tls->certificate_count = built.certificate_count;
    return 0;
}

static void print_certificates(const void *base, const struct schema_key *key, FILE *out)
{
    const struct tls_settings *tls = &((const struct config *)base)->tls;

    fputc('[', out);
    for (size_t i = 1; i < tls->certificate_count; i++) {
        fputs(i > 1 ? ",\n      { cert: " : "\n      { cert: ", out);
        value_print_text(out, tls->certificates[i].cert);
        fputs(", key: ", out);
        value_print_text(out, tls->certificates[i].key);
        fputs(" }", out);
    }
    fputs(tls->certificate_count > 1 ? "\n    ]" : "]", out);
}

const struct schema_type type_tls_certificates = {.name = "list",
    .form = "a list of { cert, key }",
    .set = set_certificates,
    .print = print_certificates};

static const char *const versions[] = {"1.2", "1.3", NULL};
_Static_assert(TLS_VERSION_1_2 == 0 && TLS_VERSION_1_3 == 1, "order of versions");

static int set_version(void *base, const struct schema_key *key, const struct document_node *value,
    struct fault *fault)
{
    if (value->kind != DOCUMENT_SCALAR)
        return schema_bad_value(key, value, fault);
    for (uint8_t i = 0; versions[i]; i++) {
        if (strcmp(value->text, versions[i]) == 0) {
            ((struct config *)base)->tls.min_version = i;
            return 0;
        }
    }
    return schema_bad_value(key, value, fault);
}

static void print_version(const void *base, const struct schema_key *key, FILE *out)
{
    fprintf(out, "\"%s\"", versions[((const struct config *)base)->tls.min_version]);
}

const struct schema_type type_tls_version = {.name = "choice",
    .form = "\"1.2\" or \"1.3\"",
    .set = set_version,
    .print = print_version,
    .choices = versions};

static int insert_pair(struct config *c, struct fault *fault)
{
    struct tls_settings *tls = &c->tls;
    struct tls_certificate_settings *grown =
        reallocarray(tls->certificates, tls->certificate_count + 1, sizeof(*grown));

    if (!grown)
        return fault_out_of_memory(fault);
    memmove(grown + 1, grown, tls->certificate_count * sizeof(*grown));
    grown[0] = c->tls_pair;
    tls->certificates = grown;
    tls->certificate_count++;
    memset(&c->tls_pair, 0, sizeof(c->tls_pair));
    return 0;
}

/* Rules about the certificates of clients. */
static int check_clients(
    const struct tls_settings *tls, const struct document_node *root, struct fault *fault)
{
    if (!tls->client_ca && tls->client_crl)
        return fault_set(fault, document_line(root, "tls.client_crl"),
            "'tls.client_crl' means nothing without 'tls.client_ca'");
    if (!tls->client_ca && tls->client_name_count > 0)
        return fault_set(fault, document_line(root, "tls.client_names"),
            "'tls.client_names' means nothing without 'tls.client_ca'");
    if (tls->client_ca && tls->client_crl_check && !tls->client_crl)
        return fault_set(fault, document_line(root, "tls.client_ca"),
            "'tls.client_ca' needs 'tls.client_crl', unless 'tls.client_crl_check' is false");
    return 0;
}

int tls_complete(struct config *c, const struct document_node *root, struct fault *fault)
{
    const struct tls_certificate_settings *pair = &c->tls_pair;
    int rc = 0;

    if (!pair->cert != !pair->key)
        return fault_set(fault, document_line(root, pair->cert ? "tls.cert" : "tls.key"),
            "'tls.cert' and 'tls.key' belong together: '%s' is missing",
            pair->cert ? "tls.key" : "tls.cert");
    if (pair->cert)
        rc = insert_pair(c, fault);
    return rc < 0 ? rc : check_clients(&c->tls, root, fault);
}
