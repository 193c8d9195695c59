/* SPDX-License-Identifier: MIT */
#include "core/settings.h"
#include "system/libc.h"
#include "system/supervised.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char message[SETTINGS_MESSAGE];
static char directory[] = "/tmp/ip2vsock-settings-XXXXXX";

/* Reads an environment of up to three variables. */
static bool read_settings(struct settings *settings, const char *first, const char *second, const char *third)
{
	char *environment[] = {strdup(first ? first : "A=b"), strdup(second ? second : "C=d"),
		strdup(third ? third : "E=f"), NULL};
	memset(settings, 0xaa, sizeof *settings);
	memset(message, 'x', sizeof message);
	message[0] = '\0';
	errno = 4242;
	bool good = settings_read(settings, environment, message);
	assert_int_equal(errno, 4242);
	for (int i = 0; environment[i]; i++) {
		memset(environment[i], '!', strlen(environment[i])); /* as nginx does */
		free(environment[i]);
	}
	return good;
}

static struct settings good_settings(const char *first, const char *second, const char *third)
{
	struct settings settings;
	if (!read_settings(&settings, first, second, third))
		fail_msg("%s", message);
	return settings;
}

static void assert_mistake(const char *first, const char *second, const char *expected)
{
	struct settings settings;
	assert_false(read_settings(&settings, first, second, NULL));
	assert_string_equal(message, expected);
}

static void an_empty_environment_leaves_everything_to_ip(void **state)
{
	(void)state;
	struct settings settings = good_settings(NULL, NULL, NULL);
	assert_null(settings.map);
	assert_null(settings.emulated);
	assert_null(settings.log_path);
	assert_int_equal(settings.cid, CID_LOCAL);
	assert_int_equal(settings.log, LOG_ERROR);
	assert_true(settings.follow);
	assert_memory_equal(&settings.ranges, &ranges_default, sizeof settings.ranges);
	assert_null(good_settings("IP2VSOCK_MAP=", NULL, NULL).map);
	assert_null(good_settings("IP2VSOCK_MAP= \n# nothing\n,", NULL, NULL).map);
	assert_null(good_settings("IP2VSOC=x", "ip2vsock_map=x", "XIP2VSOCK_MAP=x").map);
}

static void all_of_it_outlives_the_environment(void **state)
{
	(void)state;
	struct settings settings =
		good_settings("IP2VSOCK_MAP=api.example.com:443=3:8443,listen a:1=unix:/run/x",
			"IP2VSOCK_TRANSPORT=unix:/run/vsock", "IP2VSOCK_LOG=connect:/var/log/x");
	assert_string_equal(settings.emulated, "/run/vsock");
	assert_string_equal(settings.log_path, "/var/log/x");
	assert_int_equal(map_count(settings.map), 2);
	const struct rule *rule = map_rule(settings.map, 0);
	assert_memory_equal(rule->text, "api.example.com:443=3:8443", rule->text_length);
	assert_string_equal(rule->source, "IP2VSOCK_MAP");
	assert_ptr_equal(map_find_host(settings.map, SIDE_CONNECT, "api.example.com", 15, 443), rule);
	assert_string_equal(map_rule(settings.map, 1)->target.path, "/run/x");
}

