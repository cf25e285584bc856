/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * JSON outside, C structs inside: reads configurations, serves the control
 * socket. The only user of jansson.
 */
#ifndef PST_CONTROL_H
#define PST_CONTROL_H

#include <pst_config.h>
#include <pst_relay.h>
#include <stdio.h>

/* What is to be said of a place in a configuration. */
struct pst_config_note {
	char *pointer; /* JSON pointer (RFC 6901); "" is the whole document; syntax errors carry
			  line and column in text */
	char *text;
};

/* Faults: it cannot run. Warnings: it can, but somebody should know. */
struct pst_config_report {
	unsigned n;
	struct pst_config_note *faults;
	unsigned nwarnings;
	struct pst_config_note *warnings;
};
void pst_config_report_add(struct pst_config_report *r, const char *pointer, const char *fmt, ...)
	PST_PRINTF(3, 4);
void pst_config_report_warn(struct pst_config_report *r, const char *pointer, const char *fmt, ...)
	PST_PRINTF(3, 4);
/* Faults as "PATH: POINTER: TEXT", warnings as "warning: POINTER: TEXT". */
void pst_config_report_print(const struct pst_config_report *r, const char *path, FILE *to);
void pst_config_report_fini(struct pst_config_report *r);

/*
 * Parses and validates: syntax, unknown keys, types, ranges, duplicate keys,
 * dangling names, contradictions. All faults are reported, not only the first.
 * NULL when there is any. `path` is for messages and relative file names.
 */
struct pst_config *pst_config_parse(
	const char *json, size_t len, const char *path, struct pst_config_report *report);
struct pst_config *pst_config_load(const char *path, struct pst_config_report *report);
void pst_config_free(struct pst_config *c);
/* Adds the warnings about a configuration without faults, pst_relay_lint's too. */
void pst_config_lint(const struct pst_config *c, struct pst_config_report *report);
/*
 * The model of this gateway, whatever a configuration says: `--model`. Once, before the
 * first is read. name stays the caller's and lives as long as the process.
 */
void pst_config_force_model(const char *name);

/* ---- the control socket: a thread of its own ---- */

struct pst_control;

struct pst_control_deps {
	struct pst_relay *relay;
	struct pst_fabric *fabric;
	struct pst_logger *logger;
	struct pst_engine *engine;       /* of crypto; NULL: none */
	const struct pst_config *config; /* the first; stays the caller's */
	/* Adds what the application's drivers have against a configuration; NULL: nothing. */
	void (*check)(const struct pst_config *cfg, struct pst_config_report *report);
	uint64_t started_ns;
	const char *crypto_library; /* for status: "OpenSSL 3.0.15 ..."; NULL: not shown */
	/* The method `stop`: on the control thread, must not wait. now: cut what runs. NULL:
	 * refused. */
	void (*stop)(void *arg, bool now);
	void *stop_arg;
};

/*
 * Binds the socket (0660, group) and starts its thread, on the core of the caller,
 * with all signals blocked. A live socket of another instance is an error. What
 * deps points to must live as long as the control.
 */
struct pst_control *pst_control_new(const struct pst_control_deps *deps, char *err, size_t errlen);
/* Ends the thread, closes every client, removes the socket. NULL is allowed. */
void pst_control_free(struct pst_control *c);

/* ---- from any thread ---- */

/* Reads the configuration's file, and the files it names, again; the outcome is in the log. */
void pst_control_reload(struct pst_control *c);
bool pst_control_reloading(const struct pst_control *c); /* one that was asked for is not done */
/* The end has begun: from now on `undrain` is refused. Call before draining. */
void pst_control_stopping(struct pst_control *c);

#endif
