"""Networks that foretell clicks and sales from columns of amounts and codes.

Amounts are read piece by piece (Gorishniy, Rubachev and Babenko, NeurIPS 2022), codes are looked
up, a candidate attends to what was wanted before (DIN, Zhou et al., KDD 2018); then crosses beside
a plain network (DCN-V2, Wang et al., WWW 2021), or towers for click and sale on shared fields
(ESMM, Ma et al., SIGIR 2018). A small tower says how far each place on the page is looked at; its
chance multiplies that of the candidate (PAL, Guo et al., RecSys 2019). Knows no shop.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# N rows, A amounts, Q pieces, C columns of codes, T outcomes, D width of a field, W of all fields
LARGEST = 3e38
QUICK = 10.0
"""How much faster than other weights those of places learn, which are few and far from 0."""


@dataclass(frozen=True)
class Fields:
    """What the columns are and hold; all a network must know of its data."""

    amounts: tuple[int, ...]
    edges_AQ: NDArray[np.float32]
    """Where the pieces of each amount begin and end, ascending, NaN where it has fewer pieces."""
    numbers: dict[int, NDArray[np.int64]]
    """By column of codes: the number of each code, by code + 1; 0 for unknown."""
    histories: dict[int, tuple[int, ...]]
    place: int | None
    places: int
    """How many places there are."""


@dataclass(frozen=True)
class Shape:
    """How large a network is."""

    width: int = 8
    """Of each field."""
    hidden: tuple[int, ...] = (128, 64)
    crosses: int = 2
    rank: int = 32
    dropout: float = 0.1
    unknown: float = 0.02
    """Share of codes that learning hides, so that an unknown one has a meaning."""
    outcomes: int = 1
    """1 for one label; 2 for click and sale; 3 with what a sale is worth."""
    kind: Literal["crossed", "towers"] = "crossed"


class Reading(nn.Module):  # type: ignore[misc]
    """Turns columns into fields, [N, F] to [N, W]."""

    def __init__(self, fields: Fields, shape: Shape) -> None:
        super().__init__()
        self.fields, self.unknown = fields, shape.unknown
        low, high = fields.edges_AQ[:, :-1], fields.edges_AQ[:, 1:]
        width = np.where(high > low, high - low, np.inf)
        self.register_buffer("low_AQ", torch.tensor(np.nan_to_num(low)))
        self.register_buffer("slope_AQ", torch.tensor((1 / width).astype(np.float32)))
        pieces = low.shape[1]
        # Behind the pieces stand a 1, and whether the amount is missing.
        self.amount_AQD = nn.Parameter(torch.randn(len(low), pieces + 2, shape.width) * 0.1)
        with torch.no_grad():
            self.amount_AQD[:, :pieces] *= 10 / pieces**0.5
        self.tables = nn.ModuleDict()
        for at, numbers in fields.numbers.items():
            self.register_buffer(f"numbers{at}", torch.tensor(numbers))
            self.tables[str(at)] = nn.Embedding(int(numbers.max(initial=0)) + 1, shape.width)
            nn.init.normal_(self.tables[str(at)].weight, std=0.05)
        self.attention = nn.ModuleDict({str(at): Attention(shape.width) for at in fields.histories})
        num = len(low) + len(fields.numbers) + 2 * len(fields.histories)
        self.width = max(1, num * shape.width)
        self.seen: list[Tensor] = []
        """Looked up in the last call; a penalty may keep them small."""

    def forward(self, x_NF: Tensor, told_ANQ: Tensor | None = None) -> Tensor:
        """Return all fields, side by side; `told_ANQ` is what `pieces` says, if it is known."""
        self.seen = []
        rows = x_NF.shape[0]
        parts = []
        if self.fields.amounts:
            told_ANQ = self.pieces(x_NF) if told_ANQ is None else told_ANQ
            read_NAD = torch.bmm(told_ANQ, self.amount_AQD).transpose(0, 1)
            parts.append(read_NAD.reshape(rows, -1))
        for at in self.fields.numbers:
            own_ND = self._looked_up(x_NF[:, at], at)
            parts.append(own_ND)
            past = self.fields.histories.get(at)
            if past:
                past_NHD = self._looked_up(x_NF[:, list(past)], at)
                there_NH = ~torch.isnan(x_NF[:, list(past)])
                same_NH = x_NF[:, list(past)] == x_NF[:, at][:, None]
                met_ND = self.attention[str(at)](own_ND, past_NHD, there_NH, same_NH)
                parts += [met_ND, met_ND * own_ND]
        if not parts:
            return x_NF.new_zeros(rows, 1)
        return torch.cat(parts, 1)

    def pieces(self, x_NF: Tensor) -> Tensor:
        """Return how much of each piece an amount fills, a 1, and a flag where it is missing.

        [A, N, Q + 2]: with amounts in front there is one batched product for all.
        """
        x_AN = x_NF.T[list(self.fields.amounts)]
        missing_AN = torch.isnan(x_AN)
        sure_AN = torch.where(missing_AN, 0.0, x_AN).clamp(-LARGEST, LARGEST)
        low_A1Q, slope_A1Q = self.low_AQ[:, None, :], self.slope_AQ[:, None, :]
        piece_ANQ = ((sure_AN[:, :, None] - low_A1Q) * slope_A1Q).clamp(0, 1)
        flag_AN1 = missing_AN.to(x_AN.dtype)[:, :, None]
        return torch.cat([piece_ANQ, torch.ones_like(flag_AN1), flag_AN1], 2)

    def _looked_up(self, x: Tensor, at: int) -> Tensor:
        numbers = getattr(self, f"numbers{at}")
        known = (x >= 0) & (x < len(numbers) - 1)
        number = numbers[torch.where(known, x, -1.0).long() + 1]
        if self.training and self.unknown:
            number = torch.where(torch.rand_like(x) < self.unknown, 0, number)
        found: Tensor = self.tables[str(at)](number)
        self.seen.append(found)
        return found


class Attention(nn.Module):  # type: ignore[misc]
    """A mean of the history, in which what is like the candidate counts more."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.counts = nn.Sequential(nn.Linear(3 * width + 1, 32), nn.PReLU(), nn.Linear(32, 1))
        self.same = nn.Linear(1, width)

    def forward(
        self, own_ND: Tensor, past_NHD: Tensor, there_NH: Tensor, same_NH: Tensor
    ) -> Tensor:
        """Return [N, D]; what is not there counts nothing."""
        own_NHD = own_ND[:, None, :].expand_as(past_NHD)
        same_NH1 = (same_NH & there_NH)[:, :, None].to(past_NHD.dtype)
        told = torch.cat([own_NHD, past_NHD, own_NHD * past_NHD, same_NH1], 2)
        score_NH = self.counts(told)[:, :, 0].masked_fill(~there_NH, -1e9)
        # One that is always there, and says nothing, takes the weight of an empty history.
        none_N1 = torch.zeros_like(score_NH[:, :1])
        share_NH1 = torch.cat([none_N1, score_NH], 1).softmax(1)[:, 1:, None]
        met: Tensor = (share_NH1 * (past_NHD + self.same(same_NH1))).sum(1)
        return met


