"""On AWS, the request context of a REST API names the API key that let the request in.

MiniStack checks the key and does not say which it was, so that a function cannot tell its callers apart.
"""

import ministack.services.apigateway_v1 as api_gateway


def apply() -> None:
    """Add `apiKeyId` and `apiKey` to the request context."""
    build = api_gateway._build_lambda_event_v1

    def build_with_key(api_id, stage_name, stage, resource, request_path, method, headers, *rest, **named):
        event = build(api_id, stage_name, stage, resource, request_path, method, headers, *rest, **named)
        key = api_gateway._resolve_api_key(api_gateway._api_key_from_request(headers))
        if key:
            event["requestContext"]["identity"].update(apiKeyId=key["id"], apiKey=key["value"])
        return event

    api_gateway._build_lambda_event_v1 = build_with_key
