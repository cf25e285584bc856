/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the configuration's crypto section to a started engine: what the drivers say of it,
 * the lcores and EAL arguments of back-ends, the engine itself. Main thread, but
 * crypto_check, which is the control thread's while that runs.
 */
#ifndef CRYPTO_H
#define CRYPTO_H

#include <pst_control.h>
#include <pst_ossl_named.h>

/*
 * What the drivers say of the back-ends, and whether the cores are there: for -t and for
 * pushes. No device is touched. Adds faults to report.
 */
void crypto_check(const struct pst_config *cfg, struct pst_config_report *report);

/* EAL lcores that back-ends have, and the core of the i-th; -1: to be chosen. */
unsigned crypto_lcores(const struct pst_config *cfg);
int crypto_core(const struct pst_config *cfg, unsigned i);
/* The EAL argument of a back-end. PST_AGAIN: it needs none. */
enum pst_rc crypto_eal_arg(
	const struct pst_config *cfg, unsigned backend, char flag[16], char *arg, size_t len);

/*
 * The engine or provider that the configuration names, made OpenSSL's default: before any
 * certificate is loaded. PST_OK with *out NULL: it names none. PST_INVAL and a text.
 */
enum pst_rc crypto_named_open(
	const struct pst_config *cfg, struct pst_ossl_named **out, char *err, size_t errlen);

/*
 * Opens the back-ends. After EAL has started, with lcores from `first` on for them. cfg,
 * fabric and named (NULL: none) live as long as the engine. NULL and a text on error.
 */
struct pst_engine *crypto_engine_new(const struct pst_config *cfg, struct pst_fabric *fabric,
	unsigned first, bool adaptive_idle, const struct pst_ossl_named *named, char *err,
	size_t errlen);

#endif
