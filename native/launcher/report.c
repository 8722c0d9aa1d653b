#include "report.h"

#include "clock.h"
#include "stream.h"

void report_started(const struct execution *execution)
{
	if (!execution->attached)
		return;
	const struct started_event started = { (uint32_t)execution->pid, 0 };
	event_put(FRAME_STARTED, execution_id(execution), &started, sizeof started);
}

static uint64_t age_us(const struct execution *execution)
{
	return (uint64_t)(now_us() - execution->requested_us);
}

void report_over(struct execution *execution)
{
	execution_note_over(execution);
	execution->duration_us = age_us(execution);
	if (execution->attached && !execution->behind)
		report_end(execution);
	/* One whose connection has ended is known no more already. */
	if (!execution_is_kept(execution) && execution->known)
		execution_forget(execution);
}

void report_end(const struct execution *execution)
{
	uint64_t id = execution_id(execution);
	const struct survivors *survivors = &execution->survivors;
	uint32_t told = survivors->count < SURVIVORS_TOLD_MAX ? survivors->count : SURVIVORS_TOLD_MAX;
	size_t size = told * sizeof(uint32_t);
	if (execution->failure.step != 0) {
		struct failed_event failed = execution->failure;
		failed.cause = execution->cause;
		event_put_parts(FRAME_FAILED, id, &failed, sizeof failed, survivors->pids, size);
		return;
	}
	struct ended_event ended = execution->end;
	ended.duration_us = execution->duration_us;
	ended.survivors = survivors->count;
	ended.cause = execution->cause;
	event_put_parts(FRAME_ENDED, id, &ended, sizeof ended, survivors->pids, size);
}

static enum listed_state listed_state(const struct execution *execution)
{
	if (execution->over)
		return LISTED_ENDED;
	return execution_has_run(execution) ? LISTED_RUNNING : LISTED_STARTING;
}

static void list(struct execution *execution)
{
	const struct listed_event listed = {
		.kept = execution_is_kept(execution) ? execution->kept.from : execution->output_length,
		.offset = execution->output_length,
		.age_ms = (execution->over ? execution->duration_us : age_us(execution)) / 1000,
		.pid = execution_has_run(execution) ? (uint32_t)execution->pid : 0,
		.state = listed_state(execution),
		.cause = execution->cause,
		.flags = execution->flags,
	};
	event_put_parts(FRAME_LISTED, execution_id(execution), &listed, sizeof listed, execution->note,
			execution->note_size);
}

void report_list(uint64_t id)
{
	executions_each(list);
	event_put(FRAME_LIST_END, id, NULL, 0);
}
