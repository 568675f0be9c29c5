"""The same model behind LitServe: `python -m bench.serving_litserve <class> <weights> <port> <workers>`."""

import base64
import sys
from pathlib import Path
from typing import Any

import litserve

from sagemaker_models.serving.model import Outputs, Request, model_of


class Api(litserve.LitAPI):  # type: ignore[misc]
    """What our server does with a request, in LitServe's steps."""

    def __init__(self, path: str, weights: Path) -> None:
        super().__init__()
        self._path = path
        self._weights = weights

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's own
        """Load the model, in each worker."""
        self._model = model_of(self._path)
        self._model.load(self._weights)

    def decode_request(self, request: dict[str, Any]) -> Request:
        """Take the picture and the parameters out of the body."""
        image = base64.b64decode(request["inputs"]["image"]["base64"])
        return Request({"image": image}, self._model.Parameters(**request["parameters"]), request["id"])

    def predict(self, request: Request) -> Any:
        """Run the model."""
        return self._model.run([request])[0]

    def encode_response(self, output: Outputs) -> dict[str, Any]:
        """Put the outputs into the answer."""
        files = {name: base64.b64encode(file.body).decode() for name, file in output.files.items()}
        return {"outputs": files, "values": output.values}


def main() -> None:
    """Serve until stopped."""
    path, weights, port, workers = sys.argv[1:]
    api = Api(path, Path(weights))
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(workers), timeout=60)
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
