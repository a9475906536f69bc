"""Words for a Chinese text, proposed by a masked language model.

Imported only once textattack is loaded (see `offline.load_textattack`).
"""

from __future__ import annotations

from typing import Any

import torch
from textattack.transformations import ChineseWordSwapMaskedLM

PROPOSALS = 50


class MaskedWords(ChineseWordSwapMaskedLM):  # type: ignore[misc]  # textattack has no types
    """TextAttack's swap, with the word hidden behind the model's own mask and the answer read at the mask.

    TextAttack writes "[MASK]" whatever the model, and reads the answer at the number of the word, where another token
    stands.
    """

    def get_replacement_words(self, current_text: Any, indice_to_modify: int) -> list[str]:
        """The likeliest tokens in place of the word, without marks of word pieces; none where the mask is cut off."""
        masked = current_text.replace_word_at_index(indice_to_modify, self.tt.mask_token).text
        inputs = self.tt(masked, truncation=True, return_tensors="pt").to(self._device)
        places = (inputs["input_ids"][0] == self.tt.mask_token_id).nonzero()
        if not len(places):
            return []
        with torch.no_grad():
            scores = self.mm(**inputs).logits[0, places[0, 0]]
        special = self.tt.all_special_ids
        likeliest = scores.topk(min(PROPOSALS + len(special), len(scores))).indices.tolist()
        tokens = self.tt.convert_ids_to_tokens([place for place in likeliest if place not in special][:PROPOSALS])
        words = (token.replace("##", "").replace("\u2581", "") for token in tokens)
        return list(dict.fromkeys(filter(None, words)))
