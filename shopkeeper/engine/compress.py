"""Makes a text encoder smaller and faster, as far as it finds as much as before.

Candidates have fewer layers (taught by the whole model, `training.shrink`), weights in another
precision, narrower vectors, or some of it together. Each is measured by meaning alone: half of the
queries choose, the other half is reported, with intervals over the same queries. Of those that lose
no more than stated even one standard error above their mean, the fastest wins; of equally fast ones
that with the smallest vectors. Knows no shop.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper import registry
from shopkeeper.encoders import VectorCache, _layout, _weights
from shopkeeper.encoders._transformer import cut
from shopkeeper.engine.compress_ground import Ground
from shopkeeper.engine.search_tuning import shown
from shopkeeper.errors import BadConfig
from shopkeeper.evaluation.bootstrap import Interval, paired_difference
from shopkeeper.evaluation.judged import Judged, quality
from shopkeeper.search.text import product_text
from shopkeeper.tracing import stage

WIDTHS = (256, 192, 128)
"""Widths to try, as far as they are below that of the model."""
NARROW = 192
"""The one that smaller models are tried with too."""
SHARES = (2 / 3, 1 / 2, 1 / 3)
"""Shares of the layers that smaller models keep."""
QUERIES_MIN = 200
"""With fewer queries, the same ones choose and are reported."""
TIMED, ROUNDS = 256, 3
"""Texts to measure the speed with, and how often; the best round counts."""
EQUALLY_FAST = 0.95
ONE_ERROR = 0.68
"""Confidence of an interval of one standard error to each side: with few queries a mean alone would
choose what was only lucky (the one-standard-error rule of Breiman et al., 1984)."""
NEAREST = 10
TEXTS_PER_FILE = 512
"""A run that is killed loses so many vectors at most."""

Lists = dict[str, list[str]]


@dataclass(frozen=True)
class Candidate:
    """One way to make the encoder smaller."""

    layers: int = 0
    """How many layers stay; 0 for all."""
    precision: str = "auto"
    """As the setting of the encoder."""
    width: int = 0
    """As the setting of the encoder."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How small, and at what price."""

    loss: float = 0.01
    """How much of nDCG@10 may be lost at most, as a share."""
    minutes: float = 4.0
    """Time to teach each smaller model."""
    layers: tuple[int, ...] = ()
    """How many layers smaller models keep; empty for some shares of what there is."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.loss < 1:
            raise BadConfig(f"The loss is a share from 0 to below 1, but is {self.loss}.")
        if self.minutes <= 0:
            raise BadConfig(f"The minutes must be above 0, but are {self.minutes}.")


@dataclass(frozen=True)
class Compressed:
    """What came out."""

    rows: list[dict[str, Any]]
    """A row for each candidate, that of now first."""
    chosen: Candidate
    now: Candidate
    model: Path | None
    """The folder of the chosen model, if it has fewer layers."""
    by: str
    queries: int
    """How many queries are reported."""


def compress(encoder: Any, ground: Ground, wish: Wish, work: Path) -> Compressed:
    """Make candidates of an encoder, measure them, and choose one.

    Args:
        encoder: A text encoder of the shelf that was made from a model, ready to encode.
        ground: What candidates are judged by, and what they learn on.
        wish: How small, and at what price.
        work: Where models, exports, vectors and checkpoints are kept; a run that was killed goes on
            there. The caller deletes it.

    Returns:
        Every candidate with its figures, and the chosen one.

    Raises:
        BadConfig: The encoder has no model, or has not so many layers.
        BadData: There are too few texts to learn from.
        Missing: The training extra is not installed.
    """
    if not hasattr(encoder.config, "precision"):
        name = encoder.address[1]
        raise BadConfig(f"The encoder '{name}' has no model to compress. Name one as minilm.")
    bench = _Bench(encoder, ground, wish, work)
    found = candidates(bench.now, bench.layers, bench.width, bench.precision(bench.now), wish)
    for one in found:
        bench.part(one)
    with stage("speed"):
        speeds = bench.speeds(found)
    with stage("quality", ground.by):
        rows = [bench.row(one, speeds) for one in found]
    best = chosen(rows, wish.loss)
    for at, row in enumerate(rows):
        row["chosen"] = at == best
    model = bench.model(found[best].layers) if found[best].layers else None
    return Compressed(rows, found[best], bench.now, model, ground.by, len(bench.report.queries))


def candidates(
    now: Candidate, layers: int, width: int, precision: str, wish: Wish
) -> list[Candidate]:
    """List what to try, that of now first.

    Args:
        now: What the encoder is set to.
        layers: How many layers its model has; 0 if none can be left out.
        width: How many numbers its vectors have now.
        precision: What its weights are written in.
        wish: May say how many layers smaller models keep.

    Returns:
        Each candidate once.
    """
    narrower = [narrow for narrow in WIDTHS if narrow < width]
    found = [now]
    found += [replace(now, precision=name) for name in ("float32", "int8") if name != precision]
    found += [replace(now, width=narrow) for narrow in narrower]
    if wish.layers and not layers:
        raise BadConfig("The model has no layers that can be left out. Do not name any.")
    kept = wish.layers or tuple(dict.fromkeys(round(share * layers) for share in SHARES))
    for keep in kept if layers else ():
        if not 0 < keep < layers:
            if wish.layers:
                raise BadConfig(f"The model has {layers} layers; {keep} is not fewer of them.")
            continue
        # A smaller model is written as small as that means the same, whatever is set now.
        found.append(Candidate(keep, "auto", now.width))
        found += [Candidate(keep, "auto", NARROW)] if NARROW in narrower else []
    return list(dict.fromkeys(found))


def chosen(rows: Sequence[dict[str, Any]], loss: float) -> int:
    """Return which row is fastest of those within the loss; the first always is within it."""
    sound = [at for at, row in enumerate(rows) if at == 0 or row["loss_feared"] <= loss]
    fastest = max(rows[at]["texts_per_s"] for at in sound)
    fast = [at for at in sound if rows[at]["texts_per_s"] >= EQUALLY_FAST * fastest]
    return min(fast, key=lambda at: (rows[at]["vector_bytes"], rows[at]["onnx_mb"], at))


class _Bench:
    """Makes candidates and measures them, each model once."""

    def __init__(self, encoder: Any, ground: Ground, wish: Wish, work: Path) -> None:
        self.encoder, self.ground, self.wish = encoder, ground, wish
        self.name = encoder.address[1]
        told = [encoder.fingerprint, *ground.passages, *ground.queries, asdict(wish) | {"loss": 0}]
        self.identity = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
        self.work = work / self.identity
        for old in work.glob("*"):
            if old != self.work:
                shutil.rmtree(old, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)
        self.cache = VectorCache(self.work / "vectors", TEXTS_PER_FILE)
        layout = _layout.read(_weights.fetch(encoder.config.model, self.work / "source"))
        self.source, self.pooling = layout.transformer, layout.pooling
        self.tokenizer = layout.tokenizer
        self.now = Candidate(0, encoder.config.precision, encoder.config.width)
        self.width = encoder.width
        config = json.loads((self.source / "config.json").read_text("utf-8"))
        self.layers = int(config.get("num_hidden_layers", 0))
        self.made: dict[tuple[int, str], Any] = {}
        judged = ground.judged
        if not judged.grades:
            judged = _as_now(judged, self._lists(self.now, judged))
        choose, report = judged.split(0.5, wish.seed)
        few = len(judged.queries) < QUERIES_MIN
        self.choose, self.report = (judged, judged) if few else (choose, report)
        self.before = [self._lists(self.now, one) for one in (self.choose, self.report)]

    def model(self, layers: int) -> Path:
        """Return the folder of a model with so many layers, taught if it was not yet."""
        if not layers:
            return self.source
        target = self.work / f"{layers}-layers"
        if target.is_dir():
            return target
        from shopkeeper.training import shrink
        from shopkeeper.training.text_model import TextModel

        ground, whole = self.ground, self.part(replace(self.now, width=0))
        kinds = (("passage", ground.passages), ("query", ground.queries))
        texts = [whole.prefixes.get(kind, "") + text for kind, given in kinds for text in given]
        with stage("teacher", f"{len(texts):,} texts"):
            vectors = [self.cache.encode(whole, given, kind) for kind, given in kinds if given]  # type: ignore[arg-type]
        pruned = self.work / f"pruned-{layers}"
        big = TextModel(self.source, self.tokenizer, self.pooling)
        shrink.prune(big, pruned, shrink.spread(self.layers, layers))
        tokens_max = min(self.encoder.config.tokens_max, shrink.Distilling.tokens_max)
        how = shrink.Distilling(
            widths=(NARROW,) if self.width > NARROW else (), minutes=self.wish.minutes,
            tokens_max=tokens_max, seed=self.wish.seed, batch=min(64, max(2, len(texts) // 4)),
        )  # fmt: skip
        checkpoint = self.work / f"{layers}.safetensors"
        with stage("distil", f"{layers} of {self.layers} layers"):
            shrink.distil(
                TextModel.of(pruned, self.pooling), target, texts, np.concatenate(vectors), how,
                checkpoint=checkpoint, about=self.identity,
            )  # fmt: skip
        _layout.write(target, self.pooling, whole.prefixes)
        checkpoint.unlink(missing_ok=True)
        shutil.rmtree(pruned)
        return target

    def part(self, one: Candidate) -> Any:
        """Return the encoder of a candidate, at full width, exported if it was not yet."""
        key = (one.layers, one.precision)
        if key not in self.made:
            settings = {"tokens_max": self.encoder.config.tokens_max, "precision": one.precision}
            settings["model"] = str(self.model(one.layers))
            folder = self.work / "exports" / f"{one.layers}-{one.precision}"
            self.made[key] = registry.build("encoders", self.name, **settings).ensure(folder)
        return self.made[key]

    def precision(self, one: Candidate) -> str:
        """Return what the weights of a candidate are written in."""
        return str(self._about(one)["precision"])

    def speeds(self, found: Sequence[Candidate]) -> dict[tuple[int, str], float]:
        """Return texts a second of one thread for each model; rounds alternate between them."""
        texts = (self.ground.passages * TIMED)[:TIMED]
        parts = {(one.layers, one.precision): self.part(one) for one in found}
        best = dict.fromkeys(parts, 0.0)
        for _ in range(ROUNDS):
            for key, part in parts.items():
                # CPU time: other work on the machine does not count.
                began = time.process_time()
                part.encode(texts)
                best[key] = max(best[key], len(texts) / (time.process_time() - began))
        return best

    def row(self, one: Candidate, speeds: dict[tuple[int, str], float]) -> dict[str, Any]:
        """Measure a candidate beside what there is now."""
        width = one.width or self.part(one).width
        lists = self._lists(one, self.report)
        loss = _loss(self.report, self.before[1], lists)
        feared = _loss(self.choose, self.before[0], self._lists(one, self.choose), ONE_ERROR)
        found = quality(self.report, lists)
        file = self.work / "exports" / f"{one.layers}-{one.precision}" / "model.onnx"
        return {
            "layers": one.layers or self.layers,
            "precision": self.precision(one),
            "width": width,
            "onnx_mb": round(file.stat().st_size / 1e6, 2),
            "vector_bytes": 4 * width,
            "texts_per_s": round(speeds[one.layers, one.precision], 1),
            "ndcg@10": _mean(found["ndcg@10"].to_numpy()),
            "recall@10": _mean(found["recall@10"].to_numpy()),
            "loss": loss.mean,
            "low": loss.low,
            "high": loss.high,
            "loss_feared": feared.high,
            "same_nearest": _same(self.before[1], lists),
        }

    def _about(self, one: Candidate) -> dict[str, Any]:
        self.part(one)
        folder = self.work / "exports" / f"{one.layers}-{one.precision}"
        about: dict[str, Any] = json.loads((folder / "encoder.json").read_text())
        return about

    def _lists(self, one: Candidate, judged: Judged) -> Lists:
        """Return what a candidate finds by meaning alone."""
        part = self.part(one)
        products = self.cache.encode(part, product_text(judged.products).to_list())
        asked = self.cache.encode(part, list(judged.queries.values()), "query")
        index = registry.build("search.indexes", "dense")
        index.build(judged.products, cut(products, one.width))
        return shown(index, judged, cut(asked, one.width))


def _as_now(judged: Judged, lists: Lists) -> Judged:
    """Return queries whose right products are the nearest ones of now."""
    grades = {one: dict.fromkeys(found[:NEAREST], 1.0) for one, found in lists.items() if found}
    return Judged(judged.products, {one: judged.queries[one] for one in grades}, grades)


def _loss(judged: Judged, before: Lists, after: Lists, confidence: float = 0.95) -> Interval:
    """Return the share of nDCG@10 that is lost, and its interval over the same queries."""
    was, now = (quality(judged, lists)["ndcg@10"].to_numpy() for lists in (before, after))
    lost, whole = paired_difference(was, now, confidence=confidence), max(_mean(was), 1e-9)
    return Interval(lost.mean / whole, lost.low / whole, lost.high / whole)


def _same(before: Lists, after: Lists) -> float:
    """Return how many of the nearest products stay, as a share."""
    shares = [
        len(set(found[:NEAREST]) & set(after[one][:NEAREST])) / max(1, len(found[:NEAREST]))
        for one, found in before.items()
    ]
    return _mean(np.array(shares))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0
