"""What perturbed evaluation costs over its bare forward passes, in one process.

Ten sets at each of five rates of one dev split: the suite (draw, perturb, collate, predict, score) against forwards
of as many tokens in batches made beforehand. Usage: python benchmarks/evaluation_speed.py --data-dir DIR
[--task mrpc] [--suites mask,replace] [--sets 10] [--limit ROWS]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
import transformers

from robusteval.evaluation.base import Subject
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.suites import build_suites
from robusteval.models.encoding import Collator
from robusteval.models.loading import load_model
from robusteval.runtime.devices import pick_device
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.load import load_evaluation

RATES = (0.1, 0.2, 0.3, 0.4, 0.5)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def bare_seconds(predictor: Predictor, subject: Subject, times: int) -> float:
    """Seconds for `times` plain passes over the dev split: sorted, padded and on the device already."""
    dev, collate = subject.dev, Collator(predictor.tokenizer)
    batches, start = [], 0
    order = np.argsort(-dev.lengths, kind="stable")
    while start < len(order):
        size = max(1, predictor.batch_tokens // int(dev.lengths[order[start]]))
        batches.append(collate(dev, order[start : start + size]).to(predictor.device).inputs)
        start += size
    with torch.inference_mode():
        synchronise(predictor.device)
        began = time.perf_counter()
        for _ in range(times):
            for inputs in batches:
                predictor.model(**inputs)
        synchronise(predictor.device)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--task", default="mrpc")
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--suites", default="mask,replace")
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    data = load_evaluation(arguments.task, DataConfig(data_dir=arguments.data_dir, eval_limit=arguments.limit))
    loaded: Any = load_model(arguments.model, labels=data.task.labels, seed=0)
    loaded.model.to(pick_device()).eval()
    predictor = Predictor(loaded.model, loaded.tokenizer)
    subject = Subject(predictor, data, EvalConfig(rates=RATES, sets=arguments.sets))
    passes = len(RATES) * arguments.sets
    # the clean logits and the warm-up are nobody's cost
    len(subject.clean)
    print(f"{arguments.model}, {arguments.task} dev {len(data.dev)} rows, {passes} sets, {predictor.device}")
    for name, suite in build_suites(arguments.suites.split(",")).items():
        # before and after, so that a machine that slows down slows both
        before = bare_seconds(predictor, subject, passes // 2)
        began = time.perf_counter()
        list(suite.run(subject))
        synchronise(predictor.device)
        taken = time.perf_counter() - began
        bare = before + bare_seconds(predictor, subject, passes - passes // 2)
        print(f"{name:10} {taken:8.2f} s, bare forwards {bare:8.2f} s, ratio {taken / bare:.3f}", flush=True)


if __name__ == "__main__":
    main()
