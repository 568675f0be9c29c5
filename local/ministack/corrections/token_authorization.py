"""On AWS, SendTaskSuccess and its kin are authorised against the ARN of the state machine that issued the token.

MiniStack authorises them against `*`, and so refuses roles that name their machines.
"""

import json

from ministack.core import iam_actions
from ministack.services import stepfunctions

_MACHINES: dict[str, str] = {}


def apply() -> None:
    """Remember which machine issued a token, and name it when the token is answered."""
    apply_arguments = stepfunctions._apply_jsonata_arguments
    extract = iam_actions.extract_resource_arn

    def remember(state_def, raw_input, ctx=None):
        arguments = apply_arguments(state_def, raw_input, ctx)
        token = ((ctx or {}).get("Task") or {}).get("Token")
        if token:
            _MACHINES[token] = ctx["StateMachine"]["Id"]
        return arguments

    def resource_arn(service, method, path, headers, body, *rest, **named):
        if service == "states" and b'"taskToken"' in (body or b""):
            try:
                return _MACHINES.get(json.loads(body)["taskToken"], "*")
            except (ValueError, KeyError, TypeError):
                return "*"
        return extract(service, method, path, headers, body, *rest, **named)

    stepfunctions._apply_jsonata_arguments = remember
    iam_actions.extract_resource_arn = resource_arn
