/* SPDX-License-Identifier: BSD-3-Clause */
#include "pki.h"
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEED(cond) ((cond) ? (void)0 : need_failed(#cond, __LINE__))

static void
need_failed(const char *what, int line)
{
	fprintf(stderr, "pki.c:%d: %s\n", line, what);
	abort();
}

EVP_PKEY *
pki_key(const char *kind)
{
	EVP_PKEY *k = NULL;

	if (strncmp(kind, "rsa", 3) == 0)
		k = EVP_RSA_gen((unsigned)atoi(kind + 3));
	else if (kind[0] == 'p')
		k = EVP_EC_gen(strcmp(kind, "p256") == 0   ? "P-256"
			       : strcmp(kind, "p384") == 0 ? "P-384"
							   : "P-521");
	else
		k = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	NEED(k != NULL);
	return k;
}

static void
add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX v;
	X509_EXTENSION *e;

	X509V3_set_ctx(&v, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &v, nid, value);
	NEED(e != NULL);
	NEED(X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static void
add_raw_san(X509 *x, const char *dns, size_t len)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();

	NEED(names != NULL && g != NULL && s != NULL);
	NEED(ASN1_STRING_set(s, dns, (int)len) == 1);
	GENERAL_NAME_set0_value(g, GEN_DNS, s);
	NEED(sk_GENERAL_NAME_push(names, g) == 1);
	NEED(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1);
	GENERAL_NAMES_free(names);
}

static const char *
basic_constraints(const struct pki_spec *s)
{
	return s->basic != NULL ? s->basic : s->ca ? "critical,CA:TRUE" : "CA:FALSE";
}

X509 *
pki_cert(const struct pki_spec *s)
{
	static long serial = 1000;
	X509 *x = X509_new();
	X509_NAME *name;
	X509 *issuer = s->issuer != NULL ? s->issuer : x;
	EVP_PKEY *by = s->issuer_key != NULL ? s->issuer_key : s->key;
	bool dated = s->from_days != 0 || s->to_days != 0;

	NEED(x != NULL);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), (dated ? s->from_days : -1) * 86400l);
	X509_gmtime_adj(X509_getm_notAfter(x), (dated ? s->to_days : 30) * 86400l);
	name = X509_NAME_new();
	NEED(name != NULL &&
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)s->cn,
			s->cn_len != 0 ? (int)s->cn_len : -1, -1, 0));
	X509_set_subject_name(x, name);
	X509_NAME_free(name);
	X509_set_issuer_name(x, X509_get_subject_name(issuer));
	NEED(X509_set_pubkey(x, s->key) == 1);
	add_ext(x, issuer, NID_basic_constraints, basic_constraints(s));
	add_ext(x, issuer, NID_subject_key_identifier, "hash");
	if (s->issuer != NULL)
		add_ext(x, issuer, NID_authority_key_identifier, "keyid");
	if (s->san != NULL)
		add_ext(x, issuer, NID_subject_alt_name, s->san);
	if (s->dns != NULL)
		add_raw_san(x, s->dns, s->dns_len);
	if (s->constraints != NULL)
		add_ext(x, issuer, NID_name_constraints, s->constraints);
	if (s->eku != NULL)
		add_ext(x, issuer, NID_ext_key_usage, s->eku);
	NEED(X509_sign(x, by, EVP_PKEY_get_base_id(by) == EVP_PKEY_ED25519 ? NULL : EVP_sha256()) >
		0);
	return x;
}

void
pki_write(const struct pki_file *f)
{
	int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	FILE *out;

	NEED(fd >= 0);
	out = fdopen(fd, "w");
	NEED(out != NULL);
	for (unsigned i = 0; i < 8 && f->certs[i] != NULL; i++)
		NEED(PEM_write_X509(out, f->certs[i]) == 1);
	if (f->key != NULL)
		NEED(PEM_write_PrivateKey(out, f->key,
			     f->password != NULL ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
			     (void *)(uintptr_t)f->password) == 1);
	NEED(fchmod(fd, f->mode != 0 ? (mode_t)f->mode : 0600) == 0);
	fclose(out);
}

static char dir[64];
static pid_t dir_owner;

static void
remove_dir(void)
{
	DIR *d = dir_owner == getpid() ? opendir(dir) : NULL;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL) {
		closedir(d);
		rmdir(dir);
	}
}

const char *
pki_dir(void)
{
	if (dir[0] == 0) {
		snprintf(dir, sizeof(dir), "/tmp/pst-pki-XXXXXX");
		NEED(mkdtemp(dir) != NULL);
		dir_owner = getpid();
		atexit(remove_dir);
	}
	return dir;
}

const char *
pki_path(const char *name)
{
	static char buf[8][256];
	static unsigned next;
	char *p = buf[next++ % 8];

	snprintf(p, sizeof(buf[0]), "%s/%s", pki_dir(), name);
	return p;
}
