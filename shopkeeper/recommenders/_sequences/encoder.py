"""Turns histories into vectors with ONNX Runtime and NumPy, as a shop that serves does.

The network's body is an ONNX file; products and actions are plain arrays, so that what a moment
holds is added up here and the file is small. Knows nothing of how it was learned.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import Rows
from shopkeeper.recommenders._sequences.moments import (
    NUM_BUCKETS,
    Moments,
    Seen,
    bucket,
    spans,
)

Floats = NDArray[np.float32]

# B shoppers, T moments, D width, V products, E events, A actions
CELLS_MAX = 4_000_000
"""Numbers of padded histories held at once."""


@dataclass
class Encoder:
    """What was learned, ready to answer."""

    network: bytes
    """The body as ONNX: token_BTD, gap_BT, wait_BT, size_B to vector_BD."""
    items_VD: Floats
    bias_V: Floats
    actions_AD: Floats
    again: dict[str, Floats]
    """What adds to the score of a product wanted before: `age` by bucket, `decay` by half-life.

    Empty where nothing is added.
    """
    newest_minute: int
    """The newest moment that was learned, in minutes since 1970."""
    weights: dict[str, Floats]
    """The parameters of the body, to go on learning from."""
    cosine: bool = False
    """Whether products are compared by direction alone."""

    def __post_init__(self) -> None:
        self._session = _session(self.network)
        self.compared_VD = self.items_VD
        """Their inner products with the vectors of shoppers are scores."""
        if self.cosine:
            length_V1 = np.linalg.norm(self.items_VD, axis=1, keepdims=True)
            self.compared_VD = self.items_VD / np.maximum(length_V1, 1e-12)

    def encode(self, laid: Moments, now: Rows) -> Floats:
        """Return the vector of each shopper's newest moment, 0 for one without moments.

        Args:
            laid: Histories of B shoppers, trimmed to what the network reads.
            now: Minute of each request, [B].

        Returns:
            Vectors, [B, D].
        """
        sizes = np.diff(laid.start)
        vector_BD = np.zeros((len(sizes), self.items_VD.shape[1]), np.float32)
        order = np.argsort(sizes, kind="stable")
        order = order[sizes[order] > 0]
        begin = 0
        while begin < len(order):
            # Short histories come first, so a batch is about as wide as its last history.
            width = max(1, CELLS_MAX // (int(sizes[order[-1]]) * self.items_VD.shape[1]))
            chosen = order[begin : begin + width]
            vector_BD[chosen] = self._batch(laid, chosen, now[chosen])
            begin += len(chosen)
        return vector_BD

    def bonus(self, past: Seen) -> Floats:
        """Return what is added to the score of each product wanted before, [Q]."""
        if not self.again:
            return np.zeros(len(past.item), np.float32)
        added: Floats = self.again["age"][past.age] + past.features @ self.again["decay"]
        return added

    def save(self, folder: Path) -> None:
        """Write into `folder`."""
        (folder / "network.onnx").write_bytes(self.network)
        np.save(folder / "items.npy", self.items_VD)
        np.save(folder / "bias.npy", self.bias_V)
        np.save(folder / "actions.npy", self.actions_AD)
        np.savez(folder / "weights.npz", **self.weights)  # type: ignore[arg-type]
        np.savez(folder / "again.npz", **self.again)  # type: ignore[arg-type]
        about = {"newest_minute": self.newest_minute, "cosine": self.cosine}
        (folder / "about.json").write_text(json.dumps(about))

    @classmethod
    def load(cls, folder: Path) -> "Encoder":
        """Read what `save` wrote."""
        about = json.loads((folder / "about.json").read_text())
        return cls(
            network=(folder / "network.onnx").read_bytes(),
            items_VD=np.load(folder / "items.npy", allow_pickle=False),
            bias_V=np.load(folder / "bias.npy", allow_pickle=False),
            actions_AD=np.load(folder / "actions.npy", allow_pickle=False),
            newest_minute=int(about["newest_minute"]),
            cosine=bool(about.get("cosine")),
            weights=_arrays(folder / "weights.npz"),
            again=_arrays(folder / "again.npz"),
        )

    def _batch(self, laid: Moments, chosen: Rows, now: Rows) -> Floats:
        begin, end = laid.start[chosen], laid.start[chosen + 1]
        sizes = end - begin
        moments = spans(begin, sizes)
        shopper = np.repeat(np.arange(len(chosen)), sizes)
        place = spans(np.zeros_like(begin), sizes)
        shape = (len(chosen), int(sizes.max()))
        first, last = laid.first[moments], laid.first[moments + 1]
        events = spans(first, last - first)
        event_ED = self.items_VD[laid.item[events]] + self.actions_AD[laid.action[events]]
        token_BTD = np.zeros((*shape, event_ED.shape[1]), np.float32)
        sums_ND = np.add.reduceat(event_ED, np.cumsum(last - first) - (last - first), axis=0)
        token_BTD[shopper, place] = sums_ND / (last - first)[:, None]
        gap_BT, wait_BT, minute_BT, next_BT = np.zeros((4, *shape), np.int64)
        minute = laid.minute[moments]
        span = np.diff(minute)
        newest = np.cumsum(sizes) - 1
        gap_BT[shopper, place] = np.where(
            place == 0, NUM_BUCKETS - 1, bucket(np.concatenate([[0], span]))
        )
        wait = np.append(span, 0)
        wait[newest] = now - minute[newest]
        wait_BT[shopper, place] = bucket(wait)
        minute_BT[shopper, place] = minute - np.repeat(minute[newest - sizes + 1], sizes)
        next_BT[shopper, place] = minute_BT[shopper, place] + np.maximum(wait, 0)
        fed = {"token_BTD": token_BTD, "gap_BT": gap_BT, "wait_BT": wait_BT, "size_B": sizes}
        fed |= {"minute_BT": minute_BT, "next_BT": next_BT}
        asked = {given.name for given in self._session.get_inputs()}
        (vector_BD,) = self._session.run(None, {k: v for k, v in fed.items() if k in asked})
        return np.asarray(vector_BD, np.float32)


def _arrays(file: Path) -> dict[str, Floats]:
    with np.load(file, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


def _session(network: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
