/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Publication, look-up and reclaim on plain threads, without EAL, for ThreadSanitizer.
 *
 * The relay's own snapshot.c, parts.c, publish.c and tickets.c, with the ring of ticket keys,
 * instrumented. One thread does what the
 * control thread does: publishes good and bad configurations in turn and reclaims. The others do
 * what a worker does each turn (shard_turn): read the pointer, adopt a new generation, begin and
 * end sessions that count on it, use their view, policy and TLS context, pass a quiescent state,
 * at times sleep offline. Every look is checked for being of one generation; every configuration
 * is poisoned when it is handed back.
 *
 *   tsan_publish                    must end with 0 and no report
 *   tsan_publish --without-waiting  a publication that does not wait for the workers
 *   tsan_publish --without-counting a reclaim that does not look at who still uses it
 *
 * The latter two must fail: they show that the former can.
 *
 * liburcu and ThreadSanitizer. liburcu 0.13 is neither instrumented nor annotated, so TSan does not
 * see why a grace period orders anything. Suppressions would hide real races with it; instead
 * the calls are wrapped (ld --wrap) and tell TSan exactly what QSBR promises and no more:
 *
 *   - what a reader did before a quiescent state, before going offline or leaving, happened
 *     before the return of a synchronize_rcu() that waited for it (release, acquire);
 *   - who reads the pointer by snapshot_current (an atomic load) sees what was done before
 *     rcu_xchg_pointer, which the library does out of TSan's sight: an atomic exchange.
 *
 * A synchronize_rcu() acquires what readers released so far: never what a reader did since its
 * last quiescent state, so freeing too early remains a race.
 */
#include "relay.h"
#include "ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <urcu-qsbr.h>

#include <pki.h>

#define READERS     3
#define GENERATIONS 2000
#define HELD        16 /* sessions of one reader at a time */
#define MAGIC       0x706f7374u

static bool without_waiting, without_counting;
static struct pst_relay relay;
static _Atomic unsigned stopping;
static unsigned released, given; /* control thread */

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* ---- what QSBR promises, told to TSan ---- */

void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
static char grace; /* its address stands for grace periods */

void __real_urcu_qsbr_synchronize_rcu(void);
void __real_urcu_qsbr_quiescent_state(void);
void __real_urcu_qsbr_thread_offline(void);
void __real_urcu_qsbr_unregister_thread(void);
bool __real_snapshot_in_use(const struct snapshot *sn);
void __wrap_urcu_qsbr_synchronize_rcu(void);
void __wrap_urcu_qsbr_quiescent_state(void);
void __wrap_urcu_qsbr_thread_offline(void);
void __wrap_urcu_qsbr_unregister_thread(void);
void *__wrap_rcu_xchg_pointer_sym(void **p, void *v);
bool __wrap_snapshot_in_use(const struct snapshot *sn);

void
__wrap_urcu_qsbr_synchronize_rcu(void)
{
	if (without_waiting)
		return;
	__real_urcu_qsbr_synchronize_rcu();
	__tsan_acquire(&grace);
}

void
__wrap_urcu_qsbr_quiescent_state(void)
{
	__tsan_release(&grace);
	__real_urcu_qsbr_quiescent_state();
}

void
__wrap_urcu_qsbr_thread_offline(void)
{
	__tsan_release(&grace);
	__real_urcu_qsbr_thread_offline();
}

void
__wrap_urcu_qsbr_unregister_thread(void)
{
	__tsan_release(&grace);
	__real_urcu_qsbr_unregister_thread();
}

void *
__wrap_rcu_xchg_pointer_sym(void **p, void *v)
{
	return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}

bool
__wrap_snapshot_in_use(const struct snapshot *sn)
{
	return !without_counting && __real_snapshot_in_use(sn);
}

/* ---- configurations: all that a generation says is in its number ---- */

struct generation {
	struct pst_config cfg; /* first */
	unsigned magic, number;
	char name[32];
	struct pst_config_listener listener;
	struct pst_config_action action;
	struct pst_config_tls_profile profile;
	struct pst_config_certificate cert;
	unsigned cert_index;
	struct pst_config_next_hop hops[2];
	struct pst_config_host host;
	struct pst_config_route routes[2];
};

static char chain[512];

