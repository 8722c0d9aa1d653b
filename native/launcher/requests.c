#include "requests.h"

#include "attachment.h"
#include "executions.h"
#include "leaving.h"
#include "output.h"
#include "report.h"
#include "sandboxes.h"
#include "starting.h"

#include <string.h>

static bool handle_kill(struct execution *execution, const struct frame *frame, const unsigned char *payload)
{
	uint32_t cause;
	if (frame->length != sizeof cause)
		return false;
	memcpy(&cause, payload, sizeof cause);
	if (execution != NULL)
		execution_kill(execution, cause);
	return true;
}

/* A request whose payload is a number of bytes. */
static bool handle_number(bool (*handle)(struct execution *execution, uint64_t number), struct execution *execution,
			  const struct frame *frame, const unsigned char *payload)
{
	uint64_t number;
	if (frame->length != sizeof number)
		return false;
	memcpy(&number, payload, sizeof number);
	return execution == NULL || handle(execution, number);
}

static bool handle_list(const struct frame *frame)
{
	if (frame->length != 0)
		return false;
	report_list(frame->id);
	return true;
}

static bool handle_forget(struct execution *execution, const struct frame *frame)
{
	if (frame->length != 0)
		return false;
	if (execution == NULL)
		return true;
	/* One without START_KEPT is known no more once it is over. */
	if (!execution->over)
		return false;
	attachment_end(execution);
	output_forget(execution);
	execution_forget(execution);
	return true;
}

static bool handle_leave(const struct frame *frame)
{
	if (frame->length != 0)
		return false;
	leave(0);
	return true;
}

bool request_handle(const struct frame *frame, const unsigned char *payload)
{
	/* After LEAVE nothing is served. */
	if (is_leaving())
		return true;
	struct execution *execution = execution_find(frame->id);
	switch (frame->type) {
	case FRAME_START: return execution == NULL && starting_request(frame->id, payload, frame->length);
	case FRAME_KILL: return handle_kill(execution, frame, payload);
	case FRAME_CREDIT: return handle_number(output_credit, execution, frame, payload);
	case FRAME_LIST: return handle_list(frame);
	case FRAME_ATTACH: return handle_number(attachment_begin, execution, frame, payload);
	case FRAME_FORGET: return handle_forget(execution, frame);
	case FRAME_LEAVE: return handle_leave(frame);
	case FRAME_SANDBOXES: return sandboxes_configure(payload, frame->length);
	default: return false;
	}
}
