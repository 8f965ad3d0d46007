"""Writes LightGBM's trees as an ONNX graph, so that a shop that serves needs no LightGBM.

Source: the operator TreeEnsembleRegressor of ai.onnx.ml 3. A threshold is rounded down to a
float32, so that a float32 feature falls on the same side as it did in learning; sums differ in the
last digits only.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

MISSING = ("NaN", "None")


def to_onnx(dumps: Sequence[dict[str, Any]], counts: Sequence[float], num_features: int) -> bytes:
    """Return the graph of `x` [N, F] float32 to `y` [N, 1], the weighted sum of models' scores.

    Args:
        dumps: What `lightgbm.Booster.dump_model` returns, of models with numbers only.
        counts: What each model's score counts.
        num_features: F.

    Returns:
        An ONNX file.
    """
    from onnx import TensorProto, helper

    nodes: dict[str, list[Any]] = defaultdict(list)
    leaves: dict[str, list[Any]] = defaultdict(list)
    trees = [
        (info["tree_structure"], count)
        for dump, count in zip(dumps, counts, strict=True)
        for info in dump["tree_info"]
    ]
    for number, (tree, count) in enumerate(trees):
        before = len(leaves["weights"])
        _write(tree, number, 0, nodes, leaves)
        leaves["weights"][before:] = [weight * count for weight in leaves["weights"][before:]]
    body = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        **{f"nodes_{name}": values for name, values in nodes.items()},
        **{f"target_{name}": values for name, values in leaves.items()},
    )
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, num_features])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([body], "trees", [given], [found])
    opsets = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", 18)]
    written: bytes = helper.make_model(
        graph, opset_imports=opsets, ir_version=9
    ).SerializeToString()
    return written


def _write(
    node: dict[str, Any],
    tree: int,
    number: int,
    nodes: dict[str, list[Any]],
    leaves: dict[str, list[Any]],
) -> int:
    """Write a node and all below it, and return the first number that is free then."""
    leaf = "leaf_value" in node
    place = len(nodes["treeids"])
    row = {
        "treeids": tree,
        "nodeids": number,
        "featureids": 0 if leaf else node["split_feature"],
        "values": 0.0 if leaf else _below(node["threshold"]),
        "modes": "LEAF" if leaf else "BRANCH_LEQ",
        "truenodeids": 0 if leaf else number + 1,
        "falsenodeids": 0,
        "missing_value_tracks_true": 0 if leaf else int(_missing_goes_left(node)),
    }
    for name, value in row.items():
        nodes[name].append(value)
    if leaf:
        end = {"treeids": tree, "nodeids": number, "ids": 0, "weights": node["leaf_value"]}
        for name, value in end.items():
            leaves[name].append(value)
        return number + 1
    right = _write(node["left_child"], tree, number + 1, nodes, leaves)
    nodes["falsenodeids"][place] = right
    return _write(node["right_child"], tree, right, nodes, leaves)


def _missing_goes_left(node: dict[str, Any]) -> bool:
    assert node["decision_type"] == "<=", "features are numbers, never categories"
    assert node["missing_type"] in MISSING, "zero is a number, not a missing one"
    # Where learning saw no NaN, LightGBM takes one for 0.
    return bool(node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0)


def _below(threshold: float) -> float:
    """Return the greatest float32 that is not above a threshold."""
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
        if float(near) > threshold:
            near = np.nextafter(near, np.float32(-np.inf))
    return float(near)
