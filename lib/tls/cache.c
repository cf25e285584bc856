/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions to resume, client side. An entry is a serialised session without the
 * peer's certificate: about half a KiB instead of the ten that an SSL_SESSION with
 * its chain takes, and no reference into any SSL_CTX, so a cache outlives a reload.
 *
 * Keys are digests of the caller's key together with all that the connection
 * expects and all that its profile allows: a session made under weaker terms, or
 * under terms that merely differ, is never found by another (T18).
 *
 * A TLS 1.3 ticket leaves the cache when it is taken (RFC 8446 C.4: "Clients
 * SHOULD NOT reuse a ticket for multiple connections"); a TLS 1.2 session stays.
 * A next hop may have a few entries, one for each of several parallel connections.
 *
 * Each resumption brings new tickets but looks at no certificate. So that a busy
 * next hop is verified again at all, what a full handshake left, and what came of
 * it, ends after a day, and with the certificate where certificates count.
 */
#include "tls_int.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <sys/queue.h>
#include <stdlib.h>
#include <time.h>

#define PER_KEY     8     /* entries of one key; the oldest goes */
#define MAX_AGE     86400 /* seconds since the full handshake */
#define MAX_ENCODED 8192  /* a ticket may be 64 KiB; who sends such is not worth the memory */

struct entry {
	TAILQ_ENTRY(entry) lru; /* most recent first */
	LIST_ENTRY(entry) bucket;
	uint8_t key[PST_TLS_DIGEST];
	int64_t until; /* seconds since the epoch; it and its descendants are worth nothing then */
	bool reusable; /* TLS 1.2 and older */
	uint16_t len;
	uint8_t der[];
};

TAILQ_HEAD(lru_list, entry);
LIST_HEAD(bucket_list, entry);

struct pst_tls_cache {
	unsigned max, n;
	unsigned mask; /* buckets - 1 */
	struct lru_list lru;
	struct bucket_list *buckets;
};

struct pst_tls_cache *
pst_tls_cache_new(unsigned max)
{
	struct pst_tls_cache *c = calloc(1, sizeof(*c));
	unsigned buckets = 16;

	while (buckets < max && buckets < 1u << 20)
		buckets *= 2;
	if (c == NULL || (c->buckets = calloc(buckets, sizeof(c->buckets[0]))) == NULL) {
		free(c);
		return NULL;
	}
	c->max = max;
	c->mask = buckets - 1;
	TAILQ_INIT(&c->lru);
	return c;
}

static struct bucket_list *
bucket_of(struct pst_tls_cache *c, const uint8_t key[PST_TLS_DIGEST])
{
	uint32_t h;

	memcpy(&h, key, sizeof(h)); /* a digest is its own hash */
	return &c->buckets[h & c->mask];
}

/* The secrets are wiped with it. */
static void
drop(struct pst_tls_cache *c, struct entry *e)
{
	TAILQ_REMOVE(&c->lru, e, lru);
	LIST_REMOVE(e, bucket);
	c->n--;
	OPENSSL_cleanse(e, sizeof(*e) + e->len);
	free(e);
}

void
pst_tls_cache_flush(struct pst_tls_cache *c)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&c->lru)) != NULL)
		drop(c, e);
}

void
pst_tls_cache_free(struct pst_tls_cache *c)
{
	if (c == NULL)
		return;
	pst_tls_cache_flush(c);
	free(c->buckets);
	free(c);
}

/* The newest entry of a key; the bucket lists have the newest first. */
static struct entry *
newest(struct pst_tls_cache *c, const uint8_t key[PST_TLS_DIGEST])
{
	struct entry *e;

	LIST_FOREACH(e, bucket_of(c, key), bucket)
	if (memcmp(e->key, key, PST_TLS_DIGEST) == 0)
		return e;
	return NULL;
}

void
pst_tls_cache_forget(struct pst_tls_cache *c, const uint8_t key[PST_TLS_DIGEST])
{
	struct entry *e;

	while ((e = newest(c, key)) != NULL)
		drop(c, e);
}

/* Drops the oldest of a key that has its full share. */
static void
make_room_in_key(struct pst_tls_cache *c, const uint8_t key[PST_TLS_DIGEST])
{
	struct entry *e, *oldest = NULL;
	unsigned n = 0;

	LIST_FOREACH(e, bucket_of(c, key), bucket)
	if (memcmp(e->key, key, PST_TLS_DIGEST) == 0) {
		oldest = e;
		n++;
	}
	if (n >= PER_KEY)
		drop(c, oldest);
}

/*
 * SSL_SESSION's encoding is a SEQUENCE whose element [3] is the peer's
 * certificate. Nothing needs it for a resumption, and decoding its key costs more
 * than the resumption saves on OpenSSL 3.0. Copies all other elements; returns
 * the new length, 0 if the input is not such a SEQUENCE.
 */
static size_t
strip_peer(const uint8_t *der, size_t len, uint8_t *out)
{
	const uint8_t *p = der, *end;
	uint8_t *body = out + 4, *to = body;
	int tag, cls;
	long n;

	if ((ASN1_get_object(&p, &n, &tag, &cls, (long)len) & 0x80) != 0 || tag != V_ASN1_SEQUENCE)
		return 0;
	end = p + n;
	while (p < end) {
		const uint8_t *start = p;

		if ((ASN1_get_object(&p, &n, &tag, &cls, end - p) & 0x80) != 0)
			return 0;
		p += n;
		if (cls == V_ASN1_CONTEXT_SPECIFIC && tag == 3)
			continue;
		memcpy(to, start, (size_t)(p - start));
		to += p - start;
	}
	n = to - body;
	out[0] = V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED;
	out[1] = 0x82; /* BER, a length in two bytes whether it needs them or not */
	out[2] = (uint8_t)(n >> 8);
	out[3] = (uint8_t)n;
	return (size_t)n + 4;
}

