"""A bare model, called without any server: `python -m bench.serving_bare <class> <weights> <picture>`.

Each line of its input, `<how many> <at a time>`, is answered by a line of JSON with what calls took, milliseconds, and
how long all of them took together, seconds.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sagemaker_models.serving.model import Request, model_of


def main() -> None:
    """Answer lines until there are no more."""
    path, weights, picture = sys.argv[1:]
    model = model_of(path)
    model.load(Path(weights))
    request = Request({"image": Path(picture).read_bytes()}, model.Parameters(), "bench")

    def calls(count: int) -> list[float]:
        took = []
        for _ in range(count):
            began = time.perf_counter()
            model.run([request])
            took.append((time.perf_counter() - began) * 1000)
        return took

    with ThreadPoolExecutor(16) as threads:
        sys.stdout.write('"ready"\n')
        sys.stdout.flush()
        for line in sys.stdin:
            count, at_a_time = (int(word) for word in line.split())
            began = time.perf_counter()
            shares = threads.map(calls, [count // at_a_time] * at_a_time)
            took = [ms for share in shares for ms in share]
            sys.stdout.write(json.dumps({"ms": took, "seconds": time.perf_counter() - began}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
