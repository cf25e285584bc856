/* SPDX-License-Identifier: BSD-3-Clause */
#include "save.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_scan.h"

static char *
dump(const json_t *doc, size_t form)
{
	char *text = json_dumps(doc, form), *line;
	size_t n = text != NULL ? strlen(text) : 0;

	line = text != NULL ? realloc(text, n + 2) : NULL;
	if (line == NULL) {
		free(text);
		return NULL;
	}
	memcpy(line + n, "\n", 2);
	return line;
}

char *
pst_document_dump(const json_t *doc)
{
	return dump(doc, PST_DOCUMENT_FORM);
}

char *
pst_document_file(const json_t *doc)
{
	char *text = pst_document_dump(doc);

	if (text == NULL || strlen(text) <= PST_CONFIG_SIZE_MAX)
		return text;
	free(text);
	return dump(doc, JSON_COMPACT | PST_JSON_REALS);
}

static bool
write_all(int fd, const char *p)
{
	size_t n = strlen(p);

	while (n > 0) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno != EINTR)
			return false;
		if (put > 0) {
			p += put;
			n -= (size_t)put;
		}
	}
	return true;
}

/* As the file that it will replace; a new one is for its owner and group. */
static bool
take_after(int fd, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno == ENOENT && fchmod(fd, 0640) == 0;
	/* The mode first: a file that is somebody else's may be out of our reach. */
	return fchmod(fd, st.st_mode & 07777) == 0 && fchown(fd, st.st_uid, st.st_gid) == 0;
}

/* The name is safe on disk only when its directory is. */
static bool
sync_directory(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	bool ok;
	int fd;

	snprintf(dir, sizeof(dir), "%.*s",
		slash == NULL   ? 1
		: slash == path ? 1
				: (int)(slash - path),
		slash == NULL ? "." : path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = fsync(fd) == 0;
	close(fd);
	return ok;
}

static bool
fail(const char *path, const char *what, char *err, size_t errlen)
{
	snprintf(err, errlen, "%s: %s: %s", path, what, strerror(errno));
	return false;
}

static bool
fill(int fd, const char *path, const char *text)
{
	return take_after(fd, path) && write_all(fd, text) && fsync(fd) == 0;
}

static bool
replace(const char *path, const char *text, char *err, size_t errlen)
{
	char temp[PATH_MAX];
	bool ok;
	int fd;

	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= (int)sizeof(temp)) {
		errno = ENAMETOOLONG;
		return fail(path, "save", err, errlen);
	}
	fd = mkostemp(temp, O_CLOEXEC); /* 0600 until it is complete */
	if (fd < 0)
		return fail(path, "make a file beside it", err, errlen);
	ok = fill(fd, path, text) || fail(path, "write", err, errlen);
	close(fd);
	if (ok && rename(temp, path) != 0)
		ok = fail(path, "rename", err, errlen);
	if (!ok)
		unlink(temp);
	return ok;
}

bool
pst_document_save(const char *path, const char *text, char *err, size_t errlen)
{
	char *real = realpath(path, NULL); /* NULL: it does not exist */
	const char *at = real != NULL ? real : path;
	bool ok = replace(at, text, err, errlen);

	if (ok && !sync_directory(at))
		ok = fail(at, "saved, but its directory could not be written out", err, errlen);
	free(real);
	return ok;
}
