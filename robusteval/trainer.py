"""The training loop: read it from top to bottom. It knows hooks, never a method's name."""

from __future__ import annotations

import importlib.util
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from robusteval import memory
from robusteval.batching import BatchOrder
from robusteval.checkpoint import generator_states, load_state, restore_generators, save_state
from robusteval.config import TrainConfig
from robusteval.encoding import Collator, Encoded
from robusteval.errors import UserError
from robusteval.files import append_lines, read_lines, write_atomic
from robusteval.methods.base import Context, Method, TrainingData
from robusteval.methods.compose import attach
from robusteval.models import LoadedModel
from robusteval.progress import ProgressBar
from robusteval.seeds import derive

logger = logging.getLogger(__name__)

FLUSH_EVERY = 20
TRACKERS = ("tensorboard", "mlflow", "wandb")


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


def learning_rate_at(step: int, total: int, config: TrainConfig, peak: float) -> float:
    """Linear warm-up to `peak`, then linear decay to 0; step counts from 0."""
    warmup = math.ceil(config.warmup * total)
    if step < warmup:
        return peak * step / max(1, warmup)
    return peak * max(0.0, (total - step) / max(1, total - warmup))


def parameter_groups(model: nn.Module, extra: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """All trainable parameters, the model's and the method's own; no decay on biases and normalisation weights."""
    named = [*model.named_parameters(), *extra.named_parameters()]
    trainable = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    plain = [parameter for name, parameter in trainable if parameter.ndim < 2 or "bias" in name]
    decayed = [parameter for name, parameter in trainable if not (parameter.ndim < 2 or "bias" in name)]
    return [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]


def make_optimizer(groups: list[dict[str, Any]], config: TrainConfig, device: torch.device) -> Any:
    """AdamW or Adamax; the rate is set before each step."""
    # on an accelerator the rate lives in a tensor, so that a captured step can change it
    rate: Any = torch.tensor(0.0, device=device) if device.type == "cuda" else 0.0
    if config.optimizer == "adamax":
        return torch.optim.Adamax(groups, lr=rate, eps=1e-8)
    return torch.optim.AdamW(groups, lr=rate, eps=1e-8, fused=device.type in ("cpu", "cuda"))


def set_learning_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def pick_device(name: str = "auto") -> torch.device:
    """The device to run on; "auto" prefers CUDA, then Apple's GPU, then the CPU."""
    if name == "auto":
        mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device: {name!r} is not available here; valid: auto, cpu, cuda, cuda:N, mps") from error
    return device


def pick_precision(name: str, device: torch.device) -> str:
    """The precision to train in; "auto" is bf16 where a CUDA device has it, else fp32."""
    if name == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if name == "fp16" and device.type != "cuda":
        raise UserError(f"precision: 'fp16' needs a CUDA device, not {device.type!r}; valid here: fp32, bf16")
    return name


def check_tracker(name: str | None) -> None:
    """Raise UserError for a tracker that is not known or not installed."""
    if name is None:
        return
    if name not in TRACKERS:
        raise UserError(f"track: unknown tracker {name!r}; valid: {', '.join(TRACKERS)}")
    if importlib.util.find_spec(name) is None:
        raise UserError(f"track: {name!r} is not installed: pip install {name}")


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
    order = BatchOrder(data.lengths, config.batch_size, seed, bucket=config.bucket)
    total = order.total_steps(config.epochs, config.max_steps)
    collate = Collator(loaded.tokenizer, multiple=8 if device.type == "cuda" else 1)
    weight = 1.0

    def scale_backward(loss: Tensor) -> None:
        accelerator.backward(loss * weight if weight != 1.0 else loss)

    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(seed, "dropout"))
        model = loaded.model.to(device).train()
        regression = data.labels.dtype.kind == "f"
        context = Context(device, total, regression, derive(seed, "noise"), scale_backward)
        method.bind(context)
        hook = attach(method, model)
        batches = lambda: (collate(data, rows).to(device) for rows in order.epoch(0))  # noqa: E731
        method.setup(model, TrainingData(loaded.tokenizer, data, batches, config, loaded.folder))
        method.modules.to(device)
        groups = parameter_groups(model, method.modules, config)
        parameters = [parameter for group in groups for parameter in group["params"]]
        own = "optimizer" in method.claims()
        optimizer = method.optimizer(groups, config) if own else make_optimizer(groups, config, device)
        model, optimizer = accelerator.prepare(model, optimizer)
        if track:
            accelerator.init_trackers("robusteval", config={"method": method.name, "seed": seed})

        run = _Progressing(folder, total, accelerator if track else None)
        start = run.restore(model, optimizer, accelerator, method)
        for notice in method.notices:
            logger.warning(notice)
        memory.reset_peak(device)
        clock = time.perf_counter()
        with ProgressBar(title, total, quiet=quiet, done=start) as bar:
            for step in range(start, total):
                began = time.perf_counter()
                batch = collate(data, order[step]).to(device)
                loss = torch.zeros((), device=device)
                for micro in batch.split(config.accumulation):
                    weight = len(micro) / len(batch)
                    loss += method.backward(model, micro) * weight
                accelerator.unscale_gradients(optimizer)
                context.learning_rate = learning_rate_at(step, total, config, peak_rate)
                set_learning_rate(optimizer, context.learning_rate)
                method.before_step(step)
                limit = config.clip_norm if config.clip_norm > 0 else math.inf
                norm = nn.utils.clip_grad_norm_(parameters, limit)
                optimizer.step()
                if not optimizer.step_was_skipped:
                    method.after_step(step)
                optimizer.zero_grad()
                run.log(step, loss, context.learning_rate, norm, time.perf_counter() - began, method.logged)
                bar.advance(1, run.note)
                epoch_ends = (step + 1) % order.steps_per_epoch == 0 or step + 1 == total
                if config.select == "best" and dev_score is not None and epoch_ends:
                    run.consider(step, dev_score(model.eval()), model)
                    model.train()
                due = time.perf_counter() - run.saved_at >= checkpoint_seconds
                if folder is not None and due and step + 1 < total:
                    run.seconds += time.perf_counter() - clock
                    run.save(step + 1, model, optimizer, accelerator, method)
                    clock = time.perf_counter()
        run.seconds += time.perf_counter() - clock
        run.flush()
        loaded.model = accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        method.finish(loaded.model)
        run.load_selected(loaded.model)
        peak = memory.peak_bytes(device)
        if hook is not None:
            hook.remove()
        if track:
            accelerator.end_training()
        accelerator.free_memory()
    loaded.model.eval()
    return TrainResult(
        total, run.seconds, peak, str(device), precision, list(method.notices), run.best_step, run.best_score
    )


