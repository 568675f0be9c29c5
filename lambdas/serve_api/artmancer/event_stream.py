"""Server-sent events through a gateway that cannot stream: the events so far, in one answer."""

import json
from collections.abc import Iterable
from typing import Any

from aws_lambda_powertools.event_handler import Response

#: After how long an EventSource comes again, milliseconds.
RETRY_MS = 1000


def event_stream(events: Iterable[tuple[str, dict[str, Any]]]) -> Response[str]:
    """Answer with events.

    An event's id stands behind it in a block of its own, which sets it as well: readers that old clients have made
    themselves take a block for an event only if it begins with `data:`, and all of it for JSON.

    Args:
        events: ids and bodies. What an EventSource sends as `Last-Event-ID` is the last of the ids.

    Source: WHATWG HTML, 9.2.6, read 2026-11-21.
    """
    blocks = [f"retry: {RETRY_MS}"]
    for number, body in events:
        blocks += [f"data: {json.dumps(body, ensure_ascii=False)}", f"id: {number}"]
    text = "".join(f"{block}\n\n" for block in blocks)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return Response(200, content_type="text/event-stream", body=text, headers=headers)
