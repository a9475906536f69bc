"""The record of a training run: its step log, its resumable state, its best weights."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from robusteval.errors import UserError
from robusteval.methods.base import Method
from robusteval.results.progress import FIRST_STEPS
from robusteval.runtime.memory import ran_out
from robusteval.settings.codec import convert
from robusteval.storage.files import append_lines, check_place, json_line, write_atomic
from robusteval.storage.reading import numbered_lines
from robusteval.training.distributed import Group
from robusteval.training.state import DamagedState, generator_states, load_state, restore_generators, save_state
from robusteval.training.step import StepResult

logger = logging.getLogger(__name__)

FLUSH_EVERY = 20
STATE = {"step", "identity", "seconds", "model", "optimizer", "scaler", "method", "notices", "generators", "best"}


class TrainingRecord:
    """What a training run accumulates: the step log, the resumable state, the best weights so far.

    group: the processes that train, which all keep the record; the main one alone touches the folder.
    """

    def __init__(
        self, folder: Path | None, total: int, identity: str, tracker: Any, group: Group | None = None
    ) -> None:
        self.folder, self.total, self._identity, self._tracker = folder, total, identity, tracker
        self._group = group or Group()
        self.seconds = 0.0
        self.saved_at = time.perf_counter()
        self.note = ""
        self.best_step: int | None = None
        self.best_score: float | None = None
        self._best: dict[str, dict[str, Tensor]] = {}
        self._pending: list[dict[str, Any]] = []

    def log(self, step: int, taken: StepResult, seconds: float) -> None:
        """Keep a step's numbers as tensors; reading them each step would make an accelerator wait."""
        numbers = {"loss": taken.loss, "lr": taken.learning_rate, "grad_norm": taken.grad_norm}
        self._pending.append({"step": step, **numbers, "seconds": round(seconds, 5), **taken.logged})
        if len(self._pending) >= FLUSH_EVERY or step + 1 == FIRST_STEPS:
            self.flush()

    def flush(self) -> None:
        """Write the pending step records; raises UserError where the loss is no longer finite."""
        lines = [
            {key: float(value) if isinstance(value, Tensor) else value for key, value in record.items()}
            for record in self._pending
        ]
        self._pending = []
        if self.folder is not None:
            log = self.folder / "train.jsonl"
            finite = [{k: v if math.isfinite(v) else None for k, v in line.items()} for line in lines]
            self._group.from_main(lambda: append_lines(log, finite))
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

    def consider(self, step: int, score: float, model: Any, method: Method[Any]) -> None:
        """Keep the weights if their dev score is the best so far; NaN never is."""
        if not math.isnan(score) and (self.best_score is None or score > self.best_score):
            self.best_step, self.best_score = step, score
            self._best = {
                part: {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
                for part, module in (("model", model), ("method", method.modules))
            }

    def load_selected(self, model: Any, method: Method[Any]) -> None:
        """Put the best weights back, the method's own modules with them."""
        if self._best:
            model.load_state_dict(self._best["model"])
            method.modules.load_state_dict(self._best["method"])

    def save(self, step: int, model: Any, optimizer: Any, accelerator: Accelerator, method: Method[Any]) -> None:
        """Write all that the steps from `step` on depend on."""
        assert self.folder is not None
        self.flush()
        self._group.check_alike(list(model.parameters()))
        # each process has dropout of its own; all else is the same in all
        generators = self._group.all_of(generator_states())
        state = {
            "step": step,
            "identity": self._identity,
            "seconds": self.seconds,
            "model": dict(model.state_dict()),
            "optimizer": optimizer.state_dict(),
            "scaler": accelerator.scaler.state_dict() if accelerator.scaler is not None else None,
            "method": method.whole_state(),
            "notices": list(method.notices),
            "generators": generators[0],
            "others": generators[1:],
            "best": {"step": self.best_step, "score": self.best_score, "weights": self._best},
        }
        path = self.folder / "state.safetensors"
        self._group.from_main(lambda: save_state(path, state))
        self.saved_at = time.perf_counter()

    def restore(self, model: Any, optimizer: Any, accelerator: Accelerator, method: Method[Any]) -> int:
        """Load the saved state, if any, and cut the log back to it; returns the next step.

        A damaged state is set aside, and training starts anew; UserError for a damaged log, and for a whole state that
        does not fit, as one of a version whose method kept other things.
        """
        state = self._group.from_main(self._read)
        if state is None:
            return 0
        try:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            if accelerator.scaler is not None:
                accelerator.scaler.load_state_dict(state["scaler"])
            method.load_whole_state(state["method"])
            method.notices[:] = state["notices"]
            best = state["best"]
            self.best_step, self.best_score, self._best = best["step"], best["score"], best["weights"]
            self.seconds = state["seconds"]
            restore_generators([state["generators"], *state["others"]][self._group.rank])
            return int(state["step"])
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            if ran_out(error):
                raise
            # part of it may be loaded by now, so that nothing can begin from here
            assert self.folder is not None
            raise UserError(
                f"out: {str(self.folder / 'state.safetensors')!r} was written by another version and does not fit this "
                f"one ({' '.join(str(error).split())}); delete the file to start that training anew"
            ) from error

    def _read(self) -> dict[str, Any] | None:
        """The saved state of this training, with the log cut back to it; None where there is none to go on from."""
        if self.folder is None:
            return None
        log = self.folder / "train.jsonl"
        path = self.folder / "state.safetensors"
        for file in (log, path):
            check_place(file, folder=False)
        if not path.exists():
            log.unlink(missing_ok=True)
            return None
        try:
            state = load_state(path)
            if not isinstance(state, dict) or not set(state) >= STATE:
                raise DamagedState("it is no state of a training")
        except DamagedState as error:
            logger.warning("%s is damaged (%s); training starts anew", path, error)
            path.rename(path.with_suffix(".damaged"))
            log.unlink(missing_ok=True)
            return None
        if state.get("identity") != self._identity:
            raise UserError(
                f"out: {str(path)!r} belongs to a training with another model, data, settings, method or seed; "
                "choose another folder or delete the file"
            )
        # states of an earlier version are of one process
        state.setdefault("others", [])
        if (count := 1 + len(state["others"])) != self._group.size:
            raise UserError(
                f"out: {str(path)!r} belongs to a training of {count} process{'es' * (count > 1)}, not of "
                f"{self._group.size}; start as many, or delete the file to start anew"
            )
        steps = [(convert(int, line.get("step"), f"{log}: line {n}: step"), line) for n, line in numbered_lines(log)]
        write_atomic(log, b"".join(json_line(line) for step, line in steps if step < state["step"]))
        return state
