"""Which settings suit the embedded model in the few steps of the demo: the measurement behind examples/demo.yaml.

Rows and seeds are none of those that the demo shows: the rows are drawn with data seed 1, the ones to test on from its
training split too, which shares no text with any validation split, and the training seeds begin at 100. Each line is a
method with its settings: accuracy over the rows, over those whose cue is against the label, and over those without
cue, the mean of the seeds and each of them; then CPU seconds of a training on one thread.

    nice python benchmarks/small_model_settings.py [--methods match:temperature=0.1,tdt] [--seeds 2] [--steps 60]
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time

import datasets
import torch
import transformers

import robusteval
from robusteval.settings.grammar import pieces
from robusteval.tasks.demo import generate

TASK, DATA_SEED, FIRST_SEED, TESTED = "demo-short", 1, 100, 300
CANDIDATES = (
    "vanilla", "vanilla:learning_rate=2e-4", "vanilla:optimizer=adamax:learning_rate=1e-3",
    "match:temperature=0.1", "match:temperature=0.05", "match:temperature=0.1:detach_matrix=true",
    "match:temperature=0.1:learning_rate=2e-4", "match:temperature=0.05:learning_rate=2e-4", "tdt", "bidrop",
    "pats:learning_rate=1e-3", "pats:learning_rate=5e-4", "pats:learning_rate=1e-3:lam=2e-7",
    "pats:learning_rate=2e-3:noise_lr_scale=true",
)  # fmt: skip


def rows(size: int, cue: float) -> tuple[datasets.Dataset, datasets.Dataset]:
    """Rows to train on, and rows to test on whose cue says nothing."""
    training = generate(TASK, "train", size=size, seed=DATA_SEED, cue=cue)
    tested = generate(TASK, "train", size=size + TESTED, seed=DATA_SEED, cue=0.5)[size:]
    return datasets.Dataset.from_list(training), datasets.Dataset.from_list(tested)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--methods", default=",".join(CANDIDATES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--cue", type=float, default=0.7)
    given = parser.parse_args()
    transformers.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    training, tested = rows(1000, given.cue)
    for method in pieces(given.methods):
        found: dict[str, list[float]] = {"all": [], "against": [], "none": []}
        seconds = []
        for seed in range(FIRST_SEED, FIRST_SEED + given.seeds):
            began = time.process_time()
            trained = robusteval.train(
                "minilm", TASK, method, train_dataset=training, dev_dataset=tested, seed=seed, max_steps=given.steps,
                batch_size=given.batch_size, learning_rate=given.learning_rate, max_length=32, quiet=True,
            )  # fmt: skip
            seconds.append(time.process_time() - began)
            result = robusteval.evaluate(trained, dataset=tested, suites=("clean", "cue"))
            for item in result.measurements:
                name = "all" if item.suite == "clean" else item.value
                if name in found:
                    found[name].append(100 * item.metrics["accuracy"])
        told = "  ".join(
            f"{name} {statistics.mean(values):5.1f} ({', '.join(f'{value:.1f}' for value in values)})"
            for name, values in found.items()
        )
        print(f"{method:46} {told}  {statistics.mean(seconds):.0f} s CPU", flush=True)


if __name__ == "__main__":
    main()
