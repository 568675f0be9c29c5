"""HTTP status codes of our errors: chosen here and nowhere else."""

from http import HTTPStatus

from backlot.errors import (
    ApiKeyMissing,
    BacklotError,
    CallerError,
    IdempotencyKeyReused,
    NotDeployed,
    NotStarted,
    OperationNotFound,
    QueueFull,
    RequestTooLarge,
    TaskHasEnded,
    TaskNotFailed,
    TaskNotFound,
    TransientError,
)

#: The first class that matches decides.
_STATUS: tuple[tuple[type[BacklotError], HTTPStatus], ...] = (
    (ApiKeyMissing, HTTPStatus.FORBIDDEN),
    (RequestTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (TaskNotFound, HTTPStatus.NOT_FOUND),
    (OperationNotFound, HTTPStatus.NOT_FOUND),
    (IdempotencyKeyReused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (TaskHasEnded, HTTPStatus.CONFLICT),
    (TaskNotFailed, HTTPStatus.CONFLICT),
    (QueueFull, HTTPStatus.TOO_MANY_REQUESTS),
    (NotDeployed, HTTPStatus.SERVICE_UNAVAILABLE),
    (CallerError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotStarted, HTTPStatus.SERVICE_UNAVAILABLE),
    (TransientError, HTTPStatus.SERVICE_UNAVAILABLE),
    (BacklotError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


def http_status(error: BacklotError) -> int:
    """Return the status with which an error is answered."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))
