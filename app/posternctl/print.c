/* SPDX-License-Identifier: BSD-3-Clause */
#include "print.h"

#include <string.h>

void
put_clean(FILE *to, const char *s)
{
	for (; *s != '\0'; s++)
		putc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, to);
}

/* ---- members, or what stands for a missing one ---- */

static const char *
text(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL ? s : "?";
}

static int
digits(long long v)
{
	return snprintf(NULL, 0, "%lld", v);
}

static int
wider(int a, int b)
{
	return a > b ? a : b;
}

/* Widest text of a member among the elements, for a column. */
static int
text_width(const json_t *list, const char *key)
{
	const json_t *item;
	int width = 0;
	size_t i;

	json_array_foreach(list, i, item) width = wider(width, (int)strlen(text(item, key)));
	return width;
}

/* ---- status ---- */

static void
print_uptime(FILE *to, double seconds)
{
	long s = (long)seconds, days = s / 86400;

	fputs("uptime      ", to);
	if (days > 0)
		fprintf(to, "%ld d ", days);
	fprintf(to, "%02ld:%02ld:%02ld\n", s / 3600 % 24, s / 60 % 60, s % 60);
}

static void
print_ports(FILE *to, const json_t *ports)
{
	const json_t *p;
	size_t i;

	fputs("\nports\n", to);
	json_array_foreach(ports, i, p) fprintf(to, "  %s\n", text(p, "description"));
}

static void
print_listeners(FILE *to, const json_t *list)
{
	int name = text_width(list, "name"), address = text_width(list, "address");
	const json_t *l;
	size_t i;

	fputs("\nlisteners\n", to);
	json_array_foreach(list, i, l)
	{
		fprintf(to, "  %-*s  %-*s port %-5lld  tls=%-8s  action=%s  hostname=%s\n", name,
			text(l, "name"), address, text(l, "address"), number_of(l, "port"),
			text(l, "tls"), text(l, "action"), text(l, "hostname"));
	}
}

static void
print_workers(FILE *to, const json_t *list)
{
	const json_t *w;
	size_t i;

	fputs("\nworker  sessions  pooled  tcp conns  half-open  time-wait      mbufs in use\n",
		to);
	json_array_foreach(list, i, w)
	{
		fprintf(to, "%6lld  %8lld  %6lld  %9lld  %9lld  %9lld  %8lld/%lld\n",
			number_of(w, "worker"), number_of(w, "sessions"),
			number_of(w, "pooled_connections"), number_of(w, "tcp_connections"),
			number_of(w, "tcp_half_open"), number_of(w, "tcp_time_wait"),
			number_of(w, "mbufs_in_use"), number_of(w, "mbufs_total"));
	}
}

static void
print_policy(FILE *to, const json_t *policy, const json_t *names)
{
	if (policy == NULL)
		return;
	fprintf(to, "policy      %lld rules, %lld map entries, lists: %lld never, %lld required",
		number_of(policy, "rules"), number_of(policy, "map_entries"),
		number_of(policy, "starttls_never"), number_of(policy, "starttls_required"));
	if (text(policy, "model")[0] != '\0')
		fprintf(to, "; model %s", text(policy, "model"));
	fputc('\n', to);
	if (json_is_true(json_object_get(names, "on")))
		fprintf(to, "names       %lld answers kept, %lld questions under way\n",
			number_of(names, "cached"), number_of(names, "open"));
}

/* What handshakes may be given to; nothing if there is nothing. */
static void
print_engine(FILE *to, const json_t *crypto)
{
	long long n = number_of(crypto, "backends"), open = number_of(crypto, "breakers_open");

	if (json_object_get(crypto, "named") != NULL)
		fprintf(to, "crypto      by OpenSSL's %s\n", text(crypto, "named"));
	else if (n > 0)
		fprintf(to, "crypto      %lld back-ends, %lld with an open breaker\n", n, open);
}

