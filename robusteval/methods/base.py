"""What a fine-tuning method is: hooks into a training step, each with the vanilla behaviour as its default.

Order inside a step, the same for every method: backward (of each micro-batch), unscale, before_step, clip,
optimizer, after_step. `setup` comes once before the optimizer exists, `finish` once after the last step.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robusteval.models.encoding import Batch, Encoded
from robusteval.runtime.generators import torch_generator
from robusteval.settings.codec import settings as make_settings
from robusteval.settings.codec import to_dict
from robusteval.settings.train import TrainConfig

S = TypeVar("S")
Once = Callable[["Shared", Callable[[], list[Any]], Callable[[], Any]], Any]
"""(what is made, all that decides it beyond `Shared` as plain values, its maker): plain values and tensors."""

logger = logging.getLogger(__name__)

# Hooks that two methods cannot share; setup and the state are everybody's.
EXCLUSIVE = ("representation", "loss", "backward", "before_step", "optimizer", "after_step")


def task_loss(logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    """Cross entropy for class labels [B], mean squared error for scores [B]; logits are [B, K].

    The loss is computed in fp32. reduction: "mean" gives a scalar, "none" one loss per example [B].
    """
    if labels.is_floating_point():
        return F.mse_loss(logits.float().squeeze(-1), labels.float(), reduction=reduction)
    return F.cross_entropy(logits.float(), labels, reduction=reduction)


# Settings of training that nothing before its first step depends on.
LATER = ("epochs", "max_steps", "learning_rate", "warmup", "accumulation", "select")


@dataclass(frozen=True)
class Shared:
    """What a method makes in `setup`, at some cost, and may be the same in several runs.

    name: in words. settings: of the method, those that decide it; train: of training, those too; seed: of all that is
    drawn. beside: the methods in a composition that decide it. labels: whether it depends on the rows' labels and on
    the new head, or on their texts alone.
    """

    name: str
    settings: Mapping[str, Any]
    train: Mapping[str, Any]
    seed: Any
    labels: bool
    beside: tuple[Any, ...] = ()

    @classmethod
    def of(cls, name: str, settings: Mapping[str, Any], config: TrainConfig, seed: Any, *, labels: bool) -> Shared:
        train = {key: value for key, value in to_dict(config).items() if key not in LATER}
        return cls(name, settings, train, seed, labels)

    @property
    def plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def made_here(shared: Shared, given: Callable[[], list[Any]], make: Callable[[], Any]) -> Any:
    """What a run makes for itself alone."""
    return make()


@dataclass(frozen=True)
class Part:
    """The rows of a micro-batch that one of several processes has.

    counts: rows of each process, one process after the other; rank: of this one. A process that no row is left for
    goes through the last one with the others, and counts nowhere.
    """

    counts: tuple[int, ...]
    rank: int

    @property
    def whole(self) -> int:
        """Rows of the micro-batch."""
        return sum(self.counts)

    @property
    def counted(self) -> bool:
        """Whether this process has rows of its own."""
        return self.counts[self.rank] > 0

    @property
    def rows(self) -> slice:
        """Which rows this process goes through."""
        first = min(sum(self.counts[: self.rank]), self.whole - 1)
        return slice(first, first + max(1, self.counts[self.rank]))

    @property
    def share(self) -> float:
        """This process's rows as a share of the micro-batch."""
        return self.counts[self.rank] / self.whole


