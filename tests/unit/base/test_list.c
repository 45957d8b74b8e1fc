/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings of nodes: order, removal while they are walked, and removal twice. */
#include "base/list.h"

#include "support/check.h"

struct item {
	unsigned value;
	struct list node;
};

static struct item *item_of(struct list *node)
{
	return container_of(node, struct item, node);
}

static void fill(struct list *list, struct item *items, unsigned n)
{
	list_init(list);
	for (unsigned i = 0; i < n; i++) {
		items[i].value = i;
		list_append(list, &items[i].node);
	}
}

/* The values, first digit first; both directions agree. */
static unsigned digits(struct list *list)
{
	struct list *node, *back = list->prev;
	unsigned n = 0, forwards = 0, backwards = 0, unit = 1;

	list_for_each (node, list) {
		forwards = forwards * 10 + item_of(node)->value;
		assert_true(++n < 10);
	}
	for (; back != list; back = back->prev, unit *= 10)
		backwards += item_of(back)->value * unit;
	assert_int_equal(forwards, backwards);
	return forwards;
}

static void what_was_appended_first_is_popped_first(void **state)
{
	struct item items[4];
	struct list list;

	(void)state;
	list_init(&list);
	assert_true(list_is_empty(&list));
	assert_null(list_pop(&list));
	fill(&list, items, ARRAY_SIZE(items));
	assert_false(list_is_empty(&list));
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
		struct list *node = list_pop(&list);

		assert_ptr_equal(item_of(node), &items[i]);
		/* It is in no list, and may be appended again. */
		assert_true(list_is_empty(node));
	}
	assert_true(list_is_empty(&list));
	assert_null(list_pop(&list));
	list_append(&list, &items[2].node);
	assert_int_equal(digits(&list), 2);
}

static void any_node_may_be_removed_and_twice(void **state)
{
	static const unsigned left[] = { 123, 23, 13, 12 };
	struct item items[4];
	struct list list;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
		fill(&list, items, ARRAY_SIZE(items));
		list_remove(&items[i].node);
		list_remove(&items[i].node);
		assert_true(list_is_empty(&items[i].node));
		assert_int_equal(digits(&list), left[i]);
		list_append(&list, &items[i].node);
		assert_int_equal(digits(&list) % 10, i);
	}
}

static void the_current_node_may_be_removed_in_a_safe_walk(void **state)
{
	struct list list, *node, *next;
	struct item items[5];

	(void)state;
	for (unsigned gone = 0; gone < 32; gone++) {
		unsigned seen = 0, left = 0;

		fill(&list, items, ARRAY_SIZE(items));
		list_for_each_safe (node, next, &list) {
			seen |= 1u << item_of(node)->value;
			if (gone & 1u << item_of(node)->value)
				list_remove(node);
		}
		assert_int_equal(seen, 31);
		list_for_each (node, &list)
			left |= 1u << item_of(node)->value;
		assert_int_equal(left, 31 & ~gone);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_appended_first_is_popped_first),
		cmocka_unit_test(any_node_may_be_removed_and_twice),
		cmocka_unit_test(the_current_node_may_be_removed_in_a_safe_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