static void settings_are_read(void **state)
{
	(void)state;
	assert_int_equal(good_settings("IP2VSOCK_LOG=off", NULL, NULL).log, LOG_OFF);
	assert_int_equal(good_settings("IP2VSOCK_LOG=error", NULL, NULL).log, LOG_ERROR);
	assert_int_equal(good_settings("IP2VSOCK_LOG=connect", NULL, NULL).log, LOG_CONNECT);
	assert_int_equal(good_settings("IP2VSOCK_LOG=debug:/x", NULL, NULL).log, LOG_DEBUG);
	assert_false(good_settings("IP2VSOCK_FOLLOW=0", NULL, NULL).follow);
	assert_true(good_settings("IP2VSOCK_FOLLOW=1", NULL, NULL).follow);
	assert_null(good_settings("IP2VSOCK_TRANSPORT=vsock", NULL, NULL).emulated);
	assert_int_equal(good_settings("IP2VSOCK_TRANSPORT=unix:/x", NULL, NULL).cid, CID_LOCAL);
	assert_int_equal(good_settings("IP2VSOCK_TRANSPORT=unix:/x", "IP2VSOCK_CID=16", NULL).cid, 16);
	assert_int_equal(
		good_settings("IP2VSOCK_CID=parent", "IP2VSOCK_TRANSPORT=unix:/x", NULL).cid, CID_PARENT);
	assert_int_equal(
		good_settings("IP2VSOCK_CID=4294967294", "IP2VSOCK_TRANSPORT=unix:/x", NULL).cid, 4294967294);
	struct settings settings =
		good_settings("IP2VSOCK_PEERS=10.0.0.0/8", "IP2VSOCK_NAMES=11.0.0.0/24", NULL);
	assert_int_equal(settings.ranges.peers.length, 104);
	assert_int_equal(settings.ranges.names.length, 120);
	assert_int_equal(settings.ranges.names6.length, 64);
	/* a range that moved makes room where it was */
	assert_non_null(
		good_settings("IP2VSOCK_PEERS=10.0.0.0/8", "IP2VSOCK_MAP=100.64.0.1:1=3:1", NULL).map);
	/* as getenv: the first counts */
	assert_int_equal(good_settings("IP2VSOCK_LOG=off", "IP2VSOCK_LOG=debug", NULL).log, LOG_OFF);
}

