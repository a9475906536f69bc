"""Tiny checkpoints as people have them: whole ones of many architectures, and ones in which something does not fit.

Each maker fills a folder and returns the classifier that must answer when it is tested (None: it is refused).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    BartConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    CamembertConfig,
    GPT2Config,
    MPNetConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

from support import tiny

WEIGHTS = "model.safetensors"
END = "<|endoftext|>"
BYTES = [END, "[PAD]", *sorted(pre_tokenizers.ByteLevel.alphabet())]

_ENDS = {"bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 3}
CONFIGS: dict[str, Callable[[], Any]] = {
    **tiny.CONFIGS,
    "camembert": lambda: CamembertConfig(
        **tiny._COMMON, **tiny._ENCODER, max_position_embeddings=66, type_vocab_size=1
    ),
    "mpnet": lambda: MPNetConfig(**tiny._COMMON, **tiny._ENCODER, max_position_embeddings=66),
    "bart": lambda: BartConfig(
        **tiny._COMMON, **_ENDS, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64,
    ),
    "t5": lambda: T5Config(
        **tiny._COMMON, eos_token_id=3, decoder_start_token_id=0, d_model=32, d_kv=16, d_ff=48, num_layers=1,
        num_heads=2,
    ),
    "gpt2": lambda: GPT2Config(
        vocab_size=len(BYTES), n_positions=128, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0,
        pad_token_id=1,
    ),
}  # fmt: skip


@dataclass
class Answer:
    """What must answer: a classifier, its tokenizer, and how that is called for one row."""

    model: Any
    tokenizer: Any
    call: dict[str, Any] = field(default_factory=dict)

    def logits(self, row: tuple[str, ...]) -> torch.Tensor:
        """One row alone, by transformers alone [K]."""
        with torch.no_grad():
            logits: torch.Tensor = self.model(**self.tokenizer(*row, return_tensors="pt", **self.call)).logits[0]
            return logits


def classifier(kind: str = "bert", labels: int = 2, seed: int = 0) -> Any:
    """A random classifier whose weights are large enough for answers to differ."""
    config = CONFIGS[kind]()
    config.num_labels = labels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.3)
    return model.eval()


def tokenizer(kind: str = "bert") -> Any:
    return (
        byte_tokenizer()
        if kind == "gpt2"
        else tiny.tokenizer({"camembert": "roberta", "mpnet": "roberta"}.get(kind, kind))
    )


def byte_tokenizer(pad: str | None = "[PAD]", end: str | None = END, side: str = "right") -> Any:
    """GPT-2's kind, bytes for words."""
    body = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(BYTES)}, merges=[]))
    body.pre_tokenizer, body.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=body, eos_token=end, pad_token=pad, model_max_length=128, padding_side=side,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def with_types() -> Any:
    """BERT's tokenizer: it makes token types."""
    return tiny.tokenizer("bert")


def end_tokenizer(**more: Any) -> Any:
    """One end token at the end, as T5 has it; the text may spell it."""
    words = ["<" if word == "[MASK]" else word for word in tiny.WORDS]
    words[3] = "</s>"
    core = Tokenizer(models.WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="</s>", pad_token="[PAD]", unk_token="[UNK]", model_max_length=64,
        model_input_names=["input_ids", "attention_mask"], **more,
    )  # fmt: skip


def sentences(*, pairs: bool = False) -> list[tuple[str, ...]]:
    """Rows to answer."""
    columns = [tiny.sentences(24, seed=seed)[0] for seed in (5, 6)[: 1 + pairs]]
    return list(zip(*columns, strict=True))


def whole(folder: Path, kind: str = "bert", given: Any = None, *, pairs: bool = False, **call: Any) -> Answer:
    """A checkpoint as transformers saves it, which says either label. given: the tokenizer; call: how it is called."""
    given = given or tokenizer(kind)
    for seed in range(50):
        answer = Answer(classifier(kind, seed=seed), given, call)
        margins = torch.stack([logits[1] - logits[0] for logits in map(answer.logits, sentences(pairs=pairs))])
        bias = [each for name, each in answer.model.named_parameters() if name.endswith("bias") and len(each) == 2]
        if bias:
            # between the two in the middle, so that no row is undecided
            bias[-1].data[0] += margins.sort().values[11:13].mean()
            break
        if 6 <= int((margins > 0).sum()) <= 18:
            break
    answer.model.save_pretrained(folder)
    given.save_pretrained(folder)
    return answer