@dataclass
class Context:
    """What the methods of one run share.

    device: where the model is; total_steps: optimizer steps of the run; regression: scores, not classes.
    backward: runs backward on a scalar, scaled as mixed precision asks for.
    share: of the micro-batch under way in its mini-batch; 1 without accumulation. Of several processes, of its rows
        here.
    step, learning_rate: of the optimizer step under way, counted from 0.
    overflowed: fp16 gradients overflowed, so this step will move nothing: `before_step` sees gradients that mean
        nothing, and `after_step` is not called.
    labels, branches: of the forward pass under way; `branches` copies of one mini-batch are concatenated.
    processes: how many train the model together. part: which rows of the micro-batch under way are here; None where
        all are, as in `setup`. exchange: see `gather`.
    """

    device: torch.device
    total_steps: int
    regression: bool
    seed: int
    backward: Callable[[Tensor], None]
    labels: Tensor | None = None
    branches: int = 1
    step: int = 0
    learning_rate: float = 0.0
    overflowed: bool = False
    share: float = 1.0
    processes: int = 1
    part: Part | None = None
    exchange: Callable[[Tensor, Part], Tensor] = lambda values, part: values

    def gather(self, values: Tensor) -> Tensor:
        """The values of all rows of the micro-batch, from those of the rows here; both [rows, ...].

        A loss that is computed from it in every process has the gradients of one process alone.
        """
        return values if self.part is None else self.exchange(values, self.part)

    def drawn(self, rows: int, draw: Callable[[int], Tensor]) -> Tensor:
        """draw(rows), whose first axis runs over the `rows` rows here: out of one draw for all of the micro-batch.

        The processes have the same generator, so that each row gets what it would get in one process alone.
        """
        return draw(rows) if self.part is None else draw(self.part.whole)[self.part.rows]

    def scale_backward(self, loss: Tensor) -> None:
        """Run backward on a loss that is the mean over a micro-batch, so that gradients add up to the mini-batch's."""
        self.backward(loss * self.share if self.share != 1.0 else loss)


@dataclass(frozen=True)
class TrainingData:
    """What `setup` may look at.

    encoded: the training rows; batches: makes an iterator over the batches of an epoch, counted from 0, on the device,
        in the order that the run's seed gives, or the seed that is given beside the epoch.
    config: how training goes; its learning_rate is the peak rate.
    folder: where the pretrained model was loaded from, None for a model that was given in memory.
    """

    tokenizer: Any
    encoded: Encoded
    batches: Callable[..., Iterator[Batch]]
    config: TrainConfig
    folder: Path | None = None


