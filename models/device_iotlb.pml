/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The promise of the device IOTLB (docs/iotlb.md, I2), its order of replies and
 * its wake-ups, as a model that Spin searches through. docs/model.md says what is
 * modelled, what is not, and how to run it; "scripts/model" is what runs it.
 *
 * Processes: a front-end and its drivers (frontend.pml), the session thread
 * (session.pml), one worker with one queue each (worker.pml). A statement here is
 * what no other thread can see the middle of there.
 */
#include "scenarios.pml"
#include "shared.pml"
#include "queue.pml"
#include "worker.pml"
#include "pending.pml"
#include "session.pml"
#include "frontend.pml"

init {
	byte tmp;

	atomic {
		for (tmp : 0 .. PAGES - 1) {
			mapped[tmp] = true;
			if
			:: HAS(KNOWN, tmp) -> map[tmp] = 1
			:: else
			fi
		}
		run session();
		for (tmp : 0 .. QUEUES - 1) {
			lanes[tmp].avail = (DRIVERS -> 0 : REQUESTS);
			run worker(tmp);
			run driver(tmp)
		}
		run frontend();
	}
}
