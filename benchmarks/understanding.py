"""Measures how queries are understood: intents, typing errors, and the time both take.

    python benchmarks/understanding.py --data DIR [--quick] [--seed N] [--keep DIR]

Intents: CLINC150 with its out-of-scope queries (Larson et al., EMNLP 2019, CC BY 3.0) and Banking77
(Casanueva et al., 2020, CC BY 4.0), by the classifier of the shop on MiniLM vectors as they come;
all choices on the validation part (of Banking77 a tenth of the training part), the test part asked
once. Typing: titles of The Complete Journey (84.51 degrees), one word of each with an error of
`training/augment_texts`. `--keep` holds the encoder and vectors for another run.
"""

import argparse
import csv
import gzip
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from claims import Claims, hash_of, machine
from search import journey

from shopkeeper import registry
from shopkeeper.encoders import VectorCache
from shopkeeper.engine.understanding import vocabulary
from shopkeeper.search import text
from shopkeeper.search.understanding import Understanding, examples
from shopkeeper.search.understanding.intent import Examples, Intents
from shopkeeper.search.understanding.understood import OUT_OF_SCOPE
from shopkeeper.training.augment_texts import Noise, noisy_text

HELD_OUT = Path(__file__).parents[1] / "tests" / "samples" / "intents" / "held_out.tsv"
NOISE = Noise(neighbour=0.03, swap=0.03, drop=0.03, double=0.03)
Rows = list[tuple[str, str]]
TARGETS = {"CLINC150": 0.94, "Banking77": 0.935}


def clinc(folder: Path, _: int) -> tuple[Rows, Rows, Rows]:
    file = folder / "dev" / "clinc150_full.json.gz"
    print(f"             CLINC150 {hash_of(file)}")
    parts = json.loads(gzip.decompress(file.read_bytes()))
    named = {
        name: [(query, OUT_OF_SCOPE if label == "oos" else label) for query, label in rows]
        for name, rows in parts.items()
    }
    return tuple(named[part] + named[f"oos_{part}"] for part in ("train", "val", "test"))  # type: ignore[return-value]


def banking(folder: Path, seed: int) -> tuple[Rows, Rows, Rows]:
    files = [folder / "dev" / "banking77" / f"{part}.csv" for part in ("train", "test")]
    print(f"             Banking77 {hash_of(files[0])} {hash_of(files[1])}")
    learn, test = (
        [
            (row["text"], row["category"])
            for row in csv.DictReader(file.read_text("utf-8").split("\n"))
        ]
        for file in files
    )
    order = np.random.default_rng(seed).permutation(len(learn)).tolist()
    out = len(learn) // 10
    return [learn[at] for at in order[out:]], [learn[at] for at in order[:out]], test


def measure_intents(
    name: str, parts: tuple[Rows, Rows, Rows], encoder: Any, cache: VectorCache, claims: Claims
) -> None:
    learn, choose, test = (
        Examples(
            [q for q, _ in rows], cache.encode(encoder, [q for q, _ in rows]), [w for _, w in rows]
        )
        for rows in parts
    )
    began = time.process_time()
    made = Intents().fit(learn, choose)
    print(f"             {name}: learned in {time.process_time() - began:.0f} s of processor")
    accuracy, f1 = judged(made.predict(choose.texts, choose.vectors)[0], choose.labels)
    print(f"             {name} validation: accuracy {accuracy:.4f}, out-of-scope F1 {f1:.4f}")
    if OUT_OF_SCOPE not in choose.labels:
        # Nothing is left to choose: the validation part is learned too.
        whole = (np.vstack([learn.vectors, choose.vectors]), [*learn.labels, *choose.labels])
        made = Intents().fit(Examples([*learn.texts, *choose.texts], *whole), choose)
    accuracy, f1 = judged(made.predict(test.texts, test.vectors)[0], test.labels)
    claims.check(f"{name}, in-scope accuracy", accuracy, TARGETS[name])
    if OUT_OF_SCOPE in test.labels:
        claims.check(f"{name}, out-of-scope F1", f1, 0.80)


def judged(found: list[str], truth: Any) -> tuple[float, float]:
    """Return accuracy of what is in scope, rejections counting as wrong, and F1 of what is not."""
    said, meant = (np.array(labels, dtype=object) for labels in (found, truth))
    inside, out, called = meant != OUT_OF_SCOPE, meant == OUT_OF_SCOPE, said == OUT_OF_SCOPE
    f1 = 2 * (out & called).sum() / max(1, out.sum() + called.sum())
    return float((said == meant)[inside].mean()), float(f1)


