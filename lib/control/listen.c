/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A Unix socket in the file system: who may open it, what is in its place already.
 *
 * A socket that nobody answers is what a killed process left and is removed; one
 * that answers belongs to a running gateway, and anything else is not ours to
 * touch. The file is born with mode 0600 and opened to the group once it has the
 * right one, so there is no moment in which others could connect.
 */
#include "listen.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server.h"

static bool
fail(char *err, size_t errlen, const char *path, const char *what)
{
	snprintf(err, errlen, "control socket %s: %s", path, what);
	return false;
}

static bool
fail_errno(char *err, size_t errlen, const char *path, const char *what)
{
	snprintf(err, errlen, "control socket %s: %s: %s", path, what, strerror(errno));
	return false;
}

static struct sockaddr_un
address(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	return sun;
}

/* Only the last component: a wrong path should not grow a tree. */
static void
make_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];

	if (slash == NULL || slash == path)
		return;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	mkdir(dir, 0755); /* if it fails, bind will say so */
}

/* Does somebody accept connections there? */
static bool
is_live(const char *path)
{
	struct sockaddr_un sun = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool live;

	if (fd < 0)
		return true; /* cannot tell: leave it alone */
	/* EAGAIN: its backlog is full, so it has one. */
	live = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 || errno != ECONNREFUSED;
	close(fd);
	return live;
}

static bool
clear_place(const char *path, char *err, size_t errlen)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return errno == ENOENT || fail_errno(err, errlen, path, "stat");
	if (!S_ISSOCK(st.st_mode))
		return fail(err, errlen, path, "there is a file that is not a socket");
	if (is_live(path))
		return fail(err, errlen, path, "in use by a running instance");
	return unlink(path) == 0 || fail_errno(err, errlen, path, "remove the stale socket");
}

/* The configured group has to exist; "postern" is used if there is one. *gid -1: no group. */
static bool
find_group(const char *name, gid_t *gid, char *err, size_t errlen)
{
	struct group gr, *found = NULL;
	char buf[16384];

	if (getgrnam_r(name != NULL ? name : "postern", &gr, buf, sizeof(buf), &found) != 0)
		found = NULL;
	*gid = found != NULL ? found->gr_gid : (gid_t)-1;
	if (found != NULL || name == NULL)
		return true;
	snprintf(err, errlen, "control socket: there is no group \"%s\"", name);
	return false;
}

static bool
give_to_group(const char *path, const char *name, char *err, size_t errlen)
{
	gid_t gid;

	if (!find_group(name, &gid, err, errlen))
		return false;
	if (gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) != 0 && name != NULL)
		return fail_errno(err, errlen, path, "change the group");
	return true;
}

bool
pst_listen_group_exists(const char *group, char *err, size_t errlen)
{
	gid_t gid;

	return find_group(group, &gid, err, errlen);
}

bool
pst_listen_regroup(struct pst_listen *l, const char *group, char *err, size_t errlen)
{
	gid_t gid;

	if (!find_group(group, &gid, err, errlen))
		return false;
	/* No group any more: ours, as when it was bound, so that the former one is out. */
	if (gid == (gid_t)-1)
		gid = getegid();
	return chown(l->path, (uid_t)-1, gid) == 0 ||
	       fail_errno(err, errlen, l->path, "change the group");
}

static bool
bind_and_share(struct pst_listen *l, const char *group, char *err, size_t errlen)
{
	struct sockaddr_un sun = address(l->path);
	struct stat st;

	/* On Linux the file inherits the mode of the unbound socket. */
	if (fchmod(l->fd, 0600) != 0 || bind(l->fd, (struct sockaddr *)&sun, sizeof(sun)) != 0)
		return fail_errno(err, errlen, l->path, "bind");
	if (lstat(l->path, &st) != 0)
		return fail_errno(err, errlen, l->path, "stat");
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if (!give_to_group(l->path, group, err, errlen))
		return false;
	if (chmod(l->path, 0660) != 0 || listen(l->fd, PST_CONTROL_BACKLOG) != 0)
		return fail_errno(err, errlen, l->path, "listen");
	return true;
}

bool
pst_listen_open(
	struct pst_listen *l, const struct pst_config_control *conf, char *err, size_t errlen)
{
	*l = (struct pst_listen){.fd = -1};
	snprintf(l->path, sizeof(l->path), "%s", conf->socket);
	make_directory(l->path);
	if (!clear_place(l->path, err, errlen))
		return false;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return fail_errno(err, errlen, l->path, "socket");
	if (bind_and_share(l, conf->group, err, errlen))
		return true;
	pst_listen_close(l);
	return false;
}

void
pst_listen_close(struct pst_listen *l)
{
	struct stat st;

	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	if (l->ino != 0 && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	l->ino = 0;
}
