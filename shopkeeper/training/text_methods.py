"""How much of a text encoder learns: a method each, by its name.

To add one, write a function that makes a model ready to learn and name it in `METHODS`. Source:
LoRA and AdaLoRA (Hu et al., ICLR 2022; Zhang et al., ICLR 2023) by peft; adapters in their parallel
form (He et al., ICLR 2022): they are hidden units beside those of the feed-forward layers, so all
three merge into the weights. Prefixes (Li and Liang, ACL 2021) cannot: they lie in a file beside
them, which `load` reads, and carry an offset of their score that starts low, so that learning
begins at the model as it was. Knows nothing of what is learned.
"""

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from shopkeeper.errors import BadData
from shopkeeper.training.text_model import TextModel

# B texts, H heads, T tokens, P tokens of a prefix, S numbers of a head

PREFIX_FILE = "prefix.safetensors"
"""Marks the folder of a model that reads a prefix in each layer."""
ADAPTER_RANKS = 4
"""Hidden units of an adapter, as a multiple of `rank`: `lora` adds that much at six places."""
GATE_START = -3.0
"""What is added to the score of a prefix's tokens at first."""


class Amount(Protocol):
    """What `texts.Tuning` says of how much learns."""

    @property
    def method(self) -> str:
        """A name of `METHODS`."""

    @property
    def layers(self) -> int:
        """How many layers learn under `top_layers`."""

    @property
    def rank(self) -> int:
        """Width of small matrices, or tokens of a prefix."""


@dataclass(frozen=True)
class Method:
    """One way to learn."""

    lr: float
    """The usual learning rate."""
    prepare: Callable[[Any, Amount, int], Any]
    """Returns the model with the weights that do not learn frozen; the number is that of steps."""


def learning(model: Any, amount: Amount, steps: int) -> Any:
    """Return the model ready to learn.

    Args:
        model: A BERT-like transformer.
        amount: Which method, and how large.
        steps: How many steps it will learn, at most.

    Returns:
        The model, perhaps wrapped, whose other weights are frozen.
    """
    return METHODS[amount.method].prepare(model, amount, steps)


def load(folder: Path, **words: Any) -> Any:
    """Read the transformer that lies in a folder, with its prefixes if it has any.

    Args:
        folder: Config and weights as Hugging Face writes them, perhaps with `PREFIX_FILE`.
        **words: What else `AutoModel.from_pretrained` shall know.

    Returns:
        The model, ready to be asked.
    """
    from safetensors.torch import load_file
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = AutoModel.from_pretrained(folder, **words)
    if (folder / PREFIX_FILE).is_file():
        kept = load_file(folder / PREFIX_FILE)
        _add_prefixes(model, next(kept[name].shape[1] for name in kept if "gate" in name))
        model.load_state_dict(kept, strict=False)
    return model


def save(model: Any, source: TextModel, target: Path) -> None:
    """Write a transformer in one step, what `learning` added merged into its weights if it can be.

    Args:
        model: What `load` or `learning` returned.
        source: What it was made from, whose tokenizer and settings go along.
        target: Where it goes; replaced if it is there.
    """
    from safetensors.torch import save_file

    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    _merge_adapters(model)
    weights = model.state_dict()
    prefixes = {name: weights.pop(name) for name in list(weights) if ".prefix." in name}
    draft = target.with_name(f".{target.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    model.save_pretrained(draft, state_dict=weights)
    if prefixes:
        save_file({k: v.contiguous() for k, v in prefixes.items()}, draft / PREFIX_FILE)
    for file in (*source.transformer.iterdir(), source.tokenizer):
        beside = draft / file.name
        if file.is_file() and not beside.exists() and file.suffix in (".json", ".txt"):
            shutil.copyfile(file, beside)
    shutil.rmtree(target, ignore_errors=True)
    draft.replace(target)


def _full(model: Any, _: Amount, __: int) -> Any:
    model.get_input_embeddings().weight.requires_grad_(True)
    return model


def _top_layers(model: Any, amount: Amount, _: int) -> Any:
    model.requires_grad_(False)
    for layer in model.encoder.layer[-amount.layers :]:
        layer.requires_grad_(True)
    return model


def _lora(model: Any, amount: Amount, _: int) -> Any:
    from peft import LoraConfig

    return _peft(model, LoraConfig(r=amount.rank, **_matrices(amount)))


def _adalora(model: Any, amount: Amount, steps: int) -> Any:
    from peft import AdaLoraConfig

    config = AdaLoraConfig(
        init_r=amount.rank, target_r=max(1, amount.rank // 2), total_step=max(10, steps),
        tinit=steps // 10, tfinal=steps // 2, deltaT=max(1, steps // 50), **_matrices(amount),
    )  # fmt: skip
    return _peft(model, config)


def _matrices(amount: Amount) -> dict[str, Any]:
    return {
        "target_modules": r"encoder\..*\.(query|key|value|dense)", "lora_alpha": 2 * amount.rank,
        "lora_dropout": 0.0,
    }  # fmt: skip


def _peft(model: Any, config: Any) -> Any:
    from peft import get_peft_model

    with warnings.catch_warnings():
        # peft asks transformers by names that go in its next version.
        warnings.simplefilter("ignore", FutureWarning)
        return get_peft_model(model, config)


def layers_of(model: Any) -> list[Any]:
    """Return the layers of a model of BERT's kind."""
    found = getattr(getattr(model, "encoder", None), "layer", None)
    if found is None or not hasattr(found[0], "intermediate"):
        raise BadData(
            f"A model of the kind '{model.config.model_type}' takes no adapters and no prefixes. "
            "Choose the method full, or a model of BERT's kind."
        )
    return list(found)


def _adapter(model: Any, amount: Amount, _: int) -> Any:
    model.requires_grad_(False)
    for layer in layers_of(model):
        layer.intermediate.dense = _Taller(layer.intermediate.dense, ADAPTER_RANKS * amount.rank)
        layer.output.dense = _Wider(layer.output.dense, ADAPTER_RANKS * amount.rank)
    return model


def _merge_adapters(model: Any) -> None:
    for layer in getattr(getattr(model, "encoder", None), "layer", ()):
        dense = getattr(getattr(layer, "intermediate", None), "dense", None)
        if isinstance(dense, _Taller):
            layer.intermediate.dense = dense.merged()
            layer.output.dense = layer.output.dense.merged()
            model.config.intermediate_size = layer.intermediate.dense.out_features


class _Taller(nn.Module):  # type: ignore[misc]
    """A known matrix, and rows below it that learn: the way into an adapter."""

    def __init__(self, known: nn.Linear, rows: int) -> None:
        super().__init__()
        self.known, self.learned = known, nn.Linear(known.in_features, rows)
        nn.init.normal_(self.learned.weight, std=0.02)
        nn.init.zeros_(self.learned.bias)

    def forward(self, states: Tensor) -> Tensor:
        return torch.cat([self.known(states), self.learned(states)], dim=-1)

    def merged(self) -> nn.Linear:
        """Return both as one matrix."""
        weight = torch.cat([self.known.weight, self.learned.weight])
        return _linear(weight, torch.cat([self.known.bias, self.learned.bias]))


class _Wider(nn.Module):  # type: ignore[misc]
    """A known matrix, and columns beside it that learn: the way out of an adapter, 0 at first."""

    def __init__(self, known: nn.Linear, columns: int) -> None:
        super().__init__()
        self.known = known
        self.learned = nn.Linear(columns, known.out_features, bias=False)
        nn.init.zeros_(self.learned.weight)

    def forward(self, states: Tensor) -> Tensor:
        inside = self.known.in_features
        return self.known(states[..., :inside]) + self.learned(states[..., inside:])

    def merged(self) -> nn.Linear:
        """Return both as one matrix."""
        return _linear(torch.cat([self.known.weight, self.learned.weight], 1), self.known.bias)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0])
    made.weight, made.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return made


