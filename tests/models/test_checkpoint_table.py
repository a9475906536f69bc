"""Checkpoints as people have them, through every command: the right number, or one sentence; the plan agrees."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support import checkpoints as made
from support.field_cases import Done

RIGHT = ""
NO_HEAD = "is not a fine-tuned classifier: its weights lack"
NO_FIT = "do not fit its config.json"


@dataclass(frozen=True)
class Case:
    """make: fills the folder; train, test: the sentence that refuses, RIGHT where the number is right.

    told: a notice that must be given; pairs: two texts a row; attack: the attack says something of its own; text: what
    every second text ends with; labels: the names of the classes.
    """

    name: str
    make: Callable[[Path], Any]
    train: str = RIGHT
    test: str | None = None
    told: str = ""
    pairs: bool = False
    attack: bool = False
    text: str = ""
    labels: tuple[str, str] = ("LABEL_0", "LABEL_1")

    @property
    def tested(self) -> str:
        return self.train if self.test is None else self.test


def refused(name: str, make: Callable[[Path], Any], sentence: str) -> Case:
    return Case(name, make, sentence)


def resized(key: str, rows: int) -> Callable[[Path], Any]:
    def change(held: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {**held, key: torch.cat([held[key], held[key][:rows]])}

    return made.changed(change)


def holed(held: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    held["bert.encoder.layer.0.output.dense.weight"][0, 0] = float("nan")
    return held


WRAPPED = "the checkpoint's tensors are named as a wrapper names them"
NO_TYPES = {"return_token_type_ids": False}
CASES = [
    *(
        Case(
            f"kind-{kind}",
            lambda folder, kind=kind: made.whole(folder, kind),
            attack=kind in ("bert", "xlnet", "mpnet"),
        )
        for kind in made.CONFIGS
        if kind not in ("bart", "t5")
    ),
    Case("kind-bart", made.arranged("bart", made.end_tokenizer)),
    Case("kind-t5", made.arranged("t5", made.end_tokenizer)),
    # names
    Case("prefix-module", made.under("module."), told=WRAPPED, attack=True),
    Case("prefix-model", made.under("model."), told=WRAPPED),
    Case("prefix-base-model", made.under("base_model.model."), told=WRAPPED),
    Case("prefix-compiled", made.under("_orig_mod."), told=WRAPPED),
    Case("prefix-nested", made.under("model.module._orig_mod."), told=WRAPPED),
    Case("prefix-inner", made.renamed(lambda key: key.replace("bert.", "bert._orig_mod.")), told=WRAPPED),
    Case("prefix-encoder-only", made.renamed(lambda key: key.replace("bert.", "net.bert.")), told=WRAPPED),
    Case(
        "names-old",
        made.renamed(lambda key: key.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")),
    ),
    Case(
        "names-doubled",
        made.doubled,
        told=r"left out of the checkpoint, for no classifier has it: teacher \(\d+ tensors\)",
    ),
    refused("names-twins", made.twins, "hold several models, under 'net.' and 'backbone.'"),
    refused(
        "names-foreign",
        made.renamed(lambda key: key.replace("bert.", "roberta.")),
        "are named roberta...., which is not",
    ),
    refused("names-nothing", made.renamed(lambda key: f"x{hash(key)}"), "none of the encoder's weights is in"),
    refused("names-adapter", made.adapter_inside, "an adapter that is not merged .* merge it with peft"),
    # sizes and layers
    refused("layers-fewer", made.configured(num_hidden_layers=1), f"{NO_FIT}: 16 tensors have no place in it"),
    refused("layers-more", made.configured(num_hidden_layers=3), f"{NO_FIT}: 16 tensors of the encoder are missing"),
    refused(
        "size-words", resized("bert.embeddings.word_embeddings.weight", 7), f"{NO_FIT}: 1 of another size: bert.embed"
    ),
    refused("size-positions", made.configured(max_position_embeddings=32), "is 64 x 32 in the file but 32 x 32 in the"),
    refused("size-types", made.configured(type_vocab_size=1), "is 2 x 32 in the file but 1 x 32 in the model"),
    refused("size-width", made.configured(hidden_size=24), r"\d+ of another size"),
    # numbers
    Case("dtype-fp16", made.cast(torch.float16), attack=True),
    Case("dtype-bf16", made.cast(torch.bfloat16)),
    Case("dtype-fp64", made.cast(torch.float64)),
    refused(
        "dtype-int8",
        made.changed(lambda held: {k: t.to(torch.int8) if "query.weight" in k else t for k, t in held.items()}),
        "is quantised: .* is stored as I8",
    ),
    Case("not-finite", made.changed(holed), "1 of 1536 values of .* are no finite numbers", "finite"),
    # shards and files
    Case("shards", made.shards),
    refused("shards-missing", made.shard_missing, "lacks the shard 'model-00002-of-"),
    refused("shards-short", made.shard_short, "which it does not; copy or download"),
    refused("shards-unnamed", made.shard_unnamed, "hold 1 tensors that model.safetensors.index.json does not name"),
    refused("file-pickled", made.weights_as("pytorch_model.bin"), "pickled weights are not opened"),
    refused("file-gguf", made.weights_as("model.gguf"), "GGUF weights are not opened"),
    refused("file-none", made.weights_as("notes.md"), "holds no .safetensors weights; load the model"),
    refused(
        "file-pointer", made.weights_as(made.WEIGHTS, b"version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"
    ),
    refused("file-renamed", made.renamed_file, "only my-model.safetensors; rename"),
    refused("file-truncated", made.truncated, "is damaged"),
    refused("folder-empty", made.copied, "is empty"),
    refused(
        "folder-above",
        made.parent,
        "has no config.json; the checkpoints lie in its folders: checkpoint-1000, checkpoint-500",
    ),
    refused("config-damaged", made.damaged_json, "config.json of .* is damaged"),
    refused("config-no-type", made.configured(model_type=None), "names no model_type; add it"),
    refused(
        "config-unknown",
        made.configured(model_type="berd"),
        "the model_type 'berd', which transformers does not know; did you mean 'bert'",
    ),
    refused("config-no-classifier", made.configured(model_type="vit"), "no sequence classifier|cannot be loaded"),
    refused("config-impossible", made.configured(num_attention_heads=5), "cannot be built from its config.json"),
    # adapters and quantised
    refused("adapter", made.adapter, r"holds an adapter \(LORA, of some/base\).*merge_and_unload"),
    refused("adapter-beside", made.adapter_beside, "holds an adapter, beside a model,"),
    refused(
        "quantised-bnb",
        made.configured(quantization_config={"load_in_8bit": True}),
        r"quantised \(bitsandbytes, 8 bit\)",
    ),
    refused(
        "quantised-awq",
        made.configured(quantization_config={"quant_method": "awq", "bits": 4}),
        r"quantised \(awq, 4 bit\)",
    ),
    # tokenizers
    refused("tokenizer-none", made.without("config.json", made.WEIGHTS), "has no tokenizer files"),
    refused("tokenizer-no-words", made.no_vocabulary, "the tokenizer of .* cannot be loaded|its files are missing"),
    refused("tokenizer-larger", made.larger_tokenizer, "has 81 entries but the model's embeddings have 79"),
    Case(
        "types-distilbert",
        made.arranged("distilbert", made.with_types, NO_TYPES),
        told="read without token types: Distil",
        attack=True,
    ),
    Case(
        "types-mpnet",
        made.arranged("mpnet", made.with_types, NO_TYPES, pairs=True),
        told="without token types",
        pairs=True,
    ),
    Case("types-bart", made.arranged("bart", made.with_types, NO_TYPES), told="without token types"),
    Case(
        "types-one",
        made.arranged("camembert", made.with_types, NO_TYPES, pairs=True),
        told="the model knows 1",
        pairs=True,
    ),
    Case(
        "pad-gpt2-none",
        made.arranged("gpt2", lambda: made.byte_tokenizer(pad=None), pad_token_id=None),
        told="names no padding token; its end token",
        attack=True,
    ),
    Case(
        "pad-gpt2-tokenizer",
        made.arranged("gpt2", made.byte_tokenizer, pad_token_id=None),
        told="config.json names no padding",
    ),
    Case("pad-gpt2-config", made.arranged("gpt2", lambda: made.byte_tokenizer(pad=None)), told="that of config.json"),
    Case(
        "pad-gpt2-differs",
        made.arranged("gpt2", made.byte_tokenizer, pad_token_id=200),
        told="padded with the tokenizer's token",
    ),
    Case("pad-gpt2-left", made.arranged("gpt2", lambda: made.byte_tokenizer(side="left")), told="padded on the right"),
    refused(
        "pad-gpt2-nothing",
        made.arranged("gpt2", lambda: made.byte_tokenizer(pad=None, end=None), pad_token_id=None),
        "has no padding token; set one",
    ),
    refused("pad-gpt2-own-end", made.own_end, "cannot be padded"),
    Case("pad-bert", made.arranged("bert", lambda: without_padding()), told="that of config.json"),
    Case(
        "end-t5",
        made.arranged("t5", made.end_tokenizer, {"split_special_tokens": True}),
        told="read as text in",
        text="</s> film </s>",
    ),
    Case(
        "end-bart",
        made.arranged("bart", made.end_tokenizer, {"split_special_tokens": True}),
        told="read as text in",
        text="</s>",
    ),
    # heads
    Case(
        "head-masked-lm",
        made.masked_lm,
        test=NO_HEAD,
        told="new and drawn from the seed: bert.pooler.dense, classifier",
    ),
    Case(
        "head-questions", made.answers_questions, test=NO_HEAD, told=r"no classifier has it: qa_outputs \(2 tensors\)"
    ),
    Case("head-none", made.encoder_alone, test=NO_HEAD, told="new and drawn from the seed: classifier"),
    Case(
        "head-three",
        made.three_labels,
        told="in the checkpoint classifier.weight is 3 x 32 in the file but 2 x 32",
    ),
    Case(
        "head-named-three",
        made.configured(id2label={"0": "a", "1": "b", "2": "c"}, label2id={"a": 0, "b": 1, "c": 2}),
        test="classifier.weight is 2 x 32 in the file but 3 x 32 in the model",
        labels=("a", "b"),
    ),
]


def without_padding() -> Any:
    given = made.tokenizer()
    given.pad_token = None
    return given


def rows_of(case: Case) -> list[tuple[str, ...]]:
    rows = made.sentences(pairs=case.pairs)
    if case.text:
        rows = [(f"{text} {case.text}",) if number % 2 else (text,) for number, (text,) in enumerate(rows)]
    return rows


def write(path: Path, rows: list[tuple[str, ...]], labels: list[str]) -> str:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([[*("a", "b")[: len(rows[0])], "label"]])
        csv.writer(file).writerows([*row, label] for row, label in zip(rows, labels, strict=True))
    return str(path)


def labelled(case: Case, answer: made.Answer | None, folder: Path) -> list[str]:
    """The options that name the rows, labelled by the answer alone, with a margin and both labels among them."""
    rows = rows_of(case)
    if answer is None:
        labels = [number % 2 for number in range(len(rows))]
    else:
        margin = np.asarray([float(logits[1] - logits[0]) for logits in map(answer.logits, rows)])
        keep = np.flatnonzero(np.abs(margin) > 1e-3)
        rows, labels = [rows[row] for row in keep], [int(margin[row] > 0) for row in keep]
        assert 2 <= sum(labels) <= len(labels) - 2, "the model answers alike"
    columns = "a,b" if case.pairs else "a"
    train = write(folder / "train.csv", rows[:8], [case.labels[number % 2] for number in range(len(rows[:8]))])
    dev = write(folder / "dev.csv", rows, [case.labels[label] for label in labels])
    return ["--train-file", train, "--dev-file", dev, "--text-columns", columns]


TRAIN = (
    "--methods", "vanilla", "--seeds", "1", "--max-steps", "1", "--batch-size", "4", "--suites", "clean", "--attacks",
    "", "--quiet", "--learning-rate", "1e-9", "--max-length", "60", "--device", "cpu",
)  # fmt: skip


def accuracy(done: Done) -> str:
    found = re.search(r"clean +accuracy +\d+ +([\d.]+)", done.stdout)
    assert found, done.stdout
    return found[1]


def check(done: Done, sentence: str, what: str, told: str = "") -> None:
    assert "Traceback" not in done.stderr + done.stdout, what
    if sentence:
        assert done.refused, (what, done)
        assert re.search(sentence, done.stderr), (what, done.stderr)
    else:
        assert done.returncode == 0, (what, done)
        assert re.search(told, done.stdout), (what, done.stdout)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_checkpoint_gives_the_right_number_or_one_sentence(
    case: Case, tmp_path: Path, invoke: Callable[..., Done]
) -> None:
    answer = case.make(tmp_path / "model")
    if case.train:
        answer = None
    model, data = str(tmp_path / "model"), labelled(case, answer, tmp_path)
    train = ["train-and-attack", "--no-page", "--model", model, *data, *TRAIN, "--out", str(tmp_path / "out")]
    dry = invoke(*train, "--dry-run")
    check(dry, case.train, "dry run", case.told)
    assert not (tmp_path / "out").exists()
    ran = invoke(*train)
    check(ran, case.train, "train", case.told)
    assert (dry.returncode, dry.stderr) == (ran.returncode, ran.stderr)
    if answer is not None:
        assert accuracy(ran) == "100.00"
    dev = [*data[2:], "--max-length", "60", "--device", "cpu"]
    tested = invoke("evaluate", model, *dev, "--suites", "clean")
    check(tested, case.tested, "evaluate", case.told if case.test is None and answer is not None else "")
    if case.tested == RIGHT and answer is not None:
        assert accuracy(tested) == "100.00"
    if case.attack or case.tested != RIGHT:
        attacked = invoke("attack", model, *dev, "--attack", "deepwordbug", "--attack-examples", "2")
        check(attacked, case.tested, "attack", case.told if case.test is None and answer is not None else "")
        if case.tested == RIGHT and answer is not None:
            assert re.search(r"accuracy before .* 100.00 %", attacked.stdout)
            assert re.search(r"errors +0 ", attacked.stdout)
