"""A small dirty gift shop as a file of Online Retail's shape, written by the tests."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

TITLES = [
    f"{colour} {thing}"
    for thing in ("TEA LIGHT HOLDER", "PARTY BUNTING", "LUNCH BAG", "CAKE STAND", "WALL CLOCK")
    for colour in ("RED", "BLUE", "GREEN", "PINK", "IVORY", "BLACK")
]
LAST_DAY = datetime(2011, 12, 1)


def write(path, shoppers=60, visits=8, seed=0):
    """Write a file in which everybody buys own favourites again, two weeks apart."""
    chance = np.random.default_rng(seed)
    rows, invoice = [], 536000
    for shopper in range(shoppers):
        favourites = chance.choice(len(TITLES), 4, replace=False)
        for visit in range(visits):
            invoice += 1
            day = LAST_DAY - timedelta(days=14 * (visits - visit), hours=int(chance.integers(9)))
            wanted = [*chance.permutation(favourites)[:2], int(chance.integers(len(TITLES)))]
            who = 12000 + shopper
            rows += [
                (str(invoice), f"{22000 + item}", TITLES[item], 2, day, 1.25 + item % 5, who)
                for item in dict.fromkeys(wanted)
            ]
    rows += [
        ("C536001", "22000", TITLES[0], -2, LAST_DAY, 1.25, 12000),
        ("536999", "POST", "POSTAGE", 1, LAST_DAY, 18.0, 12000),
        ("536998", "22001", "damaged", -5, LAST_DAY, 0.0, None),
        ("536997", "22002", TITLES[2], 1, LAST_DAY, 0.0, 12001),
        ("536996", "22003", "<script>alert(1)</script>", 1, LAST_DAY, 2.0, 12002),
        ("536995", "22004", "'; DROP TABLE events; --", 1, LAST_DAY, 2.0, 12003),
    ]
    names = [
        "InvoiceNo",
        "StockCode",
        "Description",
        "Quantity",
        "InvoiceDate",
        "UnitPrice",
        "CustomerID",
    ]
    table = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    table = table.with_columns(pl.lit("United Kingdom").alias("Country"))
    table.write_parquet(path) if path.suffix == ".parquet" else table.write_csv(path)
    return path


SETTINGS = """
[shop]
name = "Small gifts"
currency = "GBP"
clock = "replay"

[inputs.invoices]
source = "online_retail"
file = {file}

[search]
encoder = "hashing"

[serving]
walk = true

[train]
recommenders = ["popular", "trending", "repeat", "item_knn", "ease", "bought_together", "content"]
fused = ["popular", "repeat", "item_knn", "ease", "content"]
periods = 2

[evaluation]
split = "2011-11-01"
resamples = 100

[features.sources]
recommenders = ["repeat", "item_knn", "ease"]

[placements.home]
sources = ["repeat", "ease", "item_knn", "popular"]

[ranking.gbdt]
trees = 20
leaf_rows_min = 5
threads = 1
"""


def shop(folder, **kwargs):
    """Make a shop's folder with settings and file, not loaded yet."""
    import json

    folder.mkdir(parents=True, exist_ok=True)
    file = write(folder / "invoices.csv", **kwargs)
    (folder / "shop.toml").write_text(SETTINGS.format(file=json.dumps(str(file))))
    return folder
