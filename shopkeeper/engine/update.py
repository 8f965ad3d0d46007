"""Going on from the bundle in use instead of learning anew, and only if nothing is lost by it.

Recommenders that can, learn on from their weights; those that count, count again, which is quick.
The ranker stays: it learned on held-back periods how far to trust each recommender, which a few
days change little, and learning it is half of a training. Whether it still fits is measured with
all the rest: the page after an update to the middle of what is new is compared with the page of
the bundle in use, on what its shoppers bought next. Knows nothing of search.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from shopkeeper import registry
from shopkeeper.config import Config
from shopkeeper.engine.evaluate import measure
from shopkeeper.engine.fusion import Fusion
from shopkeeper.engine.learn import Known, Learner, seeded
from shopkeeper.engine.models import FUSION as FUSION_FOLDER
from shopkeeper.engine.models import restore_fusion
from shopkeeper.engine.report import ALL, FUSION, Measured, write_report
from shopkeeper.errors import BadConfig, BadData, NotFitted
from shopkeeper.evaluation.bootstrap import paired_difference
from shopkeeper.evaluation.splits import next_basket
from shopkeeper.operations.bundles import Bundles
from shopkeeper.schema import EVENT_NAME, TIME, USER
from shopkeeper.tracing import stage

SHOPPERS_MIN = 30
"""Fewer shoppers tell nothing: an interval over them is chance."""
ANEW = "Run `shopkeeper train` to learn anew."
OF_UPDATES = ("update_steps", "replay")
"""Settings that a bundle may differ in: they say how to learn on, not what was learned."""


@dataclass(frozen=True)
class Previous:
    """The bundle in use, to learn on from."""

    version: str
    folder: Path
    about: Mapping[str, Any]
    """Its manifest."""
    learner: Learner
    """With its recommenders."""
    fusion: Fusion

    @classmethod
    def of(cls, config: Config, bundles: Bundles, checkpoints: Path) -> "Previous":
        """Open the bundle in use.

        Args:
            config: The shop's settings.
            bundles: Its bundles.
            checkpoints: A folder where long learning keeps its state.

        Returns:
            The bundle, ready to learn on.

        Raises:
            NotFitted: Nothing was published yet, or it has no ranker.
            BadConfig: It was learned with other settings.
            BadData: It is damaged, or was learned by another version.
        """
        version = bundles.current()
        folder, about = bundles.open(version), bundles.manifest(version)
        if not (folder / FUSION_FOLDER).is_dir():
            raise NotFitted(
                f"The bundle in use, {version}, has no ranker yet, for too little had happened: "
                f"there is nothing to update. {ANEW}"
            )
        learner = Learner.of(config, checkpoints=checkpoints)
        kept = {path.name: path for path in folder.glob("recommenders/*")}
        if kept.keys() != learner.recommenders.keys():
            odd = ", ".join(sorted(kept.keys() ^ learner.recommenders.keys()))
            raise BadConfig(
                f"The bundle in use, {version}, was learned with other recommenders than shop.toml "
                f"names: {odd}. {ANEW}"
            )
        _check_settings(version, folder, config, learner)
        learner.recommenders = {
            name: part.restore(kept[name]) for name, part in learner.recommenders.items()
        }
        learner.fitted = set(learner.recommenders)
        learner.vectors.weights = tuple(about.get("vector_weights", ()))
        fusion = restore_fusion(folder, learner.recommenders)
        _check_features(version, fusion.names(), about.get("ranker_features"))
        return cls(version, folder, about, learner, fusion)

    @property
    def last(self) -> datetime:
        """The newest event it learned from."""
        return datetime.fromisoformat(self.about["last_event"])

    def idle(self, known: Known, data_hash: str) -> str:
        """Say in a sentence why there is no update to make, empty if there is.

        Args:
            known: What the shop knows now.
            data_hash: Of it.

        Returns:
            The sentence.
        """
        if data_hash == self.about.get("data_hash"):
            return f"There is nothing new since bundle {self.version}."
        since = self.judged_since(known.everything)
        if since is None:
            return (
                f"Nobody bought anything since the last event of bundle {self.version} "
                f"({self.last:%Y-%m-%d %H:%M}), so an update could not be judged. {ANEW}"
            )
        judged = next_basket(known.everything, since)[USER]
        many = int(judged.is_in(self.shoppers(known.everything).implode()).sum())
        if many < SHOPPERS_MIN:
            return (
                f"Not published: {many} shoppers of bundle {self.version} bought again in the "
                f"newer half of what is new, and fewer than {SHOPPERS_MIN} cannot tell whether "
                f"anything is lost. Update when more is loaded, or run `shopkeeper train`."
            )
        return ""

    def judged_since(self, events: pl.DataFrame) -> datetime | None:
        """Return when the newer half of the new purchases begins, None without any."""
        bought = (pl.col(EVENT_NAME) == "purchase") & (pl.col(TIME) > self.last)
        times = events.filter(bought)[TIME].sort()
        return times[len(times) // 2] if len(times) else None

    def shoppers(self, events: pl.DataFrame) -> pl.Series:
        """Return whom the bundle knew."""
        return events.filter(pl.col(TIME) <= self.last)[USER].drop_nulls().unique()

    def check_encoder(self, encoder: Any) -> None:
        """Raise BadConfig unless products were told by the same text encoder."""
        about = json.loads((self.folder / "encoder" / "part.json").read_text())
        if about["name"] != encoder.address[1]:
            raise BadConfig(
                f"The bundle in use, {self.version}, was learned with the text encoder "
                f"'{about['name']}', and the shop has '{encoder.address[1]}' now. {ANEW}"
            )


def learn_on(
    folder: Path, config: Config, known: Known, previous: Previous
) -> tuple[Learner, Fusion, dict[str, Any], dict[str, Any]]:
    """Learn on from a bundle up to the middle of what is new, and compare it with the bundle.

    Args:
        folder: The shop's folder, which gets `reports/update.html`.
        config: Its settings.
        known: What the shop knows now.
        previous: The bundle in use; its recommenders learn on.

    Returns:
        The learner and fusion as of that moment; the report; and what it was judged by: whether it
        is `kept` and `why`, NDCG `before` and `after`, the `low` and `high` of the change, how many
        `shoppers`, `loss_max`, `from` and `judged_since`.

    Raises:
        BadData: The ranker looks at other features than it learned with.
    """
    since = previous.judged_since(known.everything)
    assert since is not None, "an update without purchases is idle"
    learner, k = previous.learner, config.evaluation.k
    fused = {name: learner.recommenders[name] for name in config.train.fused}
    with stage("before"):
        old = measure(config, known, since, fused, previous.fusion, brief=True)
    with stage("learn"):
        past = known.before(since)
        learner.fit(past, fused)
        fusion = learner.fusion(past, since)
    _check_features(previous.version, fusion.names(), previous.fusion.names())
    fusion.ranker = previous.fusion.ranker
    with stage("after"):
        new = measure(config, known, since, fused, fusion, brief=True)
        kept, rows = _compared(config, old, new, previous.shoppers(known.everything))
        table = {
            "title": f"Shoppers of bundle {previous.version}: NDCG@{k} with it, and updated",
            "columns": list(rows[0]),
            "rows": rows,
        }
        report = write_report(
            folder, config, since, [new], [learner.seed],
            name="update", first=[table], notes=[kept["why"]],
        )  # fmt: skip
    told = {"from": previous.version, **kept, "judged_since": since.isoformat()}
    return learner, fusion, report, told


def _compared(
    config: Config, old: Measured, new: Measured, shoppers: pl.Series
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Compare lists of shoppers that the bundle in use knew; the page decides."""
    known = pl.concat([new.shoppers, new.strangers.shoppers])[USER]
    mine = known.is_in(shoppers.implode()).to_numpy()
    rows: list[dict[str, Any]] = []
    for name in [FUSION, *(name for name in old.scores[ALL] if name != FUSION)]:
        was, now = (one.everybody(name, "ndcg")[mine] for one in (old, new))
        change = paired_difference(now, was, resamples=config.evaluation.resamples)
        before, after = float(was.mean()), float(now.mean())
        range_ = {"low": change.low, "high": change.high}
        rows.append({"list": name, "before": before, "after": after, **range_})
    page, most = dict(rows[0]), config.train.update_loss_max
    page |= {"shoppers": int(mine.sum()), "loss_max": most}
    kept = page["low"] >= -most * page["before"]
    del page["list"]
    return {"kept": kept, "why": _why(page, kept, config.evaluation.k), **page}, rows


