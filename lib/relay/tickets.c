/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys of session tickets, which are the process's (pst_tickets.h). The control thread
 * changes them, when a configuration is published and by the clock, and waits for a turn of
 * every worker before it wipes those of before. Which clients get tickets: accept.c.
 */
#include "relay.h"

#include <urcu-qsbr.h>

#define ROTATE_S   3600
#define LIFETIME_S 3600

static struct pst_tickets_conf
conf_of(const struct pst_config *cfg, const struct pst_tickets_keys *keys)
{
	const struct pst_config_ticket_keys *c = &cfg->ticket_keys;

	return (struct pst_tickets_conf){
		.rotate = c->rotate_s != 0 ? c->rotate_s : ROTATE_S,
		.lifetime = c->lifetime_s != 0 ? c->lifetime_s : LIFETIME_S,
		.keys = keys->n > 0 ? keys : NULL,
	};
}

static int64_t
seconds(uint64_t ns)
{
	return (int64_t)(ns / PST_NS_PER_SEC);
}

struct pst_tickets *
tickets_new(const struct pst_config *cfg)
{
	const struct pst_tickets_keys none = {0};
	struct pst_tickets_conf conf = conf_of(cfg, &none);

	return pst_tickets_new(&conf, seconds(pst_now_ns()));
}

enum pst_rc
tickets_read(const struct build *b, struct pst_tickets_keys *keys)
{
	const char *file = b->cfg->ticket_keys.file;
	char err[512] = "";

	keys->n = 0;
	if (file == NULL || pst_tickets_read(file, keys, err, sizeof(err)) == PST_OK)
		return PST_OK;
	b->report(b->arg, "/ticket_keys/file", err);
	return PST_INVAL;
}

/* Without random bytes the keys stay for now; the next turn tries again. */
static void
settle(struct pst_relay *r, enum pst_rc rc)
{
	if (rc != PST_OK)
		return;
	synchronize_rcu(); /* no worker is inside a turn that may have seen the keys of before */
	pst_tickets_retire(r->tickets);
}

void
tickets_apply(
	struct pst_relay *r, const struct pst_config *cfg, const struct pst_tickets_keys *keys)
{
	struct pst_tickets_conf conf = conf_of(cfg, keys);

	settle(r, pst_tickets_configure(r->tickets, &conf, seconds(pst_now_ns())));
}

void
pst_relay_rotate(struct pst_relay *r, uint64_t now_ns)
{
	settle(r, pst_tickets_turn(r->tickets, seconds(now_ns)));
}
