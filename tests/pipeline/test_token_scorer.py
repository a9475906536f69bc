"""Scores of tokens: gradient times input by hand, the confidence layer, and which characters a token stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast
from transformers.modeling_outputs import SequenceClassifierOutput

from robusteval.errors import UserError
from robusteval.evaluation.token_drop import gradient_scores
from robusteval.models.encoding import Batch, encode
from robusteval.pipeline.tokens import TokenScorer, _spans
from robusteval.settings.model import ModelConfig
from support import tiny


class Mean(BertForSequenceClassification):
    """logits = W mean(e), with the token table's rows as embeddings."""

    def forward(self, input_ids: Any = None, **inputs: Any) -> SequenceClassifierOutput:
        return SequenceClassifierOutput(logits=self.classifier(self.bert.embeddings(input_ids=input_ids).mean(1)))


def test_gradient_times_input_by_hand() -> None:
    config = BertConfig(
        vocab_size=4, hidden_size=2, num_hidden_layers=0, num_attention_heads=1, intermediate_size=2, num_labels=2
    )
    model = Mean(config).eval()
    embeddings = model.bert.embeddings
    embeddings.LayerNorm = nn.Identity()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        embeddings.word_embeddings.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, -1.0], [-4.0, 1.0]]))
        model.classifier.weight.copy_(torch.tensor([[1.0, 0.0], [2.0, 1.0]]))
    ids = torch.tensor([[0, 1, 2], [3, 3, 0]])
    batch = Batch(
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.zeros(2), torch.zeros_like(ids).bool()
    )
    # first row: mean (4/3, 1/3), logits 4/3 and 3, so w = (2, 1); d logit / d e = w / 3 for each token
    # second: mean (-7/3, 2/3), logits -7/3 and -4, so w = (1, 0)
    by_hand = [[2 / 3, 2 / 3, 5 / 3], [4 / 3, 4 / 3, 1 / 3]]
    torch.testing.assert_close(gradient_scores(model, batch), torch.tensor(by_hand))


def opened(folder: Path, by: str = "gradient", max_length: int = 32) -> TokenScorer:
    return TokenScorer.open(str(folder), by, max_length=max_length, opening=ModelConfig(), device="cpu")


def test_texts_pairs_word_pieces_and_what_is_cut(tiny_folder: Path) -> None:
    scorer = opened(tiny_folder)
    (one,) = scorer.score([("Good  ab é",)])
    assert [(token.piece, token.column, token.start, token.end) for token in one.tokens] == [
        ("[CLS]", -1, None, None), *((piece, 0, start, end) for piece, start, end in spelled(scorer, "Good  ab é")),
        ("[SEP]", -1, None, None),
    ]  # fmt: skip
    assert all(token.score >= 0 for token in one.tokens) and 0.5 <= one.value <= 1
    assert one.predicted in ("LABEL_0", "LABEL_1") and not one.cut
    first, second = scorer.score([("good", "bad film"), ("bad", "good")])
    assert [token.column for token in first.tokens] == [-1, 0, -1, 1, 1, -1]
    # a row's scores do not depend on the others
    assert [token.score for token in scorer.score([("bad", "good")])[0].tokens] == pytest.approx(
        [token.score for token in second.tokens], rel=1e-4, abs=1e-7
    )
    (long,) = opened(tiny_folder, max_length=6).score([("a b c d e f g",)])
    assert long.cut and len(long.tokens) == 6 and long.tokens[4].end == 7


def spelled(scorer: TokenScorer, text: str) -> list[tuple[str, int, int]]:
    """What the tokenizer's own backend says."""
    found = scorer.predictor.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    return [(piece, start, end) for piece, (start, end) in zip(found.tokens, found.offsets, strict=True)]


def test_bytes_of_a_chinese_character_stand_for_it_together() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({sign: number for number, sign in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token=alphabet[0])
    text = "很a好"
    encoded = encode(tokenizer, [[text]], max_length=32)
    assert _spans(tokenizer, (text,), encoded, 0, 32) == [(0, 1)] * 3 + [(1, 2)] + [(2, 3)] * 3


def test_confidence_is_that_of_the_layer_beside_the_checkpoint(tmp_path: Path) -> None:
    folder = tiny.save(tmp_path / "tdt")
    with pytest.raises(
        UserError, match=r"by: 'confidence' needs .* has no confidence.safetensors; valid here: gradient"
    ):
        opened(folder, "confidence")
    # no weights: every token has the sigmoid of the bias, log 3
    save_file({"weight": torch.zeros(1, 32), "bias": torch.tensor([3.0]).log()}, folder / "confidence.safetensors")
    (one,) = opened(folder, "confidence").score([("good film",)])
    assert [token.score for token in one.tokens] == pytest.approx([0.75] * 4)
    with pytest.raises(UserError, match="by"):
        opened(folder, "gradients")


def test_a_score_has_no_label(tmp_path: Path) -> None:
    (one,) = opened(tiny.save(tmp_path / "scores", num_labels=1)).score([("good",)])
    assert one.predicted == "" and isinstance(one.value, float)
