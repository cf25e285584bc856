/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole configuration as plain C: what control parses from JSON, what relay
 * builds snapshots from, what the application turns into EAL arguments. Every
 * string and array belongs to the config and lives until pst_config_free
 * (lib/control). No JSON words; names of members are the JSON keys.
 *
 * Times in the JSON are seconds (fractions allowed) and are kept in ms here.
 */
#ifndef PST_CONFIG_H
#define PST_CONFIG_H

#include <pst_engine.h>
#include <pst_ip.h>
#include <pst_log.h>
#include <pst_names.h>
#include <pst_net.h>
#include <pst_policy.h>
#include <pst_tls.h>

#define PST_CONFIG_MAX_CORES      64
#define PST_CONFIG_TICKETS_EXCEPT 64

enum pst_idle_mode { PST_IDLE_AUTO, PST_IDLE_BUSY, PST_IDLE_ADAPTIVE }; /* auto: by driver */
enum pst_hugepages { PST_HUGE_AUTO, PST_HUGE_ON, PST_HUGE_OFF }; /* auto: if the system has any */

struct pst_config_opt {
	const char *key, *value;
};

struct pst_config_port {
	const char *name;
	const char *device; /* net_tap, net_af_packet, net_af_xdp, net_ring, or a PCI address */
	const char *iface;
	const char *mac;
	uint16_t mtu, vlan, queues;
	bool promiscuous, force_soft_steering;
	unsigned naddresses;
	struct pst_prefix addresses[PST_NET_MAX_ADDRS];
	unsigned noptions;
	struct pst_config_opt *options; /* driver options, "options": {"k":"v"} */
};

struct pst_config_ip_route {
	struct pst_prefix to;
	struct pst_ip via;
	const char *port;
};

struct pst_config_tcp { /* 0: pst_tcp's default */
	uint32_t max_connections, max_half_open, rcv_buf, snd_buf, rto_min_ms, delack_ms,
		time_wait_ms, user_timeout_ms, keepalive_ms;
};

struct pst_config_dataplane {
	unsigned workers;
	unsigned ncores; /* 0: chosen; else >= workers, the first ones are used */
	unsigned cores[PST_CONFIG_MAX_CORES];
	int main_core; /* -1: chosen; may equal a worker's core (shared) */
	unsigned memory_mb;
	enum pst_hugepages hugepages;
	enum pst_idle_mode idle;
	unsigned mbufs;          /* per worker; 0: default */
	unsigned misroute_every; /* test hook, "test": {"misroute_every": N} */
	unsigned nports;
	struct pst_config_port *ports;
	unsigned nroutes;
	struct pst_config_ip_route *routes;
	struct pst_config_tcp tcp;
};

struct pst_config_log {
	const char *file; /* NULL: standard error */
	enum pst_log_format format;
	enum pst_log_level level;
};

struct pst_config_control {
	const char *socket; /* default /run/postern/control.sock */
	const char *group;  /* owner group of the socket; NULL: postern if it exists, else root */
};

struct pst_config_metrics {
	bool on;                /* the section is there */
	struct pst_endpoint at; /* a kernel address; 127.0.0.1 port 9464 */
};

struct pst_config_timeouts {     /* ms; features.md section 3 */
	uint32_t client_command; /* 300 s: a whole command, not a read */
	uint32_t client_data;    /* 180 s with less than 512 body octets */
	uint32_t client_tls;     /* 30 s */
	uint32_t connect;        /* 30 s */
	uint32_t tls;            /* 30 s */
	uint32_t banner;         /* 60 s */
	uint32_t ehlo;           /* 60 s */
	uint32_t mail;           /* 120 s */
	uint32_t rcpt;           /* 120 s */
	uint32_t data;           /* 60 s: DATA to 354 */
	uint32_t block;          /* 180 s: a body write without progress */
	uint32_t dot;            /* 570 s */
	uint32_t drain;          /* 120 s: then what runs is cut with 421 */
};

struct pst_config_limits {
	unsigned sessions; /* per process; beyond: 421 4.3.2 */
	/* Per address limits and data_rate: 0 is off. */
	uint32_t sessions_per_address;           /* 50, at a time */
	uint32_t connections_per_address_minute; /* 0; new ones a minute */
	uint32_t handshakes;                     /* 1000: TLS handshakes with clients in flight */
	uint32_t handshakes_per_address;         /* 20 */
	uint32_t commands;     /* 1000: of a session without a message; 421 then */
	uint32_t data_rate;    /* 0; bytes/s in DATA, judged over 30 s */
	unsigned recipients;   /* per transaction; 1000 */
	uint64_t message_size; /* SIZE; 0: none; default 50 MiB */
	unsigned errors;       /* 20 */
	unsigned received;     /* 50 */
	struct pst_config_timeouts timeouts;
};

