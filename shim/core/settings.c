/* SPDX-License-Identifier: MIT */
/* The environment comes in, and a struct settings goes out, or a message. Each variable that begins with
 * IP2VSOCK_ is recognised, copied and parsed; an unknown one is a mistake, because a misspelt IP2VSOCK_MAP
 * would let everything go over IP. The map is parsed last, since it needs the ranges. Memory comes from a
 * static block and from mmap(), because this runs before main(), where a program's own malloc() may not work
 * yet. */
#include "settings.h"

#include "errno.h"
#include "links.h"
#include "text.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- memory ---- */

/* The map of most programs fits here; a larger one gets mappings of its own. */
static _Alignas(max_align_t) char first_memory[32 << 10];
static char *memory_at = first_memory, *memory_end = first_memory + sizeof first_memory;

static void *memory(void *context, size_t size)
{
	enum { CHUNK = 256 << 10 };
	(void)context;
	size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (size > (size_t)(memory_end - memory_at)) {
		size_t chunk = size > CHUNK ? size : CHUNK;
		char *fresh = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (fresh == MAP_FAILED)
			return NULL;
		if (chunk > CHUNK)
			return fresh;
		memory_at = fresh;
		memory_end = fresh + chunk;
	}
	void *taken = memory_at;
	memory_at += size;
	return taken;
}

/* Copies the string, because the program may overwrite its environment. */
static bool keep(const char **kept, const char *string, char message[SETTINGS_MESSAGE])
{
	size_t size = strlen(string) + 1;
	char *copied = memory(NULL, size);
	if (!copied) {
		snprintf(message, SETTINGS_MESSAGE, "ip2vsock: out of memory\n");
		return false;
	}
	*kept = memcpy(copied, string, size);
	return true;
}

/* ---- files ---- */

/* Reads the file into memory of our own: rewriting it later must not change the map of a running program. */
static int read_whole(int fd, const char **text, size_t *length)
{
	struct stat status;
	if (fstat(fd, &status) < 0)
		return errno;
	if (S_ISDIR(status.st_mode))
		return EISDIR;
	if (!S_ISREG(status.st_mode))
		return EINVAL;
	if (status.st_size > MAP_TEXT_LIMIT)
		return EFBIG;
	size_t size = (size_t)status.st_size + 1, used = 0; /* one more byte, to see whether it ends there */
	char *bytes = memory(NULL, size);
	if (!bytes)
		return ENOMEM;
	while (used < size) {
		ssize_t count = read(fd, bytes + used, size - used);
		if (count < 0 && errno != EINTR)
			return errno;
		if (count == 0)
			break;
		used += count > 0 ? (size_t)count : 0;
	}
	*text = bytes;
	*length = used;
	return used < size ? 0 : EBUSY;
}

