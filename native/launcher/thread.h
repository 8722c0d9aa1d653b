/* Threads that run until the process exits: none is ever joined. */
#ifndef THREAD_H
#define THREAD_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Starts a thread with a stack of so many bytes; false with errno. */
static inline bool start_thread(void *(*run)(void *), size_t stack)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, stack);
	errno = pthread_create(&thread, &attributes, run, NULL);
	pthread_attr_destroy(&attributes);
	return errno == 0;
}

#endif
