/* SPDX-License-Identifier: BSD-3-Clause */
/* Listeners: few, so a flat array; an exact address wins over any. */
#include "tcb.h"

#include <stdlib.h>

#define LISTENERS_MAX 4096 /* half-open records name them in 16 bits */

static bool
is_any6(const struct pst_ip *a)
{
	static const struct pst_ip any6;

	return pst_ip_eq(a, &any6);
}

/* 2: exact, 1: any address (:: stands for both families), 0: no. */
static int
match(const struct listener *l, const struct tuple *tu)
{
	if (!l->live || l->at.port != tu->lport)
		return 0;
	if (pst_ip_eq(&l->at.ip, &tu->local))
		return 2;
	if (is_any6(&l->at.ip))
		return 1;
	return pst_ip_is4(&l->at.ip) && pst_ip_v4(&l->at.ip) == 0 && pst_ip_is4(&tu->local);
}

uint32_t
listen_find(const struct pst_tcp *t, const struct tuple *tu)
{
	uint32_t best = NONE32;
	int rank = 0;

	for (uint32_t i = 0; i < t->nlisteners; i++) {
		int r = match(&t->listeners[i], tu);

		if (r > rank) {
			rank = r;
			best = i;
		}
	}
	return best;
}

static struct listener *
find_exact(struct pst_tcp *t, const struct pst_endpoint *at)
{
	for (uint32_t i = 0; i < t->nlisteners; i++) {
		struct listener *l = &t->listeners[i];

		if (l->live && l->at.port == at->port && pst_ip_eq(&l->at.ip, &at->ip))
			return l;
	}
	return NULL;
}

enum pst_rc
pst_tcp_listen(struct pst_tcp *t, const struct pst_endpoint *at, void *arg)
{
	struct listener *l, *more;
	uint32_t i = 0;

	if (at->port == 0 || find_exact(t, at) != NULL)
		return PST_INVAL;
	while (i < t->nlisteners && t->listeners[i].live)
		i++;
	if (i == t->nlisteners) {
		if (i == LISTENERS_MAX)
			return PST_NOMEM;
		more = realloc(t->listeners, (i + 1) * sizeof(*more));
		if (more == NULL)
			return PST_NOMEM;
		t->listeners = more;
		t->nlisteners++;
	}
	l = &t->listeners[i];
	*l = (struct listener){.at = *at, .arg = arg, .live = true};
	return PST_OK;
}

void
pst_tcp_unlisten(struct pst_tcp *t, const struct pst_endpoint *at)
{
	struct listener *l = find_exact(t, at);

	if (l == NULL)
		return;
	l->live = false;
	half_drop_listener(t, (uint32_t)(l - t->listeners));
}

void
pst_tcp_refuse(struct pst_tcp *t, bool on)
{
	t->refuse = on;
}
