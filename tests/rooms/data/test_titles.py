import pytest

from shopkeeper.data.sources import _titles


@pytest.mark.parametrize(
    ("category", "kind", "title"),
    [
        ("FRZN ICE", "ICE - CRUSHED/CUBED", "Crushed/Cubed Ice"),
        ("BREAD", "BREAD:ITALIAN/FRENCH", "Italian/French Bread"),
        ("CHICKEN/POULTRY", "CHIX:FRD 8PC/CUT UP (HOT)", "Fried 8pc/Cut Up Chicken (Hot)"),
        ("LUNCHMEAT", "POULTRY", "Poultry (Lunch Meat)"),
        ("CANDY - CHECKLANE", "CANDY BARS (SINGLES)(INCLUDING", "Candy Bar (Single)"),
        ("FRZN VEGETABLE/VEG DSH", None, "Frozen Vegetable/Vegetable Dish"),
        (None, None, None),
    ],
)
def test_abbreviations_become_readable_titles(category, kind, title):
    assert _titles.title(category, kind) == title


@pytest.mark.parametrize(
    ("raw", "size"),
    [
        ("22 LB", "22 lb"),
        ("P    16 OZ", "16 oz"),
        ("8/1.5 OZ", "8 x 1.5 oz"),
        ("4 PK/4.4 OZ", "4 x 4.4 oz"),
        ("6 OZ(6)", "6 x 6 oz"),
        (".30 OZ", "0.3 oz"),
        ("16.00 OZ", "16 oz"),
        ("113670 6 OZ", "6 oz"),
        ("CTN", "carton"),
        ("  ", None),
    ],
)
def test_sizes_become_plain(raw, size):
    assert _titles.size(raw) == size


@pytest.mark.parametrize(
    ("raw", "title"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "White Hanging Heart T-Light Holder"),
        ("SET OF 3 REGENCY CAKE TINS", "Set of 3 Regency Cake Tins"),
        ("POLYESTER FILLER PAD 40x40cm", "Polyester Filler Pad 40x40cm"),
        ("MUG , PINK  ", "Mug, Pink"),
    ],
)
def test_capitals_become_title_case(raw, title):
    assert _titles.from_capitals(raw) == title
