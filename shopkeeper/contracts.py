"""The whole system on one page: what each room promises to the others.

Tables travel between rooms; tensors stay inside one. Big tables are Ibis expressions, tables
at hand are Polars; what a live page needs travels as the flat arrays of `arrays`. Letters for
shapes in every docstring: B requests, K results each, N rows, F features, D width of a vector.
Column names and table shapes are in `schema`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.arrays import Asked, Floats, Ids, Picks, Rows

if TYPE_CHECKING:
    import ibis
    from PIL.Image import Image

T = TypeVar("T")

TextKind = Literal["query", "passage"]
"""What a text is to a search: what a shopper says, or what a shop says of a product."""


class Source(Protocol):
    """Reads the files a shop has. One file in `data/sources` for each format.

    A source whose files can be loaded one by one, as they come, says so by `apart = True`.
    """

    def files(self, location: Path | None) -> list[Path]:
        """List what a load of `location` reads: a file, a folder, or a pattern such as `*.csv`.

        None is for a source that brings its own. Raises BadData for want of a file.
        """

    def read(self, backend: Any, files: Sequence[Path]) -> dict[str, "ibis.Table"]:
        """Return raw tables by the names of `schema.TABLES`, unchecked, with a `line` column.

        `backend` is an Ibis connection on DuckDB, `files` some that `files` listed; `line` is
        numbered by `schema.LINES_PER_FILE`. A column `problem` may say why a row cannot be read,
        null elsewhere; such a row is refused for that reason. Columns beyond the schema go into
        quarantine with a refused row. Raises BadData if a file is missing, empty, broken as a
        whole, or has other columns.
        """


class Store(Protocol):
    """Keeps tables. One file in `store` for each engine."""

    def table(self, name: str) -> "ibis.Table":
        """Return table `name` of `schema.TABLES`, an expression; no rows if never written."""

    def forget(self, user_id: str) -> int:
        """Delete every row of a shopper in every table, and return how many rows went."""


class Encoder(Protocol):
    """Turns texts into vectors. One file in `encoders` for each method."""

    def encode(self, texts: Sequence[str], kind: TextKind = "passage") -> NDArray[np.float32]:
        """Return one vector of length 1 per text, [N, D].

        `kind` matters to models that read queries and products each in a way of their own. An
        encoder may say by `near` from which cosine on a query and a product are alike.
        """


@dataclass(frozen=True)
class Heard:
    """What was said in a recording."""

    text: str
    """The words, never empty."""
    language: str
    """ISO 639-1 code, such as `en`."""
    seconds: float
    """Length of the recording."""


class SpeechEncoder(Protocol):
    """Turns speech into words. One file in `encoders/speech` for each method."""

    def transcribe(self, audio: bytes) -> Heard:
        """Return what is said in a recording: the bytes of a wav, webm, ogg or mp3 file.

        Raises BadRequest, with `audio` as its field, for what is empty, too large or too long, no
        audio, or holds no words. Raises Missing for want of a library or a model.
        """

    def installed(self) -> bool:
        """Say whether library and model are there, without loading them."""


class CrossEncoder(Protocol):
    """Reads a query and a text together. One file in `encoders/cross` for each kind."""

    def score(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return how well texts answer a query, [N]; only their order counts."""


class ImageEncoder(Protocol):
    """Turns pictures into vectors. One file in `encoders/images` for each method."""

    def encode(self, pictures: "Sequence[Image]") -> NDArray[np.float32]:
        """Return one vector of length 1 per picture, [N, D]; pictures are RGB, of any size."""


