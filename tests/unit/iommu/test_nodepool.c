/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for nodes: nobody else's, kept as it is, given back. */
#include "iommu/nodepool.h"

#include <stdlib.h>
#include <string.h>

#include "support/check.h"

#define NODES 9000u /* of five parts */

struct user {
	struct nodepool pool;
	unsigned char *nodes[NODES];
};

static struct user *user_new(void)
{
	struct user *user = calloc(1, sizeof(*user));

	assert_non_null(user);
	nodepool_init(&user->pool);
	return user;
}

static void user_free(struct user *user)
{
	nodepool_done(&user->pool);
	free(user);
}

/* Whose node it is, in each of its bytes that could be another's. */
static void sign(unsigned char *node, unsigned owner)
{
	memset(node, (int)(owner % 251), NODEPOOL_SIZE);
	memcpy(node, &owner, sizeof(owner));
}

static void expect_signed(const unsigned char *node, unsigned owner)
{
	unsigned found;

	memcpy(&found, node, sizeof(found));
	assert_int_equal(found, owner);
	for (unsigned i = sizeof(found); i < NODEPOOL_SIZE; i += 60)
		assert_int_equal(node[i], owner % 251);
	assert_int_equal(node[NODEPOOL_SIZE - 1], owner % 251);
}

static void take(struct user *user, unsigned i)
{
	assert_int_equal(nodepool_reserve(&user->pool, 1), 0);
	user->nodes[i] = nodepool_take(&user->pool);
	assert_int_equal((uintptr_t)user->nodes[i] % NODEPOOL_SIZE, 0);
	sign(user->nodes[i], i);
}

static void drop(struct user *user, unsigned i)
{
	expect_signed(user->nodes[i], i);
	nodepool_drop(&user->pool, user->nodes[i]);
	user->nodes[i] = NULL;
}

static void each_node_is_of_one_owner(void **state)
{
	struct user *user = user_new();

	srand(1);
	for (unsigned i = 0; i < NODES; i++)
		take(user, i);
	for (unsigned step = 0; step < 10 * NODES; step++) {
		unsigned i = (unsigned)rand() % NODES;

		if (user->nodes[i])
			drop(user, i);
		else
			take(user, i);
	}
	for (unsigned i = 0; i < NODES; i++)
		if (user->nodes[i])
			drop(user, i);
	user_free(user);
}

static void what_is_reserved_can_be_taken(void **state)
{
	struct user *user = user_new();
	unsigned parts;

	assert_int_equal(nodepool_reserve(&user->pool, NODES), 0);
	parts = user->pool.n_parts;
	for (unsigned i = 0; i < NODES; i++)
		user->nodes[i] = nodepool_take(&user->pool);
	assert_int_equal(user->pool.n_parts, parts);
	/* With nodes that were not dropped. */
	user_free(user);
}

static void parts_that_are_empty_go(void **state)
{
	/* In the order in which they were taken, against it, and in none. */
	for (unsigned order = 0; order < 3; order++) {
		struct user *user = user_new();
		unsigned most;

		for (unsigned i = 0; i < NODES; i++)
			take(user, i);
		most = user->pool.n_parts;
		assert_true(most > 2);
		for (unsigned i = 0; i < NODES; i++)
			drop(user, order == 0   ? i
			           : order == 1 ? NODES - 1 - i
			                        : (unsigned)(i * UINT64_C(7919) % NODES));
		assert_int_equal(user->pool.n_parts, 1);
		for (unsigned i = 0; i < NODES; i++)
			take(user, i);
		assert_int_equal(user->pool.n_parts, most);
		user_free(user);
	}
}

static void who_takes_and_drops_by_turns_keeps_the_parts_there_are(void **state)
{
	struct user *user = user_new();
	unsigned parts, n = 0;

	do
		take(user, n++);
	while (user->pool.n_free || user->pool.n_parts < 2);
	parts = user->pool.n_parts;
	take(user, n);
	for (unsigned i = 0; i < 10; i++) {
		drop(user, n);
		assert_int_equal(user->pool.n_parts, parts + 1);
		take(user, n);
	}
	user_free(user);
}

static void large_pages_change_nothing_that_is_there(void **state)
{
	struct user *user = user_new();

	for (unsigned i = 0; i < NODES / 3; i++)
		take(user, i);
	assert_false(user->pool.large);
	nodepool_enlarge(&user->pool);
	for (unsigned i = NODES / 3; i < NODES; i++)
		take(user, i);
	for (unsigned i = 0; i < NODES; i++)
		drop(user, i);
	user_free(user);
}

static void many_parts_are_large(void **state)
{
	struct user *user = user_new();

	for (unsigned i = 0; i < NODES; i++)
		take(user, i);
	assert_true(user->pool.large);
	user_free(user);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_node_is_of_one_owner),
		cmocka_unit_test(what_is_reserved_can_be_taken),
		cmocka_unit_test(parts_that_are_empty_go),
		cmocka_unit_test(who_takes_and_drops_by_turns_keeps_the_parts_there_are),
		cmocka_unit_test(large_pages_change_nothing_that_is_there),
		cmocka_unit_test(many_parts_are_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
