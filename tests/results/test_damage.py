"""Damaged and foreign files on disk: started anew or refused in one sentence, never a wrong result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from robusteval.errors import UserError
from robusteval.methods.compose import build_method
from robusteval.results.asked import check_folder, keep_asked
from robusteval.results.store import RunFolder
from robusteval.settings.runs import MethodConfig
from robusteval.settings.spec import ExperimentSpec, to_text
from robusteval.settings.train import TrainConfig
from robusteval.storage.files import append_lines
from robusteval.storage.reading import read_lines
from robusteval.training.state import load_state, save_state
from robusteval.training.trainer import train
from support import tiny


def fit(folder: Path, *, seed: int = 0, stop_at: int | None = None, method: str = "vanilla") -> Any:
    built = build_method(MethodConfig.parse(method))

    def stop(step: int) -> None:
        if step == stop_at:
            raise KeyboardInterrupt

    if stop_at is not None:
        built.after_step = stop  # type: ignore[method-assign]
    loaded = tiny.loaded()
    config = TrainConfig(max_steps=5, batch_size=8, learning_rate=1e-3)
    train(
        loaded, tiny.encoded(24), config, built, seed=seed, device=torch.device("cpu"), folder=folder,
        checkpoint_seconds=0, quiet=True,
    )  # fmt: skip
    return loaded.model.state_dict()


def test_a_damaged_state_is_set_aside_and_training_starts_anew(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", stop_at=3)
    state = tmp_path / "cut" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    again = fit(tmp_path / "cut")
    assert all(torch.equal(again[name], whole[name]) for name in whole)
    assert (tmp_path / "cut" / "state.damaged").exists()
    assert [line["step"] for line in read_lines(tmp_path / "cut" / "train.jsonl")] == list(range(5))


@pytest.mark.parametrize("other", [{"seed": 1}, {"method": "rdrop"}])
def test_the_state_of_another_training_is_refused(other: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, stop_at=3)
    with pytest.raises(UserError, match="belongs to a training with another model, data, settings, method or seed"):
        fit(tmp_path, **other)


def test_a_state_that_lacks_what_this_version_keeps_is_told(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole", method="tdt")
    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        fit(cut, method="tdt", stop_at=3)
    state = load_state(cut / "state.safetensors")
    lost = [name for name in state["method"]["modules"] if "start_" in name]
    assert lost
    for name in lost:
        del state["method"]["modules"][name]
    save_state(cut / "state.safetensors", state)
    with pytest.raises(UserError, match=r"another version and does not fit this one \(.*\); delete the file to start"):
        fit(cut, method="tdt")
    # what the sentence says helps
    (cut / "state.safetensors").unlink()
    again = fit(cut, method="tdt")
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_memory_that_runs_out_while_a_state_is_loaded_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, stop_at=3)

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.Optimizer, "load_state_dict", full)
    with pytest.raises(torch.OutOfMemoryError):
        fit(tmp_path)


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\nnot json\n{"a": 2}\n')
    with pytest.raises(UserError, match=r"rows\.jsonl: line 2 is not JSON"):
        read_lines(path)


def test_stages_that_are_taken_back_count_no_longer(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    append_lines(folder.rows_path, [{"stage": "train"}, {"stage": "clean"}, {"stage": "attack/pwws"}])
    lines = folder.path / "attacks" / "pwws.jsonl"
    lines.parent.mkdir()
    lines.touch()
    folder.finish(keep_model=True)
    assert folder.done and folder.holds({"clean": {}, "attack/pwws": {}}) and not folder.holds({"mask": {}})
    folder.reopen("clean", "mask")
    assert folder.stages() == {"train", "attack/pwws"} and not folder.done
    folder.forget_attack("clean")
    assert lines.exists()
    folder.forget_attack("attack/pwws")
    assert not lines.exists()


def test_output_folders_that_cannot_be_used(tmp_path: Path) -> None:
    spec = ExperimentSpec()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "experiment.yaml").write_text("- 1\n")
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes" / "experiment.yaml").write_bytes(b"\xff\xfe\x00x")
    for place, message in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "below", "is a file"),
        (tmp_path / "list", "is no mapping of fields"),
        (tmp_path / "bytes", "is not readable as YAML"),
        (tmp_path, "is not empty and holds no experiment"),
    ):
        with pytest.raises(UserError, match=message):
            check_folder(place)
    keep_asked(tmp_path / "new" / "deep", spec, [])
    assert (tmp_path / "new" / "deep" / "experiment.yaml").read_text() == to_text(spec)
    assert check_folder(tmp_path / "new" / "deep") == spec
