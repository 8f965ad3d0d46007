"""Measures search by picture, and by words in pictures, on photos of clothes.

    python benchmarks/pictures.py --data DIR [--quick] [--seed N]

Photos of ten kinds of clothes in `demo/clothing_photos` (CC0): 600 to learn from, 120 to choose by,
120 to judge by. Everything was chosen on `validation`: how a picture is framed (whole on its edge's
colour, before stretched or cut), shrinkage and detail of the space, and to leave out what did no
better there: small networks with a margin loss, and cropped, turned and mirrored copies. `test` is
asked against the photos of `train`; words look for photos of `test`, which taught nothing. The
space is learned in closed form, so a seed draws nine tenths of `train` to learn it from; it also
draws the two kinds whose words are left out of learning and then asked for, where chance is .1.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from claims import Claims, hash_of, machine
from sklearn.linear_model import LogisticRegression

from shopkeeper import registry
from shopkeeper.encoders import VectorCache
from shopkeeper.encoders.images import encode_files, open_picture
from shopkeeper.search.picture_space import PictureSpace

K = 10
SEEDS = 3
STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
TIMED = 64


@dataclass(frozen=True)
class Photos:
    vectors: np.ndarray
    kinds: np.ndarray


def photos(folder: Path, encoder: object, cache: VectorCache, each: int) -> Photos:
    files = [file for kind in sorted(folder.iterdir()) for file in sorted(kind.glob("*"))[:each]]
    kinds = np.array([file.parent.name for file in files])
    return Photos(encode_files(encoder, files, cache), kinds)


def precisions(gallery: Photos, asked: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return the share of right kinds among the first 1 and the first K, means over questions."""
    order = np.argsort(-(asked @ gallery.vectors.T), axis=1, kind="stable")[:, :K]
    right = gallery.kinds[order] == kinds[:, None]
    return np.array([right[:, 0].mean(), right.mean()])


def regression(train: Photos, chosen_by: Photos, test: Photos) -> float:
    """Return the accuracy of logistic regression, its strength chosen on validation."""
    fitted = [
        LogisticRegression(C=strength, max_iter=2000).fit(train.vectors, train.kinds)
        for strength in STRENGTHS
    ]
    best = max(fitted, key=lambda each: each.score(chosen_by.vectors, chosen_by.kinds))
    return float(best.score(test.vectors, test.kinds))


def learned(train: Photos, rows: np.ndarray, words: dict[str, np.ndarray]) -> PictureSpace:
    texts = np.stack([words[kind] for kind in train.kinds[rows]])
    return PictureSpace().fit(train.vectors[rows], train.kinds[rows].tolist(), texts)


def measure(train: Photos, test: Photos, words: dict[str, np.ndarray], seed: int) -> np.ndarray:
    """Return nearest right, precision by picture, by word, and by a word that was left out."""
    random = np.random.default_rng(seed)
    rows = random.permutation(len(train.kinds))[: len(train.kinds) * 9 // 10]
    space = learned(train, rows, words)
    gallery = Photos(space.place(train.vectors), train.kinds)
    by_picture = precisions(gallery, space.place(test.vectors), test.kinds)
    names = np.array(sorted(words))
    by_word = named(space, test, names, words)
    left_out = random.choice(names, 2, replace=False)
    others = np.flatnonzero(~np.isin(train.kinds, left_out))
    unseen = named(learned(train, others, words), test, left_out, words)
    print(f"seed {seed}: left out {', '.join(left_out)}: {unseen:.3f}", flush=True)
    return np.array([*by_picture, by_word, unseen])


def named(
    space: PictureSpace, test: Photos, names: np.ndarray, words: dict[str, np.ndarray]
) -> float:
    asked = space.place_words(np.stack([words[name] for name in names]))
    return float(precisions(Photos(space.place(test.vectors), test.kinds), asked, names)[1])


def speed(folder: Path, encoder: object) -> tuple[float, float]:
    """Return pictures a CPU second, encoded alone, and with opening their files."""
    contents = [file.read_bytes() for file in sorted(folder.rglob("*.jpg"))[:TIMED]]
    began = time.process_time()
    opened = [open_picture(content) for content in contents]
    ready = time.process_time()
    encoder.encode(opened)
    done = time.process_time()
    return len(contents) / (done - ready), len(contents) / (done - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="four photos a kind, one seed")
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--split", default="test", help="what is judged by")
    parser.add_argument("--cache", type=Path, help="where vectors are kept between runs")
    args = parser.parse_args()
    claims = Claims(full=not args.quick and args.split == "test")
    folder = args.data / "demo" / "clothing_photos"
    seeds = range(args.seed, args.seed + (1 if args.quick else SEEDS))
    print(f"machine {machine()}; seeds {[*seeds]}; split {args.split}")
    print(f"data {folder.name}, first {hash_of(sorted(folder.rglob('*.jpg'))[0])}")
    with tempfile.TemporaryDirectory() as temporary:
        place = args.cache or Path(temporary)
        encoder = registry.build("encoders.images", "efficientnet_lite").ensure(place / "picture")
        cache = VectorCache(place / "vectors", 256)
        train, chosen_by, test = (
            photos(folder / split, encoder, cache, 4 if args.quick else 1000)
            for split in ("train", "validation", args.split)
        )
        texts = registry.build("encoders", "minilm").ensure(place / "text")
        names = sorted(set(train.kinds))
        words = dict(zip(names, texts.encode(names), strict=True))
        alone, opened = speed(folder / "train", encoder)
    untuned = precisions(train, test.vectors, test.kinds)
    found = np.array([measure(train, test, words, seed) for seed in seeds])
    mean, spread = found.mean(0), found.std(0)
    print(f"untuned: nearest {untuned[0]:.3f}, precision at {K} {untuned[1]:.3f}")
    print("tuned: nearest, precision, words, words left out, mean and deviation over seeds:")
    print("  " + ", ".join(f"{m:.3f} ({s:.3f})" for m, s in zip(mean, spread, strict=True)))
    print(f"speed: {alone:.1f} pictures a CPU second, {opened:.1f} with opening their files")
    claims.check("pictures, untuned, nearest is of the kind", untuned[0], 0.70)
    claims.check("pictures, logistic regression", regression(train, chosen_by, test), 0.85)
    claims.check("pictures, tuned, nearest is of the kind", mean[0], 0.82)
    claims.check(f"pictures, tuned, precision at {K}", mean[1], 0.75)
    claims.check(f"pictures, by words, precision at {K}", mean[2], 0.75)
    claims.finish()


if __name__ == "__main__":
    main()
