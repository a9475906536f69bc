"""What each method costs: seconds per step over vanilla beside its theoretical passes, and peak memory, in one process.

Every method is timed between two blocks of vanilla steps, so that a machine that slows down slows both. Inputs are
random tokens of one length. Usage: python benchmarks/methods.py [--methods tdt,match] [--length 64] [--steps 6]
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

from robusteval.methods import METHODS
from robusteval.methods.compose import build_method
from robusteval.models.encoding import Encoded
from robusteval.models.loading import LoadedModel, load_model
from robusteval.runtime.devices import pick_device
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig, override
from robusteval.storage.reading import read_lines
from robusteval.training.trainer import train

# Forward passes per step in units of F, the cost of one; a vanilla step is 3F. Where settings decide, the defaults do.
PASSES = {
    "vanilla": 3, "match": 3, "tdt": 9, "tdt-hard": 9, "r3f": 6, "rdrop": 6, "cutoff": 6, "freelb": 9, "smart": 8,
    "groupdro": 3, "double-batch": 6, "prior-wd": 3, "mixout": 3, "recadam": 3, "child-f": 3, "child-d": 3, "dps": 3,
    "dps-mix": 3, "noisytune": 3, "sage": 3, "pats": 3, "bidrop": 6, "bidrop-perturbation": 6, "bidrop-scaling": 6,
    "bidrop-random": 6, "bidrop-gavg": 6,
}  # fmt: skip
LABELS = ("a", "b")


def rows(tokenizer: Any, count: int, length: int) -> Encoded:
    """Random token ids between [CLS] and [SEP], all of one length."""
    generator = np.random.default_rng(0)
    ids = generator.integers(1000, 20000, (count, length))
    ids[:, 0], ids[:, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
    column = np.zeros((count, length), np.int8)
    column[:, [0, -1]] = -1
    types = np.zeros(count * length, np.int64) if "token_type_ids" in tokenizer.model_input_names else None
    offsets = np.arange(count + 1, dtype=np.int64) * length
    return Encoded(ids.reshape(-1), offsets, types, column.reshape(-1), generator.integers(0, 2, count))


def seconds_per_step(method: str, model: str, data: Encoded, config: TrainConfig, folder: Path) -> tuple[float, int]:
    """Median seconds of a step, the first two left out, and peak memory in bytes; set-up is not counted."""
    column = MethodConfig.parse(method)
    for name, _ in column.parts:
        config = override(config, METHODS[name].TRAIN)
    loaded: LoadedModel = load_model(model, labels=LABELS, seed=0)
    result = train(loaded, data, config, build_method(column), seed=0, device=pick_device(), folder=folder, quiet=True)
    return statistics.median(line["seconds"] for line in read_lines(folder / "train.jsonl")[2:]), result.peak_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--methods", default=",".join(PASSES))
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    steps = arguments.steps + 2
    config = TrainConfig(max_steps=steps, batch_size=arguments.batch_size, learning_rate=1e-5, precision="auto")
    tokenizer = load_model(arguments.model, labels=LABELS, seed=0).tokenizer
    data = rows(tokenizer, 2 * steps * arguments.batch_size, arguments.length)
    print(
        f"{arguments.model}, batch {arguments.batch_size} x {arguments.length} tokens, {pick_device()}, "
        f"{torch.get_num_threads()} threads"
    )
    print(f"{'method':22} {'s/step':>8} {'/ vanilla':>9} {'theory':>7} {'/ theory':>8} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory() as place:

        def timed(method: str, number: int) -> tuple[float, int]:
            folder = Path(place) / f"{number}-{method.replace(':', '-')}"
            return seconds_per_step(method, arguments.model, data, config, folder)

        before, _ = timed("vanilla", 0)
        for number, method in enumerate(arguments.methods.split(","), 1):
            seconds, peak = timed(method, 2 * number)
            after, _ = timed("vanilla", 2 * number + 1)
            ratio = seconds / ((before + after) / 2)
            before = after
            theory = PASSES[method.split(":")[0]] / 3
            print(
                f"{method:22} {seconds:8.4f} {ratio:9.2f} {theory:7.2f} {ratio / theory:8.2f} {peak / 2**20:9.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
