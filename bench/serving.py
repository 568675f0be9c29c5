"""What a server adds to a model: ours and LitServe's around the same model, beside the model alone, in turns.

`python -m bench.serving [--model package.module:Class] [--weights folder] [--python .build/models/bin/python]`. All
three run in processes of the same interpreter with the packages of `.build/bench`; the calls come from this one. A
round asks each of the three for its calls, one by one and then four at a time; what is told is the median of the
rounds.
"""

import argparse
import base64
import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from bench.figures import Figure, Section, Table, p50, p90
from local.demo import PORTRAITS
from local.environment import inherited
from local.place import ROOT, free_ports

PICTURE = PORTRAITS / "grace_hopper.jpg"
CONVOLUTION = "bench.serving_models:Convolution"

BENCH_PYTHON = ROOT / ".build" / "bench" / "bin" / "python"

#: Bars: what ours may add to a call, and which part of the model's own throughput it may cost.
ADDED_BAR_MS, LOST_BAR_PERCENT = 3.0, 5.0

AT_A_TIME = 4
ROUNDS = 10

#: A round's calls of one contestant take about this long, seconds, but are at least so many.
ROUND_S, FEWEST = 1.0, 8

#: Everybody has started in this time, seconds.
START_S = 120.0


@dataclass(frozen=True)
class Calls:
    """What a round's calls took.

    Args:
        ms: each.
        seconds: all together.
    """

    ms: list[float]
    seconds: float

    @property
    def per_second(self) -> float:
        """How many were done in a second."""
        return len(self.ms) / self.seconds


#: Makes so many calls, so many at a time.
Contestant = Callable[[int, int], Calls]