static void mistakes_are_reported(void **state)
{
	(void)state;
	static const struct {
		const char *first, *second, *message;
	} cases[] = {
		{"IP2VSOCK_MPA=x", NULL,
			"ip2vsock: IP2VSOCK_MPA isn't a setting\nhint: the settings are IP2VSOCK_MAP, "
			"IP2VSOCK_TRANSPORT, "
			"IP2VSOCK_CID, IP2VSOCK_PEERS, IP2VSOCK_NAMES, IP2VSOCK_LOG, IP2VSOCK_FOLLOW\n"},
		{"IP2VSOCK_MAPS=x", NULL,
			"ip2vsock: IP2VSOCK_MAPS isn't a setting\nhint: the settings are IP2VSOCK_MAP, "
			"IP2VSOCK_TRANSPORT, "
			"IP2VSOCK_CID, IP2VSOCK_PEERS, IP2VSOCK_NAMES, IP2VSOCK_LOG, IP2VSOCK_FOLLOW\n"},
		{"IP2VSOCK_=x", NULL,
			"ip2vsock: IP2VSOCK_ isn't a setting\nhint: the settings are IP2VSOCK_MAP, "
			"IP2VSOCK_TRANSPORT, "
			"IP2VSOCK_CID, IP2VSOCK_PEERS, IP2VSOCK_NAMES, IP2VSOCK_LOG, IP2VSOCK_FOLLOW\n"},
		{"IP2VSOCK_MAP=a:https=3:1", NULL,
			"ip2vsock: IP2VSOCK_MAP: rule 1, column 3: expected a port (1 to 65535), n-m or *, "
			"found \"https\"\n"
			"    a:https=3:1\n      ^\nhint: ports are numbers: https is 443\n"},
		{"IP2VSOCK_TRANSPORT=tcp", NULL,
			"ip2vsock: IP2VSOCK_TRANSPORT: expected vsock, or unix:DIRECTORY with an absolute "
			"path, found \"tcp\"\n"},
		{"IP2VSOCK_TRANSPORT=", NULL,
			"ip2vsock: IP2VSOCK_TRANSPORT: expected vsock, or unix:DIRECTORY with an absolute "
			"path, found \"\"\n"},
		{"IP2VSOCK_TRANSPORT=unix:run", NULL,
			"ip2vsock: IP2VSOCK_TRANSPORT: expected vsock, or unix:DIRECTORY with an absolute "
			"path, found "
			"\"unix:run\"\n"},
		{"IP2VSOCK_CID=0", "IP2VSOCK_TRANSPORT=unix:/x",
			"ip2vsock: IP2VSOCK_CID: expected a CID (1 to 4294967294, local, host or parent), "
			"found \"0\"\n"},
		{"IP2VSOCK_CID=any", "IP2VSOCK_TRANSPORT=unix:/x",
			"ip2vsock: IP2VSOCK_CID: expected a CID (1 to 4294967294, local, host or parent), "
			"found \"any\"\n"},
		{"IP2VSOCK_CID=4294967295", "IP2VSOCK_TRANSPORT=unix:/x",
			"ip2vsock: IP2VSOCK_CID: expected a CID (1 to 4294967294, local, host or parent), "
			"found "
			"\"4294967295\"\n"},
		{"IP2VSOCK_CID=3", NULL,
			"ip2vsock: IP2VSOCK_CID: expected IP2VSOCK_TRANSPORT=unix:DIRECTORY with it, found "
			"\"3\"\n"
			"hint: this machine's own CID can't be chosen, only one among emulated CIDs\n"},
		{"IP2VSOCK_PEERS=10.0.0.1/8", NULL,
			"ip2vsock: IP2VSOCK_PEERS: expected an IPv4 prefix from /8 to /24, such as "
			"100.64.0.0/10, found "
			"\"10.0.0.1/8\"\n"},
		{"IP2VSOCK_PEERS=10.0.0.0/25", NULL,
			"ip2vsock: IP2VSOCK_PEERS: expected an IPv4 prefix from /8 to /24, such as "
			"100.64.0.0/10, found "
			"\"10.0.0.0/25\"\n"},
		{"IP2VSOCK_NAMES=10.0.0.0/7", NULL,
			"ip2vsock: IP2VSOCK_NAMES: expected an IPv4 prefix from /8 to /24, such as "
			"198.18.0.0/15, found "
			"\"10.0.0.0/7\"\n"},
		{"IP2VSOCK_NAMES=fd00::/8", NULL,
			"ip2vsock: IP2VSOCK_NAMES: expected an IPv4 prefix from /8 to /24, such as "
			"198.18.0.0/15, found "
			"\"fd00::/8\"\n"},
		{"IP2VSOCK_NAMES=127.1.0.0/16", NULL,
			"ip2vsock: IP2VSOCK_NAMES: expected an IPv4 prefix from /8 to /24, such as "
			"198.18.0.0/15, found "
			"\"127.1.0.0/16\"\nhint: 0.0.0.0/8, 127.0.0.0/8 and 224.0.0.0/3 have another "
			"meaning\n"},
		{"IP2VSOCK_PEERS=239.0.0.0/8", NULL,
			"ip2vsock: IP2VSOCK_PEERS: expected an IPv4 prefix from /8 to /24, such as "
			"100.64.0.0/10, found "
			"\"239.0.0.0/8\"\nhint: 0.0.0.0/8, 127.0.0.0/8 and 224.0.0.0/3 have another "
			"meaning\n"},
		{"IP2VSOCK_NAMES=100.127.0.0/16", NULL,
			"ip2vsock: IP2VSOCK_NAMES: expected addresses outside 100.64.0.0/10, the range of "
			"IP2VSOCK_PEERS, found "
			"\"100.127.0.0/16\"\n"},
		{"IP2VSOCK_PEERS=198.0.0.0/8", NULL,
			"ip2vsock: IP2VSOCK_PEERS: expected addresses outside 198.18.0.0/15, the range of "
			"IP2VSOCK_NAMES, found "
			"\"198.0.0.0/8\"\n"},
		{"IP2VSOCK_PEERS=10.0.0.0/8", "IP2VSOCK_NAMES=10.0.0.0/8",
			"ip2vsock: IP2VSOCK_NAMES: expected addresses outside 10.0.0.0/8, the range of "
			"IP2VSOCK_PEERS, found "
			"\"10.0.0.0/8\"\n"},
		{"IP2VSOCK_LOG=verbose", NULL,
			"ip2vsock: IP2VSOCK_LOG: expected off, error, connect or debug, and :PATH for a "
			"file, found \"verbose\"\n"},
		{"IP2VSOCK_LOG=", NULL,
			"ip2vsock: IP2VSOCK_LOG: expected off, error, connect or debug, and :PATH for a "
			"file, found \"\"\n"},
		{"IP2VSOCK_LOG=err", NULL,
			"ip2vsock: IP2VSOCK_LOG: expected off, error, connect or debug, and :PATH for a "
			"file, found \"err\"\n"},
		{"IP2VSOCK_LOG=debug:x", NULL,
			"ip2vsock: IP2VSOCK_LOG: expected an absolute path after \":\", found "
			"\"debug:x\"\n"},
		{"IP2VSOCK_LOG=debug:", NULL,
			"ip2vsock: IP2VSOCK_LOG: expected an absolute path after \":\", found \"debug:\"\n"},
		{"IP2VSOCK_FOLLOW=yes", NULL, "ip2vsock: IP2VSOCK_FOLLOW: expected 0 or 1, found \"yes\"\n"},
		{"IP2VSOCK_FOLLOW=", NULL, "ip2vsock: IP2VSOCK_FOLLOW: expected 0 or 1, found \"\"\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_mistake(cases[i].first, cases[i].second, cases[i].message);
}

/* What Kubernetes 1.34 puts into a pod's environment for services with these names, and what only looks like
 * it. */
static void service_links_are_ignored(void **state)
{
	(void)state;
	static const char *const links[] = {
		"IP2VSOCK_SERVICE_HOST=10.96.0.1",
		"IP2VSOCK_SERVICE_HOST=fd00:10:96::a",
		"IP2VSOCK_SERVICE_PORT=8080",
		"IP2VSOCK_SERVICE_PORT_HTTP=8080",
		"IP2VSOCK_SERVICE_PORT_GRPC_WEB=65535",
		"IP2VSOCK_PORT=tcp://10.96.0.1:8080",
		"IP2VSOCK_PORT=udp://[fd00:10:96::a]:53",
		"IP2VSOCK_PORT_8080_TCP=tcp://10.96.0.1:8080",
		"IP2VSOCK_PORT_8080_TCP_PROTO=tcp",
		"IP2VSOCK_PORT_8080_TCP_PORT=8080",
		"IP2VSOCK_PORT_8080_TCP_ADDR=10.96.0.1",
		"IP2VSOCK_PORT_53_UDP=udp://10.96.0.1:53",
		"IP2VSOCK_PORT_53_UDP_PROTO=udp",
		"IP2VSOCK_PORT_53_UDP_PORT=53",
		"IP2VSOCK_PORT_53_UDP_ADDR=fd00:10:96::a",
		"IP2VSOCK_PORT_3868_SCTP=sctp://[fd00:10:96::a]:3868",
		"IP2VSOCK_PORT_3868_SCTP_PROTO=sctp",
		"IP2VSOCK_PORT_3868_SCTP_PORT=3868",
		"IP2VSOCK_PORT_3868_SCTP_ADDR=10.96.0.1",
		/* ip2vsock-xyz, ip2vsock-map, ip2vsock-port-80-tcp */
		"IP2VSOCK_XYZ_SERVICE_HOST=10.96.0.1",
		"IP2VSOCK_XYZ_SERVICE_PORT=80",
		"IP2VSOCK_XYZ_SERVICE_PORT_HTTP=80",
		"IP2VSOCK_XYZ_PORT=tcp://10.96.0.1:80",
		"IP2VSOCK_XYZ_PORT_80_TCP=tcp://10.96.0.1:80",
		"IP2VSOCK_MAP_SERVICE_HOST=10.96.0.1",
		"IP2VSOCK_MAP_PORT_80_TCP_PROTO=tcp",
		"IP2VSOCK_PORT_80_TCP_PORT_80_TCP_ADDR=10.96.0.1",
	};
	static const char *const others[] = {
		"IP2VSOCK_SERVICE_HOST=",
		"IP2VSOCK_SERVICE_HOST=enclave",
		"IP2VSOCK_SERVICE_HOST=10.96.0.0/16",
		"IP2VSOCK_SERVICE_HOST=10.96.0.1 ",
		"IP2VSOCK_SERVICE_PORT=0",
		"IP2VSOCK_SERVICE_PORT=http",
		"IP2VSOCK_SERVICE_PORT=65536",
		"IP2VSOCK_SERVICE_PORT_=80",
		"IP2VSOCK_SERVICE_PORT_http=80",
		"IP2VSOCK_SERVICE_NAME=x",
		"IP2VSOCK_SERVICE=10.96.0.1",
		"IP2VSOCK_PORT=8080",
		"IP2VSOCK_PORT=tcp://10.96.0.1",
		"IP2VSOCK_PORT=tcp://10.96.0.1:",
		"IP2VSOCK_PORT=tcp://enclave:80",
		"IP2VSOCK_PORT=tcp://[10.96.0.1:80",
		"IP2VSOCK_PORT=tcp://fd00::1:80",
		"IP2VSOCK_PORT=tcp://10.96.0.1:80/",
		"IP2VSOCK_PORT=vsock://10.96.0.1:80",
		"IP2VSOCK_PORT=TCP://10.96.0.1:80",
		"IP2VSOCK_PORT_80=tcp://10.96.0.1:80",
		"IP2VSOCK_PORT_80_tcp=tcp://10.96.0.1:80",
		"IP2VSOCK_PORT_80_VSOCK=vsock://10.96.0.1:80",
		"IP2VSOCK_PORT_80_TCP_HOST=10.96.0.1",
		"IP2VSOCK_PORT_80_TCP_PROTO=TCP",
		"IP2VSOCK_PORT_HTTP_TCP=tcp://10.96.0.1:80",
		"IP2VSOCK_PORT_65536_TCP=tcp://10.96.0.1:80",
		"IP2VSOCK_xyz_SERVICE_HOST=10.96.0.1",
		"IP2VSOCK_MAP_=a:80=3:80",
	};
	struct settings settings;
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		settings = good_settings(links[i], "IP2VSOCK_MAP=a:80=3:80", links[i]);
		assert_int_equal(map_count(settings.map), 1);
	}
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		if (read_settings(&settings, others[i], NULL, NULL))
			fail_msg("%s was taken for a service link", others[i]);
		assert_non_null(strstr(message, " isn't a setting\nhint: the settings are IP2VSOCK_MAP, "));
	}
}

