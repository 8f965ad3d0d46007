"""A folder of photos becomes products."""

import ibis
import pytest
from PIL import Image

from shopkeeper import registry
from shopkeeper.data.load import load
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.store.lake import Lake

PHOTOS = (
    "dress/red-evening_gown.jpg",
    "dress/06a00c0f-5f9a-410d-a7da-3881a9df3a71.png",
    "rubber_boots/IMG_0042.JPG",
    "rubber_boots/deadbeef.webp",
)


@pytest.fixture
def folder(tmp_path):
    for name in PHOTOS:
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(file)
    (tmp_path / "photos" / "notes.txt").write_text("not a photo")
    (tmp_path / "photos" / "dress" / ".hidden.jpg").write_bytes(b"x")
    return tmp_path / "photos"


def read(folder, **settings):
    source = registry.build("data.sources", "photos", **settings)
    tables = source.read(ibis.duckdb.connect(threads=1), source.files(folder))
    return tables["products"].to_polars().sort("id")


def test_every_photo_is_a_product_of_its_folder(folder):
    found = read(folder)
    assert found["id"].to_list() == [
        "dress/06a00c0f-5f9a-410d-a7da-3881a9df3a71",
        "dress/red-evening_gown",
        "rubber_boots/IMG_0042",
        "rubber_boots/deadbeef",
    ]
    assert found["title"].to_list() == [
        "dress", "red evening gown", "rubber boots", "rubber boots",
    ]  # fmt: skip
    assert found["product_type"].to_list() == ["dress"] * 2 + ["rubber boots"] * 2
    assert found["image_link"][1] == str(folder / "dress" / "red-evening_gown.jpg")
    assert set(found["availability"]) == {"in_stock"}
    assert found["line"].is_unique().all()
    assert read(folder, availability="")["availability"].null_count() == 4


def test_a_load_refuses_the_empty_photo_alone_and_says_why(folder, tmp_path):
    (folder / "dress" / "nothing.jpg").touch()
    lake = Lake(tmp_path / "lake")
    result = load(registry.build("data.sources", "photos"), folder, lake)
    assert lake.counts()["products"] == len(PHOTOS)
    assert "empty (0 bytes)" in str(result.quality["refused"].to_dicts())


def test_what_is_no_folder_of_photos_is_refused(tmp_path):
    source = registry.build("data.sources", "photos")
    with pytest.raises(BadData, match="Give the folder"):
        source.files(None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="no file that ends in"):
        source.files(tmp_path / "empty")
    with pytest.raises(BadData, match="no file"):
        source.read(ibis.duckdb.connect(threads=1), [tmp_path / "gone.jpg"])
    (tmp_path / "notes.txt").write_text("not a photo")
    with pytest.raises(BadData, match="is no photo"):
        read(tmp_path / "notes.txt")
    with pytest.raises(BadConfig, match="availability"):
        registry.build("data.sources", "photos", availability="perhaps")


def test_photos_that_differ_by_their_ending_alone_are_two_products(folder):
    Image.new("RGB", (8, 8), "blue").save(folder / "rubber_boots" / "IMG_0042.png")
    found = read(folder)["id"].to_list()
    assert found[2:] == ["rubber_boots/IMG_0042.JPG", "rubber_boots/IMG_0042.png",
                         "rubber_boots/deadbeef"]  # fmt: skip
