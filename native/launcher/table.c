#include "table.h"

#include "memory.h"

#include <stdlib.h>

#define FIRST_SIZE 256

static struct hash_node **bucket(const struct table *table, uint64_t key)
{
	/* Fibonacci hashing: ids and pids are consecutive, or multiples of something. */
	return &table->buckets[(key * 0x9e3779b97f4a7c15u >> 32) & (table->size - 1)];
}

static void grow(struct table *table)
{
	struct table larger = { NULL, table->size == 0 ? FIRST_SIZE : 2 * table->size, table->count };
	larger.buckets = calloc(larger.size, sizeof(struct hash_node *));
	if (larger.buckets == NULL)
		out_of_memory();
	for (size_t i = 0; i < table->size; i++) {
		for (struct hash_node *node = table->buckets[i], *next; node != NULL; node = next) {
			next = node->next;
			struct hash_node **to = bucket(&larger, node->key);
			node->next = *to;
			*to = node;
		}
	}
	free(table->buckets);
	*table = larger;
}

struct hash_node *table_find(const struct table *table, uint64_t key)
{
	if (table->size == 0)
		return NULL;
	struct hash_node *node = *bucket(table, key);
	while (node != NULL && node->key != key)
		node = node->next;
	return node;
}

void table_add(struct table *table, struct hash_node *node, uint64_t key)
{
	if (table->count >= table->size)
		grow(table);
	table->count++;
	node->key = key;
	struct hash_node **to = bucket(table, key);
	node->next = *to;
	*to = node;
}

void table_remove(struct table *table, struct hash_node *node)
{
	struct hash_node **from = bucket(table, node->key);
	while (*from != node)
		from = &(*from)->next;
	*from = node->next;
	table->count--;
}

void table_each(const struct table *table, void (*visit)(struct hash_node *node))
{
	for (size_t i = 0; i < table->size; i++) {
		for (struct hash_node *node = table->buckets[i], *next; node != NULL; node = next) {
			next = node->next;
			visit(node);
		}
	}
}
