"""The training loop: read it from top to bottom. It knows hooks, never a method's name."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from robusteval.components.optimization import learning_rate_at, make_optimizer, parameter_groups, set_learning_rate
from robusteval.errors import UserError
from robusteval.methods.base import Context, Method, TrainingData
from robusteval.methods.compose import attach, remember
from robusteval.models.encoding import Collator, Encoded
from robusteval.models.loading import LoadedModel
from robusteval.models.texts_read import remember_texts
from robusteval.runtime import memory, stopping
from robusteval.runtime.devices import check_tracker, pick_precision
from robusteval.runtime.progress import ProgressBar
from robusteval.runtime.seeds import derive
from robusteval.settings.codec import content_hash, to_dict
from robusteval.settings.train import TrainConfig
from robusteval.training.order import BatchOrder
from robusteval.training.record import TrainingRecord

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


def _accelerator(device: torch.device, precision: str, track: str | None, folder: Path | None) -> Accelerator:
    # accelerate keeps the first Accelerator's settings for the whole process; each training has its own
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="no" if precision == "fp32" else precision,
        log_with=track,
        project_dir=str(folder) if folder else ".",
        device_placement=False,
    )
    if accelerator.num_processes > 1:
        raise UserError("train: one process trains one model; use --workers for several runs at a time")
    return accelerator


def overflowed(accelerator: Accelerator, optimizer: Any) -> bool:
    """Whether fp16 gradients overflowed. accelerate's own flag misses it for fused optimizers, which skip inside."""
    if accelerator.scaler is None:
        return False
    found = accelerator.scaler._found_inf_per_device(optimizer.optimizer)
    return any(bool(value) for value in found.values())


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
    accelerator = _accelerator(device, precision, track, folder)
    peak_rate = config.learning_rate if config.learning_rate is not None else 2e-5
    order = BatchOrder(data.lengths, config.batch_size, seed, bucket=config.bucket, weights=data.weights)
    total = order.total_steps(config.epochs, config.max_steps)
    collate = Collator(loaded.tokenizer, multiple=8 if device.type == "cuda" else 1)
    weight = 1.0

    def scale_backward(loss: Tensor) -> None:
        accelerator.backward(loss * weight if weight != 1.0 else loss)

    devices = [device] if device.type == "cuda" else []
    with ExitStack() as cleanup:
        cleanup.enter_context(torch.random.fork_rng(devices=devices))
        cleanup.callback(loaded.model.eval)
        torch.manual_seed(derive(seed, "dropout"))
        model = loaded.model.to(device).train()
        regression = data.labels.dtype.kind == "f"
        context = Context(device, total, regression, derive(seed, "noise"), scale_backward)
        method.bind(context)
        if (hook := attach(method, model)) is not None:
            cleanup.callback(hook.remove)
        batches = lambda epoch: (collate(data, rows).to(device) for rows in order.epoch(epoch))  # noqa: E731
        cleanup.callback(method.finish, model)
        method.setup(model, TrainingData(loaded.tokenizer, data, batches, config, loaded.folder))
        method.modules.to(device)
        groups = parameter_groups(model, method.modules, config)
        parameters = [parameter for group in groups for parameter in group["params"]]
        own = "optimizer" in method.claims()
        optimizer = method.optimizer(groups, config) if own else make_optimizer(groups, config, device)
        model, optimizer = accelerator.prepare(model, optimizer)
        if track:
            accelerator.init_trackers("robusteval", config={"method": method.name, "seed": seed})
            cleanup.callback(accelerator.end_training)

        identity = content_hash([to_dict(config), method.identity(), seed, data.fingerprint(), loaded.sha256])
        run = TrainingRecord(folder, total, identity, accelerator if track else None)
        start = run.restore(model, optimizer, accelerator, method)
        for notice in method.notices:
            logger.warning(notice)
        memory.reset_peak(device)
        clock = time.perf_counter()
        with stopping.boundaries(), ProgressBar(title, total, quiet=quiet, done=start) as bar:
            for step in range(start, total):
                began = time.perf_counter()
                context.step = step
                batch = collate(data, order[step]).to(device)
                loss = torch.zeros((), device=device)
                for micro in batch.split(config.accumulation):
                    weight = len(micro) / len(batch)
                    loss += method.backward(model, micro) * weight
                accelerator.unscale_gradients(optimizer)
                context.overflowed = overflowed(accelerator, optimizer)
                context.learning_rate = learning_rate_at(step, total, config, peak_rate)
                set_learning_rate(optimizer, context.learning_rate)
                method.before_step(step)
                limit = config.clip_norm if config.clip_norm > 0 else math.inf
                norm = nn.utils.clip_grad_norm_(parameters, limit)
                optimizer.step()
                if not context.overflowed:
                    method.after_step(step)
                optimizer.zero_grad()
                run.log(step, loss, context.learning_rate, norm, time.perf_counter() - began, method.log())
                bar.advance(1, run.note)
                epoch_ends = (step + 1) % order.steps_per_epoch == 0 or step + 1 == total
                if config.select == "best" and dev_score is not None and epoch_ends:
                    run.consider(step, dev_score(model.eval()), model, method)
                    model.train()
                stop = stopping.asked()
                due = step + 1 < total and time.perf_counter() - run.saved_at >= checkpoint_seconds
                if folder is not None and (due or stop):
                    run.seconds += time.perf_counter() - clock
                    run.save(step + 1, model, optimizer, accelerator, method)
                    clock = time.perf_counter()
                if stop:
                    raise KeyboardInterrupt
        run.seconds += time.perf_counter() - clock
        run.flush()
        loaded.model = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        method.finish(loaded.model)
        run.load_selected(loaded.model, method)
        remember(method, loaded.model.config)
        remember_texts(loaded.model.config, int(data.column.max()) + 1)
        peak = memory.peak_bytes(device)
    return TrainResult(
        total, run.seconds, peak, str(device), precision, list(method.notices), run.best_step, run.best_score
    )
