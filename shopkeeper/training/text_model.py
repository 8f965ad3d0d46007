"""A text model on disk, its tokens, and how they become one vector.

The same for learning and for export. Knows nothing of what is learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

# N texts, T tokens, D width


@dataclass(frozen=True)
class TextModel:
    """Where the files of a BERT-like model lie."""

    transformer: Path
    """The folder of `config.json` and the weights, as Hugging Face writes them."""
    tokenizer: Path
    """The file of the tokenizer."""
    pooling: str = "mean"
    """How tokens become one vector: `mean`, `cls`, `max` or `last`."""

    @classmethod
    def of(cls, folder: Path, pooling: str = "mean") -> "TextModel":
        """Return a model whose files all lie in one folder."""
        return cls(folder, folder / "tokenizer.json", pooling)


class Tokens:
    """Turns texts into numbered tokens.

    Args:
        file: A tokenizer as Hugging Face writes it.
        tokens_max: Texts are cut to this many tokens.
    """

    def __init__(self, file: Path, tokens_max: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.enable_truncation(tokens_max)
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the tokens of texts and which of them count, [N, T] each."""
        ids, _, mask = self._padded(list(texts))
        return ids, mask

    def together(self, firsts: Sequence[str], seconds: Sequence[str]) -> tuple[Tensor, ...]:
        """Return tokens, kinds (0 or 1) and mask of pairs that are read as one text, [N, T]."""
        return self._padded(list(zip(firsts, seconds, strict=True)))

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def mask(self) -> int | None:
        """The token that hides a word, if there is one."""
        found = [self._tokenizer.token_to_id(name) for name in ("[MASK]", "<mask>")]
        return next((number for number in found if number is not None), None)

    def special(self, ids: Tensor) -> Tensor:
        """Say which tokens stand for no text, such as those at begin and end. Shape of `ids`."""
        names = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]", "<s>", "</s>", "<pad>", "<mask>")
        known = [self._tokenizer.token_to_id(name) for name in names]
        return torch.isin(ids, torch.tensor([number for number in known if number is not None]))

    def _padded(self, texts: list[str] | list[tuple[str, str]]) -> tuple[Tensor, Tensor, Tensor]:
        found = self._tokenizer.encode_batch(texts)
        longest = max((len(one.ids) for one in found), default=1)
        rows = np.zeros((3, len(found), longest), dtype=np.int64)
        for row, one in enumerate(found):
            size = len(one.ids)
            rows[0, row, :size], rows[1, row, :size], rows[2, row, :size] = one.ids, one.type_ids, 1
        ids, kinds, mask = torch.from_numpy(rows)
        return ids, kinds, mask


def pooled(states_NTD: Tensor, mask_NT: Tensor, pooling: str) -> Tensor:
    """Return one vector of length 1 for all tokens of a text.

    Args:
        states_NTD: What the transformer says of each token, [N, T, D].
        mask_NT: 1 for tokens, 0 behind the end of a text, [N, T].
        pooling: `mean`, `cls`, `max` or `last`.

    Returns:
        Vectors, [N, D].
    """
    weights_NT1 = mask_NT.unsqueeze(-1).to(states_NTD.dtype)
    if pooling == "cls":
        vectors_ND = states_NTD[:, 0]
    elif pooling == "max":
        vectors_ND = (states_NTD - (1 - weights_NT1) * 1e9).max(dim=1).values
    elif pooling == "last":
        here_NT = torch.arange(mask_NT.shape[1]) == mask_NT.sum(1, keepdim=True) - 1
        vectors_ND = (states_NTD * here_NT.unsqueeze(-1).to(states_NTD.dtype)).sum(1)
    else:
        vectors_ND = (states_NTD * weights_NT1).sum(1) / weights_NT1.sum(1).clamp(min=1e-9)
    return torch.nn.functional.normalize(vectors_ND.float(), dim=-1)
