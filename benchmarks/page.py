"""How large the page of an experiment is, how long it takes to make, and how long a browser takes to open it.

python benchmarks/page.py [--data-dir DATA --task sst2] [--transcripts 5000] [--keep FOLDER]

Makes an experiment of made-up numbers, six methods by five seeds, whose attack lines together are so many: texts of the
task, every sixth word of which is changed. Then it writes its page, with every picture, and opens it five times in the
Chromium that is installed: the time until the first transcripts stand there, unpacked, and all is laid out. DATA: a
folder <family>/<task>/<split>.parquet; without it the texts are those of demo-sentiment.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from robusteval.page.file import write_page
from robusteval.results.attack_lines import AttackLine
from robusteval.results.experiment import Experiment
from robusteval.settings.data import DataConfig
from robusteval.tasks.load import load_task

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.attack_lines import line
from support.browser import chromium
from support.made_experiments import made

METHODS = {"vanilla": 0.0, "match": -0.01, "tdt": 0.02, "pats": 0.01, "bidrop": 0.02, "rdrop": 0.0}
SEEDS = range(5)


def changed(text: str, generator: random.Random) -> str:
    """The text with letters of about every sixth word changed."""
    words = text.split(" ")
    for place, word in enumerate(words):
        if len(word) > 2 and generator.random() < 1 / 6:
            at = generator.randrange(len(word) - 1)
            words[place] = word[:at] + generator.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1 :][::-1]
    return " ".join(words)


def make(out: Path, count: int, task: str, data_dir: str | None) -> None:
    data = load_task(task, DataConfig(data_dir=data_dir))
    columns = data.dev.texts
    texts = [list(row) for row in zip(*columns, strict=True)][: -(-count // (len(METHODS) * len(SEEDS)))]

    def values(method: str, task: str, seed: int) -> dict[tuple[str, str, str], float]:
        generator = random.Random(f"{method} {seed}")
        score = 0.85 + METHODS[method] + generator.gauss(0, 0.01)
        told = {("train", "", "seconds_per_step"): 0.2, ("train", "", "peak_memory_mb"): 900.0}
        told |= {("clean", "", "accuracy"): score, ("attack", "deepwordbug", "accuracy_under_attack"): score / 3}
        return told | {("mask", str(rate / 10), "accuracy"): score - rate / 20 for rate in range(1, 6)}

    def lines(method: str, task: str, seed: int) -> Iterator[AttackLine]:
        generator = random.Random(f"{method} {seed} lines")
        for number, row in enumerate(texts):
            scores: Any = [[share, 1 - share] for share in (generator.random() / 2, 0.5 + generator.random() / 2)]
            yield line(
                id=str(number * 7), index=number, seed=seed, text_columns=[f"text{place}" for place in range(len(row))],
                original=row, perturbed=[changed(text, generator) for text in row], words_changed=5, words=30,
                outcome=generator.choice(("succeeded", "failed")), queries=generator.randrange(20, 200),
                similarity=round(generator.random(), 4),
                scores_before=scores[0], scores_after=scores[1], predicted_after=generator.choice(("good", "bad")),
            )  # fmt: skip

    made(out, list(METHODS), list(SEEDS), values, lines=lines)


def opening(path: Path, rounds: int = 5) -> list[float]:
    """Seconds from asking for the page until its first transcripts are drawn, in a fresh tab each."""
    found = []
    with chromium() as browser:
        for _ in range(rounds):
            tab = browser.new_page(viewport={"width": 1366, "height": 850})
            began = time.perf_counter()
            tab.goto(path.as_uri())
            tab.wait_for_selector("#filter select", state="attached")
            tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            found.append(time.perf_counter() - began)
            told = tab.locator("#shown").inner_text()
            tab.close()
    print(f"the browser shows {told}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--task", default="demo-sentiment")
    parser.add_argument("--transcripts", type=int, default=5000)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        out = asked.keep or Path(place) / "out"
        make(out, asked.transcripts, asked.task, asked.data_dir)
        began = time.perf_counter()
        path = write_page(Experiment.open(out, files=False))
        seconds = time.perf_counter() - began
        text = path.read_text("utf-8")
        packed = text.partition('id="packed-attacks">')[2].partition("<")[0]
        size = f"{path.stat().st_size / 1e6:.2f} MB, of it transcripts {len(packed) / 1e6:.2f} MB"
        print(f"{path}: {size}, {text.count('<figure')} pictures; made in {seconds:.1f} s")
        taken = opening(path)
        print(f"opened in {', '.join(f'{each:.2f}' for each in taken)} s; median {statistics.median(taken):.2f} s")


if __name__ == "__main__":
    main()
