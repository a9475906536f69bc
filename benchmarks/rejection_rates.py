"""How often each test calls a difference where there is none: tables simulated without any difference.

    python benchmarks/rejection_rates.py [--tables 5000] [--families 1000]

A table is a method and the baseline with 6 or 10 seeds each, tested on the same 300 examples. An example has its own
difficulty, and a seed shifts all answers of its run: by little or by much ("seed noise", in standard deviations of the
examples' own noise). Each line: seeds, seed noise, and the share of tables that each test rejects at 5 %: the paired t
test (the interval without 0), the exact sign-flip test, and of families of five methods the share with any rejection
after Holm. McNemar and the interval over examples compare two checkpoints whose examples differ by chance alone; the
second also where each original has five rows. As a caution the last column shows a bootstrap over seeds and examples,
which the reports do not offer, on the first 1,000 tables. A share of 5 % of 1,000 has a standard error of 0.7 points,
of 5,000 one of 0.3; the exact test can reject at most 3.1 % with 6 seeds and 4.9 % with 10, by its construction.
"""

from __future__ import annotations

import argparse
import itertools
import time

import numpy as np
import numpy.typing as npt

from robusteval.report.statistics import LEVEL, compare_family, mcnemar, paired_interval, sign_flip_test

EXAMPLES, METHODS, DRAWS, BOOTSTRAPPED, BATCH = 300, 5, 400, 1000, 500
Array = npt.NDArray[np.float64]


def accuracies(rng: np.random.Generator, tables: int, runs: int, seeds: int, noise: float) -> Array:
    """Right answers [tables, runs, seeds, examples] of methods that are all alike; each seed of each run has its own
    shift of `noise`, each example its difficulty in a table."""
    difficulty = rng.normal(0.8, 1, (tables, 1, 1, EXAMPLES))
    shift = rng.normal(0, noise, (tables, runs, seeds, 1))
    return (difficulty + shift + rng.normal(0, 1, (tables, runs, seeds, EXAMPLES)) > 0).astype(np.float32)


def bootstrap_rejects(rng: np.random.Generator, right: Array) -> bool:
    """Whether the 95 % interval of a bootstrap over seeds and examples leaves out 0; right: [2, seeds, N]."""
    difference = right[0] - right[1]
    seeds, examples = difference.shape
    seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS) / seeds
    example_weights = rng.multinomial(examples, np.full(examples, 1 / examples), DRAWS) / examples
    means = np.einsum("ds,se,de->d", seed_weights, difference, example_weights, optimize=True)
    low, high = np.quantile(means, [LEVEL / 2, 1 - LEVEL / 2])
    return not low <= 0 <= high


def over_seeds(rng: np.random.Generator, tables: int, seeds: int, noise: float) -> tuple[float, float, float]:
    """Shares of tables that the interval, the sign-flip test and the bootstrap reject."""
    intervals, flips, bootstraps = list[bool](), list[bool](), list[bool]()
    for start in range(0, tables, BATCH):
        right = accuracies(rng, min(BATCH, tables - start), 2, seeds, noise)
        differences = (right[:, 0] - right[:, 1]).mean(axis=-1)
        found = map(paired_interval, differences)
        intervals += [not each.low <= 0 <= each.high for each in found]
        flips += list(sign_flip_test(differences) <= LEVEL)
        bootstraps += [bootstrap_rejects(rng, table) for table in right[: max(BOOTSTRAPPED - start, 0)]]
    return float(np.mean(intervals)), float(np.mean(flips)), float(np.mean(bootstraps))


def family_wise(rng: np.random.Generator, families: int, seeds: int, noise: float) -> float:
    """Share of families of `METHODS` methods against one baseline in which any comparison is called clear."""
    found = 0
    for _ in range(families):
        means = accuracies(rng, 1, METHODS + 1, seeds, noise)[0].mean(axis=-1)
        found += any(each.clear for each in compare_family((means[1:] - means[0]).tolist()))
    return found / families


def over_examples(rng: np.random.Generator, tables: int) -> tuple[float, float, float]:
    """Shares of pairs of checkpoints that McNemar, the interval, and that over clusters of five rows reject."""
    rejected = np.zeros(3)
    cluster = np.repeat(np.arange(EXAMPLES // 5), 5)
    for _ in range(tables):
        difficulty = rng.normal(0.8, 1, EXAMPLES)
        a, b = (difficulty + rng.normal(0, 1, (2, EXAMPLES))) > 0
        plain = paired_interval(a.astype(float) - b)
        # what an original's rows share decides half of the answer of each checkpoint
        shared = rng.normal(0, 1, (2, EXAMPLES // 5)).repeat(5, axis=1)
        c, d = (difficulty + shared + rng.normal(0, 1, (2, EXAMPLES))) > 0
        clustered = paired_interval(c.astype(float) - d, cluster)
        rejected += mcnemar(a, b).p <= LEVEL, not plain.low <= 0 <= plain.high, not clustered.low <= 0 <= clustered.high
    mc, interval, clusters = rejected / tables
    return float(mc), float(interval), float(clusters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=5000)
    parser.add_argument("--families", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, began = np.random.default_rng(given.seed), time.perf_counter()
    print("seeds  seed noise  paired t  sign-flip  family with Holm  (bootstrap)")
    for seeds, noise in itertools.product((6, 10), (0.05, 0.5)):
        t, flips, bootstrap = over_seeds(rng, given.tables, seeds, noise)
        family = family_wise(rng, given.families, seeds, noise)
        print(f"{seeds:5}  {noise:10}  {t:8.1%}  {flips:9.1%}  {family:16.1%}  {bootstrap:11.1%}", flush=True)
    mc, interval, clusters = over_examples(rng, given.tables)
    print(f"two checkpoints: McNemar {mc:.1%}, interval over examples {interval:.1%}, over originals {clusters:.1%}")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
