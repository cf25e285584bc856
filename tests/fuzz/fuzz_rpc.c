/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any line to the control socket's JSON-RPC, against a relay that agrees to
 * everything: no crash, no leak; an answer is one line of JSON with either a result
 * or an error, and the configuration that runs is always one that parses.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <follow.h>
#include <listen.h>
#include <plane.h>
#include <pst_metrics.h>
#include <rpc.h>
#include <save.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the relay, the fabric, metrics ---- */

const struct pst_counter_desc pst_relay_counter_descs[] = {{NULL}};
const struct pst_counter_desc pst_net_counter_descs[] = {{NULL}};
const struct pst_counter_desc pst_tcp_counter_descs[] = {{NULL}};
const struct pst_counter_desc pst_names_counter_descs[] = {{NULL}};
const char *const pst_relay_hop_state_names[PST_HOP_STATES] = {"a", "b", "c", "d"};

static uint64_t generation = 1;
static const struct pst_config *old[64];
static unsigned nold;
static const struct pst_config *snap;
static void (*release_config)(void *arg, const struct pst_config *cfg);
static void *release_arg;
static bool draining;

unsigned
pst_relay_nworkers(const struct pst_relay *r)
{
	return 2;
}

void
pst_relay_stats(const struct pst_relay *r, unsigned worker, struct pst_worker_stats *out)
{
	*out = (struct pst_worker_stats){0};
}

void
pst_relay_memory(const struct pst_relay *r, struct pst_relay_memory *out)
{
	*out = (struct pst_relay_memory){0};
}

void
pst_relay_names(
	struct pst_relay *r, struct pst_names_counters *out, unsigned *cached, unsigned *open)
{
	*out = (struct pst_names_counters){0};
	*cached = *open = 0;
}

unsigned
pst_relay_lint(const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg)
{
	report(arg, "/policy/rules/0", "a warning");
	return 1;
}

enum pst_rc
pst_relay_explain(struct pst_relay *r, const struct pst_explain_query *q, struct pst_explain *out,
	char *err, size_t errlen)
{
	*out = (struct pst_explain){.nhosts = 1, .trace.n = 1};
	out->trace.step[0].leg = out->trace.step[0].source = out->trace.step[0].stance = "x";
	snprintf(out->domain, sizeof(out->domain), "%s", q->to);
	return q->live ? PST_INVAL : PST_OK;
}

unsigned
pst_relay_broken(struct pst_relay *r, struct pst_broken_row *rows, unsigned max)
{
	rows[0] = (struct pst_broken_row){0};
	return 1;
}

unsigned
pst_relay_broken_flush(struct pst_relay *r)
{
	return 1;
}

void
pst_relay_set_release(
	struct pst_relay *r, void (*release)(void *arg, const struct pst_config *cfg), void *arg)
{
	release_config = release;
	release_arg = arg;
	snap = arg;
}

uint64_t
pst_relay_generation(const struct pst_relay *r)
{
	return generation;
}

unsigned
pst_relay_reclaim(struct pst_relay *r)
{
	while (nold > 0)
		release_config(release_arg, old[--nold]);
	return 0;
}

void
pst_relay_rotate(struct pst_relay *r, uint64_t now_ns)
{
}

enum pst_rc
pst_relay_publish(struct pst_relay *r, const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg,
	struct pst_publish_result *out)
{
	if (cfg->limits.errors == 13) { /* some have to fail here */
		report(arg, "/limits/errors", "\xff not UTF-8");
		return PST_INVAL;
	}
	old[nold++] = snap;
	snap = cfg;
	*out = (struct pst_publish_result){++generation, 0, 0};
	return PST_OK;
}

unsigned
pst_relay_check(const struct pst_config *cfg,
	void (*report)(void *arg, const char *pointer, const char *text), void *arg)
{
	return 0;
}

unsigned
pst_relay_sessions(struct pst_relay *r, unsigned worker, uint64_t after,
	struct pst_session_row *rows, unsigned max)
{
	unsigned n = 0;

	for (; n < max && after + n < 3; n++)
		rows[n] = (struct pst_session_row){.id = "b.1.0.1",
			.counter = after + n + 1,
			.from = "\xff\x1b[2J",
			.nexthop = "h"};
	return n;
}

enum pst_rc
pst_relay_kill(struct pst_relay *r, const char *sid)
{
	return sid[0] == 'b' ? PST_OK : sid[0] == 'c' ? PST_AGAIN : PST_INVAL;
}

unsigned
pst_relay_live(const struct pst_relay *r)
{
	return 1;
}

