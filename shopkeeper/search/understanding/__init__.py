"""What does a shopper mean by these words?"""

from shopkeeper.search.understanding.reading import Understanding
from shopkeeper.search.understanding.understood import Chip, Understood

__all__ = ["Chip", "Understanding", "Understood"]
