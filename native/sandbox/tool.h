/* Other programs: those that make and check file systems. */
#pragma once

#include <stdbool.h>

/* What one may say before it is cut. */
#define TOOL_TEXT_MAX 512

/*
 * Runs a program of the system until its end, and answers its exit code. `text` is the last line that it has said, if
 * any. Ends the program where it cannot be started or does not end.
 */
int run_tool(const char *const arguments[], char text[TOOL_TEXT_MAX]);