class Crossed(nn.Module):  # type: ignore[misc]
    """Crosses of low rank beside a plain network; one log odds."""

    def __init__(self, width: int, shape: Shape) -> None:
        super().__init__()
        rank = min(shape.rank, width)
        self.down = nn.ModuleList(nn.Linear(width, rank, bias=False) for _ in range(shape.crosses))
        self.up = nn.ModuleList(nn.Linear(rank, width) for _ in range(shape.crosses))
        self.deep = _plain(width, shape.hidden, shape.dropout)
        self.out = nn.Linear(width + shape.hidden[-1], 1)

    def forward(self, x_NW: Tensor) -> Tensor:
        """Return [N, 1]."""
        crossed_NW = x_NW
        for down, up in zip(self.down, self.up, strict=True):
            crossed_NW = x_NW * up(down(crossed_NW)) + crossed_NW
        found: Tensor = self.out(torch.cat([crossed_NW, self.deep(x_NW)], 1))
        return found

    def heads(self) -> list[nn.Linear]:
        """Return the last layer of each outcome."""
        return [self.out]


class Towers(nn.Module):  # type: ignore[misc]
    """A tower for each outcome, on what all share."""

    def __init__(self, width: int, shape: Shape) -> None:
        super().__init__()
        self.shared = _plain(width, shape.hidden[:1], shape.dropout)
        rest = (*shape.hidden[1:], 32)
        self.towers = nn.ModuleList(
            nn.Sequential(_plain(shape.hidden[0], rest, shape.dropout), nn.Linear(32, 1))
            for _ in range(shape.outcomes)
        )

    def forward(self, x_NW: Tensor) -> Tensor:
        """Return [N, T]: log odds of a click, those of a sale after it, log of its worth."""
        shared_NH = self.shared(x_NW)
        return torch.cat([tower(shared_NH) for tower in self.towers], 1)

    def heads(self) -> list[nn.Linear]:
        """Return the last layer of each outcome."""
        return [tower[-1] for tower in self.towers]


