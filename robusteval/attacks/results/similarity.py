"""How close in meaning a successful attack stayed to the original, where the embedded sentence encoder is there."""

from __future__ import annotations

import functools
import importlib
import logging
from pathlib import Path
from typing import Any

from robusteval.attacks.resources.contents import Stamp, stamp
from robusteval.attacks.resources.declared import RESOURCES
from robusteval.errors import describe_error
from robusteval.results.attack_lines import AttackLine

logger = logging.getLogger(__name__)

# Beyond these digits the number of threads would show.
DIGITS = 4


class Similarity:
    """Cosine similarities of originals and perturbed texts, by the encoder that `resources_dir` or a package holds.

    It is loaded with the first successful attack. To be used inside `offline`.
    """

    def __init__(self, resources_dir: Path | None) -> None:
        self._resources_dir = resources_dir
        self._told: set[str] = set()

    def of(self, line: AttackLine) -> float | None:
        """The mean over the columns that were open to change; None for an attack that did not succeed.

        A column that stayed as it was counts 1. None, too, where there is no encoder or it fails.
        """
        if line["outcome"] != "succeeded" or line["perturbed"] is None:
            return None
        columns = zip(line["text_columns"], line["original"], line["perturbed"], strict=True)
        pairs = [(old, new) for name, old, new in columns if name in line["columns"]]
        try:
            if self._encoder is None:
                return None
            return round(sum(map(self._cosine, pairs)) / len(pairs), DIGITS)
        except (OSError, RuntimeError) as error:
            self._tell_failure(describe_error(error))
            return None

    def _cosine(self, pair: tuple[str, str]) -> float:
        if pair[0] == pair[1]:
            return 1.0
        # No other text in the batch: the last digits of a vector differ with the company.
        old, new = self._encoder.encode(pair)
        return float(old @ new)

    @functools.cached_property
    def _encoder(self) -> Any:
        found = RESOURCES["minilm"].check(self._resources_dir)
        return _loaded(found.paths, stamp(found.paths)) if found.present else None

    def _tell_failure(self, described: str) -> None:
        if described not in self._told:
            logger.warning("similarity: the sentence encoder failed (%s); lines of such attacks have none", described)
        self._told.add(described)


@functools.lru_cache(maxsize=1)
def _loaded(paths: tuple[Path, ...], files: Stamp) -> Any:
    """The encoder that lies there, which `offline` leads to; the last one stays in memory."""
    return importlib.import_module("robusteval.attacks.resources.sentence_encoder").MiniLMEncoder()