def measure_serving(
    model: str = CONVOLUTION, weights: Path = Path(), python: Path = BENCH_PYTHON, name: str = "convolution"
) -> Section:
    """Measure the model alone, our server and LitServe.

    Args:
        model: class of the model.
        weights: folder of its weights.
        python: interpreter that runs all three.
        name: of the model, as requests call it.
    """
    with ExitStack() as stack:
        contestants: dict[str, Contestant] = {
            "the model alone": stack.enter_context(_bare(python, model, weights)),
            "our server": stack.enter_context(_ours(python, model, weights, name)),
            "LitServe": stack.enter_context(_litserve(python, model, weights, name)),
        }
        one_by_one: dict[str, list[Calls]] = {each: [] for each in contestants}
        together: dict[str, list[Calls]] = {each: [] for each in contestants}
        first = contestants["the model alone"](FEWEST, 1)
        count = max(FEWEST, round(ROUND_S / (p50(first.ms) / 1000)) // AT_A_TIME * AT_A_TIME)
        for each in contestants.values():
            each(FEWEST, AT_A_TIME)
        for _ in range(ROUNDS):
            for who, call in contestants.items():
                one_by_one[who].append(call(count, 1))
            for who, call in contestants.items():
                together[who].append(call(count, AT_A_TIME))
    return _section(model, count, one_by_one, together)


def _section(model: str, count: int, one_by_one: dict[str, list[Calls]], together: dict[str, list[Calls]]) -> Section:
    bare, ours, theirs = one_by_one
    figures = []
    for who, bar_ms, bar_percent in ((ours, ADDED_BAR_MS, LOST_BAR_PERCENT), (theirs, None, None)):
        added = [
            p50(served.ms) - p50(alone.ms) for served, alone in zip(one_by_one[who], one_by_one[bare], strict=True)
        ]
        lost = [
            100 * (1 - served.per_second / alone.per_second)
            for served, alone in zip(together[who], together[bare], strict=True)
        ]
        figures.append(Figure(f"{who}: added to a call, p50", statistics.median(added), "ms", bar_ms))
        lost_name = f"{who}: throughput lost at {AT_A_TIME} at a time"
        figures.append(Figure(lost_name, statistics.median(lost), "%", bar_percent))
    rows = [
        (
            who,
            p50([ms for calls in one_by_one[who] for ms in calls.ms]),
            p90([ms for calls in one_by_one[who] for ms in calls.ms]),
            statistics.median(calls.per_second for calls in together[who]),
        )
        for who in one_by_one
    ]
    columns = ("", "one by one: p50 ms", "p90 ms", f"{AT_A_TIME} at a time: calls/s")
    title = f"{ROUNDS} rounds of {count} calls each, in turns"
    return Section(f"Serving {model.rsplit(':', 1)[-1]}", figures, [Table(title, columns, rows)])


@contextmanager
def _bare(python: Path, model: str, weights: Path) -> Iterator[Contestant]:
    with _process(python, "bench.serving_bare", model, str(weights), str(PICTURE), is_asked=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout
        _line(answers)

        def call(count: int, at_a_time: int) -> Calls:
            questions.write(f"{count} {at_a_time}\n")
            questions.flush()
            return Calls(**json.loads(_line(answers)))

        yield call
        questions.close()


@contextmanager
def _ours(python: Path, model: str, weights: Path, name: str) -> Iterator[Contestant]:
    (port,) = free_ports("bench-serving-ours", 1)
    arguments = ["serve", "--model", model, "--weights", str(weights), "--host", "127.0.0.1", "--port", str(port)]
    with _process(python, "sagemaker_models.serving", *arguments, MAX_CONCURRENT=str(AT_A_TIME)):
        _await(port, "/ping")
        yield _over_http(port, "/invocations", name)


@contextmanager
def _litserve(python: Path, model: str, weights: Path, name: str) -> Iterator[Contestant]:
    (port,) = free_ports("bench-serving-litserve", 1)
    with _process(python, "bench.serving_litserve", model, str(weights), str(port), str(AT_A_TIME)):
        _await(port, "/health")
        yield _over_http(port, "/predict", name)


@contextmanager
def _process(
    python: Path, module: str, *arguments: str, is_asked: bool = False, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    # The interpreter of the models has no server's packages; those of the bench come behind its own.
    added = next((BENCH_PYTHON.parent.parent / "lib").glob("python*/site-packages"))
    pipe = subprocess.PIPE if is_asked else None
    process = subprocess.Popen(
        [str(python), "-m", module, *arguments],
        cwd=ROOT,
        env=inherited() | {"PYTHONPATH": f"{ROOT}:{added}", "AWS_DEFAULT_REGION": "us-east-1"} | variables,
        stdin=pipe,
        stdout=pipe or subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        # LitServe's workers outlive the process that they are of.
        workers = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(30)
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()


def _over_http(port: int, path: str, name: str) -> Contestant:
    """Return a contestant that is asked over one connection for each of those at a time."""
    body = json.dumps(
        {
            "id": "bench",
            "model": name,
            "inputs": {"image": {"base64": base64.b64encode(PICTURE.read_bytes()).decode()}},
            "parameters": {},
        }
    )
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(AT_A_TIME)]
    threads = ThreadPoolExecutor(AT_A_TIME)

    def ask(connection: http.client.HTTPConnection, count: int) -> list[float]:
        took = []
        for _ in range(count):
            began = time.perf_counter()
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            told = json.loads(answer.read())
            if answer.status != http.client.OK or "outputs" not in told:
                raise RuntimeError(f"{path} answered {answer.status}: {told}")
            took.append((time.perf_counter() - began) * 1000)
        return took

    def call(count: int, at_a_time: int) -> Calls:
        for connection in connections:
            # LitServe drops connections that were idle while others were measured.
            connection.close()
            connection.connect()
        began = time.perf_counter()
        shares = threads.map(ask, connections[:at_a_time], [count // at_a_time] * at_a_time)
        return Calls([ms for share in shares for ms in share], time.perf_counter() - began)

    return call


def _await(port: int, path: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise RuntimeError(f"nothing answers {path} on port {port} after {START_S:.0f} s")


def _line(answers: IO[str]) -> str:
    line = answers.readline()
    if not line:
        raise RuntimeError("the model alone has ended")
    return line


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description="Measures the model server.")
    parser.add_argument("--model", default=CONVOLUTION, help="package.module:Class")
    parser.add_argument("--weights", type=Path, default=Path(), help="folder of the model's weights")
    parser.add_argument("--python", type=Path, default=BENCH_PYTHON, help="interpreter with the model's packages")
    parser.add_argument("--name", default="convolution", help="what the model is called")
    options = parser.parse_args()
    section = measure_serving(options.model, options.weights.resolve(), options.python.absolute(), options.name)
    sys.stdout.write("\n".join(section.lines()) + "\n")


if __name__ == "__main__":
    main()
