/* What the launcher has inherited from the agent and the agent's own parent. */
#ifndef INHERITANCE_H
#define INHERITANCE_H

/*
 * Closes descriptors, resets and blocks signals, and raises the limit of descriptors to the hard limit, so that nothing of
 * what a parent has set up reaches a function. Makes the process a subreaper. First of all.
 */
void inheritance_shed(void);

#endif
