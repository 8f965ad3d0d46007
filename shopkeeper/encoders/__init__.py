"""What does this text mean, as a vector?"""

from shopkeeper.encoders._cache import VectorCache

__all__ = ["VectorCache"]
