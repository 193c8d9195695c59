/* SPDX-License-Identifier: MIT */
/* For what tests preload behind the library. */
#ifndef IP2VSOCK_TESTS_NEXT_H
#define IP2VSOCK_TESTS_NEXT_H

#include <dlfcn.h>

/* The next function of that name, libc's. */
#define NEXT(name)                                                                                           \
	({                                                                                                   \
		static __typeof__(name) *found;                                                              \
		if (!found)                                                                                  \
			found = dlsym(RTLD_NEXT, #name);                                                     \
		found;                                                                                       \
	})

#endif
