"""Errors, registry, files, seeds, configuration."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from robusteval.errors import UserError, unknown_name
from robusteval.experiments.grid import expand
from robusteval.registry import Registry
from robusteval.runtime import memory
from robusteval.runtime.seeds import derive
from robusteval.settings.attack import AttackConfig
from robusteval.settings.codec import from_dict, to_dict
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import MethodConfig, RunSpec
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.train import TrainConfig
from robusteval.storage.files import append_lines, write_atomic
from robusteval.storage.reading import read_lines


def test_unknown_names_offer_the_nearest() -> None:
    registry: Registry[object] = Registry("method")
    registry.add("match", "json:loads", "a method")
    assert registry["match"] is json.loads
    with pytest.raises(UserError, match=r"method: unknown name 'mach'; did you mean 'match'"):
        registry["mach"]
    with pytest.raises(ValueError, match="registered twice"):
        registry.add("match", "json:dumps", "again")
    assert "valid names: a, b" in str(unknown_name("x", "zzzzzz", ["b", "a"]))


def test_torn_lines_are_dropped_and_mended(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    append_lines(path, [{"a": 1}, {"a": "line\u2028separator"}])
    with open(path, "ab") as handle:
        handle.write(b'{"a": 3')
    assert read_lines(path) == [{"a": 1}, {"a": "line\u2028separator"}]
    append_lines(path, [{"a": 4}])
    assert [line["a"] for line in read_lines(path)] == [1, "line\u2028separator", 4]
    # a torn line longer than one block of the backward search
    with open(path, "ab") as handle:
        handle.write(b"x" * 10_000)
    append_lines(path, [{"a": 5}])
    assert [line["a"] for line in read_lines(path)][-2:] == [4, 5]
    empty = tmp_path / "torn.jsonl"
    empty.write_bytes(b'{"a"')
    append_lines(empty, [{"a": 1}])
    assert read_lines(empty) == [{"a": 1}]


def test_atomic_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    write_atomic(tmp_path / "deep" / "file.txt", "one")
    write_atomic(tmp_path / "deep" / "file.txt", "two")
    assert [(p.name, p.read_text()) for p in (tmp_path / "deep").iterdir()] == [("file.txt", "two")]


def test_streams_of_a_seed_differ_and_are_stable() -> None:
    assert derive(0, "order", 1) == derive(0, "order", 1)
    assert len({derive(seed, name) for seed in range(50) for name in ("order", "dropout", "head")}) == 150
    # by hand: the first 8 bytes of sha256("0/order"), shifted by one bit
    assert derive(0, "order") == 0x91374D56F0AE015B >> 1


SPEC = ExperimentSpec.read(
    {
        "tasks": "sst2",
        "methods": ["vanilla", "match:temperature=2:eval=batch:learning_rate=5e-5"],
        "seeds": "0,3",
        "data": {"data_dir": "/somewhere", "train_limit": 100},
        "train": {"learning_rate": 1e-4, "max_steps": 5},
        "evaluation": {"rates": 0.25},
        "attack": {"recipes": []},
    }
)


def test_runs_cover_every_pair_and_take_the_methods_training_settings() -> None:
    runs = expand(SPEC)
    assert [(run.method.label.split(":")[0], run.seed) for run in runs] == [
        ("vanilla", 0), ("match", 0), ("vanilla", 3), ("match", 3),
    ]  # fmt: skip
    assert [run.train.learning_rate for run in runs[:2]] == [1e-4, 5e-5]
    assert runs[1].method.parts == (("match", {"temperature": 2, "eval": "batch"}),)
    assert runs[0].evaluation.rates == (0.25,) and runs[0].attack.recipes == ()


def test_run_names_cover_everything_but_the_place_of_the_data() -> None:
    run = expand(SPEC)[0]
    assert run.name(data="x") == run.name(data="x")
    assert run.name(data="x") != run.name(data="y")
    assert run.name(data="x").startswith("sst2.vanilla.none.s0.")
    moved = from_dict(RunSpec, {**to_dict(run), "data": {**to_dict(run)["data"], "data_dir": "/elsewhere"}})
    assert moved.name(data="x") == run.name(data="x")
    slower = from_dict(RunSpec, {**to_dict(run), "train": {**to_dict(run)["train"], "clip_norm": 0.5}})
    assert slower.name(data="x") != run.name(data="x")
    assert "/" not in expand(SPEC)[1].name() and ":" not in expand(SPEC)[1].name()


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (TrainConfig, {"epoch": 3}, "unknown name 'epoch'; did you mean 'epochs'"),
        (TrainConfig, {"optimizer": "adam"}, "optimizer: unknown name 'adam'; did you mean 'adamw'"),
        (TrainConfig, {"learning_rate": -1}, "learning_rate: -1.0 is out of range; it must be >= 0"),
        (TrainConfig, {"learning_rate": float("nan")}, "learning_rate: nan is out of range"),
        (TrainConfig, {"epochs": 0}, "epochs: 0.0 is out of range; it must be > 0"),
        (TrainConfig, {"batch_size": "many"}, "batch_size: 'many' is not a valid int"),
        (TrainConfig, {"batch_size": True}, "batch_size: True is not a valid int"),
        (TrainConfig, {"accumulation": 32}, "accumulation: 32 is out of range; it must be >= 1 and <= 16"),
        (EvalConfig, {"rates": [0.1, 1.5]}, "rates: 1.5 is out of range; it must be >= 0 and <= 1"),
        (AttackConfig, {"examples": 0}, "attack_examples: 0 is out of range"),
        (RunSpec, {"train": {"warmup": 2}}, "warmup: 2.0 is out of range"),
        (ExperimentSpec, {"seeds": [1, 1]}, "seeds: 1 is given twice"),
        (ExperimentSpec, {"seeds": []}, "seeds: none given"),
    ],
)
def test_bad_values_name_field_and_value(kind: type, values: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        from_dict(kind, values)
    assert message in str(error.value)


def test_method_text_must_be_key_value() -> None:
    with pytest.raises(UserError, match="'temperature' in 'match:temperature' is not key=value"):
        MethodConfig.parse("match:temperature")


def test_importing_the_package_imports_no_heavy_library() -> None:
    code = (
        "import robusteval, robusteval.settings.runs, sys\n"
        "print([m for m in ('torch', 'textattack') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told to give memory back")
def test_a_peak_counts_nothing_of_earlier_work() -> None:
    device = torch.device("cpu")
    memory.release()
    memory.reset_peak(device)
    before = memory.peak_bytes(device)
    for _ in range(2):  # after the first round such blocks come from the heap, which shrinks only from its end
        blocks = [torch.zeros(20_000) for _ in range(4000)]
        last = torch.zeros(20_000)
        del blocks
    assert memory.peak_bytes(device) > before + 250 * 2**20
    memory.release()
    memory.reset_peak(device)
    assert memory.peak_bytes(device) < before + 50 * 2**20, last.shape
