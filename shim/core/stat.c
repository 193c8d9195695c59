/* SPDX-License-Identifier: MIT */
/* glibc has exported these functions only since 2.33, but has always had those that they call. */
#ifdef OLDEST_GLIBC
#include <sys/stat.h>

#ifdef __x86_64__
enum { STAT_VERSION = 1 };
#else
enum { STAT_VERSION = 0 };
#endif

int __fxstat(int version, int fd, struct stat *status);
int __xstat(int version, const char *path, struct stat *status);
int __lxstat(int version, const char *path, struct stat *status);
int __fxstatat(int version, int directory, const char *path, struct stat *status, int flags);

int fstat(int fd, struct stat *status)
{
	return __fxstat(STAT_VERSION, fd, status);
}

int stat(const char *path, struct stat *status)
{
	return __xstat(STAT_VERSION, path, status);
}

int lstat(const char *path, struct stat *status)
{
	return __lxstat(STAT_VERSION, path, status);
}

int fstatat(int directory, const char *path, struct stat *status, int flags)
{
	return __fxstatat(STAT_VERSION, directory, path, status, flags);
}
#endif
