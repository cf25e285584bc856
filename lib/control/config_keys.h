/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tables of config_keys*.c share, and the checks behind their rows
 * (config_check*.c).
 */
#ifndef PST_CONTROL_CONFIG_KEYS_H
#define PST_CONTROL_CONFIG_KEYS_H

#include <string.h>

#include "config_walk.h"

extern const struct pst_key_form pst_form_name;    /* of things in the configuration */
extern const struct pst_key_form pst_form_host;    /* a host's name */
extern const struct pst_key_form pst_form_domain;  /* as routes and rules name one */
extern const struct pst_key_form pst_form_openssl; /* a list for OpenSSL */
extern const struct pst_key_form pst_form_match;   /* a name or fingerprint of a demand */
extern const struct pst_key_form pst_form_driver;  /* of a crypto driver */
extern const struct pst_key_word pst_words_tls[];  /* TLS versions */
extern const struct pst_key_word pst_words_pfs[];
extern const struct pst_key_word pst_words_level[]; /* of TLS, Postfix's */

extern const struct pst_key_type pst_type_model, pst_type_certificate, pst_type_profile,
	pst_type_ticket_keys, pst_type_action, pst_type_listener, pst_type_next_hop, pst_type_route,
	pst_type_policy, pst_type_crypto;

typedef void pst_config_checker(struct pst_config_walk *w, const json_t *obj, void *at);

pst_config_checker pst_check_port, pst_check_ip_route, pst_check_tcp, pst_check_dataplane,
	pst_check_control, pst_check_metrics, pst_check_dns, pst_check_certificate,
	pst_check_ticket_keys, pst_check_profile, pst_check_action, pst_check_listener,
	pst_check_host, pst_check_next_hop, pst_check_route, pst_check_rule, pst_check_map_entry,
	pst_check_crypto_backend, pst_check_operations, pst_check_crypto, pst_check_whole;

/* Parts of pst_check_whole. */
void pst_check_listeners(struct pst_config_walk *w, struct pst_config *c); /* and expands them */
void pst_check_routes(struct pst_config_walk *w, const struct pst_config *c);
void pst_check_model(struct pst_config_walk *w, struct pst_config *c); /* and chooses it */
void pst_check_demands(struct pst_config_walk *w, const struct pst_config *c);
/* What a model says about crypto drivers. */
void pst_gate_crypto(
	struct pst_config_walk *w, const struct pst_config *c, const struct pst_config_model *m);

/* Rows of `operations`: "default", then one for each enum pst_op_kind, in that order. */
extern const struct pst_key pst_operation_keys[];
#define PST_CRYPTO_SYNC "sync" /* among the names of an order: the worker itself */

/* Members that more than one type has. */
void pst_check_labels(struct pst_config_walk *w, const char *key, const char *domain);
void pst_check_match(struct pst_config_walk *w, const json_t *obj, enum pst_level level);

void pst_check_versions(struct pst_config_walk *w, unsigned min, unsigned max, const char *pfs_key,
	enum pst_tls_pfs pfs);

/* Which of its action's profiles a listener uses; both, with TLS support enabled. */
static inline bool
pst_offers_starttls(const struct pst_config_listener *l)
{
	return l->tls_support == PST_TLS_SUPPORT_UNSET ? l->tls == PST_CONFIG_TLS_STARTTLS
						       : l->tls_support != PST_TLS_SUPPORT_REQUIRED;
}

static inline bool
pst_begins_with_tls(const struct pst_config_listener *l)
{
	return l->tls_support == PST_TLS_SUPPORT_UNSET ? l->tls == PST_CONFIG_TLS_IMPLICIT
						       : l->tls_support != PST_TLS_SUPPORT_DISABLED;
}

static inline bool
pst_said(const json_t *obj, const char *key)
{
	return json_object_get(obj, key) != NULL;
}

static inline bool
pst_same_text(const char *a, const char *b)
{
	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

#endif
