"""Above `exact_max` a graph is asked, and hardly anybody can tell."""

import threading

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.search.indexes._near import Graph

N, D = 4_000, 32
RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(60, D))


def near(size):
    vectors = CENTRES[RNG.integers(60, size=size)] + 0.5 * RNG.normal(size=(size, D))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


VECTORS, QUERIES = near(N), near(60)
PRODUCTS = pl.DataFrame({"id": [f"P{n}" for n in range(N)], "title": [f"t{n}" for n in range(N)]})


def build(name, exact_max, **settings):
    index = registry.build("search.indexes", name, exact_max=exact_max, **settings)
    return index.build(PRODUCTS, VECTORS)


@pytest.fixture(scope="module")
def graph():
    return build("dense", 1_000)


@pytest.fixture(scope="module")
def exact():
    return build("dense", N)


def test_the_setting_says_from_how_many_vectors_on_a_graph_is_asked(graph, exact):
    assert isinstance(graph._near, Graph)
    assert not isinstance(exact._near, Graph)
    assert not isinstance(build("dense", N)._near, Graph)


def test_the_graph_finds_what_comparing_all_finds_with_the_same_cosines(graph, exact):
    hit = []
    for query in QUERIES:
        some, every = graph.search("", query, 10), exact.search("", query, 10)
        hit.append(len(set(some["item_id"]) & set(every["item_id"])) / 10)
        both = some.join(every, on="item_id")
        assert np.allclose(both["score"], both["score_right"], atol=1e-3)
        assert some["score"].is_sorted(descending=True)
    assert np.mean(hit) >= 0.97


def test_a_restored_graph_answers_the_same_and_leaves_its_vectors_on_disk(graph, tmp_path):
    registry.save(graph, tmp_path)
    restored = registry.load(tmp_path)
    assert isinstance(restored._near.halves, np.memmap)
    for query in QUERIES[:10]:
        assert restored.search("", query, 20).equals(graph.search("", query, 20))


def test_threads_share_a_graph(graph):
    alone = [graph.search("", query, 10)["item_id"].to_list() for query in QUERIES]
    wrong = []

    def ask():
        try:
            for _ in range(5):
                for query, found in zip(QUERIES, alone, strict=True):
                    if graph.search("", query, 10)["item_id"].to_list() != found:
                        wrong.append(found)
        except BaseException as error:
            wrong.append(error)
            raise

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_products_found_by_words_get_their_exact_cosine_beside_a_graph_too():
    settings = {"pool": 10, "cosine_min": -1.0}
    far = build("hybrid", 1_000, **settings).parts("t77", QUERIES[0], 10)
    (at,) = np.flatnonzero(far.rows == 77)
    assert far.kinds[at] == 1, "the word's product is to be far in meaning"
    cosine = max(float(VECTORS[77] @ QUERIES[0]), 0.0)
    assert far.meaning[at] == pytest.approx(cosine, abs=1e-3)


def test_products_that_came_after_a_graph_are_found_beside_it(graph):
    fresh = PRODUCTS.head(1).with_columns(id=pl.lit("new"))
    revised = graph.revised(fresh, QUERIES[:1])
    assert revised.search("", QUERIES[0], 5)["item_id"][0] == "new"
    assert "new" not in graph.search("", QUERIES[0], 5)["item_id"]
    moved = revised.revised(fresh, QUERIES[1:2])
    assert moved.search("", QUERIES[1], 5)["item_id"][0] == "new"
    assert "new" not in moved.search("", QUERIES[0], 5)["item_id"]


@pytest.mark.parametrize("exact_max", [1_000, N])
def test_a_late_product_found_by_words_gets_its_exact_cosine_too(exact_max):
    late = PRODUCTS.head(2).with_columns(
        id=pl.Series(["a", "b"]), title=pl.Series(["zither", "violin"])
    )
    revised = build("hybrid", exact_max, pool=10).revised(late, np.stack([QUERIES[1], VECTORS[3]]))
    found = revised.parts("zither", QUERIES[0], 10)
    (at,) = np.flatnonzero(found.rows == N)
    cosine = max(float(QUERIES[1] @ QUERIES[0]), 0.0)
    assert found.meaning[at] == pytest.approx(cosine, abs=1e-3)
    (again,) = np.flatnonzero(revised.parts("zither", QUERIES[1], 10).rows == N)
    assert revised.parts("zither", QUERIES[1], 10).meaning[again] == pytest.approx(1, abs=1e-3)
