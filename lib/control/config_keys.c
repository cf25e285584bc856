/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every key of the configuration, section by section: kind, where it goes, range,
 * default, and the sentence the reference manual prints. config_rows.h says how a row
 * reads. After a change run scripts/config-doc, which rewrites the JSON Schema and
 * docs/configuration.md.
 *
 *   config_keys.c         the whole, dataplane, log, control, metrics, limits, dns
 *   config_keys_tls.c     models, certificates, TLS profiles, actions
 *   config_keys_mail.c    listeners, next hops, routes
 *   config_keys_policy.c  policy
 *   config_keys_crypto.c  crypto
 */
#include "config_build.h"
#include "config_rows.h"

/* ---- forms and words ---- */

const struct pst_key_form pst_form_name = {
	"^[A-Za-z0-9][A-Za-z0-9._-]*$", "must be a name: letters, digits, '.', '_' and '-'"};
static const struct pst_key_form port_name_form = {
	"^[A-Za-z0-9][A-Za-z0-9_-]*$", "must be a name: letters, digits, '_' and '-'"};
static const struct pst_key_form device_form = {"^[A-Za-z0-9_:.-]+$",
	"must be net_tap, net_af_packet, net_af_xdp, net_ring or a PCI address"};
static const struct pst_key_form iface_form = {
	"^[A-Za-z0-9_.-]+$", "must be the name of a network interface"};
static const struct pst_key_form mac_form = {"^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$",
	"must be a unicast MAC address such as 02:00:00:00:00:01"};
static const struct pst_key_form option_value_form = {
	"^[A-Za-z0-9_./:@+-]+$", "must be letters, digits and any of _./:@+-"};
static const struct pst_key_form group_form = {
	"^[A-Za-z_][A-Za-z0-9_.-]*$", "must be the name of a group"};
static const struct pst_key_word hugepages_words[] = {
	{"auto", PST_HUGE_AUTO}, {"on", PST_HUGE_ON}, {"off", PST_HUGE_OFF}, {NULL}};
static const struct pst_key_word idle_words[] = {
	{"auto", PST_IDLE_AUTO}, {"busy", PST_IDLE_BUSY}, {"adaptive", PST_IDLE_ADAPTIVE}, {NULL}};
static const struct pst_key_word steering_words[] = {{"auto", 0}, {"software", 1}, {NULL}};
static const struct pst_key_word log_formats[] = {
	{"text", PST_LOG_TEXT}, {"json", PST_LOG_JSON}, {NULL}};
static const struct pst_key_word log_levels[] = {{"error", PST_LOG_ERROR}, {"warn", PST_LOG_WARN},
	{"info", PST_LOG_INFO}, {"debug", PST_LOG_DEBUG}, {NULL}};
/* ---- dataplane ---- */

static const struct pst_key port_keys[] = {
	{TEXT("name", pst_config_port, name, port_name_form, 32), REQUIRED,
		.help = "The operator's name of the port; in logs, status and routes."},
	{TEXT("device", pst_config_port, device, device_form, 64), REQUIRED,
		.help = "Driver of a virtual device (`net_tap`, `net_af_packet`, `net_af_xdp`, "
			"`net_ring`) or the PCI address of a bound NIC."},
	{TEXT("iface", pst_config_port, iface, iface_form, 15),
		.help = "Kernel interface of a virtual device: the one to make (`net_tap`) or to "
			"use (`net_af_packet`, `net_af_xdp`)."},
	{TEXT("mac", pst_config_port, mac, mac_form, 17), .absent = "the device's own",
		.help = "MAC address of the port."},
	{UINT("mtu", pst_config_port, mtu, 1280, 9000, 1500), .unit = "bytes",
		.help = "Largest IP packet."},
	{UINT("vlan", pst_config_port, vlan, 0, 4094, 0),
		.help = "802.1Q id on every frame; 0: untagged."},
	{UINT("queues", pst_config_port, queues, 0, PST_NET_MAX_WORKERS, 0),
		.help = "Pairs of RX and TX queues; 0: one a worker, as far as the device has "
			"them."},
	{BOOL("promiscuous", pst_config_port, promiscuous, false),
		.help = "Receive frames for other MAC addresses too (they are dropped and "
			"counted)."},
	{ENUM("steering", pst_config_port, force_soft_steering, steering_words, 0),
		.help = "How packets reach the worker that owns the connection: `auto` uses the "
			"device's RSS where it has it, `software` always passes them over rings."},
	{PREFIXES("addresses", pst_config_port, addresses, naddresses, 1, PST_NET_MAX_ADDRS),
		REQUIRED, .help = "The port's own addresses, each with the length of its network."},
	{OPTIONS("options", pst_config_port, options, noptions, option_value_form, 8),
		.help = "Options handed to the device's driver."},
	{NULL}};
