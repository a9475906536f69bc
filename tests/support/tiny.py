"""Tiny random models, one per architecture, and text that their tokenizer knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    XLNetConfig,
)

from robusteval.models.encoding import Encoded, encode
from robusteval.models.loading import LoadedModel
from robusteval.tasks.base import Task

# what the sentences below and their labels are a task of
TASK = Task("tiny", "test", ("text",), ("bad", "good"), ("accuracy",))
GOOD = ["good", "great", "fine", "lovely", "warm"]
BAD = ["bad", "awful", "poor", "dull", "cold"]
NEUTRAL = ["the", "film", "was", "plot", "very", "and", "story", "actor", "scene", "all", "quite", "really"]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = SPECIAL + GOOD + BAD + NEUTRAL + LETTERS + ["##" + letter for letter in LETTERS]

_COMMON: dict[str, Any] = {"vocab_size": len(WORDS), "pad_token_id": 0}
_ENCODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}

CONFIGS: dict[str, Any] = {
    "bert": lambda: BertConfig(**_COMMON, **_ENCODER, max_position_embeddings=64),
    "roberta": lambda: RobertaConfig(**_COMMON, **_ENCODER, max_position_embeddings=66, type_vocab_size=2),
    "electra": lambda: ElectraConfig(**_COMMON, **_ENCODER, embedding_size=24, max_position_embeddings=64),
    "deberta-v2": lambda: DebertaV2Config(
        **_COMMON, **_ENCODER, max_position_embeddings=64, relative_attention=True, pos_att_type=["p2c", "c2p"],
        type_vocab_size=2,
    ),
    "albert": lambda: AlbertConfig(
        **_COMMON, **_ENCODER, embedding_size=16, max_position_embeddings=64, classifier_dropout_prob=0.1
    ),
    "distilbert": lambda: DistilBertConfig(
        **_COMMON, dim=32, n_layers=2, n_heads=2, hidden_dim=48, max_position_embeddings=64
    ),
    "xlnet": lambda: XLNetConfig(**_COMMON, d_model=32, n_layer=2, n_head=2, d_inner=48),
}  # fmt: skip


def tokenizer(kind: str = "bert") -> Any:
    """A WordPiece tokenizer over WORDS; XLNet's kind pads on the left, as the real one does."""
    core = Tokenizer(models.WordPiece({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    takes_types = kind not in ("distilbert", "roberta")
    inputs = ["input_ids", *(["token_type_ids"] if takes_types else []), "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
        padding_side="left" if kind == "xlnet" else "right",
        model_input_names=inputs,
    )


def model(kind: str = "bert", num_labels: int = 2, *, seed: int = 0, dropout: float | None = None) -> Any:
    """A randomly initialised classifier in evaluation mode; its weights depend on the seed alone."""
    config = CONFIGS[kind]()
    config.num_labels = num_labels
    config.problem_type = "regression" if num_labels == 1 else "single_label_classification"
    if dropout is not None:
        from robusteval.models.dropout import configure_dropout

        configure_dropout(config, dropout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = AutoModelForSequenceClassification.from_config(config)
    # larger weights than the usual 0.02, so that predictions of an untrained model differ between inputs
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        for parameter in built.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.15)
    return built.eval()


def loaded(kind: str = "bert", num_labels: int = 2, *, seed: int = 0, dropout: float | None = None) -> LoadedModel:
    return LoadedModel(model(kind, num_labels, seed=seed, dropout=dropout), tokenizer(kind), {"model": "tiny"}, "")


def save(folder: Path, kind: str = "bert", num_labels: int = 2, *, seed: int = 0) -> Path:
    """The tiny model as a checkpoint folder."""
    model(kind, num_labels, seed=seed).save_pretrained(folder)
    tokenizer(kind).save_pretrained(folder)
    return folder


def sentences(count: int, *, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Short reviews of 3 to 9 words and their labels; the label is which sort of word prevails."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        label = int(generator.integers(2))
        words = list(generator.choice(NEUTRAL, generator.integers(2, 7)))
        for _ in range(2):
            words.insert(int(generator.integers(len(words) + 1)), str(generator.choice(GOOD if label else BAD)))
        texts.append(" ".join(words))
        labels.append(label)
    return texts, np.asarray(labels, np.int64)


def encoded(count: int = 32, *, kind: str = "bert", pairs: bool = False, regression: bool = False) -> Encoded:
    """Encoded tiny sentences, or pairs of them."""
    first, labels = sentences(count)
    columns = [first, sentences(count, seed=1)[0]] if pairs else [first]
    gold: Any = labels.astype(np.float32) * 3 + 0.5 if regression else labels
    return encode(tokenizer(kind), columns, gold, max_length=32)