class Method(Generic[S]):
    """A fine-tuning method. Override the hooks it needs; the rest stays vanilla.

    Settings: frozen dataclass of hyper-parameters; TRAIN: TrainConfig fields the paper sets otherwise.
    notices: sentences for the user, printed and kept with the run; logged: tensors for the step log.
    """

    Settings: ClassVar[type[Any]]
    TRAIN: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, settings: S | None = None, name: str = "") -> None:
        self.settings: S = settings if settings is not None else self.Settings()
        self.name = name or type(self).__name__.lower()
        self.once: Once = made_here
        self.context: Context
        self.generator: torch.Generator
        self.modules = nn.ModuleDict()
        self.notices: list[str] = []
        self.logged: dict[str, Tensor] = {}

    @classmethod
    def configure(cls, settings: Mapping[str, Any], name: str) -> Method[Any]:
        """A method from plain settings; UserError for an unknown or ill-typed one."""
        return cls(make_settings(cls.Settings, settings, name), name)

    def claims(self) -> frozenset[str]:
        """The exclusive hooks this method uses: those it overrides."""
        own = type(self)
        return frozenset(hook for hook in EXCLUSIVE if getattr(own, hook) is not getattr(Method, hook))

    @property
    def acts_inside(self) -> bool:
        """Whether the method needs to know the model's architecture: all do that prepare something in `setup`."""
        return type(self).setup is not Method.setup

    def facts(self) -> dict[str, str]:
        """The settings as JSON text, for the files that the trained modules are kept in."""
        return {key: json.dumps(value) for key, value in dataclasses.asdict(typing.cast(Any, self.settings)).items()}

    def identity(self) -> list[Any]:
        """Name and settings, for telling one training from another."""
        return [self.name, dataclasses.asdict(typing.cast(Any, self.settings))]

    def shared(self, config: TrainConfig, seed: int) -> tuple[Shared, ...]:
        """What `setup` makes by `self.root.once`, so that runs for which all of it is equal make it once."""
        return ()

    @property
    def plain_at_evaluation(self) -> bool:
        """Whether the saved checkpoint alone predicts as the method does."""
        return True

    @property
    def mixes_at_evaluation(self) -> bool:
        """Whether a prediction depends on the batch mates of its row, which then are those of `evaluation_group`."""
        return False

    def evaluation_group(self, config: TrainConfig) -> int | None:
        """How many rows are predicted together, in their order: as many as in a training batch; None: any number."""
        return config.batch_size if self.mixes_at_evaluation else None

    @property
    def keeps(self) -> tuple[str, ...]:
        """Names of the trained `modules`, each kept in a file of its own beside the checkpoint."""
        return ()

    @property
    def alone(self) -> str:
        """Why several processes cannot train one model with this method; "" where they can."""
        return ""

    @property
    def remedies(self) -> tuple[str, ...]:
        """Texts of this method that were measured to learn where these settings do not, for a run that collapsed."""
        return ()

    def bind(self, context: Context, root: Method[Any] | None = None) -> None:
        """Called once before `setup`; the method's own generator starts here. root: the composition, if any."""
        self.context = context
        self.root: Method[Any] = root or self
        self.generator = torch_generator(context.device, context.seed, "method", self.name)

    # ---- the hooks -------------------------------------------------------------------------------

    def setup(self, model: Any, data: TrainingData) -> None:
        """Once, before the optimizer exists: noise, freezing, Fisher masks, modules of the method's own."""

    def loss(self, model: Any, batch: Batch) -> Tensor:
        """The scalar to minimise: mean over the mini-batch."""
        return task_loss(self.logits(model, batch.inputs, batch.labels), batch.labels)

    def backward(self, model: Any, batch: Batch) -> Tensor:
        """Add this mini-batch's gradients to .grad; returns the detached loss."""
        loss = self.root.loss(model, batch)
        self.context.scale_backward(loss)
        return loss.detach()

    def representation(self, h: Tensor, dense: Tensor) -> Tensor:
        """The vector [B, d] that goes on to dropout and classifier in place of h; called in every forward."""
        return h

    def before_step(self, step: int) -> None:
        """Gradients are whole and unscaled, not yet clipped; step counts optimizer steps from 0."""

    def optimizer(self, groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
        """An optimizer of the method's own over these parameter groups, instead of AdamW or Adamax."""
        raise ValueError(f"{self.name} has no optimizer of its own")

    def after_step(self, step: int) -> None:
        """Parameters have just moved; gradients are still there."""

    def apart(self) -> Iterator[Tensor]:
        """Gradients of this step that the method keeps apart from .grad: several processes add them up with those."""
        return iter(())

    def finish(self, model: Any) -> None:
        """Once, after the last step: undo whatever would keep the model from being a plain checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        """All that exact resume needs beyond the generator and `modules`: tensors and plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave."""

    # ---- for the trainer -------------------------------------------------------------------------

    def whole_state(self) -> dict[str, Any]:
        """The method's state with its generator and its own modules."""
        return {
            "generator": self.generator.get_state(),
            "modules": self.modules.state_dict(),
            "state": self.state_dict(),
        }

    def load_whole_state(self, state: Mapping[str, Any]) -> None:
        self.generator.set_state(state["generator"])
        self.modules.load_state_dict(state.get("modules", {}))
        self.load_state_dict(state.get("state", {}))

    def log(self) -> dict[str, Tensor]:
        """What this step's line in train.jsonl says beyond loss, rate and gradient norm; asked after `after_step`."""
        return self.logged

    # ---- for use by methods ----------------------------------------------------------------------

    def late_notice(self, text: str) -> None:
        """A notice that comes after `setup`, when the trainer has printed the others: what only a pass can tell."""
        self.notices.append(text)
        if self.root is not self:
            self.root.notices.append(text)
        logger.warning(text)

    def logits(self, model: Any, inputs: Mapping[str, Tensor], labels: Tensor, branches: int = 1) -> Tensor:
        """One forward pass [branches * B, K]; says which labels and how many branches are under way."""
        self.context.labels, self.context.branches = labels, branches
        try:
            output: Tensor = model(**inputs).logits
        finally:
            self.context.labels, self.context.branches = None, 1
        return output
