/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end with its driver, which does at random what front-ends and drivers
 * do. Every step leaves what it can be judged by; nothing that the back-end may
 * not notice is told apart from what it must.
 *
 * Thread: the driver's.
 */
#ifndef SOAK_ACTOR_H
#define SOAK_ACTOR_H

#include "scene.h"
#include "service.h"
#include "vq.h"

struct actor {
	struct scene scene;
	struct service *service;
	struct vq queues[DEVICE_QUEUES];
	uint64_t features;
	unsigned config_changes;
};

/* Connects; what the @ended sessions before had is nobody's from then on. */
void actor_open(struct actor *actor, struct service *service, struct frames *frames, unsigned ended,
                int patience_ms);
void actor_step(struct actor *actor);
/* Everything comes to its end before the connection does; or the connection alone ends. */
void actor_finish(struct actor *actor);
void actor_drop(struct actor *actor);

#endif