static const struct pst_key_type port_type = {
	"port", sizeof(struct pst_config_port), port_keys, pst_check_port};

static const struct pst_key ip_route_keys[] = {
	{PREFIX("to", pst_config_ip_route, to), REQUIRED,
		.help = "Destinations; `0.0.0.0/0` and `::/0` are the default routes."},
	{ADDRESS("via", pst_config_ip_route, via), .absent = "on the link",
		.help = "The router, on a network of the port."},
	{TEXT("port", pst_config_ip_route, port, port_name_form, 32), REQUIRED,
		.help = "Name of the port it leaves by."},
	{NULL}};
static const struct pst_key_type ip_route_type = {
	"route", sizeof(struct pst_config_ip_route), ip_route_keys, pst_check_ip_route};

static const struct pst_key tcp_keys[] = {
	{UINT("max_connections", pst_config_tcp, max_connections, 16, 4000000, 0),
		.absent = "65536", .help = "Connections a worker holds, half-open ones included."},
	{UINT("max_half_open", pst_config_tcp, max_half_open, 16, 1000000, 0), .absent = "4096",
		.help = "Connections a worker holds whose handshake is not finished."},
	{UINT("rcv_buf", pst_config_tcp, rcv_buf, 4096, 16777216, 0), .absent = "262144",
		.unit = "bytes", .help = "Largest receive window."},
	{UINT("snd_buf", pst_config_tcp, snd_buf, 4096, 16777216, 0), .absent = "262144",
		.unit = "bytes", .help = "Bytes queued and unacknowledged before writers wait."},
	{SECONDS("rto_min", pst_config_tcp, rto_min_ms, 1, 60000, 0), .absent = "0.2",
		.help = "Shortest retransmission time-out."},
	{SECONDS("delack", pst_config_tcp, delack_ms, 1, 500, 0), .absent = "0.04",
		.help = "Delay of acknowledgements; RFC 9293 allows less than 0.5 s."},
	{SECONDS("time_wait", pst_config_tcp, time_wait_ms, 1, 240000, 0), .absent = "60",
		.help = "Time in TIME_WAIT."},
	{SECONDS("user_timeout", pst_config_tcp, user_timeout_ms, 1000, DAY, 0), .absent = "120",
		.help = "Unacknowledged data or SYN older than this ends a connection."},
	{SECONDS("keepalive", pst_config_tcp, keepalive_ms, 1000, DAY, 0), .absent = "off",
		.help = "Idle time before probes."},
	{NULL}};
static const struct pst_key_type tcp_type = {
	"tcp", sizeof(struct pst_config_tcp), tcp_keys, pst_check_tcp};

static const struct pst_key test_keys[] = {
	{UINT("misroute_every", pst_config_dataplane, misroute_every, 0, 1000000000, 0),
		.help = "Sends every Nth steered packet to the wrong worker, to see that the check "
			"counter rises; 0: never. For tests only."},
	{NULL}};
/* Its members are the dataplane's own: the object is JSON only. */
static const struct pst_key_type test_type = {
	"test", sizeof(struct pst_config_dataplane), test_keys};

