import re
from datetime import date, timedelta

import polars as pl
import pytest

from shopkeeper.pages import plots
from shopkeeper.pages.report import evaluation_html, quality_html, quality_sentences

NASTY = "<script>alert('x')</script>"


def _tables():
    """Return tables as `data.quality` makes them, of a small shop with views and purchases."""
    sides = {"lowest": -5.0, "mean": 250.0, "highest": 90_000.0, "lowest_kept": 5.0,
             "mean_kept": 240.5, "highest_kept": 900.0}  # fmt: skip
    tables = {
        "rows": [{"table": "events", "rows_in": 1000, "kept": 990, "refused": 10}],
        "refused": [{"table": "events", "reason": NASTY, "rows": 10, "share": 0.01,
            "file": "may.csv", "line": 1234}],
        "mended": [{"table": "events", "what": "refund matched", "rows": 3}],
        "missing": [{"table": "events", "column": "user_id", "rows": 250, "share": 0.25}],
        "ranges": [{"table": "events", "column": "price_minor", **sides}],
        "columns": [{"table": "events", "column": "odd", "type": "string", "known": False}],
        "days": [{"day": "2024-01-01", "before": 500, "after": 495, "view_item": 400,
            "purchase": 95}, {"day": "2024-01-03", "before": 500, "after": 495, "view_item": 400,
            "purchase": 95}],
        "funnel": [{"step": "product views", "events": 800, "sessions": 200, "shoppers": 90,
            "estimated": False}, {"step": "purchases", "events": 190, "sessions": 50,
            "shoppers": 40, "estimated": False}],
        "prices": [{"from": 0, "before": 3, "after": 0}, {"from": 200, "before": 7, "after": 7}],
        "quantities": [{"from": 1, "before": 3, "after": 3}],
        "product_prices": [{"from": 500, "before": 3, "after": 3}],
        "countries": [{"country": "France", "rows": 6}, {"country": None, "rows": 2}],
        "currencies": [{"currency": "EUR", "rows": 990}],
        "categories": [{"category": "Home", "rows": 6}],
        "anomalies": [{"kind": "price_mistakes", "subject": "id", "found": 3, "num_events": 9,
            "score_max": 0.9}],
        "thresholds": [{"check": "prices", "table": "events", "rows": 10, "share": 0.01,
            "allowed": 0.005, "verdict": "alarm"}],
        "drift": [{"what": "prices", "measure": "PSI", "value": 0.31, "verdict": "alarm",
            "evidence": "what begins at 200 moved most"}, {"what": "countries", "measure": "PSI",
            "value": 0.01, "verdict": "ok", "evidence": "Spain moved most"}],
    }  # fmt: skip
    return {name: pl.DataFrame(rows) for name, rows in tables.items()}


def _said(tables):
    return {sentence: verdict for verdict, sentence in quality_sentences(tables)}


def test_the_sentences_tell_what_came_first_and_then_the_worst():
    said = list(_said(_tables()).items())
    assert said[0][0] == (
        f"Events: 1,000 rows came, 990 were kept, 10 refused (1.0%), all because {NASTY} (10)."
    )
    assert said[1] == (
        "The check 'prices' refused 1.0% of the events; 0.5% is allowed.",
        "alarm",
    )
    verdicts = [verdict for _, verdict in said[1:]]
    assert verdicts == sorted(verdicts, key=["alarm", "look", "ok"].index)
    text = " ".join(sentence for sentence, _ in said)
    assert "from 1 January 2024 to 3 January 2024; 1 of 3 days have none" in text
    assert "200 sessions looked at a product, and 25.0% as many bought one" in text
    assert "Missing: user_id in 25.0% of the events" in text
    assert "price mistakes (3)" in text
    assert "Against the last load, prices: what begins at 200 moved most" in text
    assert "Spain" not in text


def test_a_calm_load_is_all_fine():
    tables = _tables()
    for name in ("missing", "anomalies"):
        tables[name] = tables[name].clear()
    for name in ("thresholds", "drift"):
        tables[name] = tables[name].with_columns(pl.lit("ok").alias("verdict"))
    said = _said(tables)
    assert set(said.values()) == {"ok"}
    assert "Nothing moved since the last load of this input." in said
    tables["drift"] = tables["drift"].clear()
    assert "This is the first load of this input" in " ".join(_said(tables))


def test_the_quality_report_says_the_numbers_and_draws_them():
    page = quality_html(_tables())
    assert "1,000 rows came" in page
    assert "may.csv, row 1,234" in page
    assert "PSI 0.31" in page
    # Days are drawn for wide and for narrow screens.
    assert page.count("<svg") == 5
    assert "prefers-color-scheme: dark" in page
    assert '<span class="verdict alarm">alarm</span>' in page


