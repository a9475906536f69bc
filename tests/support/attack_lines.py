"""Lines of an attack's results, made by hand."""

from __future__ import annotations

from typing import Any

from robusteval.results.attack_lines import AttackLine

UNREACHED: dict[str, Any] = {
    "perturbed": None, "predicted_before": None, "predicted_after": None, "scores_before": None, "scores_after": None,
    "changed": None, "words_changed": None, "words": None,
}  # fmt: skip


def line(**changes: Any) -> AttackLine:
    """A successful attack on one text, with the given fields changed."""
    made: Any = {
        "id": "row-0", "index": 0, "recipe": "deepwordbug", "seed": 3, "model": "", "stopwords": "nltk",
        "resources": {}, "text_columns": ["text"], "columns": ["text"], "query_budget": None, "gold": "good",
        "outcome": "succeeded", "original": ["a fine film"], "perturbed": ["a fnie film"], "predicted_before": "good",
        "predicted_after": "bad", "scores_before": [0.125, 0.875], "scores_after": [0.75, 0.25], "queries": 21,
        "model_rows": 20, "cached_rows": 0, "changed": [[[1, 2, 1, 2]]], "words_changed": 1, "words": 3,
        "similarity": None, "seconds": 0.5, "message": "",
    }  # fmt: skip
    made.update(changes)
    return made  # type: ignore[no-any-return]
