"""What each feature added to a score of gradient-boosted trees.

Source: the path attribution of Saabas (2014): on the way down a tree each split moves the expected
score, and the feature that it asks gets the difference. We take the expectation over the products
it is compared with, the other candidates of the same request, so that the parts add up to how far
a product stands above or below their mean. Reads the ONNX operator TreeEnsembleRegressor without
the package onnx, which shops that serve do not have. Knows no names of features.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import BadData

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
"""Kinds of values in a protocol buffer."""
GRAPH, NODE, OPERATOR, ATTRIBUTE = 7, 1, 4, 5
"""Where onnx.proto keeps what is read here."""
NAME, FLOATS, INTS, STRINGS = 1, 7, 8, 9
"""Where an attribute has its name and values."""


@dataclass(frozen=True)
class Trees:
    """T trees with M nodes in all; a node's place is its number."""

    root_T: Rows
    feature_M: Rows
    threshold_M: NDArray[np.float32]
    below_M: Rows
    """The node for values not above the threshold; a leaf's own."""
    above_M: Rows
    missing_below_M: NDArray[np.bool_]
    """Whether a missing value counts as below."""
    leaf_M: NDArray[np.bool_]
    weight_M: Floats
    """Of leaves; 0 for others."""

    @classmethod
    def read(cls, network: bytes) -> "Trees":
        """Read an ONNX file; BadData if it is not made of trees alone."""
        try:
            found = _attributes(memoryview(network))
            return cls._laid_out(found)
        except (IndexError, KeyError, ValueError, struct.error) as error:
            raise BadData("This ranker's network cannot be read as trees.") from error

    @classmethod
    def _laid_out(cls, found: dict[str, list[Any]]) -> "Trees":
        trees = np.array(found["nodes_treeids"], np.int64)
        numbers = np.array(found["nodes_nodeids"], np.int64)
        width = int(numbers.max()) + 1
        place = np.full((int(trees.max()) + 1) * width, -1)
        place[trees * width + numbers] = np.arange(len(trees))
        leaf = np.array([mode == b"LEAF" for mode in found["nodes_modes"]])
        if {*found["nodes_modes"]} - {b"LEAF", b"BRANCH_LEQ"}:
            raise ValueError
        mine = np.arange(len(trees))
        below, above = (
            np.where(leaf, mine, place[trees * width + np.array(found[f"nodes_{side}nodeids"])])
            for side in ("true", "false")
        )
        weight = np.zeros(len(trees))
        ends = np.array(found["target_treeids"]) * width + np.array(found["target_nodeids"])
        np.add.at(weight, place[ends], found["target_weights"])
        return cls(
            place[np.unique(trees) * width],
            np.array(found["nodes_featureids"], np.int64),
            np.array(found["nodes_values"], np.float32),
            below,
            above,
            np.array(found["nodes_missing_value_tracks_true"]) == 1,
            leaf,
            weight,
        )

    def contributions(self, features: NDArray[np.float32]) -> tuple[float, Floats]:
        """Say what each feature added to each score.

        Args:
            features: Of the products that are compared with each other. Shape [N, F].

        Returns:
            The mean score, and the parts that with it add up to each score, [N, F].
        """
        steps = list(self._walk(features))
        end_NT = np.broadcast_to(self.root_T, (len(features), len(self.root_T))).copy()
        for row, tree, _, child in steps:
            end_NT[row, tree] = child
        leaf_NT = self.weight_M[end_NT]
        count = np.bincount(end_NT.ravel(), minlength=len(self.weight_M)).astype(np.float64)
        total = np.bincount(end_NT.ravel(), leaf_NT.ravel(), minlength=len(self.weight_M))
        for row, tree, node, _ in steps:
            count += np.bincount(node, minlength=len(count))
            total += np.bincount(node, leaf_NT[row, tree], minlength=len(count))
        expected = total / np.maximum(count, 1)
        parts = np.zeros(features.shape)
        for row, _, node, child in steps:
            np.add.at(parts, (row, self.feature_M[node]), expected[child] - expected[node])
        return float(expected[self.root_T].sum()), parts

    def _walk(self, features: NDArray[np.float32]) -> Iterator[tuple[Rows, Rows, Rows, Rows]]:
        """Yield each step down: rows, trees, the nodes they are at, and where they go."""
        row, tree = (found.ravel() for found in np.indices((len(features), len(self.root_T))))
        node = self.root_T[tree]
        while True:
            inner = ~self.leaf_M[node]
            row, tree, node = row[inner], tree[inner], node[inner]
            if not len(row):
                return
            value = features[row, self.feature_M[node]]
            with np.errstate(invalid="ignore"):
                below = np.where(
                    np.isnan(value), self.missing_below_M[node], value <= self.threshold_M[node]
                )
            child = np.where(below, self.below_M[node], self.above_M[node])
            yield row, tree, node, child
            node = child


def _attributes(network: memoryview) -> dict[str, list[Any]]:
    """Return the attributes of the one operator of an ONNX model, by name."""
    graphs = [value for number, value in _fields(network) if number == GRAPH]
    (node,) = [value for number, value in _fields(graphs[0]) if number == NODE]
    parts = list(_fields(node))
    if (OPERATOR, b"TreeEnsembleRegressor") not in [(n, bytes(v)) for n, v in parts if n == 4]:
        raise ValueError
    found: dict[str, list[Any]] = {}
    for number, attribute in parts:
        if number == ATTRIBUTE:
            values = defaultdict(list)
            for field, value in _fields(attribute):
                values[field].append(value)
            name = bytes(values[NAME][0]).decode()
            found[name] = _values(values)
    return found


def _values(values: dict[int, list[Any]]) -> list[Any]:
    """Return the values of an attribute; numbers may be packed into one text of bytes."""
    if STRINGS in values:
        return [bytes(value) for value in values[STRINGS]]
    found: list[Any] = []
    for value in values.get(FLOATS, ()):
        found.extend(struct.unpack(f"<{len(value) // 4}f", value))
    for value in values.get(INTS, ()):
        found.extend([value] if isinstance(value, int) else _packed(value))
    return found


def _packed(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a message: whole numbers, or bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (FIXED_32, FIXED_64):
            size = 4 if kind == FIXED_32 else 8
        else:
            raise ValueError
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
