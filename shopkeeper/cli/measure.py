"""`shopkeeper benchmark`: measure recommenders, rankers or search on files, without a shop."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from shopkeeper.cli._given import settings_of
from shopkeeper.cli._show import emit, table
from shopkeeper.cli.clicks import measure_clicks
from shopkeeper.engine.judged_search import benchmark_search, other_words
from shopkeeper.errors import BadConfig
from shopkeeper.evaluation.judged import read_judged
from shopkeeper.evaluation.leave_one_out import benchmark
from shopkeeper.evaluation.robustness import benchmark_robustness
from shopkeeper.evaluation.sessions import benchmark_sessions

JsonLine = Annotated[bool, typer.Option("--json", help="Print one JSON object on one line.")]


class _Benchmarks(TyperGroup):
    """`search`, `sessions` and `clicks` are commands; other words name a recommender."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["recommender", *args]
        return super().resolve_command(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    benchmarks = typer.Typer(
        cls=_Benchmarks,
        no_args_is_help=True,
        help="Measure a recommender by its name, `sessions`, `search` or `clicks`, on files.\n\n"
        "Example: shopkeeper benchmark sequential beauty.txt --seeds 3",
    )
    benchmarks.command("recommender")(measure)
    benchmarks.command("search")(measure_search)
    benchmarks.command("sessions")(measure_sessions)
    benchmarks.command("clicks")(measure_clicks)
    app.add_typer(benchmarks, name="benchmark")


def measure_search(  # noqa: PLR0913
    catalogue: Annotated[Path, typer.Argument(help="`id,title,...` as CSV, TSV or Parquet.")],
    queries: Annotated[Path, typer.Argument(help="`query_id,query`.")],
    judgements: Annotated[Path, typer.Argument(help="`query_id,id,grade`.")],
    tune_share: Annotated[
        float, typer.Option(min=0, max=0.9, help="Tune on this share of queries, report the rest.")
    ] = 0.0,
    encoder: Annotated[
        str, typer.Option(help="A name from `shopkeeper list encoders`.")
    ] = "minilm",
    method: Annotated[
        str,
        typer.Option(
            help="How the encoder is tuned: full, top_layers, lora, adalora, adapter, prefix, none."
        ),
    ] = "full",
    minutes: Annotated[float, typer.Option(min=0.1, help="Time to tune the encoder.")] = 15.0,
    teacher_minutes: Annotated[
        float, typer.Option(min=0.0, help="Time to teach a cross-encoder, which teaches in turn.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Which queries tune.")] = 0,
    cache: Annotated[Path | None, typer.Option(help="Keep vectors here, for the next run.")] = None,
    noise: Annotated[
        bool, typer.Option("--noise", help="Also ask the queries mistyped, cut and turned.")
    ] = False,
    synonyms: Annotated[
        Path | None,
        typer.Option(help="With --noise: a synonyms.csv, whose approved words are exchanged."),
    ] = None,
    json: JsonLine = False,
) -> None:
    """Measure search on a catalogue whose queries were judged, over all of its products.

    What nobody judged counts 0, and the gain of a product is its grade. With --tune-share, boosts,
    the encoder and the weight of words are tuned on that part of the queries, and the others are
    reported. With --noise, every way is also asked queries mistyped, cut and turned.

    Example: shopkeeper benchmark search products.csv queries.csv judged.csv --tune-share .5
    """
    course = None
    if tune_share and method != "none":
        from shopkeeper.engine.search_lessons import Course
        from shopkeeper.training.cross import Crossing
        from shopkeeper.training.texts import Tuning

        try:
            tuning = Tuning(method=method, minutes=minutes, seed=seed)
            crossing = Crossing(minutes=teacher_minutes, seed=seed) if teacher_minutes else None
            course = Course(tuning, crossing=crossing)
        except ValueError as error:
            raise BadConfig(f"{error}.") from error
    judged = read_judged(catalogue, queries, judgements)
    found = benchmark_search(
        judged, encoder=encoder, tune_share=tune_share, course=course, seed=seed, cache=cache,
        noise=noise, other=other_words(synonyms) if synonyms else None,
    )  # fmt: skip
    if json:
        emit(found)
        return
    _show_search(found)


def measure(
    recommender: Annotated[str, typer.Argument(help="A name from `shopkeeper list recommenders`.")],
    file: Annotated[
        Path, typer.Argument(help="S3-Rec text, or Parquet with user, item, pos or time.")
    ],
    seeds: Annotated[int, typer.Option(min=1, max=20, help="How many seeds, from 0.")] = 1,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="Stop learning after so many minutes, for all seeds together."),
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the recommender, name=value.")
    ] = None,
    products: Annotated[
        Path | None, typer.Option(help="Parquet with item and vector: what products are.")
    ] = None,
    noise: Annotated[
        bool,
        typer.Option("--noise", help="What random events and fake shoppers cost; learns 7 times."),
    ] = False,
    json: JsonLine = False,
) -> None:
    """Measure a recommender leave-one-out: last product = test, all products ranked.

    Ids are relabelled at random, products seen before are left out of the ranking, and ties count
    against us. With --noise, it also learns from logs with 5, 10 and 20 % of random events, and
    with fake shoppers who push products.

    Example: shopkeeper benchmark sequential beauty.txt --seeds 3 --minutes 30 --json
    Example: shopkeeper benchmark item_knn beauty.txt --noise
    """
    if noise:
        if seeds > 1 or products is not None:
            raise BadConfig("--noise takes one seed and no --products. Leave them out.")
        given = settings_of(setting or [])
        found = benchmark_robustness(recommender, file, minutes=minutes, settings=given)
        emit(found) if json else _show_robustness(found)
        return
    found = benchmark(
        recommender,
        file,
        seeds=range(seeds),
        minutes=minutes,
        settings=settings_of(setting or []),
        products=products,
    )
    if json:
        emit(found)
        return
    plain = {key: value for key, value in found.items() if not isinstance(value, dict | list)}
    table(f"{recommender} on {file.name}", [{"what": key, "value": v} for key, v in plain.items()])
    for key, value in found.items():
        if isinstance(value, dict):
            table(key, [{"metric": name, "value": v} for name, v in value.items()])