bool
pst_relay_draining(const struct pst_relay *r)
{
	return draining;
}

void
pst_relay_drain(struct pst_relay *r)
{
	draining = true;
}

void
pst_relay_undrain(struct pst_relay *r)
{
	draining = false;
}

unsigned
pst_fabric_nports(const struct pst_fabric *f)
{
	return 0;
}

const char *
pst_fabric_port_name(const struct pst_fabric *f, unsigned port)
{
	return "";
}

size_t
pst_fabric_describe(const struct pst_fabric *f, unsigned port, char *buf, size_t len)
{
	return 0;
}

struct pst_metrics *
pst_metrics_new(const struct pst_metrics_deps *deps, char *err, size_t errlen)
{
	return (struct pst_metrics *)&generation;
}

void
pst_metrics_free(struct pst_metrics *m)
{
}

enum pst_rc
pst_metrics_listen(struct pst_metrics *m, const struct pst_endpoint *at, char *err, size_t errlen)
{
	return PST_OK;
}

void
pst_metrics_published(struct pst_metrics *m, const struct pst_config *cfg)
{
}

void
pst_metrics_refused(struct pst_metrics *m)
{
}

/* No sockets: a pushed document may name any place. */

bool
pst_listen_open(
	struct pst_listen *l, const struct pst_config_control *conf, char *err, size_t errlen)
{
	*l = (struct pst_listen){.fd = -1};
	return conf->group == NULL || strcmp(conf->group, "nobody") != 0;
}

void
pst_listen_close(struct pst_listen *l)
{
}

bool
pst_listen_group_exists(const char *group, char *err, size_t errlen)
{
	return true;
}

bool
pst_listen_regroup(struct pst_listen *l, const char *group, char *err, size_t errlen)
{
	return true;
}

/* ---- the plane ---- */

static char dir[] = "/tmp/pst-fuzz-XXXXXX";
static struct pst_plane plane;
static struct pst_follower follower;

static struct pst_config *first;

static void
remove_all(void)
{
	char command[64];

	pst_follow_end(&plane, &follower);
	pst_plane_close(&plane);
	pst_relay_reclaim(NULL);
	if (snap != first)
		release_config(release_arg, snap);
	pst_config_free(first);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		abort();
}

static void
begin(void)
{
	static const char form[] =
		"{\"version\":1,\"dataplane\":{\"ports\":[{\"name\":\"p\",\"device\":\"net_tap\","
		"\"addresses\":[\"10.0.0.1/8\"]}]},\"control\":{\"socket\":\"%s/s\"},"
		"\"limits\":{\"errors\":7},\"listeners\":[],\"next_hops\":{}}";
	struct pst_control_deps deps = {0};
	struct pst_config_report report = {0};
	char text[512], path[64], err[256];
	int n;

	if (mkdtemp(dir) == NULL)
		abort();
	n = snprintf(text, sizeof(text), form, dir);
	snprintf(path, sizeof(path), "%s/p.json", dir);
	deps.config = first = pst_config_parse(text, (size_t)n, path, &report);
	if (deps.config == NULL || !pst_plane_open(&plane, &deps, err, sizeof(err)))
		abort();
	atexit(remove_all);
}

static void
check_answer(const char *answer)
{
	json_t *root = json_loads(answer, JSON_REJECT_DUPLICATES, NULL);
	const char *nl = strchr(answer, '\n');

	if (root == NULL || nl == NULL || nl[1] != '\0')
		abort();
	if ((json_object_get(root, "result") != NULL) == (json_object_get(root, "error") != NULL))
		abort();
	json_decref(root);
}

/* What runs, dumped and read again, is accepted and dumps to the same bytes. */
static void
check_running(void)
{
	char *one = pst_document_dump(pst_plane_document(&plane)), *two;
	struct pst_config_report report = {0};
	struct pst_config *c = pst_config_parse(one, strlen(one), plane.deps.config->path, &report);

	if (c == NULL)
		abort();
	two = pst_document_dump(c->document);
	if (strcmp(one, two) != 0)
		abort();
	free(one);
	free(two);
	pst_config_free(c);
	pst_config_report_fini(&report);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_caller caller = {.follower = &follower};
	char *answer;

	if (plane.running == NULL)
		begin();
	plane.now_ns += PST_NS_PER_SEC;
	answer = pst_rpc_answer(&plane, &caller, (const char *)data, size);
	if (answer != NULL)
		check_answer(answer);
	free(answer);
	check_running();
	pst_plane_reclaim(&plane);
	return 0;
}