def test_prices_are_in_the_currency_where_there_is_one_and_else_in_minor_units():
    tables = _tables()
    assert "2.40" in quality_html(tables)
    assert "minor units" not in quality_html(tables)
    tables["currencies"] = pl.DataFrame({"currency": ["EUR", "USD"], "rows": [1, 1]})
    assert "minor units" in quality_html(tables)


@pytest.mark.parametrize(
    ("name", "heading"),
    [
        ("funnel", "From searching to buying"),
        ("days", "Rows by day"),
        ("prices", ">Prices<"),
        ("product_prices", "Products&#39; prices"),
        ("anomalies", "Unusual behaviour"),
        ("thresholds", "Checks and what they may refuse"),
        ("drift", "Against the last load"),
        ("categories", "Categories"),
        ("columns", "Columns beyond the schema"),
    ],
)
def test_what_does_not_exist_is_hidden(name, heading):
    tables = _tables()
    tables["drift"] = tables["drift"].filter(pl.col("verdict") == "ok")
    assert heading in quality_html(tables)
    assert heading not in quality_html({key: t for key, t in tables.items() if key != name})
    assert heading not in quality_html(tables | {name: tables[name].clear()})


def test_several_inputs_are_one_page_with_a_way_to_each():
    calm = {"rows": pl.DataFrame({"table": ["products"], "rows_in": [7], "kept": [7],
        "refused": [0]})}  # fmt: skip
    page = quality_html({"web & app": _tables(), "feed": calm})
    assert page.count("<html") == 1
    assert '<a href="#input-2">' in page
    assert '<h2 class="input" id="input-1">web &amp; app</h2>' in page
    _, second = page.split('id="input-2"')
    assert "Products: 7 rows came" in second
    assert "1,000 rows came" not in second
    alone = quality_html({"feed": calm})
    assert "<nav" not in alone
    assert ">feed<" in alone


def test_many_days_are_smoothed_and_a_wrong_century_does_not_fill_the_plot():
    start = date(2024, 1, 1)
    long = [{"day": (start + timedelta(days=i)).isoformat(), "before": 5, "after": 5,
             "purchase": 5} for i in range(90)]  # fmt: skip
    page = quality_html({"days": pl.DataFrame(long)})
    assert "the mean of the week" in page
    assert "the mean of the week" not in quality_html({"days": pl.DataFrame(long[:20])})
    odd = {"day": "1899-12-30", "before": 1, "after": 0, "purchase": 0}
    assert quality_html({"days": pl.DataFrame([odd, *long])}).count("<svg") == 2


def test_words_of_the_data_are_never_run_and_nothing_is_fetched():
    page = quality_html({NASTY: _tables(), "b": _tables()})
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    links = re.findall(r"""(?:src|href)\s*=\s*["']([^"'#]+)|url\((?!#)([^)]+)\)""", page)
    assert not [link for link in links if "http" in "".join(link)]


def test_a_report_without_tables_is_still_a_page():
    assert "<h1>Data quality</h1>" in quality_html({})
    assert "<h1>Empty</h1>" in evaluation_html({"title": "Empty"})


def test_the_evaluation_report_draws_intervals_bars_lines_and_tables():
    report = {
        "title": "Is it better?",
        "notes": ["Simulated figures say so.", NASTY],
        "tables": [{"title": "All", "columns": ["model", "recall@10"], "rows": [["fusion",
            0.3284], ["popular", None]]}],
        "plots": [
            {"title": "Recall", "kind": "interval",
             "rows": [{"label": "fusion", "value": 0.33, "low": 0.31, "high": 0.35,
                 "floor": 0.303}]},
            {"title": "Share", "kind": "bar", "rows": [{"label": "a.b[c]", "value": 3}]},
            {"title": "Loss", "kind": "line", "rows": [{"x": 1, "y": 2.0, "by": "a"}, {"x": 2,
                "y": 1.0, "by": "a"}]},
        ],
    }  # fmt: skip
    page = evaluation_html(report)
    assert page.count("<svg") == 3
    assert "0.3284" in page
    assert "–" in page
    assert "recall@10" in page
    assert "<script" not in page
    with pytest.raises(ValueError, match="pie"):
        evaluation_html({"title": "x", "plots": [{"title": "p", "kind": "pie", "rows": []}]})


def test_a_longer_bar_is_drawn_for_a_larger_value():
    def lengths(values):
        rows = [{"label": str(i), "value": value} for i, value in enumerate(values)]
        svg = plots.bar(rows, "value", "label", title="t")
        found = re.findall(r'aria-roledescription="bar" d="M[\d.]+,[\d.]+h([\d.]+)', svg)
        return [float(length) for length in found]

    one, two = lengths([1, 3])
    assert two > 2 * one


def test_plots_take_the_colour_of_the_page_and_are_named():
    svg = plots.line([{"x": 1, "y": 2}, {"x": 2, "y": 3}], "x", "y", title='A "<name>')
    assert "currentColor" in svg
    assert 'aria-label="A &quot;&lt;name>"' in svg
    assert 'fill="white"' not in svg
