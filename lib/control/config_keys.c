/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every key of the configuration, section by section: kind, where it goes, range,
 * default, and the sentence the reference manual prints. Read a row as
 *
 *   {KIND("key", struct, member, ...), extras, .help = "..."}
 *
 * Times are written in ms here and in seconds in the JSON. After a change run
 * scripts/config-doc, which rewrites the JSON Schema and docs/configuration.md.
 */
#include "config_keys.h"

#include <pst_smtp.h>
#include <pst_smtp_server.h>

#define AT(stru, member)                                                                           \
	.offset = offsetof(struct stru, member), .size = sizeof(((struct stru *)0)->member)
#define COUNTED(stru, member, n)                                                                   \
	.offset = offsetof(struct stru, member), .count = offsetof(struct stru, n)

#define BOOL(key, stru, member, yes)                                                               \
	.name = key, .kind = PST_KEY_BOOL, AT(stru, member), .dflt = yes
#define UINT(key, stru, member, lo, hi, absent_value)                                              \
	.name = key, .kind = PST_KEY_UINT, AT(stru, member), .min = lo, .max = hi,                 \
	.dflt = absent_value
#define SECONDS(key, stru, member, lo, hi, absent_value)                                           \
	.name = key, .kind = PST_KEY_SECONDS, AT(stru, member), .min = lo, .max = hi,              \
	.dflt = absent_value, .unit = "s"
#define ENUM(key, stru, member, list, absent_value)                                                \
	.name = key, .kind = PST_KEY_ENUM, AT(stru, member), .words = list, .dflt = absent_value
#define FLAGS(key, stru, member, list)                                                             \
	.name = key, .kind = PST_KEY_FLAGS, AT(stru, member), .words = list
#define TEXT(key, stru, member, f, longest)                                                        \
	.name = key, .kind = PST_KEY_TEXT, AT(stru, member), .form = &(f), .max = longest
#define FILENAME(key, stru, member) .name = key, .kind = PST_KEY_FILE, AT(stru, member)
#define ADDRESS(key, stru, member)  .name = key, .kind = PST_KEY_IP, AT(stru, member)
#define PREFIX(key, stru, member)   .name = key, .kind = PST_KEY_PREFIX, AT(stru, member)
#define UINTS(key, stru, member, n, lo, hi, least, most)                                           \
	.name = key, .kind = PST_KEY_UINTS, COUNTED(stru, member, n), .min = lo, .max = hi,        \
	.min_items = least, .max_items = most
#define PREFIXES(key, stru, member, n, least, most)                                                \
	.name = key, .kind = PST_KEY_PREFIXES, COUNTED(stru, member, n), .min_items = least,       \
	.max_items = most
#define REF(key, stru, member, t) .name = key, .kind = PST_KEY_REF, AT(stru, member), .type = &(t)
#define REFS(key, stru, member, n, t)                                                              \
	.name = key, .kind = PST_KEY_REFS, COUNTED(stru, member, n), .type = &(t)
#define OBJECT(key, stru, member, t)                                                               \
	.name = key, .kind = PST_KEY_OBJECT, AT(stru, member), .type = &(t)
#define ARRAY(key, stru, member, n, t)                                                             \
	.name = key, .kind = PST_KEY_ARRAY, COUNTED(stru, member, n), .type = &(t)
#define MAP(key, stru, member, n, t)                                                               \
	.name = key, .kind = PST_KEY_MAP, COUNTED(stru, member, n), .type = &(t)
#define OPTIONS(key, stru, member, n, f, most)                                                     \
	.name = key, .kind = PST_KEY_OPTIONS, COUNTED(stru, member, n), .form = &(f),              \
	.max_items = most
#define LATER(key)   .name = key, .kind = PST_KEY_LATER
#define REFUSED(key) .name = key, .kind = PST_KEY_REFUSED
#define REQUIRED     .required = true

#define DAY 86400000u /* ms */

/* ---- forms and words ---- */