/* By way of a scratch buffer, so that the entry is no larger than what it keeps. */
static struct entry *
encode(SSL_SESSION *sess)
{
	int len = i2d_SSL_SESSION(sess, NULL);
	struct entry *e = NULL;
	uint8_t *scratch, *p;
	size_t n;

	if (len <= 0 || (scratch = p = malloc(2 * (size_t)len + 4)) == NULL)
		return NULL;
	i2d_SSL_SESSION(sess, &p);
	n = strip_peer(scratch, (size_t)len, scratch + len);
	if (n > 0 && n <= MAX_ENCODED && (e = calloc(1, sizeof(*e) + n)) != NULL) {
		e->len = (uint16_t)n;
		memcpy(e->der, scratch + len, n);
	}
	OPENSSL_cleanse(scratch, 2 * (size_t)len + 4);
	free(scratch);
	return e;
}

static int64_t
certificate_ends(const X509 *x)
{
	struct tm tm;

	if (x == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
		return 0;
	return timegm(&tm);
}

/* Until when the verdict on the peer may stand. */
static int64_t
verdict_ends(const struct pst_tls *t)
{
	int64_t until = time(NULL) + MAX_AGE;

	if (SSL_session_reused(t->ssl) == 1)
		return t->until;
	if (t->verify == PST_TLS_VERIFY_CHAIN || t->verify == PST_TLS_VERIFY_NAME)
		until = PST_MIN(until, certificate_ends(SSL_get0_peer_certificate(t->ssl)));
	return until;
}

/* Called by OpenSSL at the end of a TLS 1.2 handshake and for each TLS 1.3 ticket. */
int
pst_tls_cache_store(SSL *ssl, SSL_SESSION *sess)
{
	struct pst_tls *t = SSL_get_app_data(ssl);
	struct pst_tls_cache *c = t != NULL ? t->cache : NULL;
	struct entry *e;

	if (c == NULL || c->max == 0 || SSL_SESSION_is_resumable(sess) != 1 ||
		(e = encode(sess)) == NULL)
		return 0;
	memcpy(e->key, t->key, PST_TLS_DIGEST);
	e->until = verdict_ends(t);
	e->reusable = SSL_SESSION_get_protocol_version(sess) < TLS1_3_VERSION;
	if (e->reusable)
		pst_tls_cache_forget(c, t->key);
	else
		make_room_in_key(c, t->key);
	if (c->n >= c->max)
		drop(c, TAILQ_LAST(&c->lru, lru_list));
	TAILQ_INSERT_HEAD(&c->lru, e, lru);
	LIST_INSERT_HEAD(bucket_of(c, e->key), e, bucket);
	c->n++;
	return 0; /* we took a copy, not the reference */
}

static bool
alive(const struct entry *e, SSL_SESSION *sess)
{
	int64_t now = time(NULL);

	return SSL_SESSION_is_resumable(sess) == 1 && now < e->until &&
	       now < SSL_SESSION_get_time(sess) + SSL_SESSION_get_timeout(sess);
}

/* The newest usable session of a key; what is too old is dropped on the way. */
SSL_SESSION *
pst_tls_cache_take(struct pst_tls_cache *c, const uint8_t key[PST_TLS_DIGEST], int64_t *until)
{
	struct entry *e;

	while ((e = newest(c, key)) != NULL) {
		const uint8_t *p = e->der;
		SSL_SESSION *sess = d2i_SSL_SESSION(NULL, &p, e->len);
		bool good = sess != NULL && alive(e, sess);

		*until = e->until;
		if (good && e->reusable) {
			TAILQ_REMOVE(&c->lru, e, lru);
			TAILQ_INSERT_HEAD(&c->lru, e, lru);
		} else {
			drop(c, e);
		}
		if (good)
			return sess;
		SSL_SESSION_free(sess);
	}
	return NULL;
}

static bool
digest_key(struct pst_tls *t, struct pst_span key)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok;

	ok = md != NULL && EVP_DigestInit_ex(md, t->ctx->sha256, NULL) == 1 &&
	     EVP_DigestUpdate(md, t->ctx->profile, sizeof(t->ctx->profile)) == 1 &&
	     pst_tls_expect_digest(t, md) && EVP_DigestUpdate(md, key.p, key.n) == 1 &&
	     EVP_DigestFinal_ex(md, t->key, NULL) == 1;
	EVP_MD_CTX_free(md);
	return ok;
}

void
pst_tls_use_cache(struct pst_tls *t, struct pst_tls_cache *cache, struct pst_span key)
{
	SSL_SESSION *sess;

	if (t->ctx->side != PST_TLS_CLIENT || t->started || cache == NULL)
		return;
	ERR_clear_error();
	if (digest_key(t, key)) {
		t->cache = cache;
		sess = pst_tls_cache_take(cache, t->key, &t->until);
		if (sess != NULL)
			SSL_set_session(t->ssl, sess);
		SSL_SESSION_free(sess);
	}
	ERR_clear_error();
}