def _prefix(model: Any, amount: Amount, _: int) -> Any:
    model.requires_grad_(False)
    if not _has_prefixes(model):
        _add_prefixes(model, amount.rank)
    for layer in layers_of(model):
        layer.attention.self.prefix.requires_grad_(True)
    return model


def _has_prefixes(model: Any) -> bool:
    return hasattr(layers_of(model)[0].attention.self, "prefix")


def _add_prefixes(model: Any, tokens: int) -> None:
    """Have the attention of every layer read some learned tokens before those of the text."""
    config = model.config
    for layer in layers_of(model):
        attention = layer.attention.self
        head = config.hidden_size // config.num_attention_heads
        attention.prefix = _Prefix(config.num_attention_heads, tokens, head)
        attention.register_forward_pre_hook(_read_prefix, with_kwargs=True)


class _Prefix(nn.Module):  # type: ignore[misc]
    """Keys and values of tokens that are no words; to the attention it is a cache of earlier ones.

    They take no positions: those of the text stay as they are.
    """

    def __init__(self, heads: int, tokens: int, head: int) -> None:
        super().__init__()
        self.keys_HPS = nn.Parameter(torch.randn(heads, tokens, head) * 0.5)
        self.values_HPS = nn.Parameter(torch.randn(heads, tokens, head) * 0.02)
        self.gate_1P = nn.Parameter(torch.full((1, tokens), GATE_START))

    def update(self, keys_BHTS: Tensor, values_BHTS: Tensor, _: int) -> tuple[Tensor, Tensor]:
        """Return keys and values with those of the prefix before them."""
        shape = (keys_BHTS.shape[0], -1, -1, -1)
        keys = torch.cat([self.keys_HPS.to(keys_BHTS.dtype).expand(shape), keys_BHTS], dim=2)
        values = torch.cat([self.values_HPS.to(keys_BHTS.dtype).expand(shape), values_BHTS], dim=2)
        return keys, values

    def widened(self, mask: Tensor | None, states: Tensor) -> Tensor:
        """Return what is added to the scores: the gate, then what the mask says of the text."""
        if mask is None:
            mask = states.new_zeros((states.shape[0], 1, 1, states.shape[1]))
        elif mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=states.dtype).masked_fill(~mask, float("-inf"))
        gate = self.gate_1P.to(mask.dtype).expand(*mask.shape[:3], -1)
        return torch.cat([gate, mask], dim=-1)


def _read_prefix(
    attention: Any, words: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    mask = attention.prefix.widened(named.get("attention_mask"), words[0])
    return words, {**named, "attention_mask": mask, "past_key_values": attention.prefix}


METHODS = {
    "full": Method(5e-5, _full),
    "top_layers": Method(1e-4, _top_layers),
    "lora": Method(5e-4, _lora),
    "adalora": Method(1e-3, _adalora),
    "adapter": Method(1e-3, _adapter),
    "prefix": Method(5e-3, _prefix),
}
