"""Step Functions: starting executions, and answering task tokens."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

#: Answers to a token that say that nobody waits for it any more: too late, answered before, or the execution is over.
_CLOSED = {"TaskTimedOut", "TaskDoesNotExist", "InvalidToken"}

#: Longest `error` and `cause`, characters. Source: botocore's service model of Step Functions, read 2026-11-20.
MAX_ERROR_CHARS, MAX_CAUSE_CHARS = 256, 32_768


class Executions:
    """The operations' state machines.

    Args:
        client: a boto3 Step Functions client.
        arn_prefix: `arn:…:stateMachine:<prefix>`; an operation's machine is that followed by its name.
    """

    def __init__(self, client: Any, arn_prefix: str) -> None:
        self._client = client
        self._arn_prefix = arn_prefix

    def start(self, operation: str, name: str, execution_input: dict[str, Any]) -> bool:
        """Start an execution; one of this name that exists already means that this was done before.

        Returns:
            Whether the execution exists now; False if Step Functions is throttling us or cannot be reached.

        Raises:
            botocore.exceptions.ClientError: the machine does not exist or our role may not start it.
        """
        try:
            self._client.start_execution(
                stateMachineArn=f"{self._arn_prefix}{operation}", name=name, input=json.dumps(execution_input)
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return True
        except BotoCoreError:
            return False
        except ClientError as error:
            if error.response["ResponseMetadata"].get("HTTPStatusCode", 500) < 500 and not _is_throttling(error):
                raise
            return False
        return True


class TaskTokens:
    """Answers state machines; an answer that nobody waits for is dropped.

    Args:
        client: a boto3 Step Functions client.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def succeed(self, token: str, output: dict[str, Any]) -> None:
        """Send a step's output."""
        self._send(self._client.send_task_success, taskToken=token, output=json.dumps(output))

    def fail(self, token: str, error_name: str, error_message: str) -> None:
        """Send a step's error."""
        self._send(
            self._client.send_task_failure,
            taskToken=token,
            error=error_name[:MAX_ERROR_CHARS],
            cause=error_message[:MAX_CAUSE_CHARS],
        )

    @staticmethod
    def _send(call: Any, **arguments: str) -> None:
        try:
            call(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _CLOSED:
                raise


def _is_throttling(error: ClientError) -> bool:
    return error.response["Error"]["Code"] in (
        "ThrottlingException",
        "TooManyRequestsException",
        "ExecutionLimitExceeded",
    )
