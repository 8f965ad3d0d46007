"""Pictures are cropped, turned and scaled by chance, in their own size and with their aspect."""

import numpy as np
import pytest

from shopkeeper.training.augment_pictures import Change, changed_pictures

Image = pytest.importorskip("PIL.Image")
ImageDraw = pytest.importorskip("PIL.ImageDraw")

STILL = {"crop_share": 0.0, "rotation_degrees": 0.0, "scale_max": 1.0}


def disc(width=120, height=80, radius=16, mode="RGB"):
    """A red disc in the middle of a pale ground."""
    picture = Image.new("RGB", (width, height), (240, 230, 220))
    middle = (width / 2 - 0.5, height / 2 - 0.5)
    box = [middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius]
    ImageDraw.Draw(picture).ellipse(box, fill=(200, 0, 0))
    return picture.convert(mode)


def extent(picture):
    """Width and height of what is red."""
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    down, across = np.nonzero((pixels[:, :, 0] > 150) & (pixels[:, :, 1] < 115))
    return np.ptp(across) + 1, np.ptp(down) + 1


def test_no_change_is_the_same_picture():
    (same,) = changed_pictures([disc()], Change(**STILL))
    assert np.abs(np.asarray(same).astype(int) - np.asarray(disc()).astype(int)).max() <= 1


def test_size_mode_and_the_picture_that_was_given_stay():
    for mode in ("RGB", "L", "RGBA"):
        picture = disc(mode=mode)
        before = picture.tobytes()
        (changed,) = changed_pictures([picture], Change())
        assert (changed.size, changed.mode) == (picture.size, mode)
        assert picture.tobytes() == before
    (changed,) = changed_pictures([disc(mode="P")], Change())
    assert changed.mode == "RGB"


def test_a_disc_stays_a_disc_whatever_is_drawn():
    change = Change(crop_share=0.2, rotation_degrees=40, scale_max=1.3)
    for picture in changed_pictures([disc(200, 120)] * 25, change, seed=3):
        width, height = extent(picture)
        assert abs(width - height) <= 2


def test_scale_stays_within_its_bounds_and_uses_them():
    sizes = [
        extent(picture)[0]
        for picture in changed_pictures([disc()] * 60, Change(**STILL | {"scale_max": 1.5}))
    ]
    assert min(sizes) >= 33 / 1.5 - 2
    assert max(sizes) <= 33 * 1.5 + 2
    assert max(sizes) / min(sizes) > 1.6


def test_a_turned_bar_leans_by_no_more_than_was_allowed():
    bar = Image.new("L", (101, 101), 255)
    ImageDraw.Draw(bar).rectangle([10, 48, 90, 52], fill=0)
    leanings = []
    for picture in changed_pictures([bar] * 40, Change(**STILL | {"rotation_degrees": 20})):
        down, across = np.nonzero(np.asarray(picture) < 100)
        slope = np.polyfit(across, down, 1)[0]
        leanings.append(np.degrees(np.arctan(slope)))
    assert 15 < np.abs(leanings).max() < 20.5
    assert min(leanings) < -5
    assert max(leanings) > 5


def test_what_comes_in_from_outside_has_the_colour_of_the_edge():
    change = Change(crop_share=0.0, rotation_degrees=30, scale_max=1.2)
    for picture in changed_pictures([disc()] * 10, change):
        assert picture.getpixel((0, 0)) == (240, 230, 220)


def test_the_same_seed_draws_the_same_and_each_place_its_own():
    pictures = [disc()] * 3
    first = changed_pictures(pictures, Change(), seed=1)
    again = changed_pictures(pictures, Change(), seed=1)
    assert [p.tobytes() for p in first] == [p.tobytes() for p in again]
    assert len({p.tobytes() for p in first}) == 3


@pytest.mark.parametrize(
    "wrong", [{"crop_share": 1.0}, {"rotation_degrees": -1}, {"scale_max": 0.5}]
)
def test_an_impossible_change_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Change(**wrong)
