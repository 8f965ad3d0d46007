"""Examples of what shoppers want, one file an intent, one query a line; English.

Written by hand, the last lines of each file by templates. `out_of_scope.txt` holds what a shop
cannot answer. A shop may add a folder of its own with the same names. Knows no classifier.
"""

from pathlib import Path

from shopkeeper.errors import BadData

HERE = Path(__file__).parent


def read(folder: Path = HERE) -> tuple[list[str], list[str]]:
    """Return every example and its intent.

    Args:
        folder: Holds a text file for each intent, named by it.

    Returns:
        Texts and intents, side by side, in the order of the files' names.

    Raises:
        BadData: The folder holds no examples.
    """
    texts: list[str] = []
    labels: list[str] = []
    for file in sorted(folder.glob("*.txt")):
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
        texts += [line for line in lines if line]
        labels += [file.stem] * (len(texts) - len(labels))
    if not texts:
        raise BadData(f"There are no examples in '{folder.name}'. Write a text file an intent.")
    return texts, labels
