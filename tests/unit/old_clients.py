"""The API as clients of the replaced image server use it: tasks end as soon as they are begun, with a picture."""

import base64
import io
from typing import Any

from PIL import Image

from backlot.tasks import MadeImage, Status, StepOutput
from tests.unit.api import CONTEXT, Answer, Api, event
from tests.unit.pictures import opened, saved
from tests.unit.work import CDN

BOUNDARY = "edge-of-part"


def in_base64(picture: Image.Image) -> str:
    return base64.b64encode(saved(picture, "PNG")).decode()


def from_base64(text: str) -> Image.Image:
    return opened(base64.b64decode(text))


class Worker:
    """Ends each task of an API at its start.

    Args:
        result: the bytes that every task makes.
        ended: fields of the record in which every task ends instead.
    """

    def __init__(self, api: Api, result: bytes = b"", **ended: Any) -> None:
        self._api, self._result, self._ended = api, result, ended
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def start(self, operation: str, name: str, execution_input: dict[str, Any]) -> bool:
        self.requests.append((operation, execution_input["request"]))
        key = f"images/{name}.png"
        self._api.objects.kept[key] = self._result
        image = MadeImage(result_url=f"{CDN}/{key}", width=8, height=8, content_type="image/png")
        step = StepOutput(step="find-mask", images=[image], provider="sagemaker", model="segment", cost=[], detail={})
        ended = self._ended or {"status": Status.COMPLETED, "steps": [step], "result_url": image.result_url}
        self._api.tasks.kept[name] = self._api.tasks.kept[name].model_copy(update=ended)
        return True


def working(api: Api, result: bytes = b"", **ended: Any) -> Worker:
    """Let an API's tasks be worked on."""
    worker = Worker(api, result, **ended)
    api.executions.start = worker.start
    return worker


def post_form(api: Api, path: str, fields: dict[str, str], file: bytes | None, kind: str = "image/png") -> Answer:
    """Post a form with a file called `file`."""
    body = io.BytesIO()
    for name, value in fields.items():
        text = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        body.write(text.encode())
    if file is not None:
        head = f'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: {kind}\r\n\r\n'
        body.write(f"--{BOUNDARY}\r\n{head}".encode() + file + b"\r\n")
    body.write(f"--{BOUNDARY}--\r\n".encode())
    sent = event("POST", path, headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    sent |= {"body": base64.b64encode(body.getvalue()).decode(), "isBase64Encoded": True}
    answer = api.app.resolve(sent, CONTEXT)
    headers = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    return Answer(answer["statusCode"], {**headers, "is-base64": str(answer["isBase64Encoded"])}, answer["body"])
