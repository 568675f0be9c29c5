"""The steps by which the GPU lane scales where it tracks no target; the simulation takes the same ones."""

#: Numbers of workers that a step can lead to; a policy has 20 steps at most.
_COUNTS = (*range(1, 11), *(10 * 2**n for n in range(1, 8)))

#: For how many minutes no spot instance is missing before on-demand instances are given back.
ENOUGH_MIN = 5


def steps(most: int, width: float) -> list[tuple[int, float]]:
    """Return numbers of workers, the smallest first, and from where above an alarm's threshold each is wanted.

    One worker for each width that has begun; beyond ten workers the next number below.

    Args:
        most: workers.
        width: of a worker, in the alarm's unit.
    """
    counts = [count for count in _COUNTS if count < most] + [most]
    return [(count, max(count - 1, 0) * width) for count in counts]


def step_of(above: float, most: int, width: float) -> int:
    """Return how many workers are wanted so far above an alarm's threshold; see `steps`."""
    return max(count for count, begin in steps(most, width) if begin <= above)
