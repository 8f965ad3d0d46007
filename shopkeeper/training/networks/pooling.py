"""A block that sums up a history without reading its order step by step: a shopper's tower.

Each moment says by itself how much it counts, and older ones count as much as their distance in
moments has been learned to count; the sum goes through a small network. Source: the user tower of
Covington et al. (RecSys 2016), with learned weights in the place of the plain mean.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from shopkeeper.training.networks.histories import Histories, Shape, by_group


class PoolingBlock(nn.Module):  # type: ignore[misc]
    """A weighed mean of this moment and those before it, then SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.norm = nn.LayerNorm(width)
        self.counts = nn.Linear(width, shape.num_heads)
        self.far = nn.Embedding(shape.history_max, shape.num_heads)
        self.value = nn.Linear(width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, 4 * width, bias=False)
        self.feed_out = nn.Linear(2 * width, width, bias=False)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x_ND: Tensor, past: Histories) -> Tensor:
        """Return [N, D]."""
        known_ND = self.norm(x_ND)
        told_NW = torch.cat([self.value(known_ND), self.counts(known_ND)], 1)
        x_ND = x_ND + self.dropout(by_group(past, told_NW, self._sum_up))
        gate_NF, value_NF = self.feed_in(self.norm_feed(x_ND)).chunk(2, dim=-1)
        added: Tensor = self.dropout(self.feed_out(functional.silu(gate_NF) * value_NF))
        return x_ND + added

    def _sum_up(self, told_BTW: Tensor, here_BT: Tensor) -> Tensor:  # noqa: ARG002
        rows, columns, _ = told_BTW.shape
        heads = self.far.weight.shape[1]
        value_BTD, counts_BTH = told_BTW[:, :, :-heads], told_BTW[:, :, -heads:]
        place_T = torch.arange(columns)
        apart_TT = place_T[:, None] - place_T[None, :]
        far_TTH = self.far(apart_TT.clamp(0, len(self.far.weight) - 1))
        score_BHTT = counts_BTH.transpose(1, 2)[:, :, None, :] + far_TTH.permute(2, 0, 1)
        score_BHTT = score_BHTT.masked_fill(apart_TT < 0, -1e9)
        split = value_BTD.view(rows, columns, heads, -1).transpose(1, 2)
        return (score_BHTT.softmax(-1) @ split).transpose(1, 2).reshape(rows, columns, -1)
