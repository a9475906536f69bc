"""One road to a classifier: code that a checkpoint brings, models in memory, end tokens in texts, lengths, hashes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import robusteval
from robusteval.errors import UserError
from robusteval.models.encoding import encode
from robusteval.models.hashes import checkpoint_sha256
from robusteval.models.loading import checkpoint_labels, load_model
from robusteval.models.opening import open_classifier, try_rows
from robusteval.models.tokenizers import adapt_tokenizer, check_max_length
from robusteval.pipeline.attack import checkpoint_victim
from robusteval.tasks.base import Task
from robusteval.tasks.examples import examples_from_frame
from support import checkpoints as made
from support import tiny
from support.field_cases import Done

LABELS = ("LABEL_0", "LABEL_1")
TASK = Task("tiny", "test", ("text",), LABELS, ("accuracy",))
CODE = """
from transformers import BertConfig, BertForSequenceClassification

class OwnConfig(BertConfig):
    model_type = "own-bert"

class OwnClassifier(BertForSequenceClassification):
    config_class = OwnConfig
"""


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> made.Answer:
    """A checkpoint in tmp_path/model whose classes lie beside its weights."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    answer = made.whole(tmp_path / "model")
    (tmp_path / "model" / "own.py").write_text(CODE)
    mapped = {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.OwnClassifier"}
    made.configure(tmp_path / "model", model_type="own-bert", auto_map=mapped)
    return answer


def test_code_of_a_checkpoint_runs_only_where_it_is_trusted(
    own_code: made.Answer, tmp_path: Path, invoke: Callable[..., Done]
) -> None:
    folder = tmp_path / "model"
    rows = made.sentences()
    labels = [LABELS[int(own_code.logits(row).argmax())] for row in rows]
    for name in ("train", "dev"):
        pd.DataFrame({"text": [text for (text,) in rows], "label": labels}).to_csv(tmp_path / f"{name}.csv")
    dev = ["--dev-file", str(tmp_path / "dev.csv"), "--text-columns", "text", "--max-length", "60", "--device", "cpu"]
    train = ["train-and-attack", "--no-page", "--model", str(folder), "--train-file", str(tmp_path / "train.csv"), *dev,
             "--methods", "vanilla", "--seeds", "1", "--max-steps", "1", "--batch-size", "4", "--suites", "clean",
             "--attack-examples", "2", "--learning-rate", "1e-9", "--out", str(tmp_path / "out"),
             "--quiet"]  # fmt: skip
    test = ["evaluate", str(folder), *dev, "--suites", "clean"]
    attack = ["attack", str(folder), *dev, "--attack-examples", "2"]
    for command in (train, test, attack):
        done = invoke(*command)
        assert done.refused
        assert "brings code of its own, which only --trust-remote-code" in done.stderr
    for command in (train, test, attack):
        done = invoke(*command, "--trust-remote-code")
        assert done.returncode == 0, done
        assert "100.00" in done.stdout
    # what trained it is trusted again where its models are tried on each other's texts
    assert invoke("transfer", str(tmp_path / "out")).returncode == 0
    (run,) = (tmp_path / "out" / "runs").glob("*vanilla*")
    environment = json.loads((run / "environment.json").read_text())
    assert environment["checkpoint_sha256"] == checkpoint_sha256(run / "model")
    assert environment["model"]["sha256"] == checkpoint_sha256(folder)
    # and in the processes that attack
    victim = checkpoint_victim(folder, LABELS, 60, "cpu", 0, trust_remote_code=True)
    assert np.allclose(victim.predict(rows[:2]), torch.stack([own_code.logits(row) for row in rows[:2]]), atol=1e-5)
    assert checkpoint_labels(folder, trust_remote_code=True) == LABELS
    with pytest.raises(UserError, match="brings code of its own"):
        checkpoint_labels(folder)


def test_a_model_in_memory_is_fitted_and_its_tokenizer_left_alone(tmp_path: Path) -> None:
    answer = made.whole(tmp_path, "gpt2", made.byte_tokenizer(pad=None))
    answer.model.config.pad_token_id = None
    rows = made.sentences()
    labels = [int(answer.logits(row).argmax()) for row in rows]
    told: list[str] = []
    result = robusteval.evaluate(
        answer.model, TASK, tokenizer=answer.tokenizer, suites=("clean",), device="cpu", max_length=120,
        dataset=pd.DataFrame({"text": [text for (text,) in rows], "label": labels}), notify=told.append,
    )  # fmt: skip
    assert result.scores["clean", "", "accuracy"] == 1
    assert any("names no padding token; its end token" in notice for notice in told)
    assert answer.tokenizer.pad_token is None


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_rows_that_spell_the_end_token_are_read_as_letters_and_no_others(kind: str, tmp_path: Path) -> None:
    answer = made.whole(tmp_path, kind, made.end_tokenizer())
    tokenizer, _ = adapt_tokenizer("some", answer.model, answer.tokenizer, shared=True)
    texts = ["good film", "a </s> film", "bad [UNK] plot", "</s> </s>", "great"]
    plain = answer.tokenizer(texts)["input_ids"]
    letters = answer.tokenizer(texts, split_special_tokens=True)["input_ids"]
    encoded = encode(tokenizer, [texts], np.arange(5), max_length=64)
    rows = [row.tolist() for row in np.split(encoded.ids, encoded.offsets[1:-1])]
    assert rows == [plain[0], letters[1], plain[2], letters[3], plain[4]]
    assert [row.count(3) for row in rows] == [1] * 5
    assert encoded.labels.tolist() == [0, 1, 2, 3, 4]
    # a text that is cut before its end token, and one that is longer as letters
    cut = encode(tokenizer, [["good bad </s>", "good"]], max_length=4)
    assert cut.truncated == 1
    assert encode(answer.tokenizer, [texts], max_length=64).ids.tolist() == [token for row in plain for token in row]
    stubborn, _ = adapt_tokenizer("some", answer.model, answer.tokenizer, shared=True)
    stubborn.never_in_text = frozenset((5,))
    word = stubborn.convert_ids_to_tokens(5)
    with pytest.raises(UserError, match=f"'a {word}' holds {word}, in whose place"):
        encode(stubborn, [["film", f"a {word}"]], max_length=64)


@pytest.mark.parametrize(
    ("kind", "limit"), [("bert", 64), ("roberta", 65), ("camembert", 65), ("mpnet", 64), ("bart", 64), ("gpt2", 128)]
)
def test_positions_are_counted_as_the_model_counts_them(kind: str, limit: int) -> None:
    model, tokenizer = made.classifier(kind), made.tokenizer(kind)
    tokenizer.model_max_length = 10_000
    check_max_length(model, tokenizer, limit)
    with pytest.raises(UserError, match=rf"{limit + 1} tokens is more than this model can read \({limit}\)"):
        check_max_length(model, tokenizer, limit + 1)
    # and so many it reads
    ids = torch.full((1, limit), 9)
    ids[0, -1] = 3  # BART reads at the end token
    with torch.no_grad():
        assert torch.isfinite(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits).all()


def test_what_does_not_answer_a_row_is_one_sentence(tmp_path: Path) -> None:
    tiny.save(tmp_path / "model")
    rows = examples_from_frame(pd.DataFrame({"text": ["good film", "bad"], "label": [1, 0]}), TASK, "dev")
    loaded = open_classifier(tmp_path / "model", labels=LABELS, keep_head=True)
    assert try_rows(loaded, (rows,), 32, finite=True) == []
    assert try_rows(loaded, (rows.take([]),), 32, finite=True) == []
    loaded.model.config.num_labels = 5
    with pytest.raises(UserError, match=r"gives logits of shape \(1, 2\) for one row, not \(1, 5\)"):
        try_rows(loaded, (rows,), 32, finite=True)
    loaded.model.config.num_labels = 2
    loaded.model.classifier.bias.data[0] = float("inf")
    assert try_rows(loaded, (rows,), 32, finite=False) == []
    with pytest.raises(UserError, match="no finite logits for the longest row"):
        try_rows(loaded, (rows,), 32, finite=True)
    loaded.model.bert.embeddings.word_embeddings = torch.nn.Embedding(4, 32)
    with pytest.raises(UserError, match="cannot read the longest row: "):
        try_rows(loaded, (rows,), 32, finite=False)


def test_a_folder_is_looked_at_without_torch(tmp_path: Path) -> None:
    made.adapter(tmp_path / "adapter")
    code = (
        "import sys; from robusteval.models.catalogue import check_name; from robusteval.errors import UserError\n"
        f"try: check_name({str(tmp_path / 'adapter')!r})\n"
        "except UserError as error: print('merge_and_unload' in str(error), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"


def test_a_hub_revision_reaches_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"text": ["good", "bad"], "label": [1, 0]})
    for call in (robusteval.evaluate, robusteval.attack):
        with pytest.raises(UserError, match=r"'someone/unheard-of' \(revision 'v2'\) is not in the local cache"):
            call("someone/unheard-of", TASK, dataset=frame, model_revision="v2")


def test_wrapped_weights_give_the_same_run_and_hash_of_their_own(tmp_path: Path) -> None:
    made.whole(tmp_path / "plain")
    made.under("module.")(tmp_path / "wrapped")
    plain, wrapped = (load_model(str(tmp_path / name), labels=("a", "b", "c"), seed=3) for name in ("plain", "wrapped"))
    for key, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, wrapped.model.state_dict()[key]), key
    assert plain.sha256 != wrapped.sha256
