"""Which words an attack changed: one edit script, from which both the places and their number come."""

from __future__ import annotations

from collections.abc import Sequence

Span = list[int]
"""[start, end, start, end]: words start to end (exclusive) of the original, and what stands there instead."""


def changed_spans(original: Sequence[str], perturbed: Sequence[str]) -> list[Span]:
    """The places in which two lists of words differ, by a shortest edit script; between two spans words are equal.

    >>> changed_spans(["a", "fine", "old", "film"], ["a", "fnie", "film"])
    [[1, 3, 1, 2]]
    """
    from rapidfuzz.distance import Levenshtein

    spans: list[Span] = []
    for step in Levenshtein.opcodes(original, perturbed):
        if step.tag == "equal":
            continue
        if spans and spans[-1][1] == step.src_start and spans[-1][3] == step.dest_start:
            spans[-1][1], spans[-1][3] = step.src_end, step.dest_end
        else:
            spans.append([step.src_start, step.src_end, step.dest_start, step.dest_end])
    return spans


def count_edits(spans: Sequence[Span]) -> int:
    """How many words are replaced, inserted or deleted: the edit distance, if the script was a shortest one."""
    return sum(max(end - start, last - first) for start, end, first, last in spans)
