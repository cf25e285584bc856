/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port of the generator's own, on any device that the gateway can have, and our stack on it
 * as a transport. Once in a process; the calling thread is the generator's from then on.
 *
 *   --device net_af_packet --iface veth1 --mac 02:00:00:00:00:02 --address 192.0.2.2/24
 */
#ifndef WIRE_PORT_H
#define WIRE_PORT_H

#include "gen.h"

#include <getopt.h>
#include <pst_relay.h>

/* Long options of a port for getopt_long, with values that no character has. */
enum {
	WIRE_OPT_DEVICE = 0x100,
	WIRE_OPT_IFACE,
	WIRE_OPT_MAC,
	WIRE_OPT_ADDRESS,
	WIRE_OPT_VIA,
	WIRE_OPT_OPTION,
	WIRE_OPT_CORE,
	WIRE_OPT_MEMORY,
	WIRE_OPT_MTU,
	WIRE_OPT_END
};
#define WIRE_OPTIONS                                                                               \
	{"device", required_argument, NULL, WIRE_OPT_DEVICE},                                      \
		{"iface", required_argument, NULL, WIRE_OPT_IFACE},                                \
		{"mac", required_argument, NULL, WIRE_OPT_MAC},                                    \
		{"address", required_argument, NULL, WIRE_OPT_ADDRESS},                            \
		{"via", required_argument, NULL, WIRE_OPT_VIA},                                    \
		{"option", required_argument, NULL, WIRE_OPT_OPTION},                              \
		{"core", required_argument, NULL, WIRE_OPT_CORE},                                  \
		{"memory", required_argument, NULL, WIRE_OPT_MEMORY},                              \
	{                                                                                          \
		"mtu", required_argument, NULL, WIRE_OPT_MTU                                       \
	}
#define WIRE_USAGE                                                                                 \
	"  --device D         net_tap, net_af_packet, net_af_xdp or a PCI address\n"               \
	"  --iface NAME       kernel interface of a virtual device\n"                              \
	"  --mac ADDRESS      default: the device's own\n"                                         \
	"  --address A/LEN    ours; up to 16 times\n"                                              \
	"  --via ADDRESS      router to everything else\n"                                         \
	"  --option KEY=VALUE of the device's driver\n"                                            \
	"  --mtu BYTES        default 1500\n"                                                      \
	"  --core N           where the generator runs; default: the first that it may use\n"      \
	"  --memory MB        for packets, default 512\n"

struct wire_port {
	struct pst_config_port port;
	struct pst_config_opt options[8];
	struct pst_config_ip_route routes[2];
	struct pst_config cfg; /* its data plane; nothing else of it */
	struct pst_fabric *fabric;
	char text[8][128]; /* of options, cut at their '=' */
};

void wire_port_init(struct wire_port *w);
/* One option; false: it makes no sense. */
bool wire_port_option(struct wire_port *w, int opt, const char *value);
/* Judges what only all options together can tell. False and a text. */
bool wire_port_check(struct wire_port *w, char *err, size_t errlen);
/* Starts EAL, the device and the stack. NULL and a text. */
struct gen_transport *wire_port_start(
	struct wire_port *w, uint32_t max_conns, char *err, size_t errlen);
/* After the transport was freed. */
void wire_port_stop(struct wire_port *w);

#endif