/* Names: asked on the kernel's network. Without the section no name is ever asked for. */
struct pst_config_dns {
	bool on;           /* the section is there */
	bool client_names; /* PTR of clients for the log and Received; default true */
	struct pst_names_conf names;
};

/* What a model of the gateway can do: W9, W11. config/models.json, or the `models` section. */
struct pst_config_model {
	const char *name;
	bool pfs_capable;    /* false: PFS other than none is a configuration error */
	unsigned ocsp_cache; /* 300..3000 */
	/* Drivers of `crypto`, or "named" for its OpenSSL engine or provider. */
	unsigned ncrypto_forbid;
	const char **crypto_forbid;
	const char *crypto_require; /* NULL: none */
};

struct pst_config_certificate {
	const char *name;
	const char *chain; /* PEM file */
	const char *key;   /* PEM file; default: chain */
};

/* Of session tickets: see pst_tickets.h. */
struct pst_config_ticket_keys {
	uint32_t rotate_s;   /* an own key encrypts so long; 0: 3600 */
	uint32_t lifetime_s; /* of a ticket; 0: 3600 */
	const char *file;    /* instead of own keys; NULL: own */
};

struct pst_config_tls_profile {
	const char *name;
	bool predefined;                   /* ours, not the configuration's: read-only (R8) */
	uint16_t min_version, max_version; /* 0x0301..0x0304; below 0x0303 is legacy (W5) */
	unsigned ncertificates;            /* none given: all of the configuration's */
	unsigned *certificates;            /* indices */
	const char *ciphers, *ciphersuites, *groups; /* NULL: default */
	unsigned tickets;                            /* inbound, 0..2, default 0 */
	unsigned ntickets_except;
	/* clients that get none, and whose are not taken */
	struct pst_prefix tickets_except[PST_CONFIG_TICKETS_EXCEPT];
	bool strict_names;              /* T8; default false */
	enum pst_tls_pfs sender_pfs;    /* "sender": {"pfs"}: W10, with clients */
	enum pst_tls_pfs recipient_pfs; /* "recipient": {"pfs"}: with next hops, for mail that came
					   in under this profile */
	enum pst_tls_client_cert client_certificate; /* W4; default off */
	const char *client_ca_file;                  /* who may sign them; needed when not off */
};

enum pst_config_tls_action { PST_TLS_ACTION_INSPECT, PST_TLS_ACTION_DROP };

struct pst_config_action { /* WatchGuard's proxy action: W1, W3, W4 */
	const char *name;
	bool predefined; /* read-only; the control socket's `action clone` makes one that is not */
	bool inspect;    /* W1: off: STARTTLS is not offered */
	enum pst_config_tls_action tls_action; /* W3: drop: an implicit-TLS connection is reset */
	int starttls_profile;                  /* index or -1 */
	int implicit_profile;
};

enum pst_config_tls_mode { PST_CONFIG_TLS_NONE, PST_CONFIG_TLS_STARTTLS, PST_CONFIG_TLS_IMPLICIT };

enum pst_config_tls_support {
	PST_TLS_SUPPORT_UNSET,    /* the listener is one port; `tls` says how it begins */
	PST_TLS_SUPPORT_DISABLED, /* port only */
	PST_TLS_SUPPORT_ENABLED,  /* port and implicit_port */
	PST_TLS_SUPPORT_REQUIRED  /* implicit_port only; port is closed (RST) */
};

/* One port. A listener with `tls_support` enabled becomes two of these, with the same name. */
struct pst_config_listener {
	const char *name;
	unsigned item; /* its place in the JSON's array: /listeners/ITEM */
	enum pst_config_tls_support tls_support; /* W2 */
	uint16_t implicit_port;                  /* 465 */
	struct pst_endpoint at;                  /* address "any": :: */
	enum pst_config_tls_mode tls;            /* none, starttls, implicit */
	unsigned action;
	bool has_tickets;          /* else the profile's number */
	unsigned tickets;          /* 0..2 */
	const char *hostname;      /* banner; default: the system's name */
	uint32_t discard_keywords; /* pst_smtp_keyword bits */
	uint8_t bare_newline;      /* pst_smtp_bare_newline */
	bool received;             /* add the Received field; default true */
};

struct pst_config_route {
	const char *domain;
	unsigned next_hop;
};

struct pst_config_host {
	const char *name; /* for verification and logs; NULL: the address */
	bool has_address; /* false: asked of DNS by its name */
	struct pst_ip address;
	uint16_t port;
	uint16_t priority;
};

enum pst_config_reuse { PST_REUSE_OFF, PST_REUSE_SESSION, PST_REUSE_CLASS };

