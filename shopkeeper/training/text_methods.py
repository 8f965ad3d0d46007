"""How much of a text encoder learns: a method each, by its name.

To add one, write a function that makes a model ready to learn and name it in `METHODS`. Source:
LoRA and AdaLoRA (Hu et al., ICLR 2022; Zhang et al., ICLR 2023) by peft, merged into the weights at
the end. Knows nothing of what is learned.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


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
        """How large what is added to the model is."""


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


METHODS = {
    "full": Method(5e-5, _full),
    "top_layers": Method(1e-4, _top_layers),
    "lora": Method(5e-4, _lora),
    "adalora": Method(1e-3, _adalora),
}
