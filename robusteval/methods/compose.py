"""Building a method from its configuration, and several methods at once where no two claim the same hook."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from robusteval.errors import UserError
from robusteval.methods import METHODS
from robusteval.methods.base import Context, Method, Shared, TrainingData
from robusteval.methods.vanilla import VanillaSettings
from robusteval.models.architectures import PooledHook
from robusteval.models.encoding import Batch
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig


def build_method(config: MethodConfig) -> Method[Any]:
    """The method of one table column.

    Raises UserError for an unknown method or setting, and for two methods that claim the same hook.
    """
    entries = [(METHODS.entry(name), dict(settings)) for name, settings in config.parts]
    parts = [entry.load().configure(settings, entry.name) for entry, settings in entries]
    return parts[0] if len(parts) == 1 else Composed(parts)


class Composed(Method[VanillaSettings]):
    """Methods side by side: `setup` and the state go to each, every exclusive hook to the one that claims it."""

    Settings = VanillaSettings

    def __init__(self, parts: Sequence[Method[Any]]) -> None:
        super().__init__(name="+".join(part.name for part in parts))
        self.parts = list(parts)
        self._owner: dict[str, Method[Any]] = {}
        for part in parts:
            for hook in sorted(part.claims()):
                if hook in self._owner:
                    raise UserError(
                        f"methods: {self._owner[hook].name!r} and {part.name!r} cannot be combined: "
                        f"both claim the {hook} hook"
                    )
                self._owner[hook] = part

    def claims(self) -> frozenset[str]:
        return frozenset(self._owner)

    @property
    def acts_inside(self) -> bool:
        return any(part.acts_inside for part in self.parts)

    def facts(self) -> dict[str, str]:
        return {key: value for part in self.parts for key, value in part.facts().items()}

    def identity(self) -> list[Any]:
        return [part.identity() for part in self.parts]

    def shared(self, config: TrainConfig, seed: int) -> tuple[Shared, ...]:
        # the others act in a step, and those before it have had their setup
        return tuple(
            dataclasses.replace(each, beside=tuple(other.identity() for other in others if other.acts_inside))
            for place, part in enumerate(self.parts)
            for each in part.shared(config, seed)
            for others in [[*self.parts[:place], *(self.parts[place + 1 :] if each.labels else ())]]
        )

    @property
    def plain_at_evaluation(self) -> bool:
        return all(part.plain_at_evaluation for part in self.parts)

    @property
    def mixes_at_evaluation(self) -> bool:
        return any(part.mixes_at_evaluation for part in self.parts)

    @property
    def keeps(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.keeps)

    @property
    def alone(self) -> str:
        return next((part.alone for part in self.parts if part.alone), "")

    @property
    def remedies(self) -> tuple[str, ...]:
        return tuple(text for part in self.parts for text in part.remedies)

    def bind(self, context: Context, root: Method[Any] | None = None) -> None:
        super().bind(context, root)
        for part in self.parts:
            part.bind(context, self)

    def setup(self, model: Any, data: TrainingData) -> None:
        for part in self.parts:
            part.setup(model, data)
            self.modules.update(dict(part.modules))
            self.notices.extend(part.notices)

    def loss(self, model: Any, batch: Batch) -> Tensor:
        owner = self._owner.get("loss")
        return owner.loss(model, batch) if owner else super().loss(model, batch)

    def backward(self, model: Any, batch: Batch) -> Tensor:
        owner = self._owner.get("backward")
        return owner.backward(model, batch) if owner else super().backward(model, batch)

    def log(self) -> dict[str, Tensor]:
        return {name: value for part in self.parts for name, value in part.log().items()}

    def representation(self, h: Tensor, dense: Tensor) -> Tensor:
        owner = self._owner.get("representation")
        return owner.representation(h, dense) if owner else h

    def before_step(self, step: int) -> None:
        if owner := self._owner.get("before_step"):
            owner.before_step(step)

    def optimizer(self, groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
        return self._owner["optimizer"].optimizer(groups, config)

    def finish(self, model: Any) -> None:
        for part in reversed(self.parts):
            part.finish(model)

    def apart(self) -> Iterator[Tensor]:
        for part in self.parts:
            yield from part.apart()

    def after_step(self, step: int) -> None:
        if owner := self._owner.get("after_step"):
            owner.after_step(step)

    def whole_state(self) -> dict[str, Any]:
        # the parts carry their own modules and generators
        return {"generator": self.generator.get_state(), "state": self.state_dict()}

    def load_whole_state(self, state: Mapping[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self.load_state_dict(state["state"])

    def state_dict(self) -> dict[str, Any]:
        return {part.name: part.whole_state() for part in self.parts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for part in self.parts:
            part.load_whole_state(state[part.name])


def attach(method: Method[Any], model: Any) -> PooledHook | None:
    """Let the method replace the model's pooled vector, where it claims that; None where it does not."""
    if "representation" not in method.claims():
        return None
    return PooledHook(model, method.representation)
