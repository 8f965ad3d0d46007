import re

import polars as pl
import pytest

from shopkeeper.pages import plots
from shopkeeper.pages.report import evaluation_html, quality_html

NASTY = "<script>alert('x')</script>"


def _tables():
    return {
        "rows": pl.DataFrame({"table": ["events"], "rows_in": [1000], "kept": [990],
            "refused": [10]}),
        "refused": pl.DataFrame({"table": ["events"], "reason": [NASTY], "rows": [10]}),
        "mended": pl.DataFrame({"table": ["events"], "what": ["refund matched"], "rows": [3]}),
        "missing": pl.DataFrame({"table": ["events"], "column": ["user_id"], "rows": [2],
            "share": [0.2]}),
        "days": pl.DataFrame({"day": ["2024-01-01", "2024-01-02"], "before": [500, 500],
            "after": [495, 495]}),
        "prices": pl.DataFrame({"from": [0, 1, 2, 1024], "before": [3, 7, 9, 1], "after": [0,
            7, 9, 1]}),
        "quantities": pl.DataFrame({"from": [1, 2], "before": [3, 7], "after": [3, 7]}),
        "countries": pl.DataFrame({"country": ["France", None], "rows": [6, 2]}),
    }  # fmt: skip


def test_the_quality_report_says_the_numbers_and_draws_them():
    page = quality_html(_tables())
    assert "1,000 rows came, 990 were kept, 10 refused (1.00%)" in page
    assert page.count("<svg") == 5
    assert "prefers-color-scheme: dark" in page


def test_words_of_the_data_are_never_run_and_nothing_is_fetched():
    page = quality_html(_tables())
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
