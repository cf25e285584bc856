/* SPDX-License-Identifier: BSD-3-Clause */
/* The handlers behind the table in methods.c, and what they share. */
#ifndef PST_CONTROL_METHODS_H
#define PST_CONTROL_METHODS_H

#include "plane.h"
#include "rpc.h"

typedef void pst_method(struct pst_rpc_call *c);

pst_method pst_method_status, pst_method_stats; /* status.c */
pst_method pst_method_push, pst_method_check, pst_method_show, pst_method_history, pst_method_diff,
	pst_method_rollback, pst_method_save, pst_method_reload; /* methods_config.c */
pst_method pst_method_sessions, pst_method_session, pst_method_kill, pst_method_drain,
	pst_method_undrain, pst_method_stop, pst_method_level; /* methods_run.c */
pst_method pst_method_edit;                                    /* methods_edit.c */
pst_method pst_method_rules, pst_method_profiles, pst_method_profile, pst_method_actions,
	pst_method_action, pst_method_lists, pst_method_map;               /* methods_policy.c */
pst_method pst_method_explain, pst_method_broken, pst_method_broken_flush; /* methods_explain.c */
pst_method pst_method_crypto;                                              /* crypto.c */
pst_method pst_method_subscribe, pst_method_unsubscribe;                   /* follow.c */

/* "error", "warn", "info", "debug": by enum pst_log_level; NULL ends. */
extern const char *const pst_level_names[];

/* ---- methods.c: parameters. false: the call has its error ---- */

/* Absent: *v stays. */
bool pst_param_uint(
	struct pst_rpc_call *c, const char *name, uint64_t min, uint64_t max, uint64_t *v);
bool pst_param_text(struct pst_rpc_call *c, const char *name, size_t longest, const char **v);
bool pst_param_flag(struct pst_rpc_call *c, const char *name, bool *v);
/* The call ends with an error whose data has this reason. */
void pst_call_fail(struct pst_rpc_call *c, int code, const char *fmt, ...) PST_PRINTF(3, 4);

/* ---- methods_config.c: for what publishes ---- */

#define PST_NOTE_MAX 500 /* bytes of a note for the history */

/* "if_generation": somebody looked at that one; is it still what runs? false: the call fails. */
bool pst_call_generation(struct pst_rpc_call *c);
/* The call's answer from what came of a proposal; frees what is left in both. */
void pst_call_conclude(struct pst_rpc_call *c, struct pst_proposal *prop, struct pst_outcome *v);

#endif
