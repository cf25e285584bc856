/* SPDX-License-Identifier: BSD-3-Clause */
#include "follow.h"

#include <stdlib.h>
#include <string.h>

#include "methods.h"

#define INTERVAL_MIN 0.1 /* s */
#define INTERVAL_MAX 3600.0

/* Whole or not at all, and never more than a follower's share of memory. */
static bool
send_text(struct pst_buf *out, const char *text)
{
	size_t n = text != NULL ? strlen(text) : 0;

	return n > 0 && pst_buf_len(out) + n <= PST_FOLLOW_OUT &&
	       pst_buf_append(out, text, n) == PST_OK;
}

/* ---- log ---- */

char *
pst_follow_text(const char *line, size_t n)
{
	json_t *s = json_stringn(line, n);

	/* The log escapes what is not UTF-8; if one got through, say so rather than nothing. */
	if (s == NULL)
		s = json_string("(a line that is not UTF-8)");
	return pst_rpc_notify("log", json_pack("{s:o}", "line", s));
}

static void
tell_lost(struct pst_follower *f, struct pst_buf *out)
{
	char *text;

	/* Not into the last bytes of room: there would be a gap behind every line. */
	if (f->lost == 0 || pst_buf_len(out) > PST_FOLLOW_OUT / 2)
		return;
	text = pst_rpc_notify("log", json_pack("{s:I}", "lost", (json_int_t)f->lost));
	if (send_text(out, text))
		f->lost = 0;
	free(text);
}

void
pst_follow_log(struct pst_follower *f, struct pst_buf *out, const char *text)
{
	if ((f->topics & PST_TOPIC_LOG) == 0)
		return;
	tell_lost(f, out);
	/* In order: while a gap is not told, what comes behind it belongs to the gap. */
	if (f->lost > 0 || !send_text(out, text))
		f->lost++;
}

/* ---- counters ---- */

static void
tell_stats(struct pst_plane *p, struct pst_follower *f, struct pst_buf *out)
{
	struct pst_stats now;
	char *text;

	if (!pst_stats_take(p->deps.relay, p->now_ns, &now))
		return;
	text = pst_rpc_notify("stats", json_pack("{s:f, s:I, s:I, s:b, s:o, s:o}", "interval",
					       (double)(now.at_ns - f->last.at_ns) / 1e9,
					       "generation", (json_int_t)pst_plane_generation(p),
					       "sessions", (json_int_t)pst_stats_sessions(&now),
					       "draining", pst_relay_draining(p->deps.relay),
					       "workers", pst_stats_workers(&now, &f->last),
					       "growth", pst_stats_growth(&now, &f->last)));
	if (send_text(out, text)) {
		pst_stats_fini(&f->last);
		f->last = now;
	} else {
		pst_stats_fini(&now); /* the next one covers this time as well */
	}
	free(text);
}

void
pst_follow_tick(struct pst_plane *p, struct pst_follower *f, struct pst_buf *out)
{
	if ((f->topics & PST_TOPIC_LOG) != 0)
		tell_lost(f, out);
	if ((f->topics & PST_TOPIC_STATS) == 0 || p->now_ns < f->due_ns)
		return;
	tell_stats(p, f, out);
	f->due_ns = p->now_ns + f->interval_ns;
}

/* ---- methods ---- */

void
pst_follow_end(struct pst_plane *p, struct pst_follower *f)
{
	if ((f->topics & PST_TOPIC_LOG) != 0 && --p->log_followers == 0)
		pst_feed_follow(&p->feed, p->deps.logger, false);
	pst_stats_fini(&f->last);
	*f = (struct pst_follower){0};
}

static bool
begin(struct pst_plane *p, struct pst_follower *f, unsigned topics, uint64_t interval_ns)
{
	struct pst_follower new = {.interval_ns = interval_ns, .due_ns = p->now_ns + interval_ns};

	if ((topics & PST_TOPIC_STATS) != 0 && !pst_stats_take(p->deps.relay, p->now_ns, &new.last))
		return false;
	if ((topics & PST_TOPIC_LOG) != 0) {
		if (!pst_feed_follow(&p->feed, p->deps.logger, true)) {
			pst_stats_fini(&new.last);
			return false;
		}
		p->log_followers++;
	}
	pst_follow_end(p, f); /* what it followed before */
	*f = new;
	f->topics = topics;
	return true;
}

static bool
read_topics(struct pst_rpc_call *c, unsigned *topics)
{
	const json_t *list = json_object_get(c->params, "topics"), *item;
	size_t i;

	*topics = 0;
	json_array_foreach(list, i, item)
	{
		const char *s = json_is_string(item) ? json_string_value(item) : "";
		unsigned bit = strcmp(s, "log") == 0     ? PST_TOPIC_LOG
			       : strcmp(s, "stats") == 0 ? PST_TOPIC_STATS
							 : 0;
		if (bit == 0) {
			*topics = 0;
			break;
		}
		*topics |= bit;
	}
	if (*topics == 0)
		pst_call_fail(c, PST_RPC_PARAMS, "topics must be an array of \"log\", \"stats\"");
	return *topics != 0;
}

static bool
read_interval(struct pst_rpc_call *c, uint64_t *ns)
{
	const json_t *v = json_object_get(c->params, "interval");
	double s = v == NULL ? 1 : json_is_number(v) ? json_number_value(v) : -1;

	if (!(s >= INTERVAL_MIN && s <= INTERVAL_MAX)) {
		pst_call_fail(c, PST_RPC_PARAMS, "interval must be %g to %g seconds", INTERVAL_MIN,
			INTERVAL_MAX);
		return false;
	}
	*ns = (uint64_t)(s * 1e9);
	return true;
}

void
pst_method_subscribe(struct pst_rpc_call *c)
{
	uint64_t interval;
	unsigned topics;

	if (!read_topics(c, &topics) || !read_interval(c, &interval))
		return;
	if (begin(c->plane, c->caller->follower, topics, interval))
		c->result = json_pack("{s:b, s:b, s:f}", "log", (topics & PST_TOPIC_LOG) != 0,
			"stats", (topics & PST_TOPIC_STATS) != 0, "interval",
			(double)interval / 1e9);
}

void
pst_method_unsubscribe(struct pst_rpc_call *c)
{
	pst_follow_end(c->plane, c->caller->follower);
	c->result = json_object();
}
