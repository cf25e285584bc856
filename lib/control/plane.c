/* SPDX-License-Identifier: BSD-3-Clause */
#include "plane.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "save.h"

/* From pst_relay_reclaim, or the relay's end. The first configuration is the application's. */
static void
release(void *first, const struct pst_config *cfg)
{
	if (cfg != first)
		pst_config_free((struct pst_config *)cfg);
}

uint64_t
pst_plane_wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * PST_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void
first_generation(struct pst_plane *p)
{
	json_t *doc = p->running->document;
	char *text = pst_document_dump(doc);
	struct pst_generation g = {.number = pst_relay_generation(p->deps.relay),
		.wall_ns = pst_plane_wall_ns(),
		.by = {getuid(), getgid(), getpid()},
		.via = "start",
		.doc = json_incref(doc),
		.bytes = text != NULL ? strlen(text) : 0};

	free(text);
	pst_history_add(&p->history, &g);
}

/* Where others reach us: the socket, and metrics. */
static bool
open_places(struct pst_plane *p, char *err, size_t errlen)
{
	const struct pst_config *cfg = p->running;
	struct pst_metrics_deps deps = {.relay = p->deps.relay,
		.engine = p->deps.engine,
		.logger = p->deps.logger,
		.crypto_library = p->deps.crypto_library};

	if (!pst_listen_open(&p->listen, &cfg->control, err, errlen))
		return false;
	p->metrics = pst_metrics_new(&deps, err, errlen);
	if (p->metrics != NULL &&
		pst_metrics_listen(p->metrics, cfg->metrics.on ? &cfg->metrics.at : NULL, err,
			errlen) == PST_OK) {
		pst_metrics_published(p->metrics, cfg);
		return true;
	}
	pst_metrics_free(p->metrics);
	pst_listen_close(&p->listen);
	return false;
}

bool
pst_plane_open(struct pst_plane *p, const struct pst_control_deps *deps, char *err, size_t errlen)
{
	*p = (struct pst_plane){.deps = *deps,
		.running = deps->config,
		.listen.fd = -1,
		.next_listen.fd = -1,
		.level = deps->config->log.level};
	if (deps->logger != NULL)
		p->log = pst_log_lane(deps->logger, "control");
	if (!pst_feed_open(&p->feed, err, errlen))
		return false;
	if (!open_places(p, err, errlen)) {
		pst_feed_close(&p->feed, deps->logger);
		return false;
	}
	pst_relay_set_release(deps->relay, release, (void *)deps->config);
	first_generation(p);
	return true;
}

void
pst_plane_close(struct pst_plane *p)
{
	pst_feed_close(&p->feed, p->deps.logger);
	pst_metrics_free(p->metrics);
	pst_listen_close(&p->listen);
	pst_history_fini(&p->history);
}

void
pst_plane_reclaim(struct pst_plane *p)
{
	p->old_in_use = pst_relay_reclaim(p->deps.relay);
	pst_relay_rotate(p->deps.relay, pst_now_ns());
}

uint64_t
pst_plane_generation(const struct pst_plane *p)
{
	return pst_history_newest(&p->history)->number;
}

const json_t *
pst_plane_document(const struct pst_plane *p)
{
	return p->running->document;
}
