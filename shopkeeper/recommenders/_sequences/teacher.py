"""Teaches the network and hands over what serves. Imported only while learning: needs torch."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shopkeeper.arrays import Floats, Rows
from shopkeeper.recommenders._codes import foretold, semantic_ids
from shopkeeper.recommenders._sequences.encoder import Encoder
from shopkeeper.recommenders._sequences.lessons import Choice, Lessons
from shopkeeper.recommenders._sequences.moments import (
    HALF_LIVES_DAYS,
    NUM_ACTIONS,
    NUM_BUCKETS,
    Moments,
)
from shopkeeper.recommenders._sequences.neighbourhood import nearby_vectors
from shopkeeper.training.augment_sequences import Similar, augmenter
from shopkeeper.training.loop import Plan, train
from shopkeeper.training.networks.coded import CodedNetwork
from shopkeeper.training.networks.histories import Shape
from shopkeeper.training.networks.sequence import SequenceNetwork, to_onnx


class Teacher:
    """One course of learning, from the start or from what was learned before.

    `before` numbers products as `laid` does; see `newcomers.grown`.
    """

    def __init__(
        self,
        config: Any,
        laid: Moments,
        num_items: int,
        before: Encoder | None = None,
        similar: Similar | None = None,
        content: Floats | None = None,
        **more: Any,
    ) -> None:
        self.config, self.laid, self.before = config, laid, before
        torch.manual_seed(config.seed)
        self.lessons = Lessons(
            laid,
            Choice(
                history_max=config.history_max,
                batch_positions=config.batch_positions,
                holdout_share=config.holdout_share if before is None else 0.0,
                basket_power=config.basket_power,
                half_life_days=config.half_life_days,
                forget=config.forget,
                negatives=config.negatives,
                perturb=config.perturb,
                seed=config.seed,
                after_minute=None if before is None else before.newest_minute,
                replay=config.replay,
            ),
            augmenter(config.augment, config.augment_share, similar) if config.augment else None,
        )
        self.codes_VP: Rows | None = None
        self.network = self._network(num_items, content, more)

        if before is None:
            epochs = -(-config.steps_max // max(1, len(self.lessons.batches(0))))
            plain = round(config.plain_share * min(config.epochs_max, epochs))
            self.lessons.choice = replace(self.lessons.choice, plain_epochs=plain)
            if config.start_nearby > 0:
                self._start_nearby(num_items)
        if self.network.bias is not None:
            self.network.bias.data.copy_(torch.from_numpy(self._bias(num_items)))
        if before is not None:
            self._take_up(before)

    def _network(
        self, num_items: int, content: Floats | None, more: dict[str, Any]
    ) -> SequenceNetwork:
        config = self.config
        coded = hasattr(config, "places")
        shape = Shape(
            num_items=num_items,
            num_actions=NUM_ACTIONS,
            num_buckets=NUM_BUCKETS,
            width=config.width,
            num_blocks=config.blocks,
            history_max=config.history_max,
            dropout=config.dropout,
            times=config.times,
            biased=config.popularity,
            num_decays=len(HALF_LIVES_DAYS) if config.repeats else 0,
            content_width=0 if content is None or coded else content.shape[1],
            **more,
        )
        if not coded:
            return SequenceNetwork(shape, None if content is None else torch.from_numpy(content))
        behaviour = self._nearby(num_items, config.width) * config.behaviour_weight
        told = [behaviour]
        if content is not None:
            told = [foretold(behaviour, content), content / np.sqrt(content.shape[1])]
        self.codes_VP = semantic_ids(
            np.concatenate(told, axis=1), config.places, config.numbers, config.seed
        )
        return CodedNetwork(shape, torch.from_numpy(self.codes_VP), config.numbers)

    def start_from(self, other: Encoder, weight: Floats, bias: Floats) -> None:
        """Begin with what another shop's network learned of histories, and of contents.

        Args:
            other: The network; its products are not taken over.
            weight: How contents are read. Shape [D, C].
            bias: What is added to them. Shape [D].
        """
        self._take_up_body(other)
        assert self.network.content is not None
        with torch.no_grad():
            self.network.content.weight.copy_(torch.from_numpy(weight))
            self.network.content.bias.copy_(torch.from_numpy(bias))

    def learn(self, checkpoint: Path | None) -> dict[str, Any]:
        """Learn to the end of the plan and tell how it went."""
        config = self.config
        plan = Plan(
            epochs_max=config.epochs_max,
            steps_max=config.steps_max,
            minutes_max=config.minutes_max,
            patience_epochs=config.patience_epochs,
            lr=config.lr,
            weight_decay=config.weight_decay,
            seed=config.seed,
            average=config.average,
            measure_every=config.measure_every,
            precision=config.precision,
        )
        if self.before is not None:
            plan = replace(plan, steps_max=config.update_steps, lr=config.lr / 2)
        if not self.lessons.batches(0):
            return {"steps": 0, "epochs": 0, "seconds": 0.0, "curve": []}
        measure = (lambda: self.lessons.measure(self.network)) if len(self.lessons.held) else None
        outcome = train(
            self.network,
            self.lessons.batches,
            lambda windows: self.lessons.loss(self.network, windows, config.chunk_mb),
            plan,
            measure,
            checkpoint,
            self._identity(),
        )
        return {
            "steps": outcome.step,
            "epochs": outcome.epoch,
            "seconds": outcome.seconds,
            "curve": outcome.curve,
            "losses": outcome.losses,
        }

    def encoder(self) -> Encoder:
        """Return what was learned, ready to serve."""
        network = self.network.eval()
        num_items = len(network.items.weight)
        bias = network.bias if network.bias is not None else torch.zeros(len(network.items.weight))
        with torch.no_grad():
            if network.content is not None or self.codes_VP is not None:
                # What nobody wanted yet is known by its content alone.
                network.items.weight[torch.from_numpy(self.lessons.never_wanted(num_items))] = 0
            items_VD = network.table().numpy().copy()
        return Encoder(
            network=to_onnx(network.body),
            items_VD=items_VD,
            bias_V=bias.detach().numpy().copy(),
            actions_AD=network.actions.weight.detach().numpy().copy(),
            again=network.again.scaled() if network.again is not None else {},
            newest_minute=int(self.laid.minute.max()),
            weights={k: v.numpy().copy() for k, v in network.body.state_dict().items()},
            cosine=network.shape.temperature > 0,
        )

    def _nearby(self, num_items: int, width: int) -> Floats:
        end = self.lessons.target_end
        return nearby_vectors(self.laid, end, num_items, width, self.config.seed)

    def _start_nearby(self, num_items: int) -> None:
        config = self.config
        vectors = torch.from_numpy(self._nearby(num_items, config.width)) * config.start_nearby
        with torch.no_grad():
            if isinstance(self.network, CodedNetwork):
                self.network.start(vectors)
            else:
                self.network.items.weight.add_(vectors)

    def _bias(self, num_items: int) -> Floats:
        """Return how much each product is wanted, with what was learned beyond counting it."""
        wanted_V = self.lessons.wanted(num_items)
        if self.before is None:
            return wanted_V
        then_V = self.lessons.wanted(num_items, self.before.newest_minute)
        new_V = np.isnan(self.before.bias_V)
        return np.where(new_V, wanted_V, self.before.bias_V + (wanted_V - then_V))

    def _take_up(self, before: Encoder) -> None:
        with torch.no_grad():
            self.network.items.weight.copy_(torch.from_numpy(before.items_VD))
        self._take_up_body(before)

    def _take_up_body(self, before: Encoder) -> None:
        """Take over how histories are read, not what products are."""
        with torch.no_grad():
            self.network.actions.weight.copy_(torch.from_numpy(before.actions_AD))
            self.network.body.load_state_dict(
                {name: torch.from_numpy(value) for name, value in before.weights.items()}
            )
            if self.network.again is not None and before.again:
                self.network.again.take_up(before.again)

    def _identity(self) -> str:
        digest = hashlib.sha256(repr(asdict(self.config)).encode())
        for values in (self.laid.item, self.laid.action, self.laid.minute, self.laid.start):
            digest.update(np.ascontiguousarray(values).tobytes())
        if self.before is not None:
            digest.update(self.before.items_VD.tobytes())
        return digest.hexdigest()
