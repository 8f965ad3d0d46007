"""What does this text mean, as a vector?"""

from shopkeeper.encoders._behaviour import behaviour_vectors, joined, shrunk
from shopkeeper.encoders._cache import VectorCache

__all__ = ["VectorCache", "behaviour_vectors", "joined", "shrunk"]
