/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys of crypto: back-ends, which of them does what, pools, and the OpenSSL engine or
 * provider that stands in for all of them. Which drivers there are and which options they
 * take the application knows. See config_keys.c.
 */
#include "config_rows.h"

const struct pst_key_form pst_form_driver = {
	"^[a-z][a-z0-9_-]*$", "must be the name of a driver: small letters, digits, '_' and '-'"};
static const struct pst_key_form option_value_form = {
	"^[A-Za-z0-9_./:@+,=-]+$", "must be letters, digits and any of _./:@+,=-"};
static const struct pst_key_form setting_form = {NULL, NULL};

/* ---- back-ends ---- */

static const struct pst_key backend_keys[] = {
	{TEXT("driver", pst_config_crypto_backend, driver, pst_form_driver, 32), REQUIRED,
		.help = "What it is made of; `postern -V` lists the drivers."},
	{TEXT("around", pst_config_crypto_backend, around, pst_form_name, 64),
		.help = "The back-end above it that it wraps and has for itself, for drivers that "
			"spoil another's work on purpose."},
	{UINT("lcores", pst_config_crypto_backend, lcores, 0, PST_CONFIG_MAX_CORES, 0),
		.absent = "as many as `cores`, else 1 if the driver needs any",
		.help = "Threads of its own, each pinned to a core."},
	{UINTS("cores", pst_config_crypto_backend, cores, ncores, 0, 1023, 1, PST_CONFIG_MAX_CORES),
		.absent = "chosen",
		.help = "Cores for them, in order; at least as many as lcores."},
	{UINT("depth", pst_config_crypto_backend, depth, 1, 65536, 512),
		.help = "Operations that one worker may have given to it at a time."},
	{OPTIONS("options", pst_config_crypto_backend, options, noptions, option_value_form,
		 PST_CRYPTODRV_OPTS),
		.help = "Options of the driver."},
	{NULL}};
static const struct pst_key_type backend_type = {"crypto back-end",
	sizeof(struct pst_config_crypto_backend), backend_keys, pst_check_crypto_backend,
	&pst_form_name};

/* ---- who does what ---- */

#define ORDER(key, member)                                                                         \
	TEXTS(key, pst_config_crypto, member.names, member.n, pst_form_name, 64,                   \
		PST_ENGINE_BACKENDS + 1),                                                          \
		.size = sizeof(((struct pst_config_crypto *)0)->member.names)
#define KIND(key, kind) ORDER(key, order[kind]), .absent = "`default`"

const struct pst_key pst_operation_keys[] = {
	{ORDER("default", usual), .absent = "all back-ends that no other wraps, in their order",
		.help = "Back-ends in order of preference, for operations with no list of their "
			"own. What none of them can do the worker does itself; so does `sync`, "
			"and an empty list."},
	{KIND("rsa_sign", PST_OP_RSA_SIGN), .help = "Signatures with our RSA keys."},
	{KIND("rsa_decrypt", PST_OP_RSA_DECRYPT),
		.help = "Key exchange with our RSA keys: TLS 1.2 without forward secrecy."},
	{KIND("ecdsa_sign", PST_OP_ECDSA_SIGN), .help = "Signatures with our ECDSA keys."},
	{KIND("eddsa_sign", PST_OP_EDDSA_SIGN), .help = "Signatures with our Ed25519 keys."},
	{KIND("verify", PST_OP_VERIFY), .help = "Signatures of next hops, checked."},
	{KIND("keygen", PST_OP_KEYGEN), .help = "Ephemeral keys."},
	{KIND("derive", PST_OP_DERIVE), .help = "Key exchange with forward secrecy (ECDH)."},
	{NULL}};
/* Its members are the section's own: the object is JSON only. */
static const struct pst_key_type operations_type = {
	"operations", sizeof(struct pst_config_crypto), pst_operation_keys, pst_check_operations};

/* ---- by name ---- */

static const struct pst_key named_keys[] = {
	{TEXT("engine", pst_config_crypto_named, engine, pst_form_name, 64),
		.help = "Id of an OpenSSL engine, such as `qatengine`."},
	{TEXT("provider", pst_config_crypto_named, provider, pst_form_name, 64),
		.help = "Name of an OpenSSL provider, such as `qatprovider`."},
	{FILENAME("path", pst_config_crypto_named, path), .absent = "where OpenSSL looks",
		.help = "Its shared object."},
	{OPTIONS("settings", pst_config_crypto_named, settings, nsettings, setting_form,
		 PST_CRYPTODRV_OPTS),
		.help = "Control commands of the engine, or parameters of the provider."},
	{NULL}};
static const struct pst_key_type named_type = {
	"engine or provider", sizeof(struct pst_config_crypto_named), named_keys};

/* ---- the section ---- */

static const struct pst_key crypto_keys[] = {
	{MAP("backends", pst_config_crypto, backends, nbackends, backend_type), RESTART,
		.help = "Back-ends by name, at most 8."},
	{.name = "operations",
		.kind = PST_KEY_OBJECT,
		.type = &operations_type,
		.help = "Which back-ends do which operations."},
	{SECONDS("deadline", pst_config_crypto, deadline_ms, 1, 10000, 500),
		.help = "Of one operation; after it the worker does it itself."},
	{UINT("breaker_after", pst_config_crypto, tuning.breaker_after, 1, 1000000, 8),
		.help = "Failures and missed deadlines in a row after which a worker leaves a "
			"back-end alone."},
	{SECONDS("probe", pst_config_crypto, tuning.probe_ms, 10, 3600000, 1000),
		.help = "How often it then tries one operation there."},
	{UINT("min_rsa_bits", pst_config_crypto, tuning.min_rsa_bits, 0, 16384, 0), .unit = "bits",
		.help = "RSA keys smaller than this are the worker's own work; 0: none."},
	{UINT("ops", pst_config_crypto, ops, 1, 65536, 1024), RESTART,
		.help = "Operations that one worker may have given away at a time; beyond, it does "
			"them itself."},
	{UINT("jobs", pst_config_crypto, jobs, 1, 65536, 1024), RESTART,
		.help = "Handshakes that one worker may have paused at a time, 32 KiB of stack "
			"each; beyond, they wait."},
	{OBJECT("named", pst_config_crypto, named, named_type), RESTART,
		.help = "An OpenSSL engine or provider in place of back-ends."},
	{NULL}};
const struct pst_key_type pst_type_crypto = {
	"crypto", sizeof(struct pst_config_crypto), crypto_keys, pst_check_crypto};
