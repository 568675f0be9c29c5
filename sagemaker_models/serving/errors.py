"""What can go wrong with an invocation, and the HTTP status that says who is to blame.

InvocationError
├── RequestFault        200: the request's fault; SageMaker stores the answer, and nothing retries
├── BodyRefused         400 or 413: the body is none of ours, or too long to be read
├── ServerFault         500: the model or the storage failed
└── Busy                503: too many at once, draining, still loading, or out of memory
"""


class InvocationError(Exception):
    """The root.

    Args:
        code: a word for programs; names of classes of `backlot/errors.py` where one fits.
        message: one sentence for people.
    """

    status: int

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)

    @property
    def body(self) -> dict[str, str]:
        """What the answer says under `error`."""
        return {"code": self.code, "message": str(self)}


class RequestFault(InvocationError):
    """The request cannot succeed as it stands."""

    status = 200


class BodyRefused(InvocationError):
    """The body is not a JSON object; nobody knows whose request it is."""

    status = 400


class BodyTooLong(BodyRefused):
    """The body has more bytes than the settings allow."""

    status = 413


class ServerFault(InvocationError):
    """The model raised, or the storage cannot be used."""

    status = 500


class Busy(InvocationError):
    """The server cannot take the request at this moment."""

    status = 503