static struct generation *
generation_new(unsigned number)
{
	struct generation *g = calloc(1, sizeof(*g));

	CHECK(g != NULL);
	g->magic = MAGIC;
	g->number = number;
	snprintf(g->name, sizeof(g->name), "g%u.example", number);
	g->cert = (struct pst_config_certificate){.name = "c", .chain = chain, .key = chain};
	/* Every 64 generations another TLS context, in between a shared one. */
	g->profile = (struct pst_config_tls_profile){.name = "p",
		.min_version = 0x0303,
		.max_version = 0x0304,
		.ncertificates = 1,
		.certificates = &g->cert_index,
		.tickets = number / 64 % 2};
	g->action =
		(struct pst_config_action){.name = "a", .inspect = true, .implicit_profile = -1};
	g->listener = (struct pst_config_listener){
		.name = "l", .tls = PST_CONFIG_TLS_STARTTLS, .hostname = g->name};
	g->host = (struct pst_config_host){.name = "h", .has_address = true, .port = 25};
	for (unsigned i = 0; i < 2; i++) {
		g->hops[i] = (struct pst_config_next_hop){.name = i == 0 ? "even" : "odd",
			.nhosts = 1,
			.hosts = &g->host,
			.tls = PST_CONFIG_TLS_NONE,
			.helo = g->name};
	}
	/* Two policies in turn. */
	g->routes[0] = (struct pst_config_route){"x.example", number % 2};
	g->routes[1] = (struct pst_config_route){number % 2 ? "odd.example" : "even.example", 0};
	g->cfg = (struct pst_config){.version = 1,
		.ncertificates = 1,
		.certificates = &g->cert,
		.nprofiles = 1,
		.profiles = &g->profile,
		.nactions = 1,
		.actions = &g->action,
		.nlisteners = 1,
		.listeners = &g->listener,
		.nroutes = 2,
		.routes = g->routes,
		.nnext_hops = 2,
		.next_hops = g->hops};
	given++;
	return g;
}

static void
generation_free(void *arg, const struct pst_config *cfg)
{
	struct generation *g = (struct generation *)cfg;

	CHECK(g->magic == MAGIC);
	memset(g, 0xdd, sizeof(*g));
	free(g);
	released++;
}

/* ---- a worker ---- */

struct reader {
	unsigned worker;
	uint64_t random;
	uint64_t generation; /* that it adopted */
	struct snapshot *held[HELD];
	struct pst_tls *tls[HELD];
	unsigned nheld;
	uint64_t turns, adopted, looks;
};

static unsigned
pick(struct reader *rd, unsigned n)
{
	rd->random = rd->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(rd->random >> 33) % n;
}

/* The index that the policy gives; ~0: no route. */
static unsigned
route(const struct snapshot *sn, const char *domain)
{
	struct pst_facts f = {.recipient_domain = pst_span_str(domain)};
	struct pst_verdict v;

	pst_policy_rcpt(sn->policy->policy, &f, &v, NULL);
	return v.kind == PST_VERDICT_ROUTE ? v.next_hop : ~0u;
}

/* As lib/tls does to make a ticket or to read one: whole keys, and none that is wiped. */
static void
look_at_keys(void)
{
	static const uint8_t wiped[sizeof(((struct pst_ticket_key *)0)->aes)];
	const struct pst_ticket_set *set = pst_tickets_set(relay.tickets);

	CHECK(set->n >= 2 && set->keys[0].kind == PST_TICKET_CURRENT &&
		set->keys[1].kind == PST_TICKET_NEXT);
	for (unsigned i = 0; i < set->n; i++)
		CHECK(memcmp(set->keys[i].aes, wiped, sizeof(wiped)) != 0);
}

/* All that a session goes by is of one generation, and nothing of it is gone. */
static void
look(struct reader *rd, struct snapshot *sn)
{
	const struct generation *g = (const struct generation *)sn->cfg;
	struct view_listener *v = &sn->views[rd->worker].listeners[0];
	char name[32];

	CHECK(g->magic == MAGIC && g->number == sn->generation);
	snprintf(name, sizeof(name), "g%u.example", (unsigned)sn->generation);
	CHECK(strcmp(sn->cfg->listeners[0].hostname, name) == 0);
	CHECK(strcmp(v->smtp.hostname, name) == 0);
	CHECK(strcmp(sn->classes[1].hop->helo, name) == 0 && strstr(sn->classes[1].key, name));
	CHECK(route(sn, "x.example") == g->number % 2);
	CHECK(route(sn, "odd.example") == (g->number % 2 ? 0 : ~0u));
	CHECK(route(sn, "even.example") == (g->number % 2 ? ~0u : 0));
	v->smtp.keywords = v->keywords; /* as shard_learn: its worker alone writes */
	look_at_keys();
	rd->looks++;
}

static void
session_begins(struct reader *rd, struct snapshot *sn)
{
	unsigned i = rd->nheld++;

	rd->held[i] = snapshot_get(sn, rd->worker);
	rd->tls[i] = NULL;
	if (pick(rd, 8) == 0) {
		rd->tls[i] = pst_tls_new(sn->listeners[0]->ctx[rd->worker], NULL);
		CHECK(rd->tls[i] != NULL);
	}
}

static void
session_ends(struct reader *rd)
{
	unsigned i = pick(rd, rd->nheld);

	look(rd, rd->held[i]);
	if (rd->tls[i] != NULL)
		pst_tls_free(rd->tls[i]);
	snapshot_put(rd->held[i], rd->worker);
	rd->nheld--;
	rd->held[i] = rd->held[rd->nheld];
	rd->tls[i] = rd->tls[rd->nheld];
}

