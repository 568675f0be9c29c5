"""U2-Net and IS-Net of the published sizes as ONNX files, with random weights: for time and memory, not for pictures.

Source: Qin et al., "U²-Net" (arXiv 2005.09007), section 3 and figure 5, and "Highly Accurate Dichotomous Image
Segmentation" (arXiv 2203.03041); read 2026-11-21. Norms are folded into the convolutions, as exporters do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Levels of each block, its channels inside and its channels out; 0 levels stand for the block without pooling.
ENCODER = ((7, 32, 64), (6, 32, 128), (5, 64, 256), (4, 128, 512), (0, 256, 512), (0, 256, 512))
DECODER = ((0, 256, 512), (4, 128, 256), (5, 64, 128), (6, 32, 64), (7, 16, 64))


@dataclass(frozen=True)
class Value:
    """A map inside the network.

    Args:
        name: of the node that makes it.
        channels: of the map.
        side: of the map, pixels.
    """

    name: str
    channels: int
    side: int


class _Graph:
    """Collects nodes and weights."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._random = np.random.default_rng(0)

    def conv(self, source: Value, channels: int, *, dilation: int = 1, stride: int = 1, kernel: int = 3) -> Value:
        name, shape = self._name(), (channels, source.channels, kernel, kernel)
        values = self._random.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        weight, bias = self._add("weight", values), self._add("bias", np.zeros(channels, np.float32))
        reach = dilation * (kernel // 2)
        self.nodes.append(
            helper.make_node(
                "Conv",
                [source.name, weight, bias],
                [name],
                dilations=[dilation] * 2,
                pads=[reach] * 4,
                strides=[stride] * 2,
            )
        )
        return Value(name, channels, source.side // stride)

    def block_conv(self, source: Value, channels: int, dilation: int = 1) -> Value:
        made = self.conv(source, channels, dilation=dilation)
        return Value(self._node("Relu", [made.name]), made.channels, made.side)

    def pooled(self, source: Value) -> Value:
        options = {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}
        return Value(self._node("MaxPool", [source.name], **options), source.channels, -(-source.side // 2))

    def enlarged(self, source: Value, side: int) -> Value:
        if source.side == side:
            return source
        sizes = self._add("sizes", np.array([1, source.channels, side, side], np.int64))
        name = self._node("Resize", [source.name, "", "", sizes], mode="linear")
        return Value(name, source.channels, side)

    def joined(self, *sources: Value) -> Value:
        name = self._node("Concat", [each.name for each in sources], axis=1)
        return Value(name, sum(each.channels for each in sources), sources[0].side)

    def added(self, one: Value, other: Value) -> Value:
        return Value(self._node("Add", [one.name, other.name]), one.channels, one.side)

    def probability(self, source: Value, name: str) -> None:
        self.nodes.append(helper.make_node("Sigmoid", [source.name], [name]))

    def _name(self) -> str:
        return f"map{len(self.nodes)}"

    def _node(self, kind: str, sources: list[str], **options: Any) -> str:
        name = self._name()
        self.nodes.append(helper.make_node(kind, sources, [name], **options))
        return name

    def _add(self, kind: str, values: np.ndarray[Any, Any]) -> str:
        name = f"{kind}{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name


def _block(graph: _Graph, source: Value, levels: int, between: int, out: int) -> Value:
    """A U of its own: so many levels down and up again, or without pooling and with wider and wider reach."""
    first = graph.block_conv(source, out)
    dilations = (1, 2, 4, 8) if levels == 0 else (*(1,) * (levels - 1), 2)
    kept: list[Value] = []
    made = first
    for number, dilation in enumerate(dilations):
        if levels and 0 < number < levels - 1:
            made = graph.pooled(made)
        made = graph.block_conv(made, between, dilation)
        kept.append(made)
    made = kept.pop()
    for number in range(len(kept) - 1, -1, -1):
        beside = kept[number]
        joined = graph.joined(graph.enlarged(made, beside.side), beside)
        made = graph.block_conv(joined, between if number else out, dilations[number])
    return graph.added(made, first)


def write_u2net(path: Path, size_px: int, *, isnet: bool) -> None:
    """Write a network.

    Args:
        path: of the ONNX file.
        size_px: side of its input.
        isnet: IS-Net, which begins with a convolution of stride 2, instead of U2-Net.
    """
    graph = _Graph()
    made = Value("input", 3, size_px)
    if isnet:
        made = graph.conv(made, 64, stride=2)
    levels: list[Value] = []
    for number, (depth, between, out) in enumerate(ENCODER):
        made = _block(graph, graph.pooled(made) if number else made, depth, between, out)
        levels.append(made)
    heads = [levels.pop()]
    for depth, between, out in DECODER:
        beside = levels.pop()
        joined = graph.joined(graph.enlarged(heads[-1], beside.side), beside)
        heads.append(_block(graph, joined, depth, between, out))
    sides = [graph.enlarged(graph.conv(each, 1), size_px) for each in reversed(heads)]
    outputs = sides if isnet else [graph.conv(graph.joined(*sides), 1, kernel=1), *sides]
    names = [f"d{number}" for number in range(len(outputs))]
    for output, name in zip(outputs, names, strict=True):
        graph.probability(output, name)
    shape = [1, 1, size_px, size_px]
    built = helper.make_graph(
        graph.nodes,
        "isnet" if isnet else "u2net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, size_px, size_px])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        graph.weights,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
