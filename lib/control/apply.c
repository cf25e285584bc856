/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parts of a configuration that are neither the relay's nor the dataplane's. One
 * row each in the table below; a new part is a new row. Rows are prepared in order
 * and abandoned in reverse.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plane.h"

struct part {                /* prepare and abandon: NULL if there is nothing to do */
	const char *pointer; /* where a fault of prepare is */
	bool (*prepare)(struct pst_plane *p, const struct pst_config *to, char *err, size_t errlen);
	void (*commit)(struct pst_plane *p, const struct pst_config *to);
	void (*abandon)(struct pst_plane *p, const struct pst_config *to);
};

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* ---- log ---- */

static bool
log_moves(const struct pst_plane *p, const struct pst_config *to)
{
	return p->deps.logger != NULL && (!same_text(p->running->log.file, to->log.file) ||
						 p->running->log.format != to->log.format);
}

/* Can it be opened? That it was not there before is remembered, to leave nothing behind. */
static bool
log_prepare(struct pst_plane *p, const struct pst_config *to, char *err, size_t errlen)
{
	/* O_NONBLOCK: a pipe without a reader is refused instead of waited for. */
	int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, fd;

	p->made_log = false;
	if (!log_moves(p, to) || to->log.file == NULL)
		return true;
	fd = open(to->log.file, flags);
	if (fd < 0 && errno == ENOENT) {
		fd = open(to->log.file, flags | O_CREAT | O_EXCL, 0640);
		p->made_log = fd >= 0;
	}
	if (fd < 0) {
		snprintf(err, errlen, "%s: cannot open: %s", to->log.file, strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

static void
log_commit(struct pst_plane *p, const struct pst_config *to)
{
	char err[512];

	if (log_moves(p, to) && pst_logger_set_output(p->deps.logger, to->log.file, to->log.format,
					err, sizeof(err)) != PST_OK)
		pst_logf(p->log, PST_LOG_ERROR, "config", "the log stays where it was: %s", err);
	/* A level that was set by hand stays until somebody changes the configured one. */
	if (to->log.level != p->running->log.level) {
		p->level = to->log.level;
		if (p->deps.logger != NULL)
			pst_logger_set_level(p->deps.logger, p->level);
	}
}

static void
log_abandon(struct pst_plane *p, const struct pst_config *to)
{
	if (p->made_log)
		unlink(to->log.file);
	p->made_log = false;
}

/* ---- control socket ---- */

static bool
control_prepare(struct pst_plane *p, const struct pst_config *to, char *err, size_t errlen)
{
	if (!same_text(p->running->control.socket, to->control.socket))
		return pst_listen_open(&p->next_listen, &to->control, err, errlen);
	return same_text(p->running->control.group, to->control.group) ||
	       pst_listen_group_exists(to->control.group, err, errlen);
}

/* The new one is bound before the old one goes; clients stay connected. */
static void
control_commit(struct pst_plane *p, const struct pst_config *to)
{
	char err[512];

	if (p->next_listen.fd >= 0) {
		pst_listen_close(&p->listen);
		p->listen = p->next_listen;
		p->next_listen = (struct pst_listen){.fd = -1};
	} else if (!same_text(p->running->control.group, to->control.group) &&
		   !pst_listen_regroup(&p->listen, to->control.group, err, sizeof(err))) {
		pst_logf(p->log, PST_LOG_ERROR, "config", "%s", err);
	}
}

static void
control_abandon(struct pst_plane *p, const struct pst_config *to)
{
	(void)to;
	pst_listen_close(&p->next_listen);
}

/* ---- metrics ---- */

static const struct pst_endpoint *
metrics_at(const struct pst_config *c)
{
	return c->metrics.on ? &c->metrics.at : NULL;
}

/* Listens at the new place at once: there is no other way to know that it can. */
static bool
metrics_prepare(struct pst_plane *p, const struct pst_config *to, char *err, size_t errlen)
{
	return pst_metrics_listen(p->metrics, metrics_at(to), err, errlen) == PST_OK;
}

static void
metrics_commit(struct pst_plane *p, const struct pst_config *to)
{
	pst_metrics_published(p->metrics, to);
}

static void
metrics_abandon(struct pst_plane *p, const struct pst_config *to)
{
	char err[512];

	(void)to;
	if (pst_metrics_listen(p->metrics, metrics_at(p->running), err, sizeof(err)) != PST_OK)
		pst_logf(p->log, PST_LOG_ERROR, "config", "metrics are off: %s", err);
}

/* ---- crypto ---- */

/* Back-ends cannot change, so an order that was found good for them is good for the engine. */
static void
crypto_commit(struct pst_plane *p, const struct pst_config *to)
{
	if (p->deps.engine != NULL && pst_engine_tune(p->deps.engine, &to->crypto.tuning) != PST_OK)
		pst_logf(p->log, PST_LOG_ERROR, "config", "the crypto engine stays as it was");
}

/* ---- all ---- */

static const struct part parts[] = {
	{"/log/file", log_prepare, log_commit, log_abandon},
	{"/control", control_prepare, control_commit, control_abandon},
	{"/metrics", metrics_prepare, metrics_commit, metrics_abandon},
	{"/crypto", NULL, crypto_commit, NULL},
};

/* The first n. */
static void
abandon(struct pst_plane *p, const struct pst_config *to, size_t n)
{
	while (n-- > 0)
		if (parts[n].abandon != NULL)
			parts[n].abandon(p, to);
}

bool
pst_apply_prepare(
	struct pst_plane *p, const struct pst_config *to, struct pst_config_report *report)
{
	char err[512] = "";

	for (size_t i = 0; i < PST_COUNT(parts); i++) {
		if (parts[i].prepare == NULL || parts[i].prepare(p, to, err, sizeof(err)))
			continue;
		pst_config_report_add(report, parts[i].pointer, "%s", err);
		abandon(p, to, i);
		return false;
	}
	return true;
}

void
pst_apply_commit(struct pst_plane *p, const struct pst_config *to)
{
	for (size_t i = 0; i < PST_COUNT(parts); i++)
		parts[i].commit(p, to);
}

void
pst_apply_abandon(struct pst_plane *p, const struct pst_config *to)
{
	abandon(p, to, PST_COUNT(parts));
}