void
print_status(FILE *to, const json_t *r, const struct print_options *opt)
{
	const json_t *libs = json_object_get(r, "libraries");

	(void)opt;
	fprintf(to, "postern     %s, pid %lld%s\n", text(r, "version"), number_of(r, "pid"),
		json_is_true(json_object_get(r, "draining")) ? ", DRAINING" : "");
	fprintf(to, "libraries   %s", text(libs, "dpdk"));
	if (json_object_get(libs, "crypto") != NULL)
		fprintf(to, ", %s", text(libs, "crypto"));
	fputc('\n', to);
	print_uptime(to, json_number_value(json_object_get(r, "uptime")));
	if (json_object_get(r, "config") != NULL)
		fprintf(to, "config      %s, generation %lld (%lld routes, %lld next hops)\n",
			text(r, "config"), number_of(r, "generation"), number_of(r, "routes"),
			number_of(r, "next_hops"));
	if (number_of(r, "old_generations_in_use") > 0)
		fprintf(to, "            %lld older generations are still in use\n",
			number_of(r, "old_generations_in_use"));
	print_policy(to, json_object_get(r, "policy"), json_object_get(r, "names"));
	print_engine(to, json_object_get(r, "crypto"));
	fprintf(to, "sessions    %lld\n", number_of(r, "sessions"));
	fprintf(to, "memory      %lld bytes live in TLS\n",
		number_of(json_object_get(r, "memory"), "tls_live_bytes"));
	if (number_of(r, "log_lines_dropped") > 0)
		fprintf(to, "log         %lld lines lost\n", number_of(r, "log_lines_dropped"));
	print_ports(to, json_object_get(r, "ports"));
	print_listeners(to, json_object_get(r, "listeners"));
	print_workers(to, json_object_get(r, "workers"));
}

/* ---- stats ---- */

struct widths {
	int name, total, worker;
};

static bool
shown(const json_t *counter, const struct print_options *opt)
{
	return opt->all || number_of(counter, "total") != 0;
}

/* All groups share their columns, so that the eye can run down the page. */
static struct widths
measure(const json_t *groups, const struct print_options *opt)
{
	struct widths w = {0, 1, 3};
	const char *group, *name;
	json_t *g, *counter, *v;
	size_t i;

	json_object_foreach((json_t *)groups, group, g)
	{
		json_object_foreach(g, name, counter)
		{
			if (!shown(counter, opt))
				continue;
			w.name = wider(w.name, (int)strlen(name));
			w.total = wider(w.total, digits(number_of(counter, "total")));
			json_array_foreach(json_object_get(counter, "workers"), i, v) w.worker =
				wider(w.worker, digits((long long)json_integer_value(v)));
		}
	}
	return w;
}

static void
print_counter(FILE *to, const char *name, const json_t *counter, const struct widths *w,
	const struct print_options *opt)
{
	const json_t *v;
	size_t i;

	fprintf(to, "  %-*s  %*lld", w->name, name, w->total, number_of(counter, "total"));
	if (opt->per_worker)
		json_array_foreach(json_object_get(counter, "workers"), i, v)
			fprintf(to, "  %*lld", w->worker, (long long)json_integer_value(v));
	fprintf(to, "  %s\n", text(counter, "help"));
}

static void
print_group(FILE *to, const char *group, const json_t *counters, const struct widths *w,
	const struct print_options *opt)
{
	bool any = false;
	const char *name;
	json_t *counter;

	json_object_foreach((json_t *)counters, name, counter)
	{
		if (!shown(counter, opt))
			continue;
		if (!any)
			fprintf(to, "%s\n", group);
		any = true;
		print_counter(to, name, counter, w, opt);
	}
}

static void
print_worker_heads(FILE *to, size_t n, const struct widths *w)
{
	fprintf(to, "  %-*s  %*s", w->name, "", w->total, "");
	for (size_t i = 0; i < n; i++)
		fprintf(to, "  %*s%zu", w->worker - digits((long long)i), "w", i);
	fputc('\n', to);
}

void
print_stats(FILE *to, const json_t *r, const struct print_options *opt)
{
	const json_t *groups = json_object_get(r, "counters");
	struct widths w = measure(groups, opt);
	const char *group;
	json_t *counters;

	if (opt->per_worker)
		print_worker_heads(to, json_array_size(json_object_get(r, "workers")), &w);
	json_object_foreach((json_t *)groups, group, counters)
		print_group(to, group, counters, &w, opt);
}

/* ---- help ---- */

void
print_help(FILE *to, const json_t *r, const struct print_options *opt)
{
	const char *name;
	json_t *line;

	(void)opt;
	json_object_foreach((json_t *)r, name, line) fprintf(
		to, "%-16s  %s\n", name, json_is_string(line) ? json_string_value(line) : "?");
}
