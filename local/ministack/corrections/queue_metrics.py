"""On AWS, SQS publishes the depth and the age of every queue, and alarms look at them every minute.

MiniStack publishes nothing for queues and looks at alarms only when a metric is put.
"""

import contextvars
import logging
import threading
import time

from ministack.core.responses import _request_account_id, _request_region
from ministack.services import cloudwatch, sqs

#: AWS does it once a minute; people who wait for an alarm in a demo or a test are less patient.
EVERY_S = 5.0

logger = logging.getLogger(__name__)


def apply() -> None:
    """Publish the queues' metrics and look at the alarms, again and again."""
    threading.Thread(target=_loop, daemon=True).start()


def _loop():
    while True:
        time.sleep(EVERY_S)
        try:
            contextvars.copy_context().run(_publish)
        except (KeyError, RuntimeError, TypeError):
            logger.exception("queue metrics")


def _publish():
    now = time.time()
    for account, region, url in list(sqs._queues._data):
        _request_account_id.set(account)
        _request_region.set(region)
        messages = list(sqs._queues[url]["messages"])
        visible = sum(message["visible_at"] <= now for message in messages)
        oldest = min((message["sent_at"] for message in messages), default=now)
        values = {
            "ApproximateNumberOfMessagesVisible": visible,
            "ApproximateNumberOfMessagesNotVisible": len(messages) - visible,
            "ApproximateAgeOfOldestMessage": int(now - oldest),
        }
        for name, value in values.items():
            cloudwatch.record_metric("AWS/SQS", name, value, "Count", {"QueueName": url.rsplit("/", 1)[-1]})
        for alarm in list(cloudwatch._alarms.values()):
            cloudwatch._evaluate_alarm(alarm)
