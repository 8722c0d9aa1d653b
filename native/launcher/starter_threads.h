/*
 * Threads that start children while the thread that serves goes on. They are made when they are needed, and run until the
 * launcher exits: a child dies with the thread that has started it (PR_SET_PDEATHSIG).
 */
#ifndef STARTER_THREADS_H
#define STARTER_THREADS_H

#include "child.h"

/* Before the first child. False with errno. */
bool starter_threads_open(void);

/* Has another thread start a child. False where no thread is idle, and none can be made. */
bool starter_threads_hand_over(struct child *child);

/* Hands back a child whose start is done. On any thread. */
void starter_threads_hand_back(struct child *child);

/* A descriptor that is readable while a child has been handed back. */
int starter_threads_events(void);

/* The next child that has been handed back; NULL where there is none. For one thread at a time. */
struct child *starter_threads_next(void);

#endif