def configure(folder: Path, name: str = "config.json", **settings: Any) -> None:
    """Change fields of a JSON file; None takes one out."""
    content = {**json.loads((folder / name).read_text()), **settings}
    (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Change the weights."""
    changed = change(load_file(folder / WEIGHTS))
    save_file({key: value.contiguous() for key, value in changed.items()}, folder / WEIGHTS, {"format": "pt"})


def renamed(name: Callable[[str], str]) -> Callable[[Path], Answer]:
    """Other names for the same tensors."""

    def make(folder: Path) -> Answer:
        answer = whole(folder)
        tensors(folder, lambda held: {name(key): tensor for key, tensor in held.items()})
        return answer

    return make


def under(prefix: str) -> Callable[[Path], Answer]:
    return renamed(lambda key: prefix + key)


def cast(dtype: torch.dtype) -> Callable[[Path], Answer]:
    def make(folder: Path) -> Answer:
        answer = whole(folder)
        tensors(folder, lambda held: {key: tensor.to(dtype) for key, tensor in held.items()})
        answer.model = answer.model.to(dtype).float()
        return answer

    return make


def changed(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], Answer]:
    def make(folder: Path) -> Answer:
        answer = whole(folder)
        tensors(folder, change)
        return answer

    return make


def configured(**settings: Any) -> Callable[[Path], Answer]:
    def make(folder: Path) -> Answer:
        answer = whole(folder)
        configure(folder, **settings)
        return answer

    return make


def arranged(
    kind: str, given: Callable[[], Any], call: dict[str, Any] | None = None, *, pairs: bool = False, **settings: Any
) -> Any:
    """An architecture with a tokenizer that is not its own, and other fields of config.json."""

    def make(folder: Path) -> Answer:
        answer = whole(folder, kind, given(), pairs=pairs, **(call or {}))
        if settings:
            configure(folder, **settings)
            answer.model.config.pad_token_id = settings.get("pad_token_id", answer.model.config.pad_token_id)
        return answer

    return make


def shards(folder: Path) -> Answer:
    answer = whole(folder)
    (folder / WEIGHTS).unlink()
    answer.model.save_pretrained(folder, max_shard_size="15KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return answer


def shard_missing(folder: Path) -> None:
    shards(folder)
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


def shard_short(folder: Path) -> None:
    """A tensor that the index names is in no shard."""
    shards(folder)
    index = json.loads((folder / f"{WEIGHTS}.index.json").read_text())["weight_map"]
    shard = folder / index["bert.encoder.layer.1.output.dense.weight"]
    held = load_file(shard)
    del held["bert.encoder.layer.1.output.dense.weight"]
    save_file(held, shard, {"format": "pt"})


def shard_unnamed(folder: Path) -> None:
    """A tensor in a shard that the index does not name."""
    shards(folder)
    index = json.loads((folder / f"{WEIGHTS}.index.json").read_text())["weight_map"]
    del index["bert.encoder.layer.1.output.dense.weight"]
    configure(folder, f"{WEIGHTS}.index.json", weight_map=index)


def without(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        whole(folder)
        for path in folder.iterdir():
            if path.name not in names:
                path.unlink()

    return make


def weights_as(name: str, content: bytes = b"weights") -> Callable[[Path], None]:
    """The weights in a file of another kind."""

    def make(folder: Path) -> None:
        whole(folder)
        (folder / WEIGHTS).unlink()
        (folder / name).write_bytes(content)

    return make


def renamed_file(folder: Path) -> None:
    whole(folder)
    (folder / WEIGHTS).rename(folder / "my-model.safetensors")


def truncated(folder: Path) -> None:
    whole(folder)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])


def adapter(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    settings = {"base_model_name_or_path": "some/base", "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    save_file({"base_model.model.classifier.weight": torch.zeros(2, 32)}, folder / "adapter_model.safetensors")


def adapter_beside(folder: Path) -> None:
    whole(folder)
    adapter(folder)


def adapter_inside(folder: Path) -> None:
    """Saved with torch's state_dict while the adapter was still in the model."""
    whole(folder)

    def wrap(held: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        inside = {}
        for key, tensor in held.items():
            module, _, part = key.rpartition(".")
            inside[f"base_model.model.{module}.base_layer.{part}" if "query" in key else f"base_model.model.{key}"] = (
                tensor
            )
            if key.endswith("query.weight"):
                inside[f"base_model.model.{module}.lora_A.default.weight"] = torch.zeros(4, 32)
        return inside

    tensors(folder, wrap)


def twins(folder: Path) -> None:
    whole(folder)
    tensors(folder, lambda held: {f"{who}.{key}": t.clone() for who in ("net", "backbone") for key, t in held.items()})


def doubled(folder: Path) -> Answer:
    """The model, and beside it another one that is left out."""
    answer = whole(folder)
    tensors(folder, lambda held: {**held, **{f"teacher.{key}": tensor.clone() for key, tensor in held.items()}})
    return answer


def masked_lm(folder: Path) -> None:
    """A masked language model: without pooler, with a head of its own."""
    model = classifier()
    pretrained = BertForMaskedLM(CONFIGS["bert"]())
    pretrained.bert.load_state_dict(model.bert.state_dict(), strict=False)
    pretrained.save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def answers_questions(folder: Path) -> None:
    pretrained = BertForQuestionAnswering(CONFIGS["bert"]())
    pretrained.bert.load_state_dict(classifier().bert.state_dict(), strict=False)
    pretrained.save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def encoder_alone(folder: Path) -> None:
    """Its tensors lack the name of the encoder."""
    classifier().bert.save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def three_labels(folder: Path) -> None:
    classifier(labels=3).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def larger_tokenizer(folder: Path) -> None:
    given = tokenizer()
    given.add_tokens(["@user", "<url>"])
    whole(folder, given=given)


def own_end(folder: Path) -> Answer:
    """The padding token is the end token, which closes every text: the head cannot tell them apart."""
    given = byte_tokenizer(pad=None)
    given.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", pair=f"$A $B {END}", special_tokens=[(END, 0)]
    )
    answer = whole(folder, "gpt2", given)
    configure(folder, pad_token_id=None)
    answer.model.config.pad_token_id = None
    return answer


def parent(folder: Path) -> None:
    folder.mkdir()
    for step in (500, 1000):
        whole(folder / f"checkpoint-{step}")


def copied(folder: Path) -> None:
    folder.mkdir()


def damaged_json(folder: Path) -> None:
    whole(folder)
    (folder / "config.json").write_text((folder / "config.json").read_text()[:40])


def no_vocabulary(folder: Path) -> None:
    whole(folder)
    for path in folder.glob("*token*"):
        path.unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))


def fresh(folder: Path) -> Path:
    """An empty place for a checkpoint."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder
