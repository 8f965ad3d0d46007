"""What does this picture show, as a vector?"""

from shopkeeper.encoders.images._files import PictureEncoder, encode_files
from shopkeeper.encoders.images._opening import BYTES_MAX, open_picture

__all__ = ["BYTES_MAX", "PictureEncoder", "encode_files", "open_picture"]