class Index(Protocol):
    """Finds products by words. One file in `search/indexes` for each method."""

    def build(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Learn the catalogue: `schema.PRODUCTS` rows and their text vectors [N, D]."""

    def search(self, query: str, vector: NDArray[np.float32] | None, k: int) -> pl.DataFrame:
        """Return up to k rows of `item_id`, `score`, best first. `vector` [D] is the query's."""

    def save(self, folder: Path) -> None:
        """Write the index into an empty `folder`."""

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""


@dataclass(frozen=True)
class Hits:
    """What an index found, K products, best first."""

    rows: Rows
    """Products as the index numbers them, [K]."""
    scores: Floats
    """[K]."""
    source: Rows
    """Who found each: a place in `sources`, [K]."""
    sources: tuple[str, ...]


@runtime_checkable
class Numbered(Protocol):
    """An index that numbers its products, which spares a search the making of tables."""

    @property
    def ids(self) -> NDArray[np.object_]:
        """Product ids by number, [N]; one that was replaced stands there more than once."""

    def hits(self, query: str, vector: NDArray[np.float32] | None, k: int) -> Hits:
        """Find as `Index.search`."""


@runtime_checkable
class Revisable(Protocol):
    """An index that can take changes while others search it."""

    def revised(self, products: pl.DataFrame, vectors: NDArray[np.float32]) -> Self:
        """Return an index with these products in place of those of their ids, or beside them.

        This one stays as it is and may go on answering.
        """


class Recommender(Protocol):
    """Proposes products. One file in `recommenders` for each method.

    Nothing about a shopper is frozen in a model: the request brings the history. A recommender
    writes `propose` and `judge`; `recommenders._base` adds the same on tables.
    """

    @property
    def ids(self) -> Ids:
        """The products it knows; NotFitted before `fit`."""

    def fit(self, events: pl.DataFrame, products: pl.DataFrame | None = None) -> Self:
        """Learn from `schema.LEARN` rows in any order. A second call forgets the first.

        `products` (`schema.PRODUCTS`, perhaps with a `vector` column of [D] floats) is the
        catalogue; without it the products of the events are all there is. One that compares
        products says so by `joined_vectors = True`: then `vector` also tells what a product was
        wanted with, and is shorter than 1 where that is little.
        """

    def propose(self, asked: Asked, k: int) -> Picks:
        """Return up to k products for each of the B requests, best first.

        Only products that were known to `fit`, never one that the request excludes. `asked` may
        number products by other ids: `asked.within(self.ids)` translates, and so do picks.
        """

    def judge(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Floats:
        """Score N given products, [N], NaN where there is nothing to say.

        `owner_N` is the request, `item_N` the product as `asked.ids` numbers it, -1 for unknown.
        In the order of `propose`, so that one list can be judged by every method.
        """

    def because(self, asked: Asked, owner_N: Rows, item_N: Rows) -> Rows:
        """Return the product that led to each of N proposals as `asked.ids` numbers it, [N].

        A seed or a product of the history; -1 for none. Asked only for what is shown.
        """

    def recommend(self, requests: pl.DataFrame, k: int) -> pl.DataFrame:
        """Answer `schema.REQUESTS` with `schema.RESULTS`: `propose` for tables."""

    def score(self, requests: pl.DataFrame, candidates: pl.DataFrame) -> Floats:
        """Score rows of `request` and `item_id`, [N]: `judge` for tables."""

    def save(self, folder: Path) -> None:
        """Write what was learned into an empty `folder`; the settings are kept by the registry."""

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote. Must not need a training library."""


@runtime_checkable
class Local(Protocol):
    """A recommender that also learned what is so in single countries or other windows of time."""

    def local(self, country: str, window_days: float) -> Recommender:
        """Return what it learned of a country, "" for all, and a window, 0 for its own.

        Where it learned nothing of them, the nearest that it knows: itself at last.
        """


@runtime_checkable
class Updatable(Protocol):
    """A recommender that learns for long: it can go on from where it stands, or was killed."""

    def fit(
        self,
        events: pl.DataFrame,
        products: pl.DataFrame | None = None,
        *,
        checkpoint: Path | None = None,
    ) -> Self:
        """Learn as `Recommender.fit`; `checkpoint` is where a run that was killed goes on."""

    def update(
        self,
        events: pl.DataFrame,
        products: pl.DataFrame | None = None,
        *,
        checkpoint: Path | None = None,
    ) -> Self:
        """Learn on from all events known now, and forget nothing of what was learned.

        Products are known by their ids, whatever number they had; new ones get a place, those that
        left the catalogue lose theirs. Without news no answer changes. NotFitted before `fit`.
        """


@dataclass(frozen=True)
class Moment:
    """Requests and candidates as flat arrays; B requests, H purchases, V looks, N candidates.

    Products are numbered by their row in the catalogue, [P]. All blocks are sorted by request.
    """

    size: int
    """P, the number of products."""
    now_B: NDArray[np.float64]
    """The clock of each request, in days since 1970."""
    owner_H: NDArray[np.int64]
    """Whose purchase it was: a row of `now_B`."""
    item_H: NDArray[np.int64]
    age_H: NDArray[np.float64]
    """Days before the request; oldest first in each request, equal within a basket."""
    owner_N: NDArray[np.int64]
    item_N: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float32]]
    """What each recommender says of the N candidates, NaN where nothing."""
    owner_V: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Who looked at a product, put it into the cart or liked it; oldest first in each request."""
    item_V: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    age_V: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Days before the request, at least 0."""
    _memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """Return what `make` made for this key the first time; features share it."""
        if key not in self._memo:
            self._memo[key] = make()
        found: T = self._memo[key]
        return found


class Feature(Protocol):
    """Knows something of a candidate at the moment of a request. One file in `features` each."""

    def fit(self, events: pl.DataFrame, products: pl.DataFrame, now: datetime) -> Self:
        """Take the snapshot of the shop at `now` from purchases before it."""

    def names(self) -> tuple[str, ...]:
        """Name the F columns of `compute`; known after `fit`."""

    def compute(self, moment: Moment) -> NDArray[np.float32]:
        """Return [N, F] for the N candidates, NaN for unknown. The same code trains and serves."""

    def save(self, folder: Path) -> None:
        """Write the snapshot into an empty `folder`."""

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote."""


@dataclass(frozen=True)
class Columns:
    """What some of the F columns of a ranker's features are; all others hold amounts."""

    codes: tuple[int, ...] = ()
    """Columns of codes, whole numbers from 0 that name things; NaN, or a code that learning never
    saw, is something unknown."""
    histories: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """By a column of codes, the columns that say in the same codes what the shopper wanted before,
    newest first, NaN where there was no more."""
    place: int | None = None
    """The column that holds the place on the page, from 0, NaN for unknown. It is learned from, so
    that no product gets the merit of its place, and answers are as if all stood first."""


AMOUNTS = Columns()
"""All columns hold amounts."""


class Ranker(Protocol):
    """Orders candidates by the chance of a sale. One file in `ranking` for each method."""

    def fit(
        self,
        features: NDArray[np.float32],
        labels: NDArray[np.float32],
        weights: NDArray[np.float32],
        owners: NDArray[np.int64],
        columns: Columns = AMOUNTS,
    ) -> Self:
        """Learn from [N, F] features, [N] labels in {0, 1}, what each row counts, and its request.

        Rows of one request have one number in `owners`, [N], and lie side by side. NaN is an
        unknown feature. Raises BadData if all labels are alike, or sizes do not agree.
        """

    def score(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one score per row, [N], higher first."""

    def save(self, folder: Path) -> None:
        """Write what was learned into an empty `folder`."""

    def restore(self, folder: Path) -> Self:
        """Read what `save` wrote. Must not need a training library.

        Raises BadData, with the name of the file, if it is missing or cannot be read.
        """


@runtime_checkable
class Foretelling(Protocol):
    """A ranker that says the chance of each step towards a sale, and what the sale is worth."""

    def outcomes(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the chances of a click and of a click that ends in a sale, [N, T] in [0, 1].

        As many columns as `fit` was told of: clicks alone make one, and a third is what the
        impression is worth.
        """


@runtime_checkable
class Weighing(Protocol):
    """A ranker that can say, once it has learned, what it looked at."""

    def gains(self) -> NDArray[np.float64]:
        """Return each feature's share of what learning gained, [F], 1 in all; 0 for unused."""


class Policy(Protocol):
    """Decides what may be shown. One file in `policies` for each rule."""

    def apply(self, page: Picks, asked: Asked, products: Mapping[str, Sequence[Any]]) -> Rows:
        """Return the places of `page` that stay, in the order to be shown, [M].

        `products` holds the columns of `schema.PRODUCTS`, a value for each row of the page; None
        in all of them where the shop does not know the product. Requests stay in order.
        """
