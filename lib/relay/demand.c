/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What policy's demand means for a connection: when STARTTLS is asked for, when its
 * absence or failure ends the attempt, and what the certificate must be. No state:
 * the hop that lives by these answers and the explain that foretells them ask the same
 * functions.
 */
#include "relay.h"

#include <stdio.h>

enum tls_step
demand_step(enum pst_level level, enum pst_config_tls_mode mode, bool starttls_offered, bool plain)
{
	bool mandatory = level >= PST_LEVEL_ENCRYPT;

	if (mode == PST_CONFIG_TLS_IMPLICIT)
		return TLS_STEP_PLAIN; /* nothing is left to be asked for */
	if (level <= PST_LEVEL_NONE)
		return TLS_STEP_PLAIN;
	if (plain && !mandatory)
		return TLS_STEP_PLAIN;
	if (starttls_offered)
		return TLS_STEP_STARTTLS;
	return mandatory ? TLS_STEP_MISSING : TLS_STEP_PLAIN;
}

bool
demand_may_fall_back(enum pst_level level, enum pst_config_tls_mode mode, bool broken_tls)
{
	return broken_tls && level == PST_LEVEL_MAY && mode == PST_CONFIG_TLS_STARTTLS;
}

bool
demand_verifies(enum pst_level level)
{
	return level >= PST_LEVEL_FINGERPRINT;
}

static enum pst_tls_verify
verify_mode(enum pst_level level)
{
	if (level == PST_LEVEL_FINGERPRINT)
		return PST_TLS_VERIFY_FINGERPRINT;
	return demand_verifies(level) ? PST_TLS_VERIFY_NAME : PST_TLS_VERIFY_OFF;
}

static void
digest_span(struct digest *d, struct pst_span s)
{
	digest_add(d, s.p, s.n);
}

/* By content: equal for the same demand of two generations. */
struct digest
demand_digest(const struct pst_demand *d, const struct tls_part *part)
{
	struct digest out = {{0, 0}};

	digest_number(&out, d->level);
	digest_add(
		&out, part != NULL ? &part->digest : NULL, part != NULL ? sizeof(part->digest) : 0);
	digest_number(&out, d->nnames);
	for (unsigned i = 0; i < d->nnames; i++) {
		digest_span(&out, d->names[i].name);
		digest_number(&out, d->names[i].subdomains);
	}
	digest_number(&out, d->nfingerprints);
	for (unsigned i = 0; i < d->nfingerprints; i++)
		digest_add(&out, d->fingerprints[i], sizeof(d->fingerprints[i]));
	digest_span(&out, d->servername);
	return out;
}

static const char *
text_of(struct pst_span s, char buf[PST_NAME_MAX])
{
	snprintf(buf, PST_NAME_MAX, "%.*s", PST_SPAN_FMT(s));
	return buf;
}

enum pst_rc
demand_expect(const struct pst_demand *d, struct pst_tls_expect *e,
	char bufs[PST_TLS_NAMES_MAX + 1][PST_NAME_MAX])
{
	*e = (struct pst_tls_expect){.verify = verify_mode(d->level),
		.nnames = PST_MIN(d->nnames, (unsigned)PST_TLS_NAMES_MAX),
		.nfingerprints = d->nfingerprints,
		.fingerprints = d->fingerprints};
	for (unsigned i = 0; i < e->nnames; i++) {
		if (d->names[i].name.n >= PST_NAME_MAX)
			return PST_INVAL;
		e->names[i].name = text_of(d->names[i].name, bufs[i]);
		e->names[i].subdomains = d->names[i].subdomains;
	}
	if (d->servername.n >= PST_NAME_MAX)
		return PST_INVAL;
	if (d->servername.n > 0)
		e->servername = text_of(d->servername, bufs[PST_TLS_NAMES_MAX]);
	return PST_OK;
}
