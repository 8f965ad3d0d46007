"""What comes next, carried from moment to moment: the baseline of sequence networks.

Source: GRU4Rec (Hidasi et al., ICLR 2016); see `training/networks/gru` for what differs.
"""

from dataclasses import dataclass
from typing import ClassVar

from shopkeeper.recommenders import _sequences


class Gru(_sequences.Sequence):
    """Foretells the products of a shopper's next moment by a gated recurrent unit."""

    kind: ClassVar[str] = "gru"

    @dataclass(frozen=True, kw_only=True)
    class Config(_sequences.Settings):
        """Settings of the network and of how it learns."""

        blocks: int = 1
        """How many units stand on one another."""
