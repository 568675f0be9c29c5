"""Checks weights with the model's own loading code; runs in the models' environment, which has torch.

`python -m cdk.publishing.check <model> <path>` calls `sagemaker_models.<model>.checkpoint.check(path)`, which

- takes a `Path`, of the file or folder that the operator named,
- returns what it found, a dict that JSON can hold, such as `{"data_set": "atr", "classes": 18}`; `licences` among it
  are told to the operator (`part`, `licence`, `commercial`, `instead`); of a task's checkpoint `task`, `sha256` and
  `config` are needed; and
- raises `sagemaker_models.serving.model.WeightsInvalid` with one sentence, if these are no weights of the model.
"""

import importlib
import json
import sys
from pathlib import Path

#: Exit code of weights that the model refuses; the sentence is on standard error.
REFUSED = 3


def main(model: str, path: str) -> int:
    """Check weights; print what they are as JSON."""
    checkpoint = importlib.import_module(f"sagemaker_models.{model.replace('-', '_')}.checkpoint")
    refusal = importlib.import_module("sagemaker_models.serving.model").WeightsInvalid
    try:
        found = checkpoint.check(Path(path))
    except refusal as error:
        print(error, file=sys.stderr)
        return REFUSED
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
