"""Prices: what providers and AWS charge, with the source and the date of each figure.

All prices are US dollars. Provider prices are the international list prices; a contract of the studio's own may differ.
AWS prices are those of us-east-1 without free tiers.
"""

from dataclasses import dataclass

from backlot.seedream_models import model_of
from backlot.tasks import CostItem

#: Up to this size 5.0 pro has a lower price, pixels.
SMALL_IMAGE_PX = 2_360_000


@dataclass(frozen=True)
class Price:
    """The price of one unit.

    Args:
        usd: per unit.
        unit: what is counted.
        source: where the figure was read.
        read_on: when, ISO date.
    """

    usd: float
    unit: str
    source: str
    read_on: str


_LITELLM = (
    "litellm 1.109.1 model_prices_and_context_window_backup.json, after alibabacloud.com/help/en/model-studio/models"
)
_SEEDREAM = "ComfyUI comfy_api_nodes/nodes_bytedance.py price badges (BytePlus list prices)"
_PULID = "fal.ai/models/fal-ai/flux-pulid/llms.txt"
_FLUX = "litellm 1.109.1 model_prices_and_context_window_backup.json"
_FLUX_EDIT = "a figure nobody has confirmed; fal's own price list needs a key: api.fal.ai/v1/models/pricing"
_AWS = "AWS list prices for us-east-1, from public calculators; check against the vendor's pages before budgeting"

_EC2 = (
    "AWS list prices for Linux in us-east-1, from the Price List API as public repositories quote it (2026-08-17); "
    "check against the vendor's pages before budgeting"
)

PROVIDER_PRICES: dict[str, Price] = {
    "qwen3-vl-plus/input": Price(0.20e-6, "token", _LITELLM, "2026-11-20"),
    "qwen3-vl-plus/output": Price(1.60e-6, "token", _LITELLM, "2026-11-20"),
    "seedream-4-0/image": Price(0.03, "image", _SEEDREAM, "2026-11-20"),
    "seedream-4-5/image": Price(0.04, "image", _SEEDREAM, "2026-11-20"),
    "seedream-5-0/image": Price(0.035, "image", _SEEDREAM, "2026-11-20"),
    "seedream-5-0-pro/small-image": Price(0.045, "image of at most 2.36 megapixels", _SEEDREAM, "2026-11-20"),
    "seedream-5-0-pro/image": Price(0.09, "image", _SEEDREAM, "2026-11-20"),
    "fal-ai/flux-pulid/megapixel": Price(0.0333, "megapixel", _PULID, "2026-11-20"),
    "fal-ai/flux/schnell/megapixel": Price(0.003, "megapixel", _FLUX, "2026-11-20"),
    "fal-ai/flux/dev/megapixel": Price(0.025, "megapixel", _FLUX, "2026-11-20"),
    "fal-ai/flux/dev/image-to-image/megapixel": Price(0.03, "megapixel", _FLUX_EDIT, "2026-11-20"),
}

