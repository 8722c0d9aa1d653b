#ifndef FAIL_H
#define FAIL_H

/* Writes one line to stderr, which the benches read, and ends this process: the first failure is the result. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