static void the_emulated_directory_fits_a_socket_address(void **state)
{
	(void)state;
	char variable[256] = "IP2VSOCK_TRANSPORT=unix:/";
	char *path = variable + strlen("IP2VSOCK_TRANSPORT=unix:");
	memset(path + 1, 'd', 84);
	assert_int_equal(strlen(path) + strlen("/4294967295.4294967295"), 107);
	assert_string_equal(good_settings(variable, NULL, NULL).emulated, path);
	path[85] = 'd';
	struct settings settings;
	assert_false(read_settings(&settings, variable, NULL, NULL));
	assert_non_null(strstr(message, "expected a directory of at most 85 bytes"));
}

static void long_values_are_cut_in_messages(void **state)
{
	(void)state;
	struct settings settings;
	char *variable = malloc(100000);
	sprintf(variable, "IP2VSOCK_%099000d=1", 7);
	assert_false(read_settings(&settings, variable, NULL, NULL));
	assert_true(strlen(message) < 500);
	assert_non_null(strstr(message, "... isn't a setting\nhint: the settings are"));
	sprintf(variable, "IP2VSOCK_LOG=%099000d", 7);
	assert_false(read_settings(&settings, variable, NULL, NULL));
	assert_true(strlen(message) < 500);
	assert_non_null(strstr(message, "0...\"\n") ? message : strstr(message, "0\"...\n"));
	free(variable);
}

