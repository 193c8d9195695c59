/* SPDX-License-Identifier: MIT */
/* Service links: Kubernetes describes the services of a namespace in the environment of its pods, in
 * variables that begin with the service's name (pkg/kubelet/envvars, the same from 1.0 to 1.34). Those of a
 * service called ip2vsock, or ip2vsock-something, look like settings of ours. Pure: no allocation, no errno.
 */
#ifndef IP2VSOCK_LINKS_H
#define IP2VSOCK_LINKS_H

#include <stdbool.h>

/* Whether "NAME=value" has one of their forms, in the name and in the value. */
bool is_service_link(const char *assignment);

#endif
