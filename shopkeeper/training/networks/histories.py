"""What every network over histories shares: sizes, the layout of a batch, and the way to tables.

Histories lie end to end without padding, so that what is done moment by moment wastes nothing;
only what looks back over a history pads, and only to the longest of its group. Knows no network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# B shoppers, T moments, D width, N moments of all shoppers in a row, E events, V products


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a network."""

    num_items: int
    num_actions: int = 1
    num_buckets: int = 24
    kind: str = "attention"
    """What looks back: `attention`, `hstu`, `gru` or `pooling`."""
    width: int = 64
    num_blocks: int = 2
    num_heads: int = 2
    history_max: int = 50
    dropout: float = 0.2
    attention_dropout: float = 0.0
    """Share of what a moment looks back at that is left out while learning."""
    gated: bool = True
    times: bool = True
    num_decays: int = 0
    """How many sums of the past are given for a product that was wanted before; 0 for none."""
    biased: bool = False
    """Whether each product has a number of its own that is added to its scores."""
    content_width: int = 0
    """How many numbers tell of the content of each product; 0 for none."""
    id_dropout: float = 0.0
    """Share of products that are known by their content alone in a step of learning."""
    temperature: float = 0.0
    """Scores are cosines divided by it; 0 leaves them inner products."""


@dataclass(frozen=True)
class Group:
    """Some histories that are padded together."""

    begin: int
    """Their first moment, in [0, N)."""
    end: int
    """The moment after their last."""
    rows: int
    """How many histories."""
    columns: int
    """The longest of them."""
    slot_G: Tensor | None
    """Where each of their moments stands in the padded table: row * columns + place from start.

    None where the moments are the padded table itself, row by row.
    """


@dataclass(frozen=True)
class Histories:
    """B histories laid end to end, oldest moment first: N moments with E events."""

    item_E: Tensor
    action_E: Tensor
    moment_E: Tensor
    """The moment of each event, in [0, N)."""
    weight_E: Tensor
    """What each event adds to its moment; sums to 1 over a moment."""
    back_N: Tensor
    """Position counted from the end of its history: 0 is the newest."""
    gap_N: Tensor
    """Bucket of the time since the moment before."""
    wait_N: Tensor
    """Bucket of the time until the next moment, or until now for the newest."""
    minute_N: Tensor
    """Minutes since the first moment of its history."""
    next_N: Tensor
    """The same of the moment after it, or of now for the newest."""
    groups: tuple[Group, ...]
    """All moments, each in one group, in order."""


def by_group(past: Histories, x_NW: Tensor, mix: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Let `mix` look along each history, and return what it says of each moment.

    Args:
        past: The layout.
        x_NW: What is known of each moment. Shape [N, W].
        mix: From padded tables [B, T, W] and the place of each of their moments in N, [B, T]
            (0 in the padding), to tables [B, T, D]. Padding stands after a history.

    Returns:
        One row per moment. Shape [N, D].
    """
    parts = []
    for group in past.groups:
        some_GW = x_NW[group.begin : group.end]
        here_G = torch.arange(group.begin, group.end)
        size = group.rows * group.columns
        if group.slot_G is not None:
            some_GW = some_GW.new_zeros(size, x_NW.shape[1]).index_copy(0, group.slot_G, some_GW)
            here_G = here_G.new_zeros(size).index_copy(0, group.slot_G, here_G)
        mixed_BTD = mix(
            some_GW.view(group.rows, group.columns, -1), here_G.view(group.rows, group.columns)
        )
        flat = mixed_BTD.reshape(size, -1)
        parts.append(flat if group.slot_G is None else flat.index_select(0, group.slot_G))
    return parts[0] if len(parts) == 1 else torch.cat(parts)
