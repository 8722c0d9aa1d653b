#include "leaving.h"

#include "attachment.h"
#include "cgroup.h"
#include "clock.h"
#include "connection.h"
#include "ending.h"
#include "executions.h"
#include "stream.h"
#include "tmpdir.h"

#include <stdlib.h>

/* How long the launcher takes to leave at most: longer than what it kills may take to die. */
#define LEAVE_LIMIT_MS (KILL_LIMIT_MS + 1500)

static bool leaving;
static int64_t leave_by_ms;
static int exit_status;

void leave(int status)
{
	if (leaving)
		return;
	leaving = true;
	leave_by_ms = now_ms() + LEAVE_LIMIT_MS;
	exit_status = status;
	connection_stop();
	executions_kill_all();
}

bool is_leaving(void)
{
	return leaving;
}

bool has_left(void)
{
	if (!leaving)
		return false;
	bool told = events_waiting() == 0 && !attachments_behind();
	return now_ms() > leave_by_ms || (executions_count() == 0 && told);
}

_Noreturn void leaving_exit(void)
{
	ending_give_back();
	cgroups_close();
	/* Nobody else removes them then. */
	if (connection_survives() && !connection_is_open()) {
		cgroups_remove();
		tmpdirs_finish();
	}
	tmpdirs_close();
	exit(exit_status);
}
