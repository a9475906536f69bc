"""Sentence meaning by the embedded MiniLM, where recipes of TextAttack use the Universal Sentence Encoder.

Imported only once textattack is loaded (see `offline.load_textattack`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from textattack.constraints.semantics.sentence_encoders import SentenceEncoder
from textattack.shared import utils

from robusteval.attacks.resources.locations import MINILM_HUB

# As the model was published: longer sentences are cut.
MAX_LENGTH = 256
BATCH = 64


class MiniLMSimilarity(SentenceEncoder):  # type: ignore[misc]  # textattack has no types
    """TextAttack's constraint on sentence similarity, with MiniLM's sentence vectors.

    Threshold, metric, window and reference are those that TextAttack's constraints take. The similarities of two
    encoders are not comparable: a threshold that was chosen for another one is another strictness here.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.model = MiniLMEncoder()

    def encode(self, sentences: Sequence[str]) -> torch.Tensor:
        """Sentence vectors, [n, 384]."""
        return self.model.encode(sentences)


class MiniLMEncoder:
    """all-MiniLM-L6-v2 as published: the mean over the real tokens of its last layer, scaled to length 1."""

    def __init__(self) -> None:
        from transformers import AutoModel, AutoTokenizer

        # Inside `offline` this name leads to the local copy.
        self.tokenizer = AutoTokenizer.from_pretrained(MINILM_HUB)
        self.network = AutoModel.from_pretrained(MINILM_HUB, use_safetensors=True).float().eval().to(utils.device)

    @torch.no_grad()
    def encode(self, sentences: Sequence[str]) -> torch.Tensor:
        """Float32 [n, 384] on the CPU; equal sentences are computed once, sentences of like length together."""
        different = sorted(dict.fromkeys(sentences), key=len)
        rows = [self._encoded(different[start : start + BATCH]) for start in range(0, len(different), BATCH)]
        place = {sentence: row for row, sentence in enumerate(different)}
        return torch.cat(rows)[[place[sentence] for sentence in sentences]]

    def _encoded(self, sentences: list[str]) -> torch.Tensor:
        inputs = self.tokenizer(sentences, max_length=MAX_LENGTH, truncation=True, padding=True, return_tensors="pt")
        inputs = inputs.to(utils.device)
        hidden = self.network(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(mean, dim=1).cpu()
