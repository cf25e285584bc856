/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire_port.h"
#include "kernel.h"

#include <eal.h>
#include <pst_control.h>
#include <stdio.h>
#include <string.h>

void
wire_port_init(struct wire_port *w)
{
	*w = (struct wire_port){.port = {.name = "bench", .options = w->options},
		.cfg.dataplane = {.workers = 1,
			.main_core = -1,
			.memory_mb = 512,
			.mbufs = 65536,
			.nports = 1}};
	w->cfg.dataplane.ports = &w->port;
	w->cfg.dataplane.routes = w->routes;
}

static bool
add_option(struct wire_port *w, const char *value)
{
	unsigned n = w->port.noptions;
	char *eq;

	if (n == PST_COUNT(w->options) || strlen(value) >= sizeof(w->text[0]))
		return false;
	strcpy(w->text[n], value);
	eq = strchr(w->text[n], '=');
	if (eq == NULL)
		return false;
	*eq = '\0';
	w->options[w->port.noptions++] =
		(struct pst_config_opt){.key = w->text[n], .value = eq + 1};
	return true;
}

static bool
add_address(struct wire_port *w, const char *value)
{
	struct pst_config_port *p = &w->port;

	return p->naddresses < PST_NET_MAX_ADDRS &&
	       pst_prefix_parse(value, &p->addresses[p->naddresses++]) == PST_OK;
}

static bool
add_router(struct wire_port *w, const char *value)
{
	struct pst_config_ip_route *r = &w->routes[w->cfg.dataplane.nroutes];

	if (w->cfg.dataplane.nroutes == PST_COUNT(w->routes) ||
		pst_ip_parse(value, &r->via) != PST_OK)
		return false;
	w->cfg.dataplane.nroutes++;
	r->port = w->port.name;
	return pst_prefix_parse(pst_ip_is4(&r->via) ? "0.0.0.0/0" : "::/0", &r->to) == PST_OK;
}

bool
wire_port_option(struct wire_port *w, int opt, const char *value)
{
	double v = 0;

	switch (opt) {
	case WIRE_OPT_DEVICE:
		w->port.device = value;
		return true;
	case WIRE_OPT_IFACE:
		w->port.iface = value;
		return true;
	case WIRE_OPT_MAC:
		w->port.mac = value;
		return true;
	case WIRE_OPT_ADDRESS:
		return add_address(w, value);
	case WIRE_OPT_VIA:
		return add_router(w, value);
	case WIRE_OPT_OPTION:
		return add_option(w, value);
	case WIRE_OPT_MTU:
		if (!kernel_number(value, 1280, 9000, &v))
			return false;
		w->port.mtu = (uint16_t)v;
		return true;
	case WIRE_OPT_CORE:
		if (!kernel_number(value, 0, 1023, &v))
			return false;
		w->cfg.dataplane.main_core = (int)v;
		w->cfg.dataplane.cores[0] = (unsigned)v; /* EAL wants a worker; it does nothing */
		w->cfg.dataplane.ncores = 1;
		return true;
	case WIRE_OPT_MEMORY:
		if (!kernel_number(value, 64, 1048576, &v))
			return false;
		w->cfg.dataplane.memory_mb = (unsigned)v;
		return true;
	default:
		return false;
	}
}

bool
wire_port_check(struct wire_port *w, char *err, size_t errlen)
{
	struct pst_config_report report = {0};
	bool ok;

	if (w->port.device == NULL || w->port.naddresses == 0) {
		snprintf(err, errlen, "%s says what to use",
			w->port.device == NULL ? "--device" : "--address");
		return false;
	}
	eal_check(&w->cfg.dataplane, &report);
	ok = report.n == 0;
	if (!ok)
		snprintf(err, errlen, "%s", report.faults[0].text);
	pst_config_report_fini(&report);
	return ok;
}

struct gen_transport *
wire_port_start(struct wire_port *w, uint32_t max_conns, char *err, size_t errlen)
{
	struct gen_stack_conf conf = {.max_conns = max_conns};

	w->fabric = eal_start(&w->cfg, err, errlen);
	if (w->fabric == NULL)
		return NULL;
	conf.fabric = w->fabric;
	return gen_stack_new(&conf, pst_now_ns(), err, errlen);
}

void
wire_port_stop(struct wire_port *w)
{
	if (w->fabric != NULL)
		eal_stop(w->fabric);
	w->fabric = NULL;
}