static const struct pst_key dataplane_keys[] = {
	{UINT("workers", pst_config_dataplane, workers, 1, PST_NET_MAX_WORKERS, 1),
		.help = "Worker threads, each pinned to a core with a share of the connections."},
	{UINTS("cores", pst_config_dataplane, cores, ncores, 0, 1023, 1, PST_CONFIG_MAX_CORES),
		.absent = "chosen",
		.help = "Cores for the workers, in order; at least as many as workers."},
	{UINT("main_core", pst_config_dataplane, main_core, 0, 1023, (uint64_t)-1),
		.absent = "chosen", .help = "Core of the main thread; may be a worker's."},
	{UINT("memory_mb", pst_config_dataplane, memory_mb, 64, 1048576, 512), .unit = "MiB",
		.help = "Memory for packets and pools."},
	{ENUM("hugepages", pst_config_dataplane, hugepages, hugepages_words, PST_HUGE_AUTO),
		.help = "`auto` uses huge pages if the system has enough free ones."},
	{ENUM("idle", pst_config_dataplane, idle, idle_words, PST_IDLE_AUTO),
		.help = "`busy` polls without a pause; `adaptive` backs off when nothing came; "
			"`auto` is adaptive on virtual devices and busy on others."},
	{UINT("mbufs", pst_config_dataplane, mbufs, 1024, 8388608, 0), .absent = "16384",
		.help = "Packet buffers of each worker."},
	{ARRAY("ports", pst_config_dataplane, ports, nports, port_type), REQUIRED, .min_items = 1,
		.max_items = PST_NET_MAX_PORTS, .help = "Network ports."},
	{ARRAY("routes", pst_config_dataplane, routes, nroutes, ip_route_type), .max_items = 1024,
		.help = "IP routes besides the ports' own networks."},
	{OBJECT("tcp", pst_config_dataplane, tcp, tcp_type), .help = "The TCP stack."},
	{.name = "test",
		.kind = PST_KEY_OBJECT,
		.offset = 0,
		.type = &test_type,
		.help = "Hooks for tests."},
	{NULL}};
static const struct pst_key_type dataplane_type = {
	"dataplane", sizeof(struct pst_config_dataplane), dataplane_keys, pst_check_dataplane};

/* ---- log, control, limits ---- */

static const struct pst_key log_keys[] = {
	{FILENAME("file", pst_config_log, file), .also = "-", .absent = "`-`",
		.help = "Where lines go; `-` is standard error."},
	{ENUM("format", pst_config_log, format, log_formats, PST_LOG_TEXT),
		.help = "`text` is key=value, `json` one object a line."},
	{ENUM("level", pst_config_log, level, log_levels, PST_LOG_INFO),
		.help = "Lines below this importance are not written."},
	{NULL}};
static const struct pst_key_type log_type = {"log", sizeof(struct pst_config_log), log_keys};

static const struct pst_key control_keys[] = {
	{FILENAME("socket", pst_config_control, socket), .text = "/run/postern/control.sock",
		.help = "The control socket (mode 0660)."},
	{TEXT("group", pst_config_control, group, group_form, 32),
		.absent = "`postern` if it exists, else root",
		.help = "Group that may use the control socket."},
	{NULL}};
static const struct pst_key_type control_type = {
	"control", sizeof(struct pst_config_control), control_keys, pst_check_control};

static const struct pst_key metrics_keys[] = {
	{ADDRESS("address", pst_config_metrics, at.ip), .also = "any", .absent = "`127.0.0.1`",
		.help = "An address of the system itself (not of a port), or `any`."},
	{UINT("port", pst_config_metrics, at.port, 1, 65535, 9464), .help = "TCP port."}, {NULL}};
static const struct pst_key_type metrics_type = {
	"metrics", sizeof(struct pst_config_metrics), metrics_keys, pst_check_metrics};

#define TIMEOUT(key, seconds) SECONDS(#key, pst_config_timeouts, key, 1, DAY, (seconds)*1000)
static const struct pst_key timeout_keys[] = {
	{TIMEOUT(client_command, 300), .help = "A client's whole command, not one read of it."},
	{TIMEOUT(client_data, 180), .help = "A client's message with less than 512 bytes."},
	{TIMEOUT(client_tls, 30), .help = "The TLS handshake with a client."},
	{TIMEOUT(connect, 30), .help = "TCP connection to one address of a next hop."},
	{TIMEOUT(tls, 30), .help = "The TLS handshake with a next hop."},
	{TIMEOUT(banner, 60), .help = "The next hop's greeting."},
	{TIMEOUT(ehlo, 60), .help = "Its answer to EHLO."},
	{TIMEOUT(mail, 120), .help = "Its answer to MAIL."},
	{TIMEOUT(rcpt, 120), .help = "Its answer to RCPT."},
	{TIMEOUT(data, 60), .help = "Its answer to DATA (354)."},
	{TIMEOUT(block, 180), .help = "Message bytes that it does not take."},
	{TIMEOUT(dot, 570), .help = "Its verdict on the message; shorter than the 600 s that "
				    "RFC 5321 lets the client wait."},
	{TIMEOUT(drain, 120), .help = "On stop: what still runs then is cut with 421."}, {NULL}};
