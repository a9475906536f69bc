"""Cases from the field about checkpoints and tokenizers, from their folders; the same kinds are in the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.field_cases import Done, accuracy, command_lines

REFUSED = {
    "bert-added": "has 325 entries but the model's embeddings have 323",
    "bert-bnb8": "is quantised (bitsandbytes, 8 bit)",
    "bert-bnb4": "is quantised (bitsandbytes, 4 bit)",
    "bert-gptq": "is quantised (gptq, 4 bit)",
    "bert-no-tokenizer": "has no tokenizer files",
    "lora": "holds an adapter (LORA, of google-bert/bert-base-uncased)",
    "lora-config": "holds an adapter (LORA, of google-bert/bert-base-uncased)",
    "bert-three-names": "classifier.weight is 2 x 32 in the file but 3 x 32 in the model",
}
# T5's case is not labelled by the checkpoint.
UNLABELLED = ("t5",)


@pytest.mark.parametrize("number", ["04", "05", "06", "07", "14", "15", "23"])
def test_a_case_from_the_field(
    number: str,
    cases: Path,
    case_models: Path,
    tmp_path: Path,
    invoke: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder,) = cases.glob(f"{number}-*")
    monkeypatch.chdir(folder)
    for line in command_lines(folder, MODELS=case_models, OUT=tmp_path):
        (model,) = {Path(word).name for word in line.words if word.startswith(str(case_models))}
        if not (case_models / model).is_dir():  # made of the embedded encoder, which is not installed
            continue
        done = invoke(*line.robusteval)
        assert "Traceback" not in done.stderr + done.stdout
        if model in REFUSED:
            assert done.refused, done
            assert REFUSED[model] in done.stderr
            continue
        assert done.returncode == 0, (line.words, done)
        if line.robusteval[0] != "attack" and "--dry-run" not in line.words and model not in UNLABELLED:
            assert accuracy(done) == "100.00", (line.words, done.stdout)
