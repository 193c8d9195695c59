/* SPDX-License-Identifier: MIT */
#include "cancel.h"

__thread int cancel_state, in_vfork_child;
