/* The files that a sandbox has in place of the host's. */
#pragma once

#include "users.h"

/* A tmpfs for them, and for folders that cover others. */
int new_generated(void);

/* Adds targets: passwd and group, and what would answer for the host's. The tmpfs is at STAGE. */
void add_users(int generated, const struct user *user);

/*
 * Mounts those of them that a sandbox has lost, given a descriptor of its mount namespace. What is mounted over a file
 * goes when the host replaces the file (rename(2)), as useradd(8) does. Ends the program where it fails.
 */
void restore_users(const struct user *user, int namespace);