static int read_file(void *context, const char *path, const char **text, size_t *length)
{
	(void)context;
	/* O_NONBLOCK: a FIFO is refused instead of being waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return errno;
	int error = read_whole(fd, text, length);
	close(fd);
	return error;
}

/* ---- variables ---- */

enum variable { MAP, TRANSPORT, CID, PEERS, NAMES, LOG, FOLLOW, VARIABLES };
_Static_assert((int)VARIABLES == SETTINGS, "all of them");

static const char *const variable_names[VARIABLES] = {
	[MAP] = "IP2VSOCK_MAP",
	[TRANSPORT] = "IP2VSOCK_TRANSPORT",
	[CID] = "IP2VSOCK_CID",
	[PEERS] = "IP2VSOCK_PEERS",
	[NAMES] = "IP2VSOCK_NAMES",
	[LOG] = "IP2VSOCK_LOG",
	[FOLLOW] = "IP2VSOCK_FOLLOW",
};

static bool mistake(char message[SETTINGS_MESSAGE], enum variable variable, const char *expected,
	const char *found, const char *hint)
{
	snprintf(message, SETTINGS_MESSAGE, "ip2vsock: %s: expected %s, found \"%.200s\"%s\n%s%s%s",
		variable_names[variable], expected, found, strlen(found) > 200 ? "..." : "",
		*hint ? "hint: " : "", hint, *hint ? "\n" : "");
	return false;
}

static bool unknown(char message[SETTINGS_MESSAGE], const char *assignment)
{
	char known[256];
	struct text names = text_in(known, sizeof known);
	for (int i = 0; i < VARIABLES; i++) {
		text_add(&names, i ? ", " : "");
		text_add(&names, variable_names[i]);
	}
	snprintf(message, SETTINGS_MESSAGE, "ip2vsock: %.*s%s isn't a setting\nhint: the settings are %s\n",
		(int)strcspn(assignment, "=") > 100 ? 100 : (int)strcspn(assignment, "="), assignment,
		strcspn(assignment, "=") > 100 ? "..." : "", known);
	return false;
}

/* The variable that the string sets; VARIABLES: none. */
static enum variable variable_of(const char *assignment)
{
	const char *end = *assignment == 'I' ? strchr(assignment, '=') : NULL;
	size_t length = end ? (size_t)(end - assignment) : 0;
	enum variable i = 0;
	if (!end)
		return VARIABLES;
	while (i < VARIABLES &&
		(strlen(variable_names[i]) != length || memcmp(variable_names[i], assignment, length) != 0))
		i++;
	return i;
}

bool is_setting(const char *assignment)
{
	return variable_of(assignment) != VARIABLES;
}

/* Fills in values[]. If a variable is in the environment twice, the first one counts, as for getenv(). */
static bool read_environment(
	char *const *environ, const char *values[VARIABLES], char message[SETTINGS_MESSAGE])
{
	static const char ours[] = "IP2VSOCK_";
	for (; *environ; environ++) {
		if (!text_begins(*environ, ours) || !strchr(*environ, '='))
			continue;
		enum variable i = variable_of(*environ);
		if (i == VARIABLES && !is_service_link(*environ))
			return unknown(message, *environ);
		if (i != VARIABLES && !values[i])
			values[i] = strchr(*environ, '=') + 1;
	}
	return true;
}

static bool read_range(
	struct prefix *range, enum variable variable, const char *text, char message[SETTINGS_MESSAGE])
{
	const char *expected = variable == PEERS ? "an IPv4 prefix from /8 to /24, such as 100.64.0.0/10"
						 : "an IPv4 prefix from /8 to /24, such as 198.18.0.0/15";
	/* this network, loopback, multicast and above: no program connects there as to a host */
	static const struct prefix unusable[] = {{{[10] = 0xff, 0xff, 0}, 104},
		{{[10] = 0xff, 0xff, 127}, 104}, {{[10] = 0xff, 0xff, 224}, 99}};
	if (!prefix_parse(range, text, strlen(text)) || range->length < 96 + 8 || range->length > 96 + 24)
		return mistake(message, variable, expected, text, "");
	for (size_t i = 0; i < sizeof unusable / sizeof *unusable; i++)
		if (prefix_overlaps(range, &unusable[i]))
			return mistake(message, variable, expected, text,
				"0.0.0.0/8, 127.0.0.0/8 and 224.0.0.0/3 have another meaning");
	return true;
}

static bool read_ranges(
	struct settings *settings, const char *const values[VARIABLES], char message[SETTINGS_MESSAGE])
{
	struct ranges *ranges = &settings->ranges;
	*ranges = ranges_default;
	if (values[PEERS] && !read_range(&ranges->peers, PEERS, values[PEERS], message))
		return false;
	if (values[NAMES] && !read_range(&ranges->names, NAMES, values[NAMES], message))
		return false;
	if ((!values[PEERS] && !values[NAMES]) || !prefix_overlaps(&ranges->peers, &ranges->names))
		return true;
	char other[PREFIX_TEXT], expected[128] = "addresses outside ";
	enum variable moved = values[NAMES] ? NAMES : PEERS;
	prefix_format(moved == NAMES ? &ranges->peers : &ranges->names, other, sizeof other);
	strcat(strcat(expected, other),
		moved == NAMES ? ", the range of IP2VSOCK_PEERS" : ", the range of IP2VSOCK_NAMES");
	return mistake(message, moved, expected, values[moved], "");
}

static bool read_transport(
	struct settings *settings, const char *const values[VARIABLES], char message[SETTINGS_MESSAGE])
{
	static const char longest[] = "/4294967295.4294967295", scheme[] = "unix:";
	enum { PATH_LIMIT = 107 };
	const char *text = values[TRANSPORT];
	if (text && strcmp(text, "vsock") != 0) {
		if (!text_begins(text, scheme) || text[strlen(scheme)] != '/')
			return mistake(message, TRANSPORT, "vsock, or unix:DIRECTORY with an absolute path",
				text, "");
		const char *directory = text + strlen(scheme);
		if (strlen(directory) + strlen(longest) > PATH_LIMIT)
			return mistake(message, TRANSPORT, "a directory of at most 85 bytes", directory,
				"the path of a Unix socket in it has to fit 107 bytes");
		if (!keep(&settings->emulated, directory, message))
			return false;
	}
	settings->cid = CID_LOCAL;
	text = values[CID];
	if (!text)
		return true;
	if (!cid_parse(text, strlen(text), &settings->cid) || settings->cid == CID_ANY ||
		settings->cid == CID_HYPERVISOR)
		return mistake(message, CID, "a CID (1 to 4294967294, local, host or parent)", text, "");
	if (!settings->emulated)
		return mistake(message, CID, "IP2VSOCK_TRANSPORT=unix:DIRECTORY with it", text,
			"this machine's own CID can't be chosen, only one among emulated CIDs");
	return true;
}

static bool read_log(struct settings *settings, const char *text, char message[SETTINGS_MESSAGE])
{
	static const char *const levels[] = {
		[LOG_OFF] = "off", [LOG_ERROR] = "error", [LOG_CONNECT] = "connect", [LOG_DEBUG] = "debug"};
	settings->log = LOG_ERROR;
	if (!text)
		return true;
	size_t length = strcspn(text, ":");
	int level = LOG_OFF;
	while (level <= LOG_DEBUG &&
		(strlen(levels[level]) != length || memcmp(levels[level], text, length) != 0))
		level++;
	if (level > LOG_DEBUG)
		return mistake(message, LOG, "off, error, connect or debug, and :PATH for a file", text, "");
	settings->log = (enum log_level)level;
	if (!text[length])
		return true;
	if (text[length + 1] != '/')
		return mistake(message, LOG, "an absolute path after \":\"", text, "");
	return keep(&settings->log_path, text + length + 1, message);
}

static bool read_follow(struct settings *settings, const char *text, char message[SETTINGS_MESSAGE])
{
	if (text && strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
		return mistake(message, FOLLOW, "0 or 1", text, "");
	settings->follow = !text || *text == '1';
	return true;
}

static bool read_map(struct settings *settings, const char *text, char message[SETTINGS_MESSAGE])
{
	static const struct map_source source = {memory, read_file, NULL};
	if (!text || !*text)
		return true;
	struct map_error error;
	if (!keep(&text, text, message))
		return false;
	const struct map *map =
		map_build(variable_names[MAP], text, strlen(text), &settings->ranges, &source, &error);
	if (!map) {
		map_error_format(&error, message, SETTINGS_MESSAGE);
		return false;
	}
	settings->map = map_count(map) ? map : NULL;
	return true;
}

bool settings_read(struct settings *settings, char *const *environ, char message[SETTINGS_MESSAGE])
{
	KEEP_ERRNO;
	const char *values[VARIABLES] = {NULL};
	*settings = (struct settings){.map = NULL};
	return read_environment(environ, values, message) && read_ranges(settings, values, message) &&
	       read_transport(settings, values, message) && read_log(settings, values[LOG], message) &&
	       read_follow(settings, values[FOLLOW], message) && read_map(settings, values[MAP], message);
}