class Clicks(nn.Module):  # type: ignore[misc]
    """Fields, what is made of them, and how far a place is looked at."""

    def __init__(self, fields: Fields, shape: Shape) -> None:
        super().__init__()
        self.reading = Reading(fields, shape)
        body = Crossed if shape.kind == "crossed" else Towers
        self.body = body(self.reading.width, shape)
        self.place = fields.place
        if fields.place is not None:
            self.looked = nn.Parameter(torch.full((fields.places + 1,), 1 / QUICK))

    def forward(self, x_NF: Tensor, told_ANQ: Tensor | None = None) -> Tensor:
        """Return what `body` says, as if every row stood at the first place, [N, T]."""
        found_NT = self.body(self.reading(x_NF, told_ANQ))
        if self.place is None:
            return found_NT
        return self._looked_at(found_NT, QUICK * self.looked[1])

    def look(self, places: NDArray[np.float32], rates: NDArray[np.float32]) -> None:
        """Begin with places looked at as they are clicked, which is at least about right."""
        chance = np.clip(0.9 * rates / rates.max(), 0.01, 0.9)
        odds = torch.tensor(np.log(chance / (1 - chance)) / QUICK, dtype=self.looked.dtype)
        with torch.no_grad():
            self.looked[torch.tensor(places, dtype=torch.int64) + 1] = odds

    def learning(self, x_NF: Tensor) -> Tensor:
        """Return the same with every row at its own place."""
        found_NT = self.body(self.reading(x_NF))
        if self.place is None:
            return found_NT
        at_N = x_NF[:, self.place]
        known_N = (at_N >= 0) & (at_N < len(self.looked) - 1)
        looked_N = QUICK * self.looked[torch.where(known_N, at_N, -1.0).long() + 1]
        return self._looked_at(found_NT, looked_N)

    def _looked_at(self, found_NT: Tensor, looked_N: Tensor) -> Tensor:
        click_N1 = both(found_NT[:, 0], looked_N)[:, None]
        return torch.cat([click_N1, found_NT[:, 1:]], 1)


class Several(nn.Module):  # type: ignore[misc]
    """The mean of what several networks say."""

    def __init__(self, networks: list[Clicks]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x_NF: Tensor) -> Tensor:
        """Return [N, T]."""
        # All cut amounts at the same places, which is a good part of the work.
        first = self.networks[0].reading
        told_ANQ = first.pieces(x_NF) if first.fields.amounts else None
        return torch.stack([network(x_NF, told_ANQ) for network in self.networks]).mean(0)


def both(one_N: Tensor, other_N: Tensor) -> Tensor:
    """Return the log odds that two independent things both happen, from those of each, [N]."""
    ways = (-one_N, -other_N, -one_N - other_N)
    return -torch.logsumexp(torch.stack(torch.broadcast_tensors(*ways)), 0)


def to_onnx(networks: list[Clicks], num_features: int) -> bytes:
    """Return an ONNX file of `x` [N, F] float32 to `y` [N, T]."""
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Several(networks).eval(),
            (torch.zeros(3, num_features),),
            written,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": {0: "N"}, "y": {0: "N"}},
            opset_version=18,
            dynamo=False,
        )
    return written.getvalue()


def _plain(width: int, hidden: tuple[int, ...], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU(), nn.Dropout(dropout)]
        width = size
    return nn.Sequential(*layers)
