"""A transformer over what a shopper did, moment by moment.

Source: SASRec (Kang and McAuley, ICDM 2018) with the changes that later work found to matter:
softmax over the catalogue and tied vectors (gSASRec, RecSys 2023), gated residual blocks with
SwiGLU (LiGR; eSASRec, RecSys 2025), positions counted from the newest moment. We differ in the
token: it is all products of one moment (a basket) pooled, so a history of a thousand purchases
is a hundred tokens, and with one product a moment it is SASRec's. What looks back may also be
a block of `hstu` or `gru`.
Knows nothing of names, shops or files: products are rows, times are buckets.
"""

import io
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from shopkeeper.training.networks.gru import GruBlock
from shopkeeper.training.networks.histories import Group, Histories, Shape, by_group
from shopkeeper.training.networks.hstu import HstuBlock
from shopkeeper.training.networks.pooling import PoolingBlock

# B shoppers, T moments, D width, N moments of all shoppers in a row, E events, V products


class SequenceNetwork(nn.Module):  # type: ignore[misc]
    """Turns histories into one vector per moment, to be compared with the products' vectors."""

    def __init__(self, shape: Shape, content_VC: Tensor | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.items = nn.Embedding(shape.num_items, shape.width)
        self.content = (
            nn.Linear(shape.content_width, shape.width) if content_VC is not None else None
        )
        self.content_VC = content_VC
        self.actions = nn.Embedding(shape.num_actions, shape.width)
        self.body = Body(shape)
        self.apply(_start)
        self.again = Again(shape) if shape.num_decays else None
        self.bias = nn.Parameter(torch.zeros(shape.num_items)) if shape.biased else None

    def forward(self, past: Histories, event_ED: Tensor | None = None) -> Tensor:
        """Return one vector per moment, [N, D], that knows that moment and those before it.

        `event_ED` is what is read of the events' products; None reads them by `read`.
        """
        event_ED = self.read(past.item_E) if event_ED is None else event_ED
        if self.shape.num_actions > 1:
            event_ED = event_ED + self.actions(past.action_E)
        token_ND = event_ED.new_zeros(len(past.back_N), self.shape.width).index_add(
            0, past.moment_E, event_ED * past.weight_E[:, None]
        )
        result: Tensor = self.body(token_ND, past)
        return result

    def read(self, item_E: Tensor) -> Tensor:
        """Return the vectors of some products as histories hold them: those of `table`."""
        found: Tensor = self.items(item_E) if self.content is None else self.table()[item_E]
        return found

    def heads(self, hidden_PD: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return pairs of vectors as `compared` does, each learned from the same targets."""
        return [self.compared(hidden_PD)]

    def table(self) -> Tensor:
        """Return the vectors of all products, [V, D]."""
        items_VD: Tensor = self.items.weight
        if self.content is None:
            return items_VD
        if self.training and self.shape.id_dropout:
            kept_V1 = torch.rand(len(items_VD), 1) >= self.shape.id_dropout
            items_VD = items_VD * kept_V1
        return items_VD + self.content(self.content_VC)

    def compared(self, hidden_PD: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors of moments and of products whose inner products are the scores."""
        items_VD = self.table()
        if self.shape.temperature:
            items_VD = functional.normalize(items_VD)
        if self.bias is None:
            return hidden_PD, items_VD
        one_P1 = hidden_PD.new_ones(len(hidden_PD), 1)
        return torch.cat([hidden_PD, one_P1], 1), torch.cat([items_VD, self.bias[:, None]], 1)


class Again(nn.Module):  # type: ignore[misc]
    """What is added to the score of a product that the shopper wanted before."""

    SPEED = 10.0
    """These few numbers may move so much faster than the vectors."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.age = nn.Parameter(torch.full((shape.num_buckets,), 2.0 / self.SPEED))
        self.decay = nn.Parameter(torch.full((shape.num_decays,), 0.3 / self.SPEED))

    def forward(self, features_QH: Tensor, age_Q: Tensor) -> Tensor:
        """Return [Q]."""
        return self.SPEED * (self.age[age_Q] + features_QH @ self.decay)

    def scaled(self) -> dict[str, NDArray[np.float32]]:
        """Return `age` and `decay` as they are to be added up without torch."""
        kept = {"age": self.age, "decay": self.decay}
        return {name: (self.SPEED * value.detach()).numpy() for name, value in kept.items()}

    def take_up(self, scaled: dict[str, NDArray[np.float32]]) -> None:
        """Go on from what `scaled` returned."""
        self.age.data.copy_(torch.from_numpy(scaled["age"]) / self.SPEED)
        self.decay.data.copy_(torch.from_numpy(scaled["decay"]) / self.SPEED)


class Body(nn.Module):  # type: ignore[misc]
    """All but the products: tokens in, one vector per moment out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.back = nn.Embedding(shape.history_max, shape.width)
        self.gap = nn.Embedding(shape.num_buckets, shape.width)
        self.wait = nn.Embedding(shape.num_buckets, shape.width)
        self.norm_in = nn.LayerNorm(shape.width)
        self.dropout = nn.Dropout(shape.dropout)
        self.blocks = nn.ModuleList(BLOCKS[shape.kind](shape) for _ in range(shape.num_blocks))
        self.norm_out = nn.LayerNorm(shape.width)

    def forward(self, token_ND: Tensor, past: Histories) -> Tensor:
        """Return one vector per moment, [N, D]."""
        x_ND = token_ND + self.back(past.back_N)
        if self.shape.times:
            x_ND = x_ND + self.gap(past.gap_N) + self.wait(past.wait_N)
        x_ND = self.dropout(self.norm_in(x_ND))
        for block in self.blocks:
            x_ND = block(x_ND, past)
        result: Tensor = self.norm_out(x_ND)
        if self.shape.temperature:
            result = functional.normalize(result) / self.shape.temperature
        return result


class Block(nn.Module):  # type: ignore[misc]
    """Attention to earlier moments, then SwiGLU, each added through a learned gate."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, inner = shape.width, 2 * shape.width
        self.num_heads = shape.num_heads
        self.norm_attend = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.feed_in = nn.Linear(width, 2 * inner, bias=False)
        self.feed_out = nn.Linear(inner, width, bias=False)
        self.dropout = nn.Dropout(shape.dropout)
        self.share = shape.attention_dropout
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(2 * shape.gated))

    def forward(self, x_ND: Tensor, past: Histories) -> Tensor:
        """Return [N, D]. Padding stands after a history, so no moment ever attends to it."""
        mixed_NW = self.query_key_value(self.norm_attend(x_ND))
        added_ND = self.dropout(self.attended(by_group(past, mixed_NW, self._attend)))
        x_ND = x_ND + (added_ND * self.gates[0](x_ND).sigmoid() if self.gates else added_ND)
        gate_NF, value_NF = self.feed_in(self.norm_feed(x_ND)).chunk(2, dim=-1)
        added_ND = self.dropout(self.feed_out(functional.silu(gate_NF) * value_NF))
        return x_ND + (added_ND * self.gates[1](x_ND).sigmoid() if self.gates else added_ND)

    def _attend(self, mixed_BTW: Tensor, here_BT: Tensor) -> Tensor:  # noqa: ARG002
        rows, columns, width = mixed_BTW.shape
        split = mixed_BTW.view(rows, columns, 3, self.num_heads, width // 3 // self.num_heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        share = self.share if self.training else 0.0
        seen = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, dropout_p=share
        )
        return seen.transpose(1, 2)


BLOCKS: dict[str, Callable[[Shape], nn.Module]] = {
    "attention": Block,
    "hstu": HstuBlock,
    "gru": GruBlock,
    "pooling": PoolingBlock,
}
"""What may look back, by `Shape.kind`."""


def _start(part: nn.Module) -> None:
    if isinstance(part, nn.Linear | nn.Embedding):
        nn.init.normal_(part.weight, std=0.02)
    if isinstance(part, nn.Linear) and part.bias is not None:
        nn.init.zeros_(part.bias)


class Newest(nn.Module):  # type: ignore[misc]
    """The body as it serves: padded tables in, the vector of each newest moment out."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body

    def forward(
        self,
        token_BTD: Tensor,
        gap_BT: Tensor,
        wait_BT: Tensor,
        minute_BT: Tensor,
        next_BT: Tensor,
        size_B: Tensor,
    ) -> Tensor:
        """Return [B, D] for histories of `size_B` moments, from 1, that begin at column 0."""
        rows, columns, width = token_BTD.shape
        back_BT = (size_B[:, None] - 1 - torch.arange(columns)[None, :]).clamp(min=0)
        past = Histories(
            item_E=size_B,
            action_E=size_B,
            moment_E=size_B,
            weight_E=size_B,
            back_N=back_BT.reshape(-1),
            gap_N=gap_BT.reshape(-1),
            wait_N=wait_BT.reshape(-1),
            minute_N=minute_BT.reshape(-1),
            next_N=next_BT.reshape(-1),
            groups=(Group(0, rows * columns, rows, columns, None),),
        )
        vector_BTD = self.body(token_BTD.reshape(-1, width), past).view(rows, columns, width)
        newest_B1D = (size_B - 1)[:, None, None].expand(-1, 1, width)
        return vector_BTD.gather(1, newest_B1D).squeeze(1)


def to_onnx(body: Body) -> bytes:
    """Return the body as an ONNX file that takes any number of shoppers and moments.

    Inputs `token_BTD` (float32), `gap_BT`, `wait_BT`, `minute_BT`, `next_BT` and `size_B` (int64),
    output `vector_BD`; what the network does not read is left out of the inputs.
    """
    rows, columns = 2, 3
    shape = (rows, columns)
    token_BTD = torch.zeros(*shape, body.shape.width)
    number_BT = torch.zeros(shape, dtype=torch.int64)
    size_B = torch.full((rows,), columns)
    names = ("token_BTD", "gap_BT", "wait_BT", "minute_BT", "next_BT")
    table, line = {0: "B", 1: "T"}, {0: "B"}
    axes = {name: table for name in names} | {"size_B": line, "vector_BD": line}
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Newest(body).eval(),
            (token_BTD, *[number_BT] * 4, size_B),
            written,
            input_names=[*names, "size_B"],
            output_names=["vector_BD"],
            dynamic_axes=axes,
            dynamo=False,
        )
    return written.getvalue()
