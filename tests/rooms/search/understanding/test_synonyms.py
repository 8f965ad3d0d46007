"""Synonyms are mined, listed, decided on, and only then used."""

import numpy as np
import pytest

from shopkeeper.errors import BadData, NotFound
from shopkeeper.search.understanding import synonyms
from shopkeeper.search.understanding.synonyms import Pair, Synonyms


def visits(times, left="red mug", right="red beaker", item="1"):
    return [(f"v{n}", query, item) for n in range(times) for query in (left, right)]


def test_two_queries_of_a_visit_that_end_in_one_product_name_a_pair():
    (pair,) = synonyms.mine_visits(visits(20))
    assert pair.key == ("beaker", "mug")
    assert pair.used
    assert "20 visits" in pair.evidence


def test_few_visits_other_products_and_forms_of_a_word_name_none():
    apart = [(f"v{n}", query, query) for n in range(20) for query in ("red mug", "red beaker")]
    other_visits = [(f"{n}{query}", query, "1") for n in range(20) for query in ("mug", "beaker")]
    assert synonyms.mine_visits(visits(2)) == []
    assert synonyms.mine_visits(apart) == []
    assert synonyms.mine_visits(other_visits) == []
    assert synonyms.mine_visits(visits(20, "red mug", "red mugs")) == []
    assert synonyms.mine_visits(visits(20, "cable 2", "cable 3")) == []


def test_a_pair_that_is_not_very_sure_waits_for_a_person():
    (pair,) = synonyms.mine_visits(visits(4))
    assert not pair.used
    assert Synonyms([pair]).of(["mug"]) == []
    (approved,) = synonyms.decided([pair], "Mug", "beaker", True)
    assert Synonyms([approved]).of(["mug"]) == [("mug", "beaker")]
    assert Synonyms([approved]).of(["beaker"]) == [("beaker", "mug")]


def test_near_vectors_are_proposed_but_never_used_unasked():
    vectors = np.array([[1, 0], [0.99, 0.14], [0, 1], [1, 0.01]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = synonyms.mine_vectors(["sofa", "couch", "lamp", "sofas"], vectors)
    assert {pair.key for pair in found} == {("couch", "sofas"), ("couch", "sofa")}
    assert not any(pair.used for pair in found)


def test_a_decision_outlives_mining_and_the_file(tmp_path):
    file = tmp_path / "synonyms.csv"
    synonyms.write(file, synonyms.decided(synonyms.mine_visits(visits(20)), "mug", "beaker", False))
    again = synonyms.merged(synonyms.read(file), synonyms.mine_visits(visits(30)))
    assert [(pair.approved, pair.used) for pair in again] == [(False, False)]
    assert "30 visits" in again[0].evidence


def test_a_person_may_write_the_file_by_hand(tmp_path):
    file = tmp_path / "synonyms.csv"
    file.write_text("\ufeffword,synonym,approved\nSofa,couch,TRUE\nmug,beaker,\n", "utf-8")
    sofa, mug = synonyms.read(file)
    assert (sofa.word, sofa.used, mug.used) == ("sofa", True, False)
    assert synonyms.read(tmp_path / "none.csv") == []


@pytest.mark.parametrize("line", ["mug,,true", "mug,cup,maybe", "mug,cup,true,much"])
def test_a_wrong_line_is_named(tmp_path, line):
    file = tmp_path / "synonyms.csv"
    file.write_text(f"word,synonym,approved,sureness\na,b,\n{line}\n")
    with pytest.raises(BadData, match="Line 3"):
        synonyms.read(file)


def test_a_decision_needs_two_words_and_a_pair_to_reject():
    with pytest.raises(NotFound, match="no pair"):
        synonyms.decided([], "mug", "cup", False)
    with pytest.raises(BadData, match="two different words"):
        synonyms.decided([Pair("mug", "cup")], "mug", " MUG ", True)