def measure_ours(encoder: Any, claims: Claims) -> None:
    """Our own examples and the queries written apart from them."""
    queries, labels = examples.read()
    made = Intents().fit(Examples(queries, encoder.encode(queries), labels))
    rows = [line.split("\t") for line in HELD_OUT.read_text("utf-8").splitlines()]
    asked = [query for _, query in rows]
    accuracy, f1 = judged(made.predict(asked, encoder.encode(asked))[0], [want for want, _ in rows])
    claims.check("our 8 intents, in-scope accuracy", accuracy, 0.75)
    claims.check("our 8 intents, out-of-scope F1", f1, 0.75)


def mistyped(title: str, random: np.random.Generator) -> tuple[list[str], int, str] | None:
    """Return the words of a title, one of them, and how a hurried hand types it."""
    words = text.words(title)
    places = [at for at, word in enumerate(words) if word.isalpha() and len(word) >= 4]
    if not places:
        return None
    at = places[random.integers(len(places))]
    for _ in range(100):
        if (typed := noisy_text(words[at], NOISE, random)) != words[at]:
            return words, at, typed
    return None


def measure_spelling(args: argparse.Namespace, sound: list[str], claims: Claims) -> None:
    products, file = journey()
    print(f"             Complete Journey {hash_of(file)}")
    began = time.process_time()
    shop = Understanding().build(products, sound=sound)
    print(f"             92,000 products read in {time.process_time() - began:.1f} s of processor")
    titles = products["title"].unique().sort().shuffle(seed=args.seed)
    half, rest = titles[: len(titles) // 2], titles[len(titles) // 2 :].to_list()
    mended, wanted, real, other, times = 0, 0, 0, 0, []
    for number, title in enumerate(rest[: 300 if args.quick else 2_000]):
        made = mistyped(title, np.random.default_rng((args.seed, number)))
        if made is None:
            continue
        words, at, typed = made
        if shop.spelling.knows(typed):
            real += 1  # the error made another word that products have
            continue
        other += shop.spelling.is_sound(typed)
        query = " ".join([*words[:at], typed, *words[at + 1 :]])
        began_s = time.perf_counter()
        found = shop.understand(query)
        times.append(time.perf_counter() - began_s)
        wanted += 1
        mended += found.text.split() == words
    print(f"             {wanted} typed errors, {other} of them another word of the language")
    print(f"             {real} more made another word of the shop")
    claims.check("typed errors mended", mended / wanted, 0.80)
    claims.check(
        "time per query with an error, median", float(np.median(times)) * 1e3, 5, " ms", True
    )
    asked = [shop.understand(title) for title in rest[: 300 if args.quick else 2_000]]
    left = np.mean([not found.corrections for found in asked])
    claims.check("titles of the shop left alone", float(left), 1.0)
    measure_strangers(products, half.to_list(), rest, sound, claims)


def measure_strangers(
    products: Any, half: list[str], rest: list[str], sound: list[str], claims: Claims
) -> None:
    """Sound words that no product has: half of the titles are known, words of the others asked."""
    import polars as pl

    known = Understanding().build(products.filter(pl.col("title").is_in(half)), sound=sound)
    words = sorted({word for title in rest for word in text.words(title)})
    strange = [w for w in words if not known.spelling.knows(w) and w.isalpha() and len(w) >= 4]
    left = np.mean([known.spelling.correct([word], 0) is None for word in strange])
    print(f"             {len(strange)} words of products that the shop does not have")
    claims.check("sound words of other products left alone", float(left), 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    print(f"{machine()}; seed {args.seed}")
    claims = Claims(full=not args.quick)
    with tempfile.TemporaryDirectory() as scratch:
        keep = args.keep or Path(scratch)
        plain = registry.build("encoders", "minilm").ensure(keep / "minilm-onnx")
        measure_spelling(args, vocabulary(keep / "minilm-onnx"), claims)
        measure_ours(plain, claims)
        for name, read in (("CLINC150", clinc), ("Banking77", banking)):
            parts = read(args.data, args.seed)
            if args.quick:
                claims.not_run(f"{name}, in-scope accuracy", "encodes 37,000 queries")
                continue
            measure_intents(name, parts, plain, VectorCache(keep / "vectors", 2048), claims)
    claims.finish()


if __name__ == "__main__":
    main()
