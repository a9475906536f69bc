"""A model that reads rows of another number of texts than it was trained on is measured with a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoConfig

from robusteval.methods.compose import build_method
from robusteval.models.label_order import name_labels
from robusteval.models.provenance import text_count_notices
from robusteval.models.saving import save_checkpoint
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.training.trainer import train
from support import tiny
from support.field_cases import Done

INFERENCE = ("entailment", "neutral", "contradiction")


def test_a_checkpoint_bears_how_many_texts_its_rows_had(tmp_path: Path) -> None:
    loaded = tiny.loaded()
    for pairs, count, other in ((True, 2, 1), (False, 1, 2)):
        train(
            loaded, tiny.encoded(8, pairs=pairs), TrainConfig(max_steps=1, batch_size=4),
            build_method(MethodConfig.parse("vanilla")), seed=0, device=torch.device("cpu"), quiet=True,
        )  # fmt: skip
        save_checkpoint(loaded.model, loaded.tokenizer, tmp_path / "saved")
        config = AutoConfig.from_pretrained(tmp_path / "saved")
        assert text_count_notices(config, count, INFERENCE) == ()
        texts = f"{count} text{'s' if pairs else ''}"
        told = (f"the model was trained on rows of {texts} and reads {other} here",)
        assert text_count_notices(config, other, ("a", "b")) == told


def test_evaluate_says_that_inference_needs_two_texts(tmp_path: Path, invoke: Callable[..., Done]) -> None:
    model = tiny.model("bert", 3)
    name_labels(model.config, INFERENCE)
    save_checkpoint(model, tiny.tokenizer(), tmp_path / "nli")
    rows = [f"the film was {word},the plot was {word},{name}" for word in tiny.GOOD for name in INFERENCE]
    (tmp_path / "dev.csv").write_text("premise,hypothesis,label\n" + "\n".join(rows) + "\n")
    note = "note: entailment holds between two texts, and one text is read here (--text-columns)"
    for columns, said in (("premise", True), ("premise,hypothesis", False)):
        done = invoke(
            "evaluate", str(tmp_path / "nli"), "--dev-file", str(tmp_path / "dev.csv"), "--text-columns", columns,
            "--suites", "clean", "--max-length", "64", "--device", "cpu",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert (note in done.stdout) is said
