"""The same results however an attack is carried out: real SST-2 sentences against TextAttack's own `Attack.attack`.

    python benchmarks/attack_identity.py --data-dir DATA --model FOLDER [--count 8] [--resources FOLDER]

Reads DATA/glue/sst2/validation.parquet; FOLDER is a checkpoint that was fine-tuned on SST-2. Five recipes, one of
them BAE's masked word swaps with a tiny random language model, are carried out with 1, 4 and 16 examples at a time, by
1 and 2 processes, under two values of PYTHONHASHSEED. Every one of these runs takes the examples in an order of its
own, is killed with SIGKILL at half the examples of one recipe, and is started again. Prints how many examples differ
in outcome, perturbed text or query count from TextAttack's own, one example at a time, asking for one text at a time
(its wrapper would pad each to 512 tokens, which changes no result and takes ten times as long); fails if any does.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import numpy as np
import torch
from attack_speed import COLUMN, LABELS, load, sst2, stock

from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.attacks.resources.offline import load_textattack
from robusteval.results.attack_lines import AttackLine
from robusteval.runtime.generators import seeded
from support.victims import attack_checkpoint

PARALLEL, WORKERS, HASH_SEEDS = (1, 4, 16), (1, 2), (1, 77)
SEED = 3
TINY_BAE = """
from pathlib import Path

from textattack import Attack
from textattack.constraints.pre_transformation import RepeatModification, StopwordModification
from textattack.goal_functions import UntargetedClassification
from textattack.search_methods import GreedyWordSwapWIR
from textattack.transformations import WordSwapMaskedLM
from transformers import AutoModelForMaskedLM, AutoTokenizer

FOLDER = Path(__file__).parent / "masked"


def tiny_bae(model_wrapper):
    swap = WordSwapMaskedLM(
        method="bae",
        masked_language_model=AutoModelForMaskedLM.from_pretrained(FOLDER),
        tokenizer=AutoTokenizer.from_pretrained(FOLDER),
        max_length=128,
        max_candidates=8,
        min_confidence=0.0,
    )
    constraints = [RepeatModification(), StopwordModification()]
    return Attack(UntargetedClassification(model_wrapper), constraints, swap, GreedyWordSwapWIR("delete"))
"""

Facts = tuple[str, str, int]


def write_tiny_bae(folder: Path, tokenizer: object) -> str:
    """A recipe file and its tiny random masked language model; the recipe as it is given on the command line."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    with seeded(11):
        BertForMaskedLM(config).save_pretrained(folder / "masked")
    tokenizer.save_pretrained(folder / "masked")
    (folder / "recipes.py").write_text(TINY_BAE)
    return f"{folder / 'recipes.py'}:tiny_bae"


def one_by_one(model: object, tokenizer: object) -> Any:
    """A TextAttack model wrapper without batches and padding."""
    from textattack.models.wrappers import ModelWrapper

    class OneByOne(ModelWrapper):
        def __init__(self) -> None:
            self.model, self.tokenizer = model, tokenizer

        def __call__(self, texts: list[str]) -> torch.Tensor:
            with torch.no_grad():
                batches = (self.tokenizer(text, truncation=True, return_tensors="pt") for text in texts)
                return torch.cat([self.model(**batch).logits for batch in batches])

    return OneByOne()


def facts(line: AttackLine) -> Facts:
    return line["outcome"], "\n".join(line["perturbed"] or ()), line["queries"]


def work(options: argparse.Namespace) -> None:
    """One run, in a process of its own: every recipe, killed at half the examples of one of them if asked to."""
    examples = sst2(options.data_dir, "validation", options.count)
    order = np.random.default_rng(options.order).permutation(len(examples))

    for place, recipe in enumerate(options.recipes):

        def progress(done: int, total: int, line: AttackLine, place: int = place) -> None:
            if place == options.killed_at and done == total // 2:
                os.kill(os.getpid(), signal.SIGKILL)

        attack_checkpoint(
            options.model, examples.take(list(order)), LABELS, recipe, workers=options.workers,
            parallel=options.parallel, out=options.out / f"{place}.jsonl", progress=progress, seed=SEED,
            resources_dir=options.resources, text_columns=(COLUMN,),
        )  # fmt: skip


def child(number: int, hash_seed: int, workers: int, parallel: int, out: Path, options: argparse.Namespace) -> int:
    """Carry out run `number`: once until it is killed, once to its end; returns how many lines were resumed."""
    command = [
        sys.executable, __file__, "--data-dir", str(options.data_dir), "--model", str(options.model), "--count",
        str(options.count), "--workers", str(workers), "--parallel", str(parallel), "--order", str(number), "--out",
        str(out), "--recipes", *options.recipes,
        *(["--resources", str(options.resources)] if options.resources else []),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    killed = subprocess.run([*command, "--killed-at", str(number % len(options.recipes))], env=environment)
    if killed.returncode != -signal.SIGKILL:
        raise SystemExit(f"run {number} ended with {killed.returncode} instead of being killed")
    left = sum(len(file.read_text().splitlines()) for file in out.glob("*.jsonl"))
    subprocess.run(command, env=environment, check=True)
    return left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--resources", type=Path, help="folder looked through first for NLTK data")
    parser.add_argument("--recipes", nargs="+", default=["deepwordbug", "pruthi", "input-reduction", "pwws"])
    for name, kind in (("workers", int), ("parallel", int), ("order", int), ("killed-at", int), ("out", Path)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.out is not None:
        work(options)
        return

    load_textattack(options.resources)
    model, tokenizer = load(options.model)
    model.eval()
    examples = sst2(options.data_dir, "validation", options.count)
    with tempfile.TemporaryDirectory() as temporary:
        options.recipes = [*options.recipes, write_tiny_bae(Path(temporary), tokenizer)]
        names = [recipe_entry(recipe).name.split(".")[0].replace("recipes", "tiny-bae") for recipe in options.recipes]
        expected = []
        for recipe in options.recipes:
            wrapper = one_by_one(model, tokenizer)
            found = stock(model, tokenizer, examples, recipe, SEED, options.resources, wrapper)
            expected.append(dict(zip(examples.ids, found, strict=True)))
        queries = [sum(each[2] for each in found.values()) for found in expected]
        print("examples that differ from stock;", len(examples), "examples, queries in all:", *queries)
        row = "{:>9}{:>8}{:>9}{:>8}" + "{:>16}" * len(names)
        print(row.format("hash seed", "workers", "parallel", "kept", *names))
        different = 0
        for number, (hash_seed, workers, parallel) in enumerate(itertools.product(HASH_SEEDS, WORKERS, PARALLEL)):
            out = Path(temporary) / str(number)
            out.mkdir()
            kept = child(number, hash_seed, workers, parallel, out, options)
            differ = []
            for place, wanted in enumerate(expected):
                lines = [json.loads(line) for line in (out / f"{place}.jsonl").read_text().splitlines()]
                got = {line["id"]: facts(line) for line in lines}
                differ.append(sum(got.get(name) != one for name, one in wanted.items()))
            different += sum(differ)
            print(row.format(hash_seed, workers, parallel, kept, *differ), flush=True)
    if different:
        raise SystemExit(f"{different} results differ from TextAttack's own")


if __name__ == "__main__":
    main()
