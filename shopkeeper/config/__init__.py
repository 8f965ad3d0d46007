"""What may be set in `shop.toml`, the only settings file of a shop.

Every section is a frozen dataclass in `sections`, or the `Config` of a part on a shelf, handed in
by the caller; `file` reads and writes. Knows no part by name.
"""

from shopkeeper.config.edit import set_values
from shopkeeper.config.file import FILE, comments, read, write
from shopkeeper.config.placements import PLACEMENTS, PRICES, Placement
from shopkeeper.config.sections import (
    Config,
    DataSection,
    EvaluationSection,
    Input,
    SearchSection,
    ServingSection,
    ShopSection,
    StoreSection,
    TrainSection,
    VectorsSection,
)

__all__ = [
    "FILE",
    "PLACEMENTS",
    "PRICES",
    "Config",
    "DataSection",
    "EvaluationSection",
    "Input",
    "Placement",
    "SearchSection",
    "ServingSection",
    "ShopSection",
    "StoreSection",
    "TrainSection",
    "VectorsSection",
    "comments",
    "read",
    "set_values",
    "write",
]