def measure_sessions(
    train: Annotated[Path, typer.Argument(help="Parquet with session, pos and item.")],
    test: Annotated[Path, typer.Argument(help="Parquet with history (a list) and target.")],
    recommender: Annotated[
        list[str] | None,
        typer.Option(help="A name from `shopkeeper list recommenders`; none for all of them."),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.01, help="Stop learning after so many minutes a recommender.")
    ] = 10.0,
    seed: Annotated[int, typer.Option(help="Decides the random ids and learning.")] = 0,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting of the one recommender named, name=value."),
    ] = None,
    json: JsonLine = False,
) -> None:
    """Measure recommenders on sessions of shoppers nobody knows: is the next product foretold?

    All products are ranked, those seen in the session too, and ties count against us.

    Example: shopkeeper benchmark sessions train.parquet test.parquet --recommender item_knn
    """
    if setting and len(recommender or []) != 1:
        raise BadConfig("--set needs exactly one --recommender.")
    found = benchmark_sessions(
        train,
        test,
        recommender or [],
        seed=seed,
        minutes=minutes,
        settings=settings_of(setting or []),
    )
    if json:
        emit(found)
        return
    print(
        f"{found['sessions']:,} sessions of {found['items']:,} products; "
        f"{found['requests']:,} requests"
    )
    measured = [row for row in found["rows"] if "cannot" not in row]
    table("Next product of a session", measured)
    for row in found["rows"]:
        if "cannot" in row:
            print(f"{row['recommender']}: {row['cannot']}")


def _show_robustness(found: dict[str, Any]) -> None:
    print(
        f"{found['recommender']} on {found['file']}: nDCG@10 {found['ndcg@10']:.4f} of "
        f"{found['users']:,} users; loss with 95 % confidence"
    )
    table("Random events", [_rounded(row) for row in found["noise"]])
    table("Fake shoppers who push products", [_rounded(row) for row in found["attacks"]])


def _show_search(found: dict[str, Any]) -> None:
    print(
        f"{found['products']:,} products; {found['queries']:,} queries reported, "
        f"{found['tuning_queries']:,} spent on tuning"
    )
    table("Search", [_rounded(row) for row in found["table"]])
    if found["noise"]:
        table("nDCG@10 beside clean queries", [_rounded(row) for row in found["noise"]])
    if found["lift"]:
        lift = found["lift"]
        print(
            f"The encoder learned from {lift['pairs']:,} pairs: nDCG@10 {lift['before']:.4f} → "
            f"{lift['after']:.4f} on held-back queries; {'kept' if lift['kept'] else 'not kept'}."
        )
    if found["chosen"]:
        print("Chosen: " + ", ".join(f"{name} = {v:g}" for name, v in found["chosen"].items()))


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in row.items()}