struct pst_config_next_hop {
	const char *name;
	unsigned nhosts;
	struct pst_config_host *hosts;
	enum pst_config_tls_mode tls; /* default starttls */
	bool mx;               /* no hosts: the MX of mx_domain, or of the recipient's domain */
	const char *mx_domain; /* NULL: the recipient's */
	uint16_t port;         /* of mx; 25 */
	enum pst_level level;  /* its own demand; UNSET: rules and map decide alone */
	unsigned nmatch;       /* names (or fingerprints) for level, as in the map */
	const char **match;
	bool has_pfs; /* else the profile's recipient_pfs */
	enum pst_tls_pfs pfs;
	const char *ca_file;               /* NULL: the system's */
	const char *helo;                  /* NULL: the listener's hostname */
	unsigned profile_min, profile_max; /* TLS versions */
	const char *ciphers, *ciphersuites, *groups;
	enum pst_config_reuse reuse; /* default class */
	unsigned reuse_messages;     /* 100 */
	uint32_t reuse_idle_ms;      /* 30 s */
	uint32_t reuse_age_ms;       /* 300 s */
	unsigned max_tries;          /* addresses tried per transaction; 5 */
	bool expose_upstream_text;   /* default true */
};

struct pst_config_rule {
	const char *id; /* unique; given by the operator or by `rule add` */
	const char *from, *to;
	enum pst_sender_policy sender;
	enum pst_recipient_policy recipient;
	bool enabled;
};

struct pst_config_map_entry { /* P1-P5: see struct pst_policy_entry */
	const char *destination;
	enum pst_level level;
	unsigned nmatch;
	const char **match;
	const char *protocols, *ciphers, *exclude, *servername;
};

struct pst_config_broken_tls { /* S4 */
	bool enabled;          /* default false */
	uint32_t ttl_ms;       /* at most, and by default, 3600 s */
	uint32_t entries;      /* 4096; least recently used goes first */
};

struct pst_config_policy {
	unsigned nrules;
	struct pst_config_rule *rules;
	enum pst_sender_policy default_sender;       /* optional */
	enum pst_recipient_policy default_recipient; /* preferred */
	bool tls_before_mail;                        /* R7 */
	bool mirror_receiver; /* Optional is offered only if the single next hop offers it */
	unsigned nmap;
	struct pst_config_map_entry *map;
	unsigned nnever, nrequired; /* "starttls_never": [], "starttls_required": [] */
	const char **never, **required;
	enum pst_level inbound, outbound; /* global levels; UNSET */
	struct pst_config_broken_tls broken_tls;
};

/* One back-end of the crypto engine. Its place in the array is its index everywhere. */
struct pst_config_crypto_backend {
	const char *name;
	const char *driver;
	const char *around; /* name of one before it that it wraps; NULL: none */
	unsigned lcores;    /* threads of its own; 0: not said, nor by cores */
	unsigned ncores;    /* 0: chosen; else >= lcores, the first ones are used */
	unsigned cores[PST_CONFIG_MAX_CORES];
	unsigned depth; /* 512: operations that a worker has out at most */
	unsigned noptions;
	struct pst_config_opt *options;
};

/* Names as they were written; "sync" is the worker itself. */
struct pst_config_crypto_order {
	unsigned n;
	const char *names[PST_ENGINE_BACKENDS + 1];
};

/* In place of all back-ends: an OpenSSL engine or provider. */
struct pst_config_crypto_named {
	const char *engine, *provider; /* one of them; both NULL: no such thing */
	const char *path;              /* its shared object; NULL: where OpenSSL looks */
	unsigned nsettings;
	struct pst_config_opt *settings;
};

struct pst_config_crypto {
	/* Fixed at start. */
	unsigned nbackends; /* <= PST_ENGINE_BACKENDS */
	struct pst_config_crypto_backend *backends;
	unsigned ops, jobs; /* a worker: 1024 */
	struct pst_config_crypto_named named;
	/* These may change; `tuning` is what they come to. */
	struct pst_config_crypto_order order[PST_OP_KINDS], usual; /* usual: "default" */
	uint32_t deadline_ms;                                      /* 500 */
	struct pst_engine_tuning tuning;
};

struct pst_config {
	unsigned version; /* 1 */
	const char *path; /* where it came from, for relative file names and errors */
	struct pst_config_dataplane dataplane;
	struct pst_config_log log;
	struct pst_config_control control;
	struct pst_config_metrics metrics;
	struct pst_config_limits limits;
	struct pst_config_dns dns;
	const char *model; /* "generic"; --model outranks it */
	unsigned nmodels;
	struct pst_config_model *models;
	struct pst_config_policy policy;
	unsigned ncertificates;
	struct pst_config_certificate *certificates;
	struct pst_config_ticket_keys ticket_keys;
	unsigned nprofiles;
	struct pst_config_tls_profile *profiles;
	unsigned nactions;
	struct pst_config_action *actions;
	unsigned nlisteners;
	struct pst_config_listener *listeners;
	unsigned nroutes;
	struct pst_config_route *routes;
	unsigned nnext_hops;
	struct pst_config_next_hop *next_hops;
	struct pst_config_crypto crypto;
	void *arena;    /* private to lib/control */
	void *document; /* the same: the JSON it was read from */
};

#endif