static const char *path_of(const char *name)
{
	static char path[256];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static const char *map_naming(const char *name)
{
	static char variable[300];
	snprintf(variable, sizeof variable, "IP2VSOCK_MAP=@%s", path_of(name));
	return variable;
}

static void write_file(const char *name, const char *text, size_t length)
{
	FILE *file = fopen(path_of(name), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	fclose(file);
}

static void maps_are_read_from_files(void **state)
{
	(void)state;
	static const char text[] = "# a map\napi.example.com:443 = 3:8443\nlisten 8080 = any:8080\n";
	int fds = dup(0);
	close(fds);
	write_file("good.map", text, strlen(text));
	struct settings settings = good_settings(map_naming("good.map"), NULL, NULL);
	assert_int_equal(map_count(settings.map), 2);
	assert_string_equal(map_rule(settings.map, 1)->source, path_of("good.map"));
	/* the file may change under a running program */
	write_file("good.map", "################################################################", 64);
	assert_memory_equal(map_rule(settings.map, 0)->text, "api.example.com:443 = 3:8443", 28);
	write_file("empty.map", "", 0);
	assert_null(good_settings(map_naming("empty.map"), NULL, NULL).map);
	assert_int_equal(dup(0), fds); /* no fd is left open */
	close(fds);
}

static void assert_unreadable(const char *name, const char *reason)
{
	struct settings settings;
	char expected[512];
	assert_false(read_settings(&settings, map_naming(name), NULL, NULL));
	snprintf(expected, sizeof expected,
		"ip2vsock: IP2VSOCK_MAP: column 1: expected a file that can be read, %s can't: %s\n",
		path_of(name), reason);
	assert_memory_equal(message, expected, strlen(expected));
}

static void files_that_are_not_maps_are_reported(void **state)
{
	(void)state;
	struct settings settings;
	assert_unreadable("missing.map", "No such file or directory");
	assert_unreadable(".", "Is a directory");
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_unreadable("fifo", "not a regular file");
	assert_false(read_settings(&settings, "IP2VSOCK_MAP=@/dev/null", NULL, NULL));
	assert_non_null(strstr(message, "/dev/null can't: not a regular file"));

	char *large = calloc(1, 10 << 20);
	memset(large, '\n', 10 << 20);
	write_file("large.map", large, 10 << 20);
	assert_false(read_settings(&settings, map_naming("large.map"), NULL, NULL));
	assert_non_null(strstr(message, "expected a file of at most 8 MiB"));
	write_file("large.map", large, 8 << 20);
	assert_null(good_settings("IP2VSOCK_LOG=off", NULL, NULL).map);
	assert_false(read_settings(
		&settings, map_naming("large.map"), NULL, NULL)); /* with the text that names it */
	assert_non_null(strstr(message, "expected at most 8 MiB of rules"));
	write_file("large.map", large, (8 << 20) - 1000);
	assert_null(good_settings(map_naming("large.map"), NULL, NULL).map);
	free(large);

	write_file("binary.map", "a:1=3:1\nb\0:1=3:1\n", 17);
	assert_false(read_settings(&settings, map_naming("binary.map"), NULL, NULL));
	assert_non_null(strstr(
		message, "binary.map:2: rule 2, column 2: expected text, found the control character 0x00"));
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	static const char *const names[] = {"good.map", "empty.map", "fifo", "large.map", "binary.map"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(path_of(names[i]));
	return rmdir(directory);
}

static int supervisors_answer(int fd, int level, int name, void *value, socklen_t *length)
{
	(void)fd, (void)level, (void)name;
	memcpy(value, &(uint64_t){4242}, *length);
	return 0;
}

static void a_supervisor_is_asked(void **state)
{
	(void)state;
	uint64_t identity;
	errno = 77;
	assert_false(supervised(&identity));
	assert_int_equal(errno, 77);
	__typeof__(libc.getsockopt) real = libc.getsockopt;
	libc.getsockopt = supervisors_answer;
	bool answered = supervised(&identity);
	libc.getsockopt = real;
	assert_true(answered);
	assert_int_equal(identity, 4242);
}

/* A supervisor's program asks whether its own settings are the same. */
static void all_that_decides_makes_the_identity(void **state)
{
	(void)state;
	static const char *const each[][3] = {{NULL, NULL, NULL}, {"IP2VSOCK_MAP=a:1=3:1", NULL, NULL},
		{"IP2VSOCK_MAP=a:1=3:2", NULL, NULL}, {"IP2VSOCK_MAP=a:1=3:1,b:1=3:1", NULL, NULL},
		{"IP2VSOCK_MAP=a:1=3:1 retry=1s", NULL, NULL},
		{"IP2VSOCK_MAP=a:1=3:1", "IP2VSOCK_NAMES=198.18.128.0/17", NULL},
		{"IP2VSOCK_MAP=a:1=3:1", "IP2VSOCK_PEERS=100.64.128.0/17", NULL},
		{"IP2VSOCK_MAP=a:1=3:1", "IP2VSOCK_TRANSPORT=unix:/tmp", NULL},
		{"IP2VSOCK_MAP=a:1=3:1", "IP2VSOCK_TRANSPORT=unix:/tmp", "IP2VSOCK_CID=5"}};
	enum { EACH = sizeof each / sizeof *each };
	uint64_t identities[EACH];
	for (int i = 0; i < EACH; i++)
		for (int again = 0; again < 2; again++) {
			struct settings settings = good_settings(each[i][0], each[i][1], each[i][2]);
			uint64_t identity = supervised_identity(&settings);
			assert_true(!again || identity == identities[i]);
			identities[i] = identity;
			for (int other = 0; other < i; other++)
				assert_true(identities[other] != identity);
		}
}

/* More than one mapping of the library's holds. */
static void a_large_map_has_room(void **state)
{
	(void)state;
	enum { RULES = 20000 };
	char *text = malloc((size_t)RULES * 32), *at = text;
	at += sprintf(at, "IP2VSOCK_MAP=");
	for (int i = 0; i < RULES; i++)
		at += sprintf(at, "h%d.test:443=3:%d,", i, i + 1);
	at[-1] = '\0';
	struct settings settings = good_settings(text, NULL, NULL);
	free(text);
	assert_int_equal(map_count(settings.map), RULES);
	for (unsigned i = 0; i < RULES; i++) {
		const struct rule *rule = map_rule(settings.map, i);
		assert_int_equal(rule->number, i + 1);
		assert_int_equal(rule->target.port_first, i + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_environment_leaves_everything_to_ip),
		cmocka_unit_test(all_of_it_outlives_the_environment),
		cmocka_unit_test(settings_are_read),
		cmocka_unit_test(mistakes_are_reported),
		cmocka_unit_test(service_links_are_ignored),
		cmocka_unit_test(the_emulated_directory_fits_a_socket_address),
		cmocka_unit_test(long_values_are_cut_in_messages),
		cmocka_unit_test(maps_are_read_from_files),
		cmocka_unit_test(files_that_are_not_maps_are_reported),
		cmocka_unit_test(a_supervisor_is_asked),
		cmocka_unit_test(all_that_decides_makes_the_identity),
		cmocka_unit_test(a_large_map_has_room),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