def _why(page: Mapping[str, Any], kept: bool, k: int) -> str:
    """Say in one sentence what was decided, and why."""
    share = 100 / max(page["before"], 1e-12)
    said = (
        f"NDCG@{k} of {page['shoppers']:,} shoppers of the bundle in use: {page['before']:.4f} "
        f"with it, {page['after']:.4f} updated, a change of {page['low'] * share:+.1f} % to "
        f"{page['high'] * share:+.1f} %"
    )
    most = f"a loss above {page['loss_max']:.0%}"
    if kept:
        return f"{said}, which rules out {most}."
    return f"Not published: {said}, which does not rule out {most}. {ANEW}"


def _check_settings(version: str, folder: Path, config: Config, learner: Learner) -> None:
    """Raise BadConfig where a part of the bundle was learned with other settings than now."""
    train = config.train
    about = json.loads((folder / FUSION_FOLDER / "fusion.json").read_text())
    now = {
        "recommenders": list(train.fused),
        "pool": train.candidates,
        "last_basket": list(train.last_basket),
    }
    for word, value in now.items():
        if about[word] != value:
            _refuse(version, f"[train] {word}", about[word], value)
    features = [
        registry.build("features", name, **config.part("features", name)) for name in train.features
    ]
    wanted = {f"recommenders/{name}": part for name, part in learner.recommenders.items()}
    wanted |= {f"{FUSION_FOLDER}/feature-{n:02d}": part for n, part in enumerate(features)}
    wanted[f"{FUSION_FOLDER}/ranker"] = seeded("ranking", train.ranker, config, learner.seed)
    more = folder / FUSION_FOLDER / f"feature-{len(features):02d}"
    if more.is_dir():
        raise BadConfig(f"The bundle in use, {version}, has more features than shop.toml. {ANEW}")
    for place, part in wanted.items():
        _check_part(version, folder / place, part)


def _check_part(version: str, kept: Path, part: Any) -> None:
    shelf, name = part.address
    if not (kept / "part.json").is_file():
        raise BadConfig(f"The bundle in use, {version}, lacks [{shelf}.{name}]. {ANEW}")
    about = json.loads((kept / "part.json").read_text())
    if about["name"] != name:
        _refuse(version, f"[train] {shelf}", about["name"], name)
    now = json.loads(json.dumps(asdict(part.config)))
    for word in sorted(now.keys() & about["settings"].keys()):
        if word not in OF_UPDATES and now[word] != about["settings"][word]:
            _refuse(version, f"[{shelf}.{name}] {word}", about["settings"][word], now[word])


def _refuse(version: str, what: str, was: Any, now: Any) -> None:
    raise BadConfig(
        f"The bundle in use, {version}, was learned with other settings: {what} was {was} and is "
        f"{now} now. {ANEW}"
    )


def _check_features(version: str, now: list[str], learned: list[str] | None) -> None:
    """Raise BadData unless the ranker gets the features that it learned with."""
    if now != learned:
        raise BadData(
            f"The ranker of bundle {version} learned with other features than there are now. {ANEW}"
        )
