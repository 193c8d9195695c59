/* SPDX-License-Identifier: MIT */
/* The only list of the functions that the library replaces. It generates the declarations of the hooks and
 * the table of the real functions (libc.h), the resolvers (libc.c), the export map (Makefile.am), and the
 * test that the library exports these and nothing else. HOOK(result, name, parameters, arguments);
 * HOOK_ONLY(name) is for a function that isn't called through the table, because it has variable arguments or
 * isn't a C function. */
#ifndef HOOK_ONLY
#define HOOK_ONLY(name)
#endif

HOOK(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
HOOK(int, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
HOOK(int, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
HOOK(int, listen, (int fd, int backlog), (fd, backlog))
HOOK(int, accept, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))
HOOK(int, accept4, (int fd, struct sockaddr *address, socklen_t *length, int flags),
	(fd, address, length, flags))
HOOK(int, getsockname, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))
HOOK(int, getpeername, (int fd, struct sockaddr *address, socklen_t *length), (fd, address, length))
HOOK(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *length),
	(fd, level, name, value, length))
HOOK(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t length),
	(fd, level, name, value, length))
HOOK(int, shutdown, (int fd, int how), (fd, how))
HOOK(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
HOOK(ssize_t, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count))
HOOK(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
HOOK(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
HOOK(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
HOOK(ssize_t, sendto,
	(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length),
	(fd, data, size, flags, address, length))
HOOK(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
HOOK(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned int count, int flags),
	(fd, messages, count, flags))
HOOK(ssize_t, recv, (int fd, void *data, size_t size, int flags), (fd, data, size, flags))
HOOK(ssize_t, recvfrom,
	(int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *length),
	(fd, data, size, flags, address, length))
HOOK(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
HOOK(int, recvmmsg,
	(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout),
	(fd, messages, count, flags, timeout))
#ifdef __GLIBC__
HOOK(ssize_t, __read_chk, (int fd, void *data, size_t size, size_t room), (fd, data, size, room))
HOOK(ssize_t, __recv_chk, (int fd, void *data, size_t size, size_t room, int flags),
	(fd, data, size, room, flags))
HOOK(ssize_t, __recvfrom_chk,
	(int fd, void *data, size_t size, size_t room, int flags, struct sockaddr *address,
		socklen_t *length),
	(fd, data, size, room, flags, address, length))
#endif

HOOK(int, ioctl, (int fd, unsigned long request, void *argument), (fd, request, argument))
HOOK(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
#ifdef __GLIBC__
HOOK(int, __poll_chk, (struct pollfd * fds, nfds_t count, int timeout, size_t size),
	(fds, count, timeout, size))
#endif
HOOK(int, ppoll, (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
	(fds, count, timeout, mask))
#ifdef __GLIBC__
HOOK(int, __ppoll_chk,
	(struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
		size_t size),
	(fds, count, timeout, mask, size))
#endif
HOOK(int, select, (int count, fd_set *in, fd_set *out, fd_set *odd, struct timeval *timeout),
	(count, in, out, odd, timeout))
HOOK(int, pselect,
	(int count, fd_set *in, fd_set *out, fd_set *odd, const struct timespec *timeout,
		const sigset_t *mask),
	(count, in, out, odd, timeout, mask))
HOOK(int, isatty, (int fd), (fd))
HOOK(int, sockatmark, (int fd), (fd))
HOOK(int, fcntl, (int fd, int command, void *argument), (fd, command, argument))
#ifdef __GLIBC__
HOOK(int, fcntl64, (int fd, int command, void *argument), (fd, command, argument))
#endif
HOOK(int, epoll_ctl, (int epfd, int operation, int fd, struct epoll_event *event),
	(epfd, operation, fd, event))
HOOK(int, dup, (int fd), (fd))
HOOK(int, dup2, (int fd, int number), (fd, number))
HOOK(int, dup3, (int fd, int number, int flags), (fd, number, flags))
HOOK(int, close, (int fd), (fd))
#if defined __GLIBC__ || defined HAVE_CLOSE_RANGE
HOOK(int, close_range, (unsigned int first, unsigned int last, int flags), (first, last, flags))
#endif
#ifdef __GLIBC__
HOOK(void, closefrom, (int first), (first))
#endif
HOOK(int, fclose, (FILE * stream), (stream))
HOOK(FILE *, freopen, (const char *path, const char *mode, FILE *stream), (path, mode, stream))
#ifdef __GLIBC__
HOOK(FILE *, freopen64, (const char *path, const char *mode, FILE *stream), (path, mode, stream))
#endif
HOOK(int, prctl, (int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d),
	(option, a, b, c, d))
HOOK(long, syscall, (long number, long a, long b, long c, long d, long e, long f), (number, a, b, c, d, e, f))

#if defined __GLIBC__ && defined __TIMESIZE &&                                                               \
	__TIMESIZE == 32 /* their names with a 64-bit time_t, since glibc 2.34 */
HOOK_ONLY(__getsockopt64)
HOOK_ONLY(__setsockopt64)
HOOK_ONLY(__sendmsg64)
HOOK_ONLY(__sendmmsg64)
HOOK_ONLY(__recvmsg64)
HOOK_ONLY(__ioctl_time64)
HOOK_ONLY(__fcntl_time64)
HOOK_ONLY(__prctl_time64)
HOOK(int, __ppoll64, (struct pollfd * fds, nfds_t count, const void *timeout, const sigset_t *mask),
	(fds, count, timeout, mask))
HOOK(int, __select64, (int count, fd_set *in, fd_set *out, fd_set *odd, void *timeout),
	(count, in, out, odd, timeout))
HOOK(int, __pselect64,
	(int count, fd_set *in, fd_set *out, fd_set *odd, const void *timeout, const sigset_t *mask),
	(count, in, out, odd, timeout, mask))
#endif

HOOK_ONLY(vfork)
HOOK_ONLY(execl)
HOOK_ONLY(execlp)
HOOK_ONLY(execle)
HOOK(int, execve, (const char *path, char *const *argv, char *const *envp), (path, argv, envp))
HOOK(int, execv, (const char *path, char *const *argv), (path, argv))
HOOK(int, execvp, (const char *file, char *const *argv), (file, argv))
HOOK(int, execvpe, (const char *file, char *const *argv, char *const *envp), (file, argv, envp))
HOOK(int, fexecve, (int fd, char *const *argv, char *const *envp), (fd, argv, envp))
#ifdef __GLIBC__
HOOK(int, execveat, (int directory, const char *path, char *const *argv, char *const *envp, int flags),
	(directory, path, argv, envp, flags))
#endif
HOOK(int, system, (const char *command), (command))
HOOK(FILE *, popen, (const char *command, const char *mode), (command, mode))
HOOK(int, posix_spawn,
	(pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attributes, char *const *argv, char *const *envp),
	(pid, path, actions, attributes, argv, envp))
HOOK(int, posix_spawnp,
	(pid_t * pid, const char *file, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attributes, char *const *argv, char *const *envp),
	(pid, file, actions, attributes, argv, envp))

HOOK(int, getaddrinfo,
	(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **result),
	(host, service, hints, result))
#ifdef __GLIBC__
HOOK(int, getaddrinfo_a, (int mode, struct gaicb **list, int count, struct sigevent *event),
	(mode, list, count, event))
#endif
HOOK(int, getnameinfo,
	(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size, char *service,
		socklen_t service_size, int flags),
	(address, length, host, host_size, service, service_size, flags))
HOOK(struct hostent *, gethostbyname, (const char *name), (name))
HOOK(struct hostent *, gethostbyname2, (const char *name, int family), (name, family))
HOOK(int, gethostbyname_r,
	(const char *name, struct hostent *entry, char *buffer, size_t size, struct hostent **result,
		int *error),
	(name, entry, buffer, size, result, error))
HOOK(int, gethostbyname2_r,
	(const char *name, int family, struct hostent *entry, char *buffer, size_t size,
		struct hostent **result, int *error),
	(name, family, entry, buffer, size, result, error))
HOOK(struct hostent *, gethostbyaddr, (const void *address, socklen_t length, int family),
	(address, length, family))
HOOK(int, gethostbyaddr_r,
	(const void *address, socklen_t length, int family, struct hostent *entry, char *buffer, size_t size,
		struct hostent **result, int *error),
	(address, length, family, entry, buffer, size, result, error))

HOOK(int, res_query, (const char *name, int class, int type, unsigned char *answer, int room),
	(name, class, type, answer, room))
HOOK(int, res_search, (const char *name, int class, int type, unsigned char *answer, int room),
	(name, class, type, answer, room))
HOOK(int, res_querydomain,
	(const char *name, const char *domain, int class, int type, unsigned char *answer, int room),
	(name, domain, class, type, answer, room))
HOOK(int, res_send, (const unsigned char *query, int size, unsigned char *answer, int room),
	(query, size, answer, room))
#ifdef __GLIBC__
HOOK(int, res_nquery,
	(struct __res_state * state, const char *name, int class, int type, unsigned char *answer, int room),
	(state, name, class, type, answer, room))
HOOK(int, res_nsearch,
	(struct __res_state * state, const char *name, int class, int type, unsigned char *answer, int room),
	(state, name, class, type, answer, room))
HOOK(int, res_nquerydomain,
	(struct __res_state * state, const char *name, const char *domain, int class, int type,
		unsigned char *answer, int room),
	(state, name, domain, class, type, answer, room))
HOOK(int, res_nsend,
	(struct __res_state * state, const unsigned char *query, int size, unsigned char *answer, int room),
	(state, query, size, answer, room))
HOOK_ONLY(__res_query)
HOOK_ONLY(__res_search)
HOOK_ONLY(__res_querydomain)
HOOK_ONLY(__res_send)
HOOK_ONLY(__res_nquery)
HOOK_ONLY(__res_nsearch)
HOOK_ONLY(__res_nquerydomain)
HOOK_ONLY(__res_nsend)
#endif

#undef HOOK
#undef HOOK_ONLY
