/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One JSON value into one member: types, ranges, forms. Each reader gets the row,
 * the value and the struct; a value at fault leaves the member as it was.
 */
#include "config_walk.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1024 /* bytes, where the row says nothing */

const char *
pst_config_json_kind(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "true or false";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

static void
wrong_kind(struct pst_config_walk *w, const char *want, const json_t *v)
{
	pst_config_fault(w, NULL, "must be %s, not %s", want, pst_config_json_kind(v));
}

/* ---- numbers ---- */

static void
store(const struct pst_key *k, void *at, uint64_t v)
{
	char *p = (char *)at + k->offset;

	/* Members are little; the range of the row was checked before. */
	switch (k->size) {
	case 1:
		*(uint8_t *)p = (uint8_t)v;
		break;
	case 2:
		*(uint16_t *)p = (uint16_t)v;
		break;
	case 4:
		*(uint32_t *)p = (uint32_t)v;
		break;
	default:
		*(uint64_t *)p = v;
		break;
	}
}

/* JSON knows one kind of number: 25.0 is the whole number 25 (as in JSON Schema). */
static bool
whole(const json_t *v, json_int_t *out)
{
	double d = json_number_value(v);

	if (json_is_integer(v)) {
		*out = json_integer_value(v);
		return true;
	}
	if (!json_is_real(v) || d < -1e15 || d > 1e15 || (double)(json_int_t)d != d)
		return false;
	*out = (json_int_t)d;
	return true;
}

static bool
read_uint(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, uint64_t *out)
{
	json_int_t n;

	if (!json_is_number(v)) {
		wrong_kind(w, "a whole number", v);
		return false;
	}
	if (!whole(v, &n)) {
		pst_config_fault(w, NULL, "must be a whole number");
		return false;
	}
	if (n < 0 || (uint64_t)n < k->min || (uint64_t)n > k->max) {
		pst_config_fault(w, NULL, "must be %llu to %llu, not %lld",
			(unsigned long long)k->min, (unsigned long long)k->max, (long long)n);
		return false;
	}
	*out = (uint64_t)n;
	return true;
}

static void
value_uint(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	uint64_t n;

	if (read_uint(w, k, v, &n))
		store(k, at, n);
}

static void
value_seconds(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	double s = json_number_value(v);

	if (!json_is_number(v)) {
		wrong_kind(w, "a number of seconds", v);
		return;
	}
	if (!(s * 1000 >= (double)k->min && s * 1000 <= (double)k->max)) {
		pst_config_fault(w, NULL, "must be %g to %g seconds, not %g", (double)k->min / 1000,
			(double)k->max / 1000, s);
		return;
	}
	store(k, at, (uint64_t)(s * 1000 + 0.5));
}

static void
value_bool(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	if (json_is_boolean(v))
		store(k, at, json_is_true(v));
	else
		wrong_kind(w, "true or false", v);
}

/* ---- words ---- */

static void
list_words(const struct pst_key_word *words, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (; words->word != NULL && n < size; words++)
		if (words->refused == NULL)
			n += (size_t)snprintf(
				buf + n, size - n, "%s\"%s\"", n > 0 ? ", " : "", words->word);
}

static const struct pst_key_word *
read_word(struct pst_config_walk *w, const struct pst_key *k, const json_t *v)
{
	const struct pst_key_word *word = k->words;
	char list[256];

	while (word->word != NULL &&
		(!json_is_string(v) || strcmp(word->word, json_string_value(v)) != 0))
		word++;
	if (word->word != NULL && word->refused == NULL)
		return word;
	list_words(k->words, list, sizeof(list));
	if (word->word != NULL)
		pst_config_fault(w, NULL, "%s", word->refused);
	else
		pst_config_fault(w, NULL, "must be one of %s", list);
	return NULL;
}

static void
value_enum(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	const struct pst_key_word *word = read_word(w, k, v);

	if (word != NULL)
		store(k, at, word->value);
}

static void
value_flags(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	uint64_t bits = 0;
	const json_t *item;
	size_t i;

	if (!json_is_array(v)) {
		wrong_kind(w, "an array", v);
		return;
	}
	json_array_foreach(v, i, item)
	{
		size_t was = pst_config_enter_index(w, i);
		const struct pst_key_word *word = read_word(w, k, item);

		if (word != NULL && (bits & word->value) != 0)
			pst_config_fault(w, NULL, "\"%s\" is there already", word->word);
		if (word != NULL)
			bits |= word->value;
		pst_config_leave(w, was);
	}
	store(k, at, bits);
}

/* ---- strings ---- */

void
pst_config_forget_pattern(struct pst_config_walk *w)
{
	for (unsigned i = 0; i < PST_CONFIG_PATTERNS; i++) {
		if (w->patterns[i].text != NULL)
			regfree(&w->patterns[i].compiled);
		w->patterns[i].text = NULL;
	}
}

/* The compiled pattern; NULL: it is none. */
static const regex_t *
compiled(struct pst_config_walk *w, const char *pattern)
{
	unsigned i = w->next_pattern;

	for (unsigned k = 0; k < PST_CONFIG_PATTERNS; k++)
		if (w->patterns[k].text == pattern)
			return &w->patterns[k].compiled;
	if (w->patterns[i].text != NULL)
		regfree(&w->patterns[i].compiled);
	w->patterns[i].text = NULL;
	if (regcomp(&w->patterns[i].compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return NULL;
	w->patterns[i].text = pattern;
	w->next_pattern = (i + 1) % PST_CONFIG_PATTERNS;
	return &w->patterns[i].compiled;
}

/* The last ones stay compiled: a list asks for the same ones a million times. */
static bool
matches(struct pst_config_walk *w, const char *pattern, const char *s)
{
	const regex_t *re = compiled(w, pattern);

	return re != NULL && regexec(re, s, 0, NULL, 0) == 0;
}

/* NUL cannot come (the parser refuses \u0000); the other control characters can, by \u escapes. */
static bool
has_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

static const char *
text_fault(struct pst_config_walk *w, const char *s, const struct pst_key_form *form)
{
	if (*s == '\0')
		return "must not be empty";
	if (has_control(s))
		return "must not hold control characters";
	if (form != NULL && form->pattern != NULL && !matches(w, form->pattern, s))
		return form->what;
	return NULL;
}

/* JSON Schema counts characters, so do we: bytes that do not continue a UTF-8 sequence. */
static size_t
characters(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

char *
pst_config_text(struct pst_config_walk *w, const char *name, const json_t *v,
	const struct pst_key_form *form, size_t max)
{
	const char *s = json_string_value(v), *fault;
	char *copy;

	if (s == NULL) {
		wrong_kind(w, "a string", v);
		return NULL;
	}
	if (max == 0)
		max = TEXT_MAX;
	fault = characters(s) > max ? NULL : text_fault(w, s, form);
	if (characters(s) > max)
		pst_config_fault(w, name, "must not be longer than %zu characters", max);
	else if (fault != NULL)
		pst_config_fault(w, name, "%s", fault);
	if (characters(s) > max || fault != NULL)
		return NULL;
	copy = pst_arena_printf(w->arena, "%s", s);
	if (copy == NULL)
		pst_config_nomem(w);
	return copy;
}

static void
store_text(const struct pst_key *k, void *at, const char *s)
{
	memcpy((char *)at + k->offset, &s, sizeof(s));
}

static bool
is_also(const struct pst_key *k, const json_t *v)
{
	return k->also != NULL && json_is_string(v) && strcmp(json_string_value(v), k->also) == 0;
}

static void
value_text(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	const char *s = pst_config_text(w, NULL, v, k->form, (size_t)k->max);

	if (s != NULL)
		store_text(k, at, s);
}

static void
value_file(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	const char *s;

	if (is_also(k, v))
		return;
	s = pst_config_text(w, NULL, v, k->form, 4095);
	if (s != NULL && s[0] != '/') {
		s = pst_arena_printf(w->arena, "%s/%s", w->dir, s);
		if (s == NULL)
			pst_config_nomem(w);
	}
	if (s != NULL)
		store_text(k, at, s);
}

/* ---- addresses ---- */

static void
value_ip(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	struct pst_ip ip;

	if (is_also(k, v))
		return; /* zeroes: :: */
	if (!json_is_string(v))
		wrong_kind(w, "a string", v);
	else if (pst_ip_parse(json_string_value(v), &ip) != PST_OK)
		pst_config_fault(w, NULL, "must be an IPv4 or IPv6 address%s%s%s",
			k->also != NULL ? " or \"" : "", k->also != NULL ? k->also : "",
			k->also != NULL ? "\"" : "");
	else
		memcpy((char *)at + k->offset, &ip, sizeof(ip));
}

static bool
read_prefix(struct pst_config_walk *w, const json_t *v, struct pst_prefix *out)
{
	if (!json_is_string(v))
		wrong_kind(w, "a string", v);
	else if (pst_prefix_parse(json_string_value(v), out) != PST_OK)
		pst_config_fault(w, NULL, "must be \"ADDRESS/LENGTH\", IPv4 or IPv6");
	else
		return true;
	return false;
}

static void
value_prefix(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	struct pst_prefix p;

	if (read_prefix(w, v, &p))
		memcpy((char *)at + k->offset, &p, sizeof(p));
}

/* ---- lists into C arrays ---- */

static void
list_item(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at, unsigned i)
{
	struct pst_prefix p;
	uint64_t n;

	if (k->kind == PST_KEY_UINTS && read_uint(w, k, v, &n))
		((unsigned *)((char *)at + k->offset))[i] = (unsigned)n;
	else if (k->kind == PST_KEY_PREFIXES && read_prefix(w, v, &p))
		((struct pst_prefix *)((char *)at + k->offset))[i] = p;
}

static bool
is_list(struct pst_config_walk *w, const struct pst_key *k, const json_t *v)
{
	size_t n = json_array_size(v);

	if (!json_is_array(v)) {
		wrong_kind(w, "an array", v);
		return false;
	}
	if (n < k->min_items || n > k->max_items)
		pst_config_fault(w, NULL, "must hold %u to %u elements, not %zu", k->min_items,
			k->max_items, n);
	return n >= k->min_items && n <= k->max_items;
}

static void
value_list(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	const json_t *item;
	size_t i;

	if (!is_list(w, k, v))
		return;
	json_array_foreach(v, i, item)
	{
		size_t was = pst_config_enter_index(w, i);
		list_item(w, k, item, at, (unsigned)i);
		pst_config_leave(w, was);
	}
	*(unsigned *)((char *)at + k->count) = (unsigned)json_array_size(v);
}

/* ---- names of things elsewhere ---- */

static bool
read_ref(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, unsigned *out)
{
	const char *want = json_string_value(v);
	long i;

	if (want == NULL) {
		wrong_kind(w, "a string", v);
		return false;
	}
	i = pst_config_name_get(w, k->type, want);
	if (i < 0)
		pst_config_fault(w, NULL, "there is no %s \"%.200s\"", k->type->what, want);
	*out = (unsigned)i;
	return i >= 0;
}

static void
value_ref(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	unsigned i;

	store(k, at, read_ref(w, k, v, &i) ? i : UINT32_MAX);
}

static void
value_refs(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	unsigned *list, n = 0, one;
	const json_t *item;
	size_t i;

	if (!json_is_array(v)) {
		wrong_kind(w, "an array", v);
		return;
	}
	if (json_array_size(v) > k->max_items) {
		pst_config_fault(w, NULL, "holds at most %u", k->max_items);
		return;
	}
	list = pst_arena_alloc(w->arena, json_array_size(v) * sizeof(*list));
	if (list == NULL) {
		pst_config_nomem(w);
		return;
	}
	json_array_foreach(v, i, item)
	{
		size_t was = pst_config_enter_index(w, i);
		if (read_ref(w, k, item, &one)) {
			for (unsigned j = 0; j < n; j++)
				if (list[j] == one)
					pst_config_fault(w, NULL, "is there already");
			list[n++] = one;
		}
		pst_config_leave(w, was);
	}
	memcpy((char *)at + k->offset, &list, sizeof(list));
	*(unsigned *)((char *)at + k->count) = n;
}

/* Elements at fault are left out of an allocated list: nobody meets a NULL. */
static void
value_texts(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	const char **list = (const char **)((char *)at + k->offset);
	const json_t *item;
	unsigned n = 0;
	size_t i;

	if (!is_list(w, k, v))
		return;
	if (k->size == 0) {
		list = pst_arena_alloc(w->arena, json_array_size(v) * sizeof(*list));
		if (list == NULL) {
			pst_config_nomem(w);
			return;
		}
		memcpy((char *)at + k->offset, &list, sizeof(list));
	}
	json_array_foreach(v, i, item)
	{
		size_t was = pst_config_enter_index(w, i);
		const char *s = pst_config_text(w, NULL, item, k->form, (size_t)k->max);

		if (s != NULL)
			list[n++] = s;
		pst_config_leave(w, was);
	}
	*(unsigned *)((char *)at + k->count) = n;
}

static const struct pst_key_form option_key = {
	"^[A-Za-z0-9_]+$", "must be letters, digits and '_'"};

static void
value_options(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	struct pst_config_opt *opts;
	const char *name;
	json_t *item;
	unsigned n = 0;

	if (!json_is_object(v)) {
		wrong_kind(w, "an object", v);
		return;
	}
	opts = pst_arena_alloc(w->arena, json_object_size(v) * sizeof(*opts));
	if (opts == NULL) {
		pst_config_nomem(w);
		return;
	}
	json_object_foreach((json_t *)v, name, item)
	{
		if (strcmp(name, "_comment") == 0)
			continue;
		size_t was = pst_config_enter(w, name);
		json_t *key = json_string(name);
		opts[n].key = pst_config_text(w, NULL, key, &option_key, 64);
		opts[n++].value = pst_config_text(w, NULL, item, k->form, 256);
		json_decref(key);
		pst_config_leave(w, was);
	}
	if (n > k->max_items)
		pst_config_fault(w, NULL, "holds at most %u", k->max_items);
	memcpy((char *)at + k->offset, &opts, sizeof(opts));
	*(unsigned *)((char *)at + k->count) = n;
}

/* ---- all kinds ---- */

void
pst_config_value(struct pst_config_walk *w, const struct pst_key *k, const json_t *v, void *at)
{
	static void (*const readers[])(
		struct pst_config_walk *, const struct pst_key *, const json_t *, void *) = {
		[PST_KEY_BOOL] = value_bool,
		[PST_KEY_UINT] = value_uint,
		[PST_KEY_SECONDS] = value_seconds,
		[PST_KEY_ENUM] = value_enum,
		[PST_KEY_FLAGS] = value_flags,
		[PST_KEY_TEXT] = value_text,
		[PST_KEY_FILE] = value_file,
		[PST_KEY_IP] = value_ip,
		[PST_KEY_PREFIX] = value_prefix,
		[PST_KEY_UINTS] = value_list,
		[PST_KEY_PREFIXES] = value_list,
		[PST_KEY_TEXTS] = value_texts,
		[PST_KEY_REF] = value_ref,
		[PST_KEY_REFS] = value_refs,
		[PST_KEY_OPTIONS] = value_options,
	};

	readers[k->kind](w, k, v, at);
}

/* What an absent key means. Text literals live as long as any configuration. */
void
pst_config_default(struct pst_config_walk *w, const struct pst_key *k, void *at)
{
	switch (k->kind) {
	case PST_KEY_BOOL:
	case PST_KEY_UINT:
	case PST_KEY_SECONDS:
	case PST_KEY_ENUM:
		store(k, at, k->dflt);
		break;
	case PST_KEY_REF:
		store(k, at, UINT32_MAX); /* -1: none */
		break;
	case PST_KEY_TEXT:
	case PST_KEY_FILE:
		store_text(k, at, k->text);
		break;
	default:
		break; /* nothing: zero elements, address ::, no bits */
	}
}
