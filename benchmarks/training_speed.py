"""Vanilla fine-tuning against transformers.Trainer: same model, rows, batches, padding and settings, one process.

Prints steps per second of both, the ratio, and the largest difference between their first 20 losses with dropout
off. Usage: python benchmarks/training_speed.py [--model minilm] [--steps 30] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from robusteval.methods.compose import build_method
from robusteval.models.encoding import Collator, Encoded, encode
from robusteval.models.loading import LoadedModel, load_model
from robusteval.runtime.devices import pick_device
from robusteval.settings.data import DataConfig
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.storage.reading import read_lines
from robusteval.tasks.load import load_task
from robusteval.training.order import BatchOrder
from robusteval.training.trainer import train

BATCH, SEED = 16, 0


def ours(loaded: LoadedModel, data: Encoded, steps: int, folder: Path) -> tuple[float, list[float]]:
    """Steps per second and losses of our loop."""
    config = TrainConfig(max_steps=steps, batch_size=BATCH, learning_rate=1e-4, precision="fp32")
    method = build_method(MethodConfig())
    result = train(loaded, data, config, method, seed=SEED, device=pick_device(), folder=folder, quiet=True)
    return steps / result.seconds, [line["loss"] for line in read_lines(folder / "train.jsonl")]


def theirs(loaded: LoadedModel, data: Encoded, steps: int, folder: Path) -> tuple[float, list[float]]:
    """Steps per second and losses of transformers.Trainer on the same batches."""
    order, collate = BatchOrder(data.lengths, BATCH, SEED), Collator(loaded.tokenizer)
    losses: list[torch.Tensor] = []

    class Recording(transformers.Trainer):  # type: ignore[misc]  # transformers has no types
        def get_train_dataloader(self) -> Any:
            def gather(rows: list[int]) -> dict[str, torch.Tensor]:
                batch = collate(data, np.asarray(rows))
                return {**batch.inputs, "labels": batch.labels}

            batches = [order[step].tolist() for step in range(steps)]
            rows: Any = range(len(data))  # it needs indexing and a length, and asks for a Dataset
            return torch.utils.data.DataLoader(rows, batch_sampler=batches, collate_fn=gather)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            losses.append(loss.detach())
            return loss

    arguments = transformers.TrainingArguments(
        str(folder), max_steps=steps, per_device_train_batch_size=BATCH, learning_rate=1e-4, weight_decay=0.01,
        warmup_steps=-(-steps // 10), report_to=[], save_strategy="no", disable_tqdm=True, logging_steps=20,
        use_cpu=pick_device().type == "cpu", optim="adamw_torch_fused", log_level="error",
    )  # fmt: skip
    done = Recording(loaded.model, arguments, train_dataset=range(len(data))).train()
    return steps / done.metrics["train_runtime"], [float(loss) for loss in losses]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    data = load_task("demo-sentiment", DataConfig(train_limit=max(1000, BATCH * arguments.steps)))

    def fresh(dropout: float | None) -> LoadedModel:
        return load_model(arguments.model, labels=data.task.labels, seed=SEED, dropout=dropout)

    encoded = encode(fresh(None).tokenizer, data.train.texts, data.train.labels, max_length=128)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            # the order changes from round to round, so that neither side always runs on a warmer machine
            sides = [("ours", ours), ("theirs", theirs)]
            rates = {}
            for name, side in sides if number % 2 == 0 else sides[::-1]:
                rates[name], _ = side(fresh(None), encoded, arguments.steps, Path(folder) / f"{name}{number}")
            ratios.append(rates["ours"] / rates["theirs"])
            print(
                f"round {number + 1}: ours {rates['ours']:.2f} steps/s, transformers.Trainer "
                f"{rates['theirs']:.2f} steps/s, ratio {ratios[-1]:.3f}",
                flush=True,
            )
        pair = [
            side(fresh(0.0), encoded, 20, Path(folder) / f"exact-{name}")[1]
            for name, side in (("ours", ours), ("theirs", theirs))
        ]
    print(f"median ratio {statistics.median(ratios):.3f} over {arguments.rounds} rounds of {arguments.steps} steps")
    print(f"largest difference of the first 20 losses, dropout off: {np.abs(np.subtract(*pair)).max():.2e}")


if __name__ == "__main__":
    main()
