/* SPDX-License-Identifier: BSD-3-Clause */
#include "pki.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY 86400l

static char dir[32];
static pid_t owner;

static void
remove_dir(void)
{
	DIR *d = owner == getpid() ? opendir(dir) : NULL;
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	rmdir(dir);
}

static enum pst_rc
make_dir(char *err, size_t errlen)
{
	if (dir[0] != '\0')
		return PST_OK;
	strcpy(dir, "/tmp/postern-bench-XXXXXX");
	if (mkdtemp(dir) == NULL) {
		snprintf(err, errlen, "%s: %s", dir, strerror(errno));
		dir[0] = '\0';
		return PST_INVAL;
	}
	owner = getpid();
	atexit(remove_dir);
	return PST_OK;
}

static EVP_PKEY *
make_key(const char *kind)
{
	if (strncmp(kind, "rsa", 3) == 0)
		return EVP_RSA_gen((unsigned)strtoul(kind + 3, NULL, 10));
	if (strcmp(kind, "p256") == 0)
		return EVP_EC_gen("P-256");
	return strcmp(kind, "p384") == 0 ? EVP_EC_gen("P-384") : NULL;
}

static bool
add_name(X509 *x, const char *host)
{
	char san[280];
	X509V3_CTX v;
	X509_EXTENSION *e;
	bool ok;

	snprintf(san, sizeof(san), "DNS:%s", host);
	X509V3_set_ctx(&v, x, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &v, NID_subject_alt_name, san);
	ok = e != NULL && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static X509 *
make_cert(EVP_PKEY *key, const char *host)
{
	X509 *x = X509_new();
	X509_NAME *name = x != NULL ? X509_get_subject_name(x) : NULL;

	if (name != NULL && X509_set_version(x, X509_VERSION_3) == 1 &&
		ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
		X509_gmtime_adj(X509_getm_notBefore(x), -DAY) != NULL &&
		X509_gmtime_adj(X509_getm_notAfter(x), 30 * DAY) != NULL &&
		X509_NAME_add_entry_by_txt(
			name, "CN", MBSTRING_ASC, (const uint8_t *)host, -1, -1, 0) == 1 &&
		X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, key) == 1 &&
		add_name(x, host) && X509_sign(x, key, EVP_sha256()) > 0)
		return x;
	X509_free(x);
	return NULL;
}

static bool
write_pem(const char *path, X509 *x, EVP_PKEY *key)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool ok;

	if (f == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	ok = PEM_write_X509(f, x) == 1 &&
	     PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1;
	return fclose(f) == 0 && ok;
}

enum pst_rc
pki_make(const char *kind, const char *host, char path[PKI_PATH], char *err, size_t errlen)
{
	EVP_PKEY *key = NULL;
	X509 *x = NULL;
	bool ok = false;

	if (make_dir(err, errlen) != PST_OK)
		return PST_INVAL;
	snprintf(path, PKI_PATH, "%s/%.16s-%.32s.pem", dir, kind, host);
	key = make_key(kind);
	x = key != NULL ? make_cert(key, host) : NULL;
	if (x != NULL)
		ok = write_pem(path, x, key);
	if (!ok)
		snprintf(err, errlen, "certificate %s for %s: it cannot be made", kind, host);
	X509_free(x);
	EVP_PKEY_free(key);
	return ok ? PST_OK : PST_INVAL;
}
