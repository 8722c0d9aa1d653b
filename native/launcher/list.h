/* Doubly linked lists whose nodes are members of the entries. */
#ifndef LIST_H
#define LIST_H

#include <stddef.h>

/* The struct that a member at `pointer` belongs to. */
#define container_of(pointer, type, member) ((type *)(((char *)(pointer)) - offsetof(type, member)))

struct list_node {
	struct list_node *next;
	struct list_node *previous;
};

struct list {
	struct list_node *first;
	struct list_node *last;
};

static inline void list_append(struct list *list, struct list_node *node)
{
	node->next = NULL;
	node->previous = list->last;
	*(list->last != NULL ? &list->last->next : &list->first) = node;
	list->last = node;
}

static inline void list_prepend(struct list *list, struct list_node *node)
{
	node->previous = NULL;
	node->next = list->first;
	*(list->first != NULL ? &list->first->previous : &list->last) = node;
	list->first = node;
}

static inline void list_remove(struct list *list, struct list_node *node)
{
	*(node->previous != NULL ? &node->previous->next : &list->first) = node->next;
	*(node->next != NULL ? &node->next->previous : &list->last) = node->previous;
}

#endif