AWS_PRICES: dict[str, Price] = {
    "apigateway/request": Price(3.50e-6, "request", _AWS, "2026-11-20"),
    "lambda/request": Price(0.20e-6, "request", _AWS, "2026-11-20"),
    "lambda/gb-second": Price(13.3334e-6, "GB-second (arm64)", _AWS, "2026-11-20"),
    "states/transition": Price(25e-6, "transition", _AWS, "2026-11-20"),
    "sqs/request": Price(0.40e-6, "request", _AWS, "2026-11-20"),
    "dynamodb/write": Price(0.625e-6, "write unit", _AWS, "2026-11-20"),
    "dynamodb/read": Price(0.125e-6, "read unit", _AWS, "2026-11-20"),
    "s3/put": Price(5e-6, "request", _AWS, "2026-11-20"),
    "s3/get": Price(0.4e-6, "request", _AWS, "2026-11-20"),
    "events/lambda": Price(0.0, "event of an AWS service on the default bus", _AWS, "2026-11-20"),
    "ec2/g4dn.xlarge/hour": Price(0.526, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g4dn.2xlarge/hour": Price(0.752, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g4dn.4xlarge/hour": Price(1.204, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g5.xlarge/hour": Price(1.006, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g5.2xlarge/hour": Price(1.212, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g5.4xlarge/hour": Price(1.624, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g5.8xlarge/hour": Price(2.448, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g6.xlarge/hour": Price(0.8048, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g6.2xlarge/hour": Price(0.9776, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g6.4xlarge/hour": Price(1.3232, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g6.8xlarge/hour": Price(2.0144, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g6e.xlarge/hour": Price(1.861, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g6e.2xlarge/hour": Price(2.24208, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g6e.4xlarge/hour": Price(3.00424, "instance hour on demand", _EC2, "2026-11-21"),
    "ec2/g6e.8xlarge/hour": Price(4.52856, "instance hour on demand", _EC2, "2026-11-21"),
}


def price_key(model: str, unit: str) -> str:
    """Return the key of a model's price, whatever vendor prefix, date or remark its name carries.

    Args:
        model: as configured or as an answer names it: `doubao-seedream-4-0-250828`, `qwen3-vl-plus-2025-12-19`.
        unit: `image`, `input` or `output`.

    Returns:
        The longest key whose model name occurs in `model`; the model itself if there is none.
    """
    known = [key for key in PROVIDER_PRICES if key.endswith(f"/{unit}") and key.removesuffix(f"/{unit}") in model]
    return max(known, key=len, default=f"{model}/{unit}")


def megapixels(width: int, height: int) -> int:
    """Return as how many megapixels a picture is billed: a megapixel is 1024 by 1024 px, and begun ones count.

    Args:
        width: pixels.
        height: pixels.
    """
    return -(-width * height // 2**20)


def charge(item: str, quantity: float) -> CostItem:
    """Price a quantity of something; what has no known price costs 0 and keeps its name, so that it is seen."""
    price = PROVIDER_PRICES.get(item) or AWS_PRICES.get(item)
    return CostItem(item=item, quantity=quantity, usd=round(quantity * price.usd, 9) if price else 0.0)


def image_charges(model: str, billed: int, made_px: list[int]) -> list[CostItem]:
    """Price pictures of SeeDream.

    Args:
        model: as an answer names it.
        billed: how many pictures the provider counts.
        made_px: pixels of those that are known, for models that charge by size; the others count as large.
    """
    known = model_of(model)
    family = known.family if known else model
    small = sum(pixels <= SMALL_IMAGE_PX for pixels in made_px) if f"{family}/small-image" in PROVIDER_PRICES else 0
    counts = {f"{family}/small-image": small, f"{family}/image": billed - small}
    return [charge(item, quantity) for item, quantity in counts.items() if quantity > 0]


def aws_cost(
    *,
    steps: int,
    transitions: int,
    worker_gb_seconds: float,
    image_reads: int,
    image_writes: int = 1,
    api_requests: int = 2,
) -> list[CostItem]:
    """Estimate what AWS charges for one task, item by item.

    Args:
        steps: queue messages that were worked on.
        transitions: state transitions, the start among them.
        worker_gb_seconds: memory times duration of the worker Lambda.
        image_reads: objects read from the bucket.
        image_writes: objects written to it.
        api_requests: calls of the REST API: the submission and the reads of the status.
    """
    writes = 4 + 5 * steps
    return [
        charge("apigateway/request", api_requests),
        charge("lambda/request", api_requests + steps + 1),
        charge("lambda/gb-second", worker_gb_seconds),
        charge("states/transition", transitions),
        charge("sqs/request", 3 * steps),
        charge("dynamodb/write", writes),
        charge("dynamodb/read", api_requests),
        charge("s3/put", image_writes),
        charge("s3/get", image_reads),
    ]
