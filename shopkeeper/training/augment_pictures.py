"""Pictures as other people would have taken them: nearer, further, askew, not quite in the middle.

Crop, rotation and scale are one affine map, so that a picture is resampled once and its aspect
never changes. What comes into the frame from outside has the colour of the picture's edge, for
products are photographed on plain ground. Knows nothing of what is on a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class Change:
    """How far a picture may change at most."""

    crop_share: float = 0.2
    """Share of width and height that may be cut away, anywhere, in [0, 1)."""
    rotation_degrees: float = 10.0
    """Turned by so much to either side at most, from 0 to 180."""
    scale_max: float = 1.2
    """Shown so many times larger or smaller at most, from 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.crop_share < 1:
            raise ValueError(f"crop_share must be in [0, 1), got {self.crop_share}.")
        if not 0 <= self.rotation_degrees <= 180:
            raise ValueError(
                f"rotation_degrees must be from 0 to 180, got {self.rotation_degrees}."
            )
        if not self.scale_max >= 1:
            raise ValueError(f"scale_max must be at least 1, got {self.scale_max}.")


def changed_pictures(pictures: "Sequence[Image]", change: Change, seed: int = 0) -> "list[Image]":
    """Return each picture cropped, turned and scaled by chance, in its own size.

    Args:
        pictures: Pictures of any size and mode; they stay as they are.
        change: How far they may change.
        seed: Decides every chance; what becomes of a picture depends on this and its place alone.

    Returns:
        As many pictures of the same sizes; those in a palette come back in colours.
    """
    return [
        changed_picture(picture, change, np.random.default_rng((seed, place)))
        for place, picture in enumerate(pictures)
    ]


def changed_picture(picture: "Image", change: Change, random: np.random.Generator) -> "Image":
    """Return one picture, changed; see `changed_pictures`."""
    from PIL.Image import Resampling, Transform

    if picture.mode in ("P", "1"):
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    width, height = picture.size
    stays = 1 - change.crop_share * random.random()
    turn = np.deg2rad(change.rotation_degrees) * random.uniform(-1, 1)
    scale = change.scale_max ** random.uniform(-1, 1)
    # From a place of the result to that of the picture: nearer by `stays`, turned, then moved.
    zoom = stays / scale
    across, down = zoom * np.cos(turn), zoom * np.sin(turn)
    middle_x = width / 2 + width * (1 - stays) * random.uniform(-0.5, 0.5)
    middle_y = height / 2 + height * (1 - stays) * random.uniform(-0.5, 0.5)
    places = (
        across, -down, middle_x - across * width / 2 + down * height / 2,
        down, across, middle_y - down * width / 2 - across * height / 2,
    )  # fmt: skip
    return picture.transform(
        picture.size,
        Transform.AFFINE,
        places,
        resample=Resampling.BILINEAR,
        fillcolor=edge_colour(picture),
    )


def edge_colour(picture: "Image") -> int | tuple[int, ...]:
    """Return the median colour of the outermost pixels."""
    pixels = np.atleast_3d(np.asarray(picture))
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    found = tuple(int(value) for value in np.median(edge, axis=0))
    return found if len(found) > 1 else found[0]
