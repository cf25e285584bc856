/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules, profiles, actions, lists, the map and the broken-TLS memory as text. */
#include <string.h>

#include "print.h"

static bool
flag(const json_t *obj, const char *key)
{
	return json_is_true(json_object_get(obj, key));
}

/* Widest text of a member among the elements, and its head, for a column. */
static int
width(const json_t *list, const char *key, const char *head)
{
	int w = (int)strlen(head);
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		int n = (int)strlen(text_of(item, key));
		w = n > w ? n : w;
	}
	return w;
}

/* A list of words or numbers, "a, b". */
static void
put_words(FILE *to, const json_t *list, const char *none)
{
	const json_t *v;
	size_t i;

	if (json_array_size(list) == 0)
		fputs(none, to);
	json_array_foreach(list, i, v)
	{
		fputs(i > 0 ? ", " : "", to);
		if (json_is_string(v))
			put_clean(to, json_string_value(v));
		else
			fprintf(to, "%lld", (long long)json_integer_value(v));
	}
}

/* ---- rules ---- */

void
print_rules(FILE *to, const json_t *r, const struct print_options *opt)
{
	const json_t *list = json_object_get(r, "rules"), *rule,
		     *d = json_object_get(r, "default_rule");
	int id = width(list, "id", "id"), line = width(list, "line", "rule");
	size_t i;

	(void)opt;
	fprintf(to, "   #  %-*s  on   bytes  %s\n", id, "id", "rule (FROM TO SENDER RECIPIENT)");
	json_array_foreach(list, i, rule)
	{
		const json_t *warning = json_object_get(rule, "warning");

		fprintf(to, "%4lld  %-*s  %-3s  %5lld  ", number_of(rule, "position"), id,
			text_of(rule, "id"), flag(rule, "enabled") ? "yes" : "no",
			number_of(rule, "bytes"));
		if (warning != NULL)
			fprintf(to, "%-*s  # ", line, text_of(rule, "line"));
		put_clean(to, text_of(rule, warning != NULL ? "warning" : "line"));
		fputc('\n', to);
	}
	fprintf(to, "default: %s %s\n", text_of(d, "sender"), text_of(d, "recipient"));
}

/* ---- profiles and actions ---- */

void
print_profiles(FILE *to, const json_t *r, const struct print_options *opt)
{
	const json_t *list = json_object_get(r, "profiles"), *p;
	int name = width(list, "name", "profile");
	size_t i;

	(void)opt;
	fprintf(to, "%-*s  versions  pfs sender  recipient  actions\n", name, "profile");
	json_array_foreach(list, i, p)
	{
		fprintf(to, "%-*s  %s..%s  %-10s  %-9s  ", name, text_of(p, "name"),
			text_of(p, "min"), text_of(p, "max"), text_of(p, "sender_pfs"),
			text_of(p, "recipient_pfs"));
		put_words(to, json_object_get(p, "actions"), "-");
		fputs(flag(p, "predefined") ? "  (predefined)\n" : "\n", to);
	}
}

static void
put_value(FILE *to, const json_t *r)
{
	json_dumpf(json_object_get(r, "value"), to, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
	fputc('\n', to);
}

static void
put_head(FILE *to, const char *what, const json_t *r)
{
	fprintf(to, "%s %s%s\n", what, text_of(r, "name"),
		flag(r, "predefined") ? " (predefined: clone it to change it)" : "");
}

void
print_profile(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	put_head(to, "profile", r);
	put_value(to, r);
	fputs("used by actions: ", to);
	put_words(to, json_object_get(r, "actions"), "none");
	fputc('\n', to);
}

void
print_actions(FILE *to, const json_t *r, const struct print_options *opt)
{
	const json_t *list = json_object_get(r, "actions"), *a;
	int name = width(list, "name", "action"),
	    starttls = width(list, "starttls_profile", "starttls profile"),
	    implicit = width(list, "implicit_profile", "implicit profile");
	size_t i;

	(void)opt;
	fprintf(to, "%-*s  inspect  tls action  %-*s  %-*s  listeners\n", name, "action", starttls,
		"starttls profile", implicit, "implicit profile");
	json_array_foreach(list, i, a)
	{
		fprintf(to, "%-*s  %-7s  %-10s  %-*s  %-*s  %9zu%s\n", name, text_of(a, "name"),
			flag(a, "inspect") ? "yes" : "no", text_of(a, "tls_action"), starttls,
			text_of(a, "starttls_profile"), implicit, text_of(a, "implicit_profile"),
			json_array_size(json_object_get(a, "listeners")),
			flag(a, "predefined") ? "  (predefined)" : "");
	}
}

void
print_action(FILE *to, const json_t *r, const struct print_options *opt)
{
	const json_t *list = json_object_get(r, "listeners"), *l;
	int name = width(list, "name", "listener");
	size_t i;

	(void)opt;
	put_head(to, "action", r);
	put_value(to, r);
	if (json_array_size(list) == 0)
		fputs("used by no listener\n", to);
	json_array_foreach(list, i, l)
	{
		bool support = json_object_get(l, "tls_support") != NULL;

		fprintf(to, "listener %-*s  %s=%-8s  ports ", name, text_of(l, "name"),
			support ? "tls_support" : "tls",
			text_of(l, support ? "tls_support" : "tls"));
		put_words(to, json_object_get(l, "ports"), "-");
		if (flag(l, "disabled"))
			fputs(support ? "  ! no implicit TLS" : "  ! no TLS", to);
		fputc('\n', to);
	}
}

/* ---- lists, map ---- */

static void
put_list(FILE *to, const char *head, const json_t *list)
{
	const json_t *v;
	size_t i;

	fprintf(to, "%s\n", head);
	if (json_array_size(list) == 0)
		fputs("  (nobody)\n", to);
	json_array_foreach(list, i, v)
	{
		fputs("  ", to);
		put_clean(to, json_is_string(v) ? json_string_value(v) : "?");
		fputc('\n', to);
	}
}

void
print_lists(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	put_list(to, "never STARTTLS", json_object_get(r, "never"));
	put_list(to, "STARTTLS required", json_object_get(r, "required"));
}

void
print_map_entry(FILE *to, const json_t *r, const struct print_options *opt)
{
	(void)opt;
	put_clean(to, text_of(r, "line"));
	fputc('\n', to);
}

/* ---- the broken-TLS memory ---- */

void
print_broken(FILE *to, const json_t *r, const struct print_options *opt)
{
	const json_t *list = json_object_get(r, "hosts"), *h;
	int address = width(list, "address", "address");
	size_t i;

	(void)opt;
	if (!flag(r, "enabled"))
		fputs("off (policy.broken_tls.enabled)\n", to);
	fprintf(to, "%-*s  leg      left      failures  cause\n", address, "address");
	json_array_foreach(list, i, h)
	{
		fprintf(to, "%-*s  %-7s  %6.0f s  %8lld  ", address, text_of(h, "address"),
			text_of(h, "leg"), json_number_value(json_object_get(h, "left")),
			number_of(h, "failures"));
		put_clean(to, text_of(h, "cause"));
		fputc('\n', to);
	}
}
