"""Pictures of every kind that people send, and what becomes of them."""

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from shopkeeper.encoders import VectorCache
from shopkeeper.encoders.images import _opening as opening
from shopkeeper.encoders.images import encode_files, open_picture
from shopkeeper.errors import BadData

RED, BLUE = (220, 20, 30), (10, 40, 230)


def written(picture, form="PNG", **how):
    stream = io.BytesIO()
    picture.save(stream, form, **how)
    return stream.getvalue()


def near(found, wanted):
    return np.abs(np.array(found, float) - wanted).max() < 12


def bomb(side):
    """Return a PNG of a few bytes that says it is `side` pixels wide and high."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb_of_the_same_look(mode):
    grey = Image.new("L", (30, 20), 255)
    if mode == "I;16":
        picture = Image.fromarray(np.full((20, 30), 65535, dtype=np.uint16))
    else:
        picture = grey.convert("RGB").convert(mode)
    found = open_picture(written(picture, "JPEG" if mode == "CMYK" else "PNG"))
    assert (found.mode, found.size) == ("RGB", (30, 20))
    assert near(found.getpixel((15, 10)), (255, 255, 255))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_every_format_keeps_its_colour(form):
    found = open_picture(written(Image.new("RGB", (40, 40), RED), form))
    assert near(found.getpixel((20, 20)), RED)


def test_what_is_transparent_lies_on_white():
    clear = Image.new("RGBA", (8, 8), (*BLUE, 0))
    assert open_picture(written(clear)).getpixel((4, 4)) == (255, 255, 255)
    palette = Image.new("P", (8, 8), 3)
    palette.putpalette([0, 0, 0] * 4)
    assert open_picture(written(palette, transparency=3)).getpixel((4, 4)) == (255, 255, 255)


def test_a_picture_is_turned_as_the_camera_was_held():
    lying = Image.new("RGB", (60, 20), BLUE)
    lying.paste(RED, (0, 0, 30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = open_picture(written(lying, "JPEG", exif=exif, quality=95))
    assert upright.size == (20, 60)
    assert near(upright.getpixel((10, 10)), RED)
    assert near(upright.getpixel((10, 50)), BLUE)


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, BLUE)]
    moving = written(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert near(open_picture(moving).getpixel((10, 10)), RED)


@pytest.mark.parametrize(("size", "wanted"), [((1, 1), (1, 1)), ((1, 4000), (1, 512))])
def test_tiny_and_thin_pictures_are_pictures(size, wanted):
    assert open_picture(written(Image.new("RGB", size, RED))).size == wanted


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"hello, I am a text", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "no picture"),
        (written(Image.new("RGB", (300, 300), RED), "JPEG")[:500], "broken or cut off|no picture"),
        (written(Image.effect_noise((300, 300), 90), "PNG")[:5000], "broken or cut off"),
        (bomb(6000), "pixels"),
        (bomb(12_000), "pixels"),
        (bomb(60_000), "pixels"),
        (b"\0" * (opening.BYTES_MAX + 1), "MB"),
    ],
    ids=["empty", "text", "eps", "header", "jpeg", "png", "36MP", "144MP", "3600MP", "bytes"],
)
def test_what_is_no_picture_is_refused_in_one_line(content, said):
    with pytest.raises(BadData, match=said) as caught:
        open_picture(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_a_picture_with_wrong_bytes_is_opened_or_refused_and_nothing_else(form):
    sound = written(Image.effect_noise((60, 40), 80).convert("RGB"), form)
    random = np.random.default_rng(0)
    outcomes = set()
    for _ in range(150):
        wrong = bytearray(sound)
        for place in random.integers(0, min(len(sound), 300), 3):
            wrong[place] = int(random.integers(256))
        try:
            outcomes.add(open_picture(bytes(wrong)).mode)
        except BadData:
            outcomes.add("refused")
    assert "refused" in outcomes <= {"refused", "RGB"}


def test_a_bomb_is_refused_before_it_is_unpacked():
    tracemalloc.start()
    with pytest.raises(BadData, match="pixels"):
        open_picture(bomb(9_000))
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


class MeanColour:
    """Knows a picture by its mean colour."""

    width, fingerprint = 3, "mean"

    def __init__(self):
        self.seen = 0

    def encode(self, pictures):
        self.seen += len(pictures)
        means = np.array([np.asarray(each).mean((0, 1)) for each in pictures], dtype=np.float32)
        return means / np.linalg.norm(means, axis=1, keepdims=True)


def test_files_are_encoded_once_by_content_and_broken_ones_are_nought(tmp_path, caplog):
    for name, colour in (("a", RED), ("b", BLUE), ("same", RED)):
        (tmp_path / f"{name}.png").write_bytes(written(Image.new("RGB", (9, 9), colour)))
    (tmp_path / "torn.png").write_bytes(b"torn")
    names = ("a", "torn", "b", "same", "missing")
    files = [tmp_path / f"{name}.png" for name in names]
    encoder = MeanColour()
    vectors = encode_files(encoder, files, VectorCache(tmp_path / "cache"))
    assert encoder.seen == 2
    assert np.array_equal(np.linalg.norm(vectors, axis=1) > 0.99, [True, False, True, True, False])
    assert np.array_equal(vectors[0], vectors[3])
    assert "torn.png" in caplog.text
    again = encode_files(encoder, files, VectorCache(tmp_path / "cache"))
    assert encoder.seen == 2
    assert np.array_equal(again, vectors)