static const struct pst_key_type timeouts_type = {
	"timeouts", sizeof(struct pst_config_timeouts), timeout_keys};

static const struct pst_key limits_keys[] = {
	{UINT("sessions", pst_config_limits, sessions, 1, 10000000, 16384),
		.help = "Client sessions at a time, in all; beyond: 421 4.3.2."},
	{UINT("sessions_per_address", pst_config_limits, sessions_per_address, 0, 10000000, 50),
		.help = "Sessions of one client address at a time; beyond: 421 4.7.0; 0: no "
			"limit."},
	{UINT("connections_per_address_minute", pst_config_limits, connections_per_address_minute,
		 0, 1000000, 0),
		.help = "New connections of one client address in a minute; beyond: 421 4.7.0; 0: "
			"no limit."},
	{UINT("handshakes", pst_config_limits, handshakes, 1, 10000000, 1000),
		.help = "TLS handshakes with clients under way at a time, in all; beyond: 421 "
			"4.3.2, or an end without a word where TLS is implicit."},
	{UINT("handshakes_per_address", pst_config_limits, handshakes_per_address, 0, 10000000, 20),
		.help = "The same for one client address; 0: no limit."},
	{UINT("commands", pst_config_limits, commands, 1, 10000000, 1000),
		.help = "Commands in a session without a message taken; counted anew after each "
			"message; beyond: 421 4.7.0."},
	{UINT("data_rate", pst_config_limits, data_rate, 0, 1u << 30, 0), .unit = "bytes/s",
		.help = "Slowest a client may send its message, judged over 30 s; below: 421 "
			"4.7.0; 0: no limit."},
	{UINT("recipients", pst_config_limits, recipients, 1, 1000000, 1000),
		.help = "Recipients of a transaction (RFC 5321 asks for 100 at least); beyond: 452 "
			"4.5.3."},
	{UINT("message_size", pst_config_limits, message_size, 0, 1ull << 40, 50 << 20),
		.unit = "bytes", .help = "Largest message, announced as SIZE; 0: no limit."},
	{UINT("errors", pst_config_limits, errors, 1, 100000, 20),
		.help = "A client's errors before 421 and the end of the session."},
	{UINT("received", pst_config_limits, received, 1, 10000, 50),
		.help = "`Received` fields in a message before it is taken for a loop: 554 5.4.6."},
	{OBJECT("timeouts", pst_config_limits, timeouts, timeouts_type),
		.help = "How long is waited for what."},
	{NULL}};
static const struct pst_key_type limits_type = {
	"limits", sizeof(struct pst_config_limits), limits_keys};

/* ---- dns ---- */

static const struct pst_key_form server_form = {"^[0-9A-Fa-f:.]+(@[0-9]{1,5})?$",
	"must be an address, with \"@PORT\" behind it if that is not 53"};

static const struct pst_key dns_keys[] = {
	{TEXTS("servers", pst_config_dns, names.servers, names.nservers, server_form, 52,
		 PST_NAMES_SERVERS),
		.size = sizeof(((struct pst_config_dns *)0)->names.servers),
		.absent = "the system's resolv.conf",
		.help = "Resolvers on the kernel's network, `ADDRESS` or `ADDRESS@PORT`."},
	{SECONDS("timeout", pst_config_dns, names.timeout_ms, 100, 60000, 5000),
		.help = "Of one question, all its lookups together."},
	{UINT("cache", pst_config_dns, names.cache, 16, 10000000, 10000),
		.help = "Answers kept; the least recently used goes first."},
	{UINT("max_ttl", pst_config_dns, names.max_ttl_s, 1, 604800, 86400), .unit = "s",
		.help = "An answer is kept for its TTL, and no longer than this."},
	{UINT("negative_ttl", pst_config_dns, names.negative_ttl_s, 1, 86400, 300), .unit = "s",
		.help = "The same for the answer that there is no such name."},
	{UINT("failure_ttl", pst_config_dns, names.failure_ttl_s, 1, 3600, 5), .unit = "s",
		.help = "How long a failed question is not asked again."},
	{BOOL("client_names", pst_config_dns, client_names, true),
		.help = "Ask for the names of clients, for the log, `Received` and lists."},
	{NULL}};