class _Progressing:
    """What a training run accumulates: the step log, the resumable state, the best weights so far."""

    def __init__(self, folder: Path | None, total: int, tracker: Any) -> None:
        self.folder, self.total, self._tracker = folder, total, tracker
        self.seconds = 0.0
        self.saved_at = time.perf_counter()
        self.note = ""
        self.best_step: int | None = None
        self.best_score: float | None = None
        self._best: dict[str, Tensor] = {}
        self._pending: list[dict[str, Any]] = []

    def log(
        self, step: int, loss: Tensor, rate: float, norm: Tensor, seconds: float, logged: dict[str, Tensor]
    ) -> None:
        """Keep a step's numbers as tensors; reading them each step would make an accelerator wait."""
        record = {"step": step, "loss": loss, "lr": rate, "grad_norm": norm, "seconds": round(seconds, 5)}
        self._pending.append({**record, **logged})
        if len(self._pending) >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write the pending step records; raises UserError where the loss is no longer finite."""
        lines = [
            {key: float(value) if isinstance(value, Tensor) else value for key, value in record.items()}
            for record in self._pending
        ]
        self._pending = []
        if self.folder is not None:
            finite = [{k: v if math.isfinite(v) else None for k, v in line.items()} for line in lines]
            append_lines(self.folder / "train.jsonl", finite)
        for line in lines:
            if self._tracker is not None:
                values = {key: value for key, value in line.items() if key != "step"}
                self._tracker.log(values, step=int(line["step"]))
            if not math.isfinite(line["loss"]):
                raise UserError(
                    f"learning_rate: the loss is {line['loss']} at step {line['step']} of {self.total}; "
                    "training diverged (try a lower rate)"
                )
        if lines:
            self.note = f"loss {lines[-1]['loss']:.3f}"

    def consider(self, step: int, score: float, model: Any) -> None:
        """Keep the weights if their dev score is the best so far; NaN never is."""
        if self.best_score is None or score > self.best_score:
            self.best_step, self.best_score = step, score
            self._best = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}

    def load_selected(self, model: Any) -> None:
        if self._best:
            model.load_state_dict(self._best)

    def save(self, step: int, model: Any, optimizer: Any, accelerator: Accelerator, method: Method[Any]) -> None:
        """Write all that the steps from `step` on depend on."""
        assert self.folder is not None
        self.flush()
        state = {
            "step": step,
            "seconds": self.seconds,
            "model": dict(model.state_dict()),
            "optimizer": optimizer.state_dict(),
            "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
            "method": method.whole_state(),
            "notices": list(method.notices),
            "generators": generator_states(),
            "best": {"step": self.best_step, "score": self.best_score, "weights": self._best},
        }
        save_state(self.folder / "state.safetensors", state)
        self.saved_at = time.perf_counter()

    def restore(self, model: Any, optimizer: Any, accelerator: Accelerator, method: Method[Any]) -> int:
        """Load the saved state, if any, and cut the log back to it; returns the next step."""
        if self.folder is None:
            return 0
        log = self.folder / "train.jsonl"
        path = self.folder / "state.safetensors"
        if not path.exists():
            log.unlink(missing_ok=True)
            return 0
        state = load_state(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state["scaler"])
        method.load_whole_state(state["method"])
        method.notices[:] = state["notices"]
        best = state["best"]
        self.best_step, self.best_score, self._best = best["step"], best["score"], best["weights"]
        self.seconds = state["seconds"]
        lines = [line for line in read_lines(log) if line["step"] < state["step"]]
        write_atomic(log, "")
        append_lines(log, lines)
        restore_generators(state["generators"])
        return int(state["step"])
