#include "attachment.h"

#include "output.h"
#include "report.h"
#include "stream.h"

/* In turn, a piece of each. */
static struct list behind;

static void set_behind(struct execution *execution, bool is_behind)
{
	if (execution->behind == is_behind)
		return;
	execution->behind = is_behind;
	if (is_behind)
		list_append(&behind, &execution->behind_node);
	else
		list_remove(&behind, &execution->behind_node);
}

bool attachment_begin(struct execution *execution, uint64_t offset)
{
	if (!execution_is_kept(execution) || execution->attached)
		return false;
	if (offset < execution->kept.from || offset > execution->output_length)
		return false;
	execution->attached = true;
	if (execution_has_run(execution))
		report_started(execution);
	output_release(execution, offset - execution->kept.from);
	execution->output_sent = offset;
	if (offset < execution->output_length)
		set_behind(execution, true);
	else if (execution->over)
		report_end(execution);
	return true;
}

void attachment_end(struct execution *execution)
{
	execution->attached = false;
	execution->output_sent = execution->kept.from;
	set_behind(execution, false);
}

bool attachments_behind(void)
{
	return behind.first != NULL;
}

static void send_piece(struct execution *execution)
{
	const unsigned char *bytes;
	const struct output_event output = { execution->output_sent };
	size_t length = kept_at(&execution->kept, execution->output_sent, &bytes);
	event_put_parts(FRAME_OUTPUT, execution_id(execution), &output, sizeof output, bytes, length);
	execution->output_sent += length;
	/* To the end of the list, or out of it. */
	set_behind(execution, false);
	if (execution->output_sent < execution->output_length)
		set_behind(execution, true);
	else if (execution->over)
		report_end(execution);
}

void attachments_catch_up(size_t waiting_max)
{
	while (behind.first != NULL && events_waiting() < waiting_max)
		send_piece(container_of(behind.first, struct execution, behind_node));
}