static const struct pst_key_type dns_type = {
	"dns", sizeof(struct pst_config_dns), dns_keys, pst_check_dns};

/* ---- what is there without being said: read-only, to be used by name, or cloned ---- */

#define PREDEFINED_PROFILES                                                                        \
	"{\"standard\": {\"min\": \"1.2\", \"max\": \"1.3\", \"sender\": {\"pfs\": \"allowed\"},"  \
	" \"recipient\": {\"pfs\": \"allowed\"}}}"
#define PREDEFINED_ACTIONS                                                                         \
	"{\"standard\": {\"inspect\": true, \"starttls_profile\": \"standard\","                   \
	" \"implicit_profile\": \"standard\"}, \"plain\": {\"inspect\": false}}"

/* ---- the whole; what is referred to stands before what refers ---- */

static const struct pst_key root_keys[] = {{UINT("version", pst_config, version, 1, 1, 1), REQUIRED,
						   .help = "Version of this format: 1."},
	{OBJECT("dataplane", pst_config, dataplane, dataplane_type), REQUIRED, RESTART,
		.help = "Cores, memory, network ports, TCP."},
	{OBJECT("log", pst_config, log, log_type), .help = "The log."},
	{OBJECT("control", pst_config, control, control_type), .help = "The control socket."},
	{OBJECT("metrics", pst_config, metrics, metrics_type),
		.help = "Where metrics are served over HTTP; without this section nowhere."},
	{OBJECT("limits", pst_config, limits, limits_type), .help = "Limits and time-outs."},
	{OBJECT("dns", pst_config, dns, dns_type),
		.help = "Who is asked for names; without this section no name is ever asked for."},
	{TEXT("model", pst_config, model, pst_form_name, 64), .text = "generic",
		.help = "Which of `models` this gateway is; the option `--model` outranks it."},
	{MAP("models", pst_config, models, nmodels, pst_type_model), .instead = PST_MODELS_JSON,
		.absent = "the table in config/models.json",
		.help = "What models of the gateway can do, by name."},
	{MAP("certificates", pst_config, certificates, ncertificates, pst_type_certificate),
		.help = "Own certificates by name."},
	{OBJECT("ticket_keys", pst_config, ticket_keys, pst_type_ticket_keys),
		.help = "The keys of session tickets sent to clients."},
	{MAP("tls_profiles", pst_config, profiles, nprofiles, pst_type_profile),
		.predefined = PREDEFINED_PROFILES,
		.help = "How TLS is spoken with clients, by name."},
	{MAP("actions", pst_config, actions, nactions, pst_type_action),
		.predefined = PREDEFINED_ACTIONS, .help = "Proxy actions by name."},
	{MAP("next_hops", pst_config, next_hops, nnext_hops, pst_type_next_hop),
		.help = "Mail servers behind the gateway, by name."},
	{ARRAY("listeners", pst_config, listeners, nlisteners, pst_type_listener), REQUIRED,
		.max_items = 1024, .help = "Where clients connect."},
	{ARRAY("routes", pst_config, routes, nroutes, pst_type_route), .max_items = 1000000,
		.help = "Which next hop takes which recipients."},
	{OBJECT("policy", pst_config, policy, pst_type_policy),
		.help = "Who must encrypt, and how well."},
	{OBJECT("crypto", pst_config, crypto, pst_type_crypto),
		.help = "Who does private-key operations and key exchanges; without back-ends each "
			"worker does its own."},
	{NULL}};
const struct pst_key_type pst_config_type = {
	"configuration", sizeof(struct pst_config), root_keys, pst_check_whole};
