"""A block that looks back without a softmax, weighing products by position and by time.

Source: HSTU (Zhai et al., ICML 2024): SiLU in the place of the softmax, a bias for how far back in
moments and in time, a gate in the place of the feed-forward part. We leave out its division by the
length of the history: the norm that follows undoes it. As in its code, the time a moment looks
back from is that of what is to be foretold, which a request knows.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from shopkeeper.training.networks.histories import Histories, Shape, by_group

LEVELS_A_POWER = 2
"""Time spans are told apart by so many steps for each power of two, in minutes."""
NUM_SPANS = 64


class HstuBlock(nn.Module):  # type: ignore[misc]
    """Pointwise attention to earlier moments, gated by what stands here."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.num_heads, self.times = shape.num_heads, shape.times
        self.norm = nn.LayerNorm(width)
        self.mixed = nn.Linear(width, 4 * width)
        self.norm_seen = nn.LayerNorm(width)
        self.added = nn.Linear(width, width)
        self.dropout = nn.Dropout(shape.dropout)
        self.far = nn.Embedding(shape.history_max, shape.num_heads)
        self.long = nn.Embedding(NUM_SPANS, shape.num_heads) if shape.times else None

    def forward(self, x_ND: Tensor, past: Histories) -> Tensor:
        """Return [N, D]."""
        width = x_ND.shape[1]
        mixed_NW = functional.silu(self.mixed(self.norm(x_ND)))
        gate_ND, seeking_NW = mixed_NW[:, :width], mixed_NW[:, width:]
        seen_ND = by_group(past, seeking_NW, lambda table, here: self._look(table, here, past))
        return x_ND + self.added(self.dropout(self.norm_seen(seen_ND) * gate_ND))

    def _look(self, table_BTW: Tensor, here_BT: Tensor, past: Histories) -> Tensor:
        rows, columns, width = table_BTW.shape
        split = table_BTW.view(rows, columns, 3, self.num_heads, width // 3 // self.num_heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        place_T = torch.arange(columns)
        far_TT = (place_T[:, None] - place_T[None, :]).clamp(0, len(self.far.weight) - 1)
        weight_BHTT = query @ key.transpose(-1, -2) + self.far(far_TT).permute(2, 0, 1)
        if self.long is not None:
            span_BTT = past.next_N[here_BT][:, :, None] - past.minute_N[here_BT][:, None, :]
            weight_BHTT = weight_BHTT + self.long(spans_apart(span_BTT)).permute(0, 3, 1, 2)
        earlier_TT = (place_T[:, None] >= place_T[None, :]).to(table_BTW.dtype)
        seen = (functional.silu(weight_BHTT) * earlier_TT) @ value
        return seen.transpose(1, 2).reshape(rows, columns, -1)


def spans_apart(minutes: Tensor) -> Tensor:
    """Return which of NUM_SPANS each time span is, in minutes of at least 0."""
    powers = torch.log2(minutes.clamp(min=0).float() + 1.0)
    return (powers * LEVELS_A_POWER).long().clamp(max=NUM_SPANS - 1)
