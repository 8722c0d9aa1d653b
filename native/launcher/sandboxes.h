/*
 * Sandboxes of functions. A sandbox is a mount and an IPC namespace, and a network namespace where functions have none of
 * the node's. It is made once for a function, by a program of its own (native/sandbox), and each of its executions joins
 * it. It lasts as long as a launcher holds its descriptors. Launchers share it: see sandbox_registry.h.
 *
 * It is clean when the first execution of its function starts: a few small files in /tmp are removed after the last one.
 * Where that has left anything else in its temporary files or its IPC namespace, it is given up, and the next execution
 * gets a new one.
 */
#ifndef SANDBOXES_H
#define SANDBOXES_H

#include "sandbox_maker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sandbox;

/* A SANDBOXES request. False where it breaks the protocol. */
bool sandboxes_configure(const unsigned char *payload, size_t length);

/* The sandbox of the function of that user and name, for one execution. NULL with errno. */
struct sandbox *sandbox_take(uint32_t uid, const char *function);

/* Of one that has been taken. */
const struct namespaces *sandbox_namespaces(const struct sandbox *sandbox);

/* Where its executions' temporary folders are made; NULL: with those of the node. */
struct tmpdirs *sandbox_tmpdirs(const struct sandbox *sandbox);

/* What its function has used up, of enum used_up. */
uint16_t sandbox_used_up(const struct sandbox *sandbox);

/*
 * The execution has ended. `survives`: a process of it is alive, and may still write. After the last one in all launchers
 * nobody else gets the sandbox until sandboxes_tidy.
 */
void sandbox_leave(struct sandbox *sandbox, bool survives);

/* Cleans those that have been left, once the temporary folders of their executions have been given back. */
void sandboxes_tidy(void);

#endif
