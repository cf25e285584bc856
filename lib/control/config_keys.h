/* SPDX-License-Identifier: BSD-3-Clause */
/* The checks behind the rows of config_keys.c; config_check.c. */
#ifndef PST_CONTROL_CONFIG_KEYS_H
#define PST_CONTROL_CONFIG_KEYS_H

#include "config_walk.h"

typedef void pst_config_checker(struct pst_config_walk *w, const json_t *obj, void *at);

pst_config_checker pst_check_port, pst_check_ip_route, pst_check_tcp, pst_check_dataplane,
	pst_check_control, pst_check_metrics, pst_check_certificate, pst_check_profile,
	pst_check_action, pst_check_listener, pst_check_host, pst_check_next_hop, pst_check_route,
	pst_check_whole;

#endif
