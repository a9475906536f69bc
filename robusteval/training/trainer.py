"""The training loop: read it from top to bottom. It knows hooks, never a method's name."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from robusteval.components.optimizers import make_optimizer, parameter_groups
from robusteval.errors import UserError
from robusteval.methods.base import Context, Method, TrainingData
from robusteval.methods.compose import attach
from robusteval.models.encoding import Batch, Collator, Encoded
from robusteval.models.loading import LoadedModel
from robusteval.models.provenance import record_training
from robusteval.runtime import memory, stopping
from robusteval.runtime.generators import preserved
from robusteval.runtime.progress import ProgressBar
from robusteval.runtime.seeds import derive
from robusteval.settings.codec import content_hash, to_dict
from robusteval.settings.train import TrainConfig
from robusteval.training.distributed import group as joined
from robusteval.training.order import BatchOrder
from robusteval.training.precision import accelerated, pick_precision
from robusteval.training.record import TrainingRecord
from robusteval.training.step import EagerStep, Step
from robusteval.training.tracking import check_tracker

logger = logging.getLogger(__name__)


@dataclass
class TrainResult:
    """What training cost and said. seconds: all of it, over resumptions; peak_bytes: see `memory`."""

    steps: int
    seconds: float
    peak_bytes: int
    device: str
    precision: str
    notices: list[str] = field(default_factory=list)
    selected_step: int | None = None
    selected_score: float | None = None

    @property
    def seconds_per_step(self) -> float:
        return self.seconds / max(1, self.steps)


def train(
    loaded: LoadedModel,
    data: Encoded,
    config: TrainConfig,
    method: Method[Any],
    *,
    seed: int,
    device: torch.device,
    folder: Path | None = None,
    dev_score: Callable[[Any], float] | None = None,
    track: str | None = None,
    checkpoint_seconds: float = 120.0,
    quiet: bool = False,
    title: str = "training",
) -> TrainResult:
    """Fine-tune `loaded.model` in place and leave it in evaluation mode on `device`.

    Where several processes run (`distributed`), all call this with the same arguments and get the same model; the
    main one alone writes, prints and scores.
    folder: where train.jsonl and the resumable state.safetensors lie; training continues from the latter.
    dev_score: the dev score of a model, higher is better; needed for select="best".
    Raises UserError where the settings cannot work here or the loss is no longer finite.
    """
    if len(data) == 0:
        raise UserError("train: there are no training examples")
    if config.select == "best" and dev_score is None:
        raise UserError("select: 'best' needs a dev split to select on")
    check_tracker(track)
    precision = pick_precision(config.precision, device)
    order = BatchOrder(data.lengths, config.batch_size, seed, bucket=config.bucket, weights=data.weights)
    total = order.total_steps(config.epochs, config.max_steps)
    collate = Collator(loaded.tokenizer, multiple=8 if device.type == "cuda" else 1)
    group = joined()
    with ExitStack() as cleanup:
        cleanup.enter_context(group.joint())
        with group.together():
            group.check(device, method)
            accelerator = cleanup.enter_context(accelerated(device, precision, track, folder))
            cleanup.enter_context(preserved())
            cleanup.callback(loaded.model.eval)
            torch.manual_seed(derive(seed, "dropout"))
            model = loaded.model.to(device).train()
            regression = data.labels.dtype.kind == "f"
            context = Context(
                device, total, regression, derive(seed, "noise"), accelerator.backward,
                processes=group.size, exchange=group.gather,
            )  # fmt: skip
            method.bind(context)
            if (hook := attach(method, model)) is not None:
                cleanup.callback(hook.remove)

            def batches(epoch: int, seed: int | None = None) -> Iterator[Batch]:
                rows = order if seed is None else order.of_seed(seed)
                return (collate(data, each).to(device) for each in rows.epoch(epoch))

            cleanup.callback(method.finish, model)
            method.setup(model, TrainingData(loaded.tokenizer, data, batches, config, loaded.folder))
            method.modules.to(device)
            groups = parameter_groups(model, method.modules, config)
            parameters = [parameter for each in groups for parameter in each["params"]]
            own = "optimizer" in method.claims()
            optimizer = method.optimizer(groups, config) if own else make_optimizer(groups, config, device)
            # mixed precision without DistributedDataParallel: gradients are added up by the step
            model = accelerator.prepare_model(model, evaluation_mode=True)
            optimizer = accelerator.prepare_optimizer(optimizer)
            if track and group.main:
                accelerator.init_trackers("robusteval", config={"method": method.name, "seed": seed})
                # end_training would also end the group of processes
                cleanup.callback(lambda: [tracker.finish() for tracker in accelerator.trackers])
        group.agree([model.state_dict(), method.whole_state()])
        if not group.main:
            # other rows, other dropout
            torch.manual_seed(derive(seed, "dropout", group.rank))

        identity = content_hash([to_dict(config), method.identity(), seed, data.fingerprint(), loaded.sha256])
        advance: Step = EagerStep(model, optimizer, parameters, accelerator, method, context, config, group)
        run = TrainingRecord(folder, total, identity, accelerator if track and group.main else None, group)
        start = run.restore(model, optimizer, accelerator, method)
        for notice in method.notices if group.main else ():
            logger.warning(notice)
        memory.reset_peak(device)
        clock = time.perf_counter()
        with stopping.boundaries(), ProgressBar(title, total, quiet=quiet or not group.main, done=start) as bar:
            for step in range(start, total):
                began = time.perf_counter()
                taken = advance(step, collate(data, order[step]).to(device))
                run.log(step, taken, time.perf_counter() - began)
                bar.advance(1, run.note)
                epoch_ends = (step + 1) % order.steps_per_epoch == 0 or step + 1 == total
                if config.select == "best" and dev_score is not None and epoch_ends:
                    score = functools.partial(dev_score, model.eval())
                    run.consider(step, group.from_main(score), model, method)
                    model.train()
                due = step + 1 < total and time.perf_counter() - run.saved_at >= checkpoint_seconds
                stop, due = group.any(stopping.asked(), due and group.main)
                if folder is not None and (due or stop):
                    run.seconds += time.perf_counter() - clock
                    run.save(step + 1, model, optimizer, accelerator, method)
                    clock = time.perf_counter()
                if stop:
                    raise KeyboardInterrupt
        run.seconds += time.perf_counter() - clock
        run.flush()
        group.check_alike(parameters)
        loaded.model = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        method.finish(loaded.model)
        run.load_selected(loaded.model, method)
        predicts_with = None if method.plain_at_evaluation else method.name
        record_training(loaded.model.config, int(data.column.max()) + 1, predicts_with)
        peak = memory.peak_bytes(device)
    return TrainResult(
        total, run.seconds, peak, str(device), precision, list(method.notices), run.best_step, run.best_score
    )
