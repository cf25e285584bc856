/* SPDX-License-Identifier: BSD-3-Clause */
/* The verb `log follow`: lines as they come, until interrupted or the gateway goes. */
#include <string.h>

#include "ctl.h"

/* The log escapes what would harm a terminal; still only what is printable goes out. */
static void
put_line(const char *s)
{
	for (; *s != '\0'; s++)
		putchar((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
	putchar('\n');
}

static void
show(const struct ctl *c, const json_t *params)
{
	const char *line = json_string_value(json_object_get(params, "line"));

	if (c->json)
		json_dumpf(params, stdout, JSON_COMPACT);
	if (c->json)
		putchar('\n');
	else if (line != NULL)
		put_line(line);
	else
		printf("(%lld lines lost: this end was too slow)\n",
			(long long)json_integer_value(json_object_get(params, "lost")));
}

enum exit_code
verb_log_follow(const struct ctl *c, char **arg, int n)
{
	struct wire w;
	json_t *m;
	bool ok;

	(void)arg, (void)n;
	if (!wire_open(&w, c->socket))
		return EXIT_CONNECT;
	ok = wire_send(&w, c->socket, "subscribe", json_pack("{s:[s]}", "topics", "log"));
	m = ok ? wire_receive(&w, c->socket) : NULL;
	if (json_object_get(m, "error") != NULL) {
		ctl_print_error(json_object_get(m, "error"));
		json_decref(m);
		wire_close(&w);
		return EXIT_ERROR;
	}
	wire_patience(&w, 0);
	while (m != NULL && !ferror(stdout)) {
		json_decref(m);
		if (!wire_pending(&w))
			fflush(stdout);
		m = wire_receive(&w, c->socket);
		if (m != NULL && json_object_get(m, "method") != NULL)
			show(c, json_object_get(m, "params"));
	}
	json_decref(m);
	wire_close(&w);
	return ferror(stdout) ? EXIT_OK : EXIT_CONNECT;
}
