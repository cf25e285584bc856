/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks of rules and map, and of demands that no listener could meet. See config_check.c.
 * What can be said of a policy by itself is lib/policy's to say.
 */
#include "config_keys.h"

void
pst_check_match(struct pst_config_walk *w, const json_t *obj, enum pst_level level)
{
	size_t was = pst_config_enter(w, "level");
	bool faulty = pst_config_faulty(w, w->pointer);

	pst_config_leave(w, was);
	if (faulty)
		return;
	if (pst_said(obj, "match") && level < PST_LEVEL_FINGERPRINT)
		pst_config_fault(
			w, "match", "needs \"level\": \"fingerprint\", \"verify\" or \"secure\"");
	if (!pst_said(obj, "match") && level == PST_LEVEL_FINGERPRINT)
		pst_config_fault(
			w, "match", "missing: \"level\": \"fingerprint\" compares with these");
}

void
pst_check_rule(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_rule *r = at;

	if (pst_same_text(r->id, "default"))
		pst_config_fault(w, "id", "\"default\" is what the default rule is called");
	pst_check_labels(w, "from", r->from);
	pst_check_labels(w, "to", r->to);
}

void
pst_check_map_entry(struct pst_config_walk *w, const json_t *obj, void *at)
{
	struct pst_config_map_entry *e = at;

	pst_check_match(w, obj, e->level);
}

/* ---- demands that nobody can meet ---- */

static bool
inspects(const struct pst_config *c, const struct pst_config_listener *l)
{
	return l->action < c->nactions && c->actions[l->action].inspect;
}

static bool
speaks_tls(const struct pst_config *c, const struct pst_config_listener *l)
{
	return inspects(c, l) &&
	       (l->tls == PST_CONFIG_TLS_STARTTLS ||
		       (l->tls == PST_CONFIG_TLS_IMPLICIT &&
			       c->actions[l->action].tls_action == PST_TLS_ACTION_INSPECT));
}

#define NO_SENDER    "no listener speaks TLS with clients, so nobody could ever send this mail"
#define NO_RECIPIENT "every action has \"inspect\": false, so no next hop is spoken to with TLS"

static void
check_rule_demands(
	struct pst_config_walk *w, const struct pst_config *c, bool sender, bool recipient)
{
	size_t was = pst_config_enter(w, "rules");

	for (unsigned i = 0; i < c->policy.nrules; i++) {
		const struct pst_config_rule *r = &c->policy.rules[i];
		size_t list = pst_config_enter_index(w, i);

		if (r->enabled && r->sender == PST_SENDER_REQUIRED && !sender)
			pst_config_fault(w, "sender", NO_SENDER);
		if (r->enabled && r->recipient == PST_RECIPIENT_REQUIRED && !recipient)
			pst_config_fault(w, "recipient", NO_RECIPIENT);
		pst_config_leave(w, list);
	}
	pst_config_leave(w, was);
}

void
pst_check_demands(struct pst_config_walk *w, const struct pst_config *c)
{
	bool sender = false, recipient = false;
	size_t was;

	if (c->nlisteners == 0 || pst_config_faulty(w, "/listeners") ||
		pst_config_faulty(w, "/actions"))
		return;
	for (unsigned i = 0; i < c->nlisteners; i++) {
		sender = sender || speaks_tls(c, &c->listeners[i]);
		recipient = recipient || inspects(c, &c->listeners[i]);
	}
	if (sender && recipient)
		return;
	was = pst_config_enter(w, "policy");
	check_rule_demands(w, c, sender, recipient);
	if (c->policy.default_sender == PST_SENDER_REQUIRED && !sender)
		pst_config_fault(w, "default_rule/sender", NO_SENDER);
	if (c->policy.default_recipient == PST_RECIPIENT_REQUIRED && !recipient)
		pst_config_fault(w, "default_rule/recipient", NO_RECIPIENT);
	if (c->policy.inbound == PST_LEVEL_ENCRYPT && !sender)
		pst_config_fault(w, "inbound", NO_SENDER);
	pst_config_leave(w, was);
}
