"""The three data sets that the published checkpoints were trained on, and what their labels mean."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Args:
        name: as in the checkpoints' file names.
        size_px: side of the network's square input.
        labels: a label's number is its place in this list.
    """

    name: str
    size_px: int
    labels: tuple[str, ...]

    @property
    def classes(self) -> int:
        """How many labels there are; the checkpoint's class count."""
        return len(self.labels)


ATR = DataSet(
    "atr",
    512,
    (
        "background", "hat", "hair", "sunglasses", "upper-clothes", "skirt", "pants", "dress", "belt", "left-shoe",
        "right-shoe", "face", "left-leg", "right-leg", "left-arm", "right-arm", "bag", "scarf",
    ),
)  # fmt: skip

LIP = DataSet(
    "lip",
    473,
    (
        "background", "hat", "hair", "glove", "sunglasses", "upper-clothes", "dress", "coat", "socks", "pants",
        "jumpsuits", "scarf", "skirt", "face", "left-arm", "right-arm", "left-leg", "right-leg", "left-shoe",
        "right-shoe",
    ),
)  # fmt: skip

PASCAL = DataSet("pascal", 512, ("background", "head", "torso", "upper-arms", "lower-arms", "upper-legs", "lower-legs"))

#: By the class count, which tells them apart.
BY_CLASSES = {each.classes: each for each in (ATR, LIP, PASCAL)}

BY_NAME = {each.name: each for each in BY_CLASSES.values()}
