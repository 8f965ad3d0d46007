"""Opens pictures that anybody may have sent: whatever comes, a small RGB picture or one sentence.

Size is judged by the header, before a pixel is unpacked. Only formats that shops and browsers use
are tried, since some of the others start programs. Knows nothing of what is on a picture.
"""

import io
from typing import TYPE_CHECKING

import numpy as np

from shopkeeper.errors import BadData

if TYPE_CHECKING:
    from PIL.Image import Image

BYTES_MAX = 20_000_000
"""The largest file that is opened."""
PIXELS_MAX = 25_000_000
"""The most pixels that are unpacked, some 200 MB on the way."""
SIDE_MAX = 512
"""Pixels of the longer side of what comes back."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")


def open_picture(content: bytes) -> "Image":
    """Return a picture as people see it: turned upright, its first frame, on white ground.

    Args:
        content: The bytes of a file.

    Returns:
        A picture in RGB whose longer side is at most `SIDE_MAX` pixels.

    Raises:
        BadData: It is empty, broken, too large, or no picture of a format that is read.
    """
    if not content:
        raise BadData("The picture is empty (0 bytes). Send a JPEG, PNG or WebP file.")
    if len(content) > BYTES_MAX:
        raise BadData(
            f"The picture has {len(content) / 1e6:,.0f} MB, more than {BYTES_MAX / 1e6:g}. "
            "Send a smaller one."
        )
    picture = _recognised(content)
    width, height = picture.size
    if width * height > PIXELS_MAX:
        raise BadData(_too_many(f"{width:,} x {height:,}"))
    try:
        return _unpacked(picture)
    except Exception as error:  # a broken file fails in dozens of ways
        raise BadData(
            f"The picture is broken or cut off: it begins as {picture.format} but cannot be "
            "unpacked. Send it again."
        ) from error


def _recognised(content: bytes) -> "Image":
    from PIL import Image

    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadData(_too_many("far too many")) from error
    except Exception as error:  # most say UnidentifiedImageError, broken headers whatever they like
        raise BadData(
            f"This is no picture that can be read. Send one of {', '.join(FORMATS)}."
        ) from error


def _unpacked(picture: "Image") -> "Image":
    """Return the first frame, small, upright and in RGB."""
    from PIL import Image

    # A JPEG is unpacked at a half, a quarter or an eighth where that is still large enough.
    picture.draft("RGB", (SIDE_MAX, SIDE_MAX))
    picture.load()
    orientation = _orientation(picture)
    if picture.mode.startswith("I"):
        # Grey of 16 bits, which a plain conversion would cut off at 255.
        picture = Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture)
    picture = picture.convert("RGB")
    picture.thumbnail((SIDE_MAX, SIDE_MAX))
    return _upright(picture, orientation)


def _orientation(picture: "Image") -> int:
    """Return how the camera was held by the EXIF standard, from 1 to 8; 1 where it is not said."""
    try:
        return int(picture.getexif().get(0x0112, 1))
    except Exception:  # broken notes beside a sound picture
        return 1


def _upright(picture: "Image", orientation: int) -> "Image":
    """Undo how the camera was held."""
    from PIL.Image import Transpose

    ways = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    way = ways.get(orientation)
    return picture if way is None else picture.transpose(way)


def _too_many(size: str) -> str:
    return (
        f"The picture has {size} pixels, more than {PIXELS_MAX / 1e6:g} million. "
        "Send a smaller one."
    )
