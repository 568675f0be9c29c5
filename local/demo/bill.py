"""The table of a task's steps, and what it would have cost."""

import json
from typing import Any

from backlot import pricing
from backlot.operations import Lane
from cdk.gpu_config import Gpu
from local.demo.client import Report

#: The provider of steps that ask a model of our own.
SAGEMAKER = "sagemaker"

#: Memory of the paid lane's worker, GB; see `cdk.config.Worker`.
WORKER_GB = 2.0


def describe(report: Report) -> list[str]:
    """Return the table of the steps and the bill."""
    task, steps = report.task, report.task["result"]["steps"]
    columns = ("queued_s", "fetch_s", "provider_s", "image_s", "store_s", "processing_s")
    lines = ["", f"  {'step':<20}" + "".join(f"{name.removesuffix('_s'):>12}" for name in columns) + "   model"]
    for step in steps:
        times = "".join(f"{step['timings'][name]:>10.3f} s" for name in columns)
        lines.append(f"  {step['step']:<20}{times}   {step['model']}")
    lines.append(
        f"  whole task {report.elapsed_s:.2f} s, of which {report.overhead_s:.2f} s neither provider nor pixels"
        " (0.15 s of it is a fixed pause of MiniStack)"
    )
    return [*lines, "", *_bill(report, task, steps)]


def _bill(report: Report, task: dict[str, Any], steps: list[dict[str, Any]]) -> list[str]:
    on_gpu = report.operation.lane is Lane.GPU
    gpu_s = sum(step["timings"]["provider_s"] for step in steps) if on_gpu else 0.0
    # A host of the GPU lane is no function at all.
    worker_s = 0.0 if on_gpu else sum(_worker_s(step) for step in steps)
    # Every step writes one picture, the last one those that were made.
    aws = pricing.aws_cost(
        steps=len(steps),
        transitions=report.transitions,
        worker_gb_seconds=worker_s * WORKER_GB,
        image_reads=json.dumps(report.body).count("s3://"),
        image_writes=len(steps) - 1 + len(report.saved),
    )
    if on_gpu:
        aws.append(pricing.charge(f"ec2/{Gpu().instance_types[0]}/hour", gpu_s / 3600))
    provider = [item for step in steps for item in step["cost"]]
    aws_usd = sum(item.usd for item in aws)
    lines = ["  what the same task would have cost:"]
    lines += [f"    {item['item']:<24}{item['quantity']:>10g}  ${item['usd']:.6f}" for item in provider]
    lines += [f"    {item.item:<24}{item.quantity:>10.4g}  ${item.usd:.6f}" for item in aws]
    lines.append(f"    providers ${task['cost_usd']:.6f} + AWS ${aws_usd:.6f} = ${task['cost_usd'] + aws_usd:.6f}")
    return lines


def _worker_s(step: dict[str, Any]) -> float:
    """Return how long a function was busy with a step; while a model of our own works, none waits for it."""
    timings = step["timings"]
    waited_s = timings["provider_s"] if step["provider"] == SAGEMAKER else 0.0
    return float(timings["processing_s"] - waited_s)
