"""Runs an exported text model: ONNX Runtime and tokenizers, nothing else.

Texts are sorted by length, so that a batch is hardly padded. Knows nothing of where models come
from, nor of queries and passages.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from shopkeeper.tracing import progress

CHARS_PER_TOKEN_MAX = 32
"""A text is cut to this many characters a token before the tokenizer sees it."""


class Session:
    """An exported model and its tokenizer, ready to encode from several threads at once."""

    def __init__(
        self, model: Path, tokenizer: Path, tokens_max: int, threads: int = 1, batch: int = 32
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._onnx = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(tokens_max)
        self._tokenizer.no_padding()
        self._chars_max = tokens_max * CHARS_PER_TOKEN_MAX
        self._threads, self._batch = threads, batch
        shape = self._onnx.get_outputs()[0].shape
        self.width: int = int(shape[-1]) if len(shape) > 1 else 1

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of length 1 per text, [N, D]."""
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        sound = [_sound(text[: self._chars_max]) for text in texts]
        tokens = [found.ids for found in self._tokenizer.encode_batch(sound)]
        order = np.argsort([len(ids) for ids in tokens], kind="stable")
        batches = [order[at : at + self._batch] for at in range(0, len(order), self._batch)]

        def run(rows: NDArray[np.int64]) -> None:
            vectors[rows] = self._run([tokens[row] for row in rows])

        if self._threads == 1 or len(batches) < 2:
            for rows in progress(batches, "texts encoded", len(batches)):
                run(rows)
            return vectors
        with ThreadPoolExecutor(self._threads) as pool:
            for _ in progress(pool.map(run, batches), "texts encoded", len(batches)):
                pass
        return vectors

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return what the model says of a query beside each text, read together, [N]."""
        asked = _sound(query[: self._chars_max])
        pairs = [(asked, _sound(text[: self._chars_max])) for text in texts]
        read = self._tokenizer.encode_batch(pairs)
        order = np.argsort([len(one.ids) for one in read], kind="stable")
        found = np.zeros(len(texts), dtype=np.float32)
        for at in range(0, len(order), self._batch):
            rows = order[at : at + self._batch]
            longest = max(len(read[row].ids) for row in rows)
            ids, kinds, mask = np.zeros((3, len(rows), longest), dtype=np.int64)
            for place, row in enumerate(rows):
                size = len(read[row].ids)
                ids[place, :size], kinds[place, :size] = read[row].ids, read[row].type_ids
                mask[place, :size] = 1
            (said,) = self._onnx.run(None, {"ids": ids, "kinds": kinds, "mask": mask})
            found[rows] = said
        return found

    def _run(self, tokens: list[list[int]]) -> NDArray[np.float32]:
        longest = max(map(len, tokens))
        ids = np.zeros((len(tokens), longest), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, found in enumerate(tokens):
            ids[row, : len(found)] = found
            mask[row, : len(found)] = 1
        (vectors,) = self._onnx.run(None, {"ids": ids, "mask": mask})
        return np.asarray(vectors, dtype=np.float32)


def _sound(text: str) -> str:
    """Return a text in which half of a surrogate pair, which is no text, is a question mark."""
    return text.encode("utf-8", "replace").decode()