static const struct pst_key_form name_form = {
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
/* Underscores do occur in host names in the wild; a trailing dot does not belong in SMTP. */
static const struct pst_key_form host_form = {"^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\\.[A-Za-"
					      "z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$",
	"must be a host name: labels of letters, digits and '-', with dots between"};
/* The same with internationalised labels: recipients may come as U-labels (RFC 6531) too. */
#define LABEL_CHAR "[^ -,./:-@[-^`{-~]"
#define LABELS     LABEL_CHAR "+(\\." LABEL_CHAR "+)*"
static const struct pst_key_form domain_form = {"^(\\*|(\\*\\.)?" LABELS
						"|\\[(IPv6:)?[0-9A-Fa-f:.]+\\])$",
	"must be a domain, \"*.domain\" for its subdomains, \"*\" for all others, or an address "
	"literal"};
static const struct pst_key_form group_form = {
	"^[A-Za-z_][A-Za-z0-9_.-]*$", "must be the name of a group"};
static const struct pst_key_form openssl_form = {
	"^[A-Za-z0-9_+:!@=.-]+$", "must be an OpenSSL list with ':' between the names"};

static const struct pst_key_word hugepages_words[] = {
	{"auto", PST_HUGE_AUTO}, {"on", PST_HUGE_ON}, {"off", PST_HUGE_OFF}, {NULL}};
static const struct pst_key_word idle_words[] = {
	{"auto", PST_IDLE_AUTO}, {"busy", PST_IDLE_BUSY}, {"adaptive", PST_IDLE_ADAPTIVE}, {NULL}};
static const struct pst_key_word steering_words[] = {{"auto", 0}, {"software", 1}, {NULL}};
static const struct pst_key_word log_formats[] = {
	{"text", PST_LOG_TEXT}, {"json", PST_LOG_JSON}, {NULL}};
static const struct pst_key_word log_levels[] = {{"error", PST_LOG_ERROR}, {"warn", PST_LOG_WARN},
	{"info", PST_LOG_INFO}, {"debug", PST_LOG_DEBUG}, {NULL}};
#define OLD_TLS "TLS 1.0 and 1.1 are not available in this version; say \"1.2\" or \"1.3\""
static const struct pst_key_word tls_versions[] = {
	{"1.0", 0, OLD_TLS}, {"1.1", 0, OLD_TLS}, {"1.2", 0x0303}, {"1.3", 0x0304}, {NULL}};
static const struct pst_key_word tls_modes[] = {{"none", PST_CONFIG_TLS_NONE},
	{"starttls", PST_CONFIG_TLS_STARTTLS}, {"implicit", PST_CONFIG_TLS_IMPLICIT}, {NULL}};
static const struct pst_key_word newline_words[] = {
	{"reject", PST_SMTP_BARE_REJECT}, {"normalize", PST_SMTP_BARE_NORMALIZE}, {NULL}};
static const struct pst_key_word reuse_words[] = {
	{"off", PST_REUSE_OFF}, {"session", PST_REUSE_SESSION}, {"class", PST_REUSE_CLASS}, {NULL}};
static const struct pst_key_word keyword_words[] = {{"PIPELINING", PST_SMTP_PIPELINING},
	{"SIZE", PST_SMTP_SIZE}, {"8BITMIME", PST_SMTP_8BITMIME},
	{"ENHANCEDSTATUSCODES", PST_SMTP_ENHANCEDSTATUSCODES}, {"STARTTLS", PST_SMTP_STARTTLS},
	{"SMTPUTF8", PST_SMTP_SMTPUTF8}, {"DSN", PST_SMTP_DSN}, {"CHUNKING", PST_SMTP_CHUNKING},
	{NULL}};

#define NO_SSL(v)                                                                                  \
	"unsupported_by_crypto_library: OpenSSL 3 has no SSL " v ", so it cannot be allowed"

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

/* ---- certificates, profiles, actions ---- */

static const struct pst_key certificate_keys[] = {
	{FILENAME("chain", pst_config_certificate, chain), REQUIRED,
		.help = "PEM file: the certificate, then its intermediates."},
	{FILENAME("key", pst_config_certificate, key), .absent = "`chain`",
		.help = "PEM file with the private key."},
	{NULL}};
static const struct pst_key_type certificate_type = {"certificate",
	sizeof(struct pst_config_certificate), certificate_keys, pst_check_certificate, &name_form};

#define TLS_LISTS(stru)                                                                            \
	{TEXT("ciphers", stru, ciphers, openssl_form, 4096), .absent = "OpenSSL's own",            \
		.help = "TLS 1.2 cipher list, as OpenSSL writes it."},                             \
		{TEXT("ciphersuites", stru, ciphersuites, openssl_form, 4096),                     \
			.absent = "OpenSSL's own", .help = "TLS 1.3 cipher suites."},              \
		{TEXT("groups", stru, groups, openssl_form, 4096), .absent = "OpenSSL's own",      \
			.help = "Key exchange groups."},                                           \
		{REFUSED("allow_sslv3"), .help = NO_SSL("3.0")},                                   \
	{                                                                                          \
		REFUSED("allow_sslv2"), .help = NO_SSL("2.0")                                      \
	}

static const struct pst_key profile_keys[] = {
	{ENUM("min", pst_config_tls_profile, min_version, tls_versions, 0x0303),
		.help = "Lowest TLS version."},
	{ENUM("max", pst_config_tls_profile, max_version, tls_versions, 0x0304),
		.help = "Highest TLS version."},
	{REFS("certificates", pst_config_tls_profile, certificates, ncertificates,
		 certificate_type),
		.max_items = 64,
		.help = "Certificates to choose from by server name and key type; the first is the "
			"default."},
	{UINT("tickets", pst_config_tls_profile, tickets, 0, 2, 0),
		.help = "Session tickets sent after a handshake."},
	TLS_LISTS(pst_config_tls_profile), {NULL}};
static const struct pst_key_type profile_type = {"TLS profile",
	sizeof(struct pst_config_tls_profile), profile_keys, pst_check_profile, &name_form};

static const struct pst_key action_keys[] = {
	{BOOL("inspect", pst_config_action, inspect, true),
		.help = "Inspect content inside TLS. Off: STARTTLS is not offered."},
	{REF("starttls_profile", pst_config_action, starttls_profile, profile_type),
		.help = "TLS profile behind STARTTLS."},
	{REF("implicit_profile", pst_config_action, implicit_profile, profile_type),
		.help = "TLS profile of listeners with implicit TLS."},
	{NULL}};
static const struct pst_key_type action_type = {
	"action", sizeof(struct pst_config_action), action_keys, pst_check_action, &name_form};

/* ---- listeners ---- */

static const struct pst_key listener_keys[] = {
	{TEXT("name", pst_config_listener, name, name_form, 64), REQUIRED,
		.help = "The listener's name in logs and status."},
	{ADDRESS("address", pst_config_listener, at.ip), .also = "any", .absent = "`any`",
		.help = "An address of a port, or `any` for all of them."},
	{UINT("port", pst_config_listener, at.port, 1, 65535, 25), .help = "TCP port."},
	{ENUM("tls", pst_config_listener, tls, tls_modes, PST_CONFIG_TLS_STARTTLS),
		.help = "`none`; `starttls` offers it; `implicit` begins with the handshake."},
	{REF("action", pst_config_listener, action, action_type), REQUIRED,
		.help = "The action that says how TLS is treated."},
	{TEXT("hostname", pst_config_listener, hostname, host_form, 253),
		.absent = "the system's name",
		.help = "Own name in the greeting, EHLO and `Received`."},
	{FLAGS("discard_keywords", pst_config_listener, discard_keywords, keyword_words),
		.help = "EHLO keywords that are not advertised."},
	{ENUM("bare_newline", pst_config_listener, bare_newline, newline_words,
		 PST_SMTP_BARE_REJECT),
		.help = "A CR or LF alone in a message: refused with 550 5.6.0, or made CRLF."},
	{BOOL("received", pst_config_listener, received, true),
		.help = "Add a `Received` field to each message."},
	{NULL}};
static const struct pst_key_type listener_type = {
	"listener", sizeof(struct pst_config_listener), listener_keys, pst_check_listener};

/* ---- next hops and routes ---- */

static const struct pst_key host_keys[] = {
	{TEXT("name", pst_config_host, name, host_form, 253), .absent = "the address",
		.help = "Host name, for verification and logs."},
	{ADDRESS("address", pst_config_host, address), REQUIRED, .help = "Where to connect."},
	{UINT("port", pst_config_host, port, 1, 65535, 25), .help = "TCP port."},
	{UINT("priority", pst_config_host, priority, 0, 65535, 10),
		.help = "Lower is tried first; equals in turn, as with MX records."},
	{NULL}};
static const struct pst_key_type host_type = {
	"host", sizeof(struct pst_config_host), host_keys, pst_check_host};

static const struct pst_key next_hop_keys[] = {
	{ARRAY("hosts", pst_config_next_hop, hosts, nhosts, host_type), REQUIRED, .min_items = 1,
		.max_items = 256, .help = "Its hosts."},
	{ENUM("tls", pst_config_next_hop, tls, tls_modes, PST_CONFIG_TLS_STARTTLS),
		.help = "`none`, `starttls`, or `implicit` (TLS from the first byte)."},
	{BOOL("tls_required", pst_config_next_hop, tls_required, true),
		.absent = "true, with `tls` `none` false",
		.help = "Without TLS the message is put off with 451; off: it may go in clear."},
	{BOOL("verify", pst_config_next_hop, verify, true),
		.absent = "true, with `tls` `none` false",
		.help = "Verify certificate chain and name."},
	{FILENAME("ca_file", pst_config_next_hop, ca_file), .absent = "the system's",
		.help = "PEM file with the trusted authorities."},
	{TEXT("verify_name", pst_config_next_hop, verify_name, host_form, 253),
		.absent = "the host's name", .help = "Name the certificate has to carry."},
	{TEXT("helo", pst_config_next_hop, helo, host_form, 253),
		.absent = "the listener's `hostname`", .help = "Own name in EHLO."},
	{ENUM("min", pst_config_next_hop, profile_min, tls_versions, 0x0303),
		.help = "Lowest TLS version."},
	{ENUM("max", pst_config_next_hop, profile_max, tls_versions, 0x0304),
		.help = "Highest TLS version."},
	TLS_LISTS(pst_config_next_hop),
	{ENUM("reuse", pst_config_next_hop, reuse, reuse_words, PST_REUSE_CLASS),
		.help = "Keep connections for further messages: `off`; of the same client "
			"`session`; of the same route `class`."},
	{UINT("reuse_messages", pst_config_next_hop, reuse_messages, 1, 1000000, 100),
		.help = "Messages over one connection."},
	{SECONDS("reuse_idle", pst_config_next_hop, reuse_idle_ms, 1, DAY, 30000),
		.help = "An unused connection is closed after this time."},
	{SECONDS("reuse_age", pst_config_next_hop, reuse_age_ms, 1, DAY, 300000),
		.help = "A connection is not used again when older."},
	{UINT("max_tries", pst_config_next_hop, max_tries, 1, 256, 5),
		.help = "Addresses tried for one transaction before 451 4.4.1."},
	{BOOL("expose_upstream_text", pst_config_next_hop, expose_upstream_text, true),
		.help = "Pass on the text of the next hop's replies, not only the codes."},
	{NULL}};
static const struct pst_key_type next_hop_type = {"next hop", sizeof(struct pst_config_next_hop),
	next_hop_keys, pst_check_next_hop, &name_form};

static const struct pst_key route_keys[] = {
	{TEXT("domain", pst_config_route, domain, domain_form, 253), REQUIRED,
		.help = "Recipient domain, compared without regard to case; \"*.d\": subdomains of "
			"d, \"*\": whatever has no route of its own. The most exact route wins."},
	{REF("next_hop", pst_config_route, next_hop, next_hop_type), REQUIRED,
		.help = "Where its mail goes."},
	{NULL}};
static const struct pst_key_type route_type = {
	"route", sizeof(struct pst_config_route), route_keys, pst_check_route};

/* ---- the whole; what is referred to stands before what refers ---- */

static const struct pst_key root_keys[] = {{UINT("version", pst_config, version, 1, 1, 1), REQUIRED,
						   .help = "Version of this format: 1."},
	{OBJECT("dataplane", pst_config, dataplane, dataplane_type), REQUIRED,
		.help = "Cores, memory, network ports, TCP. Changes need a restart."},
	{OBJECT("log", pst_config, log, log_type), .help = "The log."},
	{OBJECT("control", pst_config, control, control_type), .help = "The control socket."},
	{OBJECT("metrics", pst_config, metrics, metrics_type),
		.help = "Where metrics are served over HTTP; without this section nowhere."},
	{OBJECT("limits", pst_config, limits, limits_type), .help = "Limits and time-outs."},
	{LATER("models"), .help = "Models of the gateway."},
	{MAP("certificates", pst_config, certificates, ncertificates, certificate_type),
		.help = "Own certificates by name."},
	{MAP("tls_profiles", pst_config, profiles, nprofiles, profile_type),
		.help = "How TLS is spoken with clients, by name."},
	{MAP("actions", pst_config, actions, nactions, action_type),
		.help = "Proxy actions by name."},
	{MAP("next_hops", pst_config, next_hops, nnext_hops, next_hop_type),
		.help = "Mail servers behind the gateway, by name."},
	{ARRAY("listeners", pst_config, listeners, nlisteners, listener_type), REQUIRED,
		.max_items = 1024, .help = "Where clients connect."},
	{ARRAY("routes", pst_config, routes, nroutes, route_type), .max_items = 1000000,
		.help = "Which next hop takes which recipients."},
	{LATER("policy"), .help = "Rules."}, {LATER("crypto"), .help = "Crypto engines."}, {NULL}};
const struct pst_key_type pst_config_type = {
	"configuration", sizeof(struct pst_config), root_keys, pst_check_whole};