static void
turn(struct reader *rd)
{
	struct snapshot *sn = snapshot_current(&relay);

	if (sn->generation != rd->generation) {
		CHECK(sn->generation > rd->generation);
		rd->generation = sn->generation;
		rd->adopted++;
	}
	look(rd, sn);
	if (rd->nheld < HELD && pick(rd, 2) == 0)
		session_begins(rd, sn);
	if (rd->nheld > 0 && pick(rd, 2) == 0)
		session_ends(rd);
	look(rd, sn);
	rcu_quiescent_state();
	rd->turns++;
}

static void *
reader_main(void *arg)
{
	struct reader *rd = arg;

	rcu_register_thread();
	while (!atomic_load(&stopping)) {
		turn(rd);
		if (pick(rd, 50) == 0) {
			rcu_thread_offline();
			usleep(pick(rd, 300));
			rcu_thread_online();
		} else if (pick(rd, 4) == 0) {
			sched_yield();
		}
	}
	while (rd->nheld > 0)
		session_ends(rd);
	rcu_unregister_thread();
	return NULL;
}

/* ---- the control thread ---- */

static unsigned faults;

static void
report(void *arg, const char *pointer, const char *text)
{
	CHECK(strcmp(pointer, arg != NULL ? arg : "no fault is expected") == 0);
	faults++;
}

static void
publish_good(unsigned number)
{
	struct generation *g = generation_new(number);
	struct pst_publish_result out;

	CHECK(pst_relay_publish(&relay, &g->cfg, report, NULL, &out) == PST_OK);
	CHECK(out.generation == number && pst_relay_generation(&relay) == number);
}

/* Refused whole: by a route, by a certificate that is not there. */
static void
publish_bad(unsigned number)
{
	struct generation *g = generation_new(number);
	unsigned before = faults;
	char where[] = "/certificates/c", routes[] = "/routes/1/domain";

	if (number % 2 == 0)
		g->cert.chain = "/nonexistent/chain.pem";
	else
		g->routes[1].domain = g->routes[0].domain;
	CHECK(pst_relay_publish(&relay, &g->cfg, report, number % 2 == 0 ? where : routes, NULL) ==
		PST_INVAL);
	CHECK(faults > before && pst_relay_generation(&relay) == number - 1);
	generation_free(NULL, &g->cfg);
}

static void
make_certificate(void)
{
	EVP_PKEY *key = pki_key("p256");
	X509 *cert = pki_cert(&(struct pki_spec){.cn = "g.example", .key = key});

	snprintf(chain, sizeof(chain), "%s", pki_path("chain.pem"));
	pki_write(&(struct pki_file){.path = chain, .certs = {cert}, .key = key});
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void
run_all(unsigned generations)
{
	static struct reader readers[READERS];
	pthread_t threads[READERS];
	unsigned oldest = 0;

	publish_good(1);
	for (unsigned w = 0; w < READERS; w++) {
		readers[w] = (struct reader){.worker = w, .random = w + 1};
		CHECK(pthread_create(&threads[w], NULL, reader_main, &readers[w]) == 0);
	}
	for (unsigned n = 2; n <= generations; n++) {
		unsigned used;

		publish_bad(n);
		publish_good(n);
		pst_relay_rotate(&relay, pst_now_ns() + n * 3600ul * PST_NS_PER_SEC);
		if (n % 3 == 0 && (used = pst_relay_reclaim(&relay)) > oldest)
			oldest = used;
	}
	atomic_store(&stopping, 1);
	for (unsigned w = 0; w < READERS; w++) {
		CHECK(pthread_join(threads[w], NULL) == 0);
		CHECK(readers[w].adopted > 0);
		printf("worker %u: %lu turns, %lu looks, %lu generations adopted\n", w,
			(unsigned long)readers[w].turns, (unsigned long)readers[w].looks,
			(unsigned long)readers[w].adopted);
	}
	CHECK(pst_relay_reclaim(&relay) == 0);
	printf("%u generations, %u refused, at most %u old ones in use\n", generations,
		generations - 1, oldest);
}

int
main(int argc, char **argv)
{
	unsigned generations = GENERATIONS;
	char err[512];

	for (int i = 1; i < argc; i++) {
		without_waiting |= strcmp(argv[i], "--without-waiting") == 0;
		without_counting |= strcmp(argv[i], "--without-counting") == 0;
		if (atoi(argv[i]) > 0)
			generations = (unsigned)atoi(argv[i]);
	}
	make_certificate();
	TAILQ_INIT(&relay.retired);
	relay.deps.nworkers = READERS;
	pst_relay_set_release(&relay, generation_free, NULL);
	relay.tickets = pst_tickets_new(
		&(struct pst_tickets_conf){.rotate = 3600, .lifetime = 3 * 3600}, 0);
	CHECK(relay.tickets != NULL);
	CHECK(parts_init(&relay.parts, READERS, NULL, relay.tickets, err, sizeof(err)) == PST_OK);
	run_all(generations);
	generations_fini(&relay);
	CHECK(TAILQ_EMPTY(&relay.parts.tls) && TAILQ_EMPTY(&relay.parts.policies));
	parts_fini(&relay.parts);
	pst_tickets_free(relay.tickets);
	/* Each was given back exactly once. */
	CHECK(released == given);
	return 0;
}
