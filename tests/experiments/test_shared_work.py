"""What runs share is made once, named in the plan, and every number is what it is where each makes its own."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM

from robusteval.experiments.engine import run_jobs
from robusteval.experiments.plan import Plan, make_plan
from robusteval.methods.base import Shared, made_here
from robusteval.methods.childtuning import ChildD
from robusteval.methods.compose import build_method
from robusteval.methods.post_training import PostTraining
from robusteval.models.hashes import weights_sha256
from robusteval.models.loading import load_model
from robusteval.pipeline.common import Common
from robusteval.settings.codec import from_dict
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.storage.claims import claimed
from robusteval.training.trainer import train
from support import tiny
from support.fitting import differing
from support.small_experiment import options, own_rows, written_spec

SMALL = {"max_steps": 2, "batch_size": 8, "learning_rate": 1e-3}
COMBINED = "post-training:steps=2:rate=1e-3"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A masked-language model, which has no pooler of its own, and rows."""
    place = tmp_path_factory.mktemp("shared")
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(tiny.CONFIGS["bert"]()).save_pretrained(place / "mlm")
    tiny.tokenizer("bert").save_pretrained(place / "mlm")
    return {"models": str(place / "mlm"), "data": own_rows(place, 24, 8)}


def planned(files: dict[str, Any], methods: str, seeds: int = 1, **more: Any) -> Plan:
    asked = written_spec(files, **{"methods": methods, "seeds": seeds, **more})
    return make_plan(asked, options(Path("never-made")))


def trained(
    text: str, folder: Path, common: Common | None, *, flip: bool = False, seed: int = 0, **settings: Any
) -> dict[str, Any]:
    """The weights after two steps. flip: with other labels."""
    loaded = load_model(str(folder), labels=("bad", "good"), seed=seed, dropout=0.1)
    encoded = tiny.encoded(24)
    column = MethodConfig.parse(text)
    method = build_method(column)
    method.once = common.once if common else made_here
    train(
        loaded, dataclasses.replace(encoded, labels=1 - encoded.labels) if flip else encoded,
        from_dict(TrainConfig, {**SMALL, **column.train, **settings}), method,
        seed=seed, device=torch.device("cpu"), quiet=True,
    )  # fmt: skip
    return dict(loaded.model.state_dict())


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is made, as it is made."""
    made: list[str] = []
    for kind, name in ((PostTraining, "_make"), (ChildD, "_measure")):
        before = getattr(kind, name)

        def count(self: Any, *given: Any, before: Any = before) -> Any:
            made.append(self.name)
            return before(self, *given)

        monkeypatch.setattr(kind, name, count)
    return made


@pytest.mark.parametrize(
    ("first", "second", "flip", "times"),
    [
        (COMBINED, f"{COMBINED}+rdrop", False, 1),
        (COMBINED, COMBINED, True, 1),  # words are masked whatever the labels are
        (COMBINED, f"{COMBINED}+top-k:layers=1", False, 1),
        (COMBINED, f"top-k:layers=1+{COMBINED}", False, 2),  # other weights are frozen
        (COMBINED, f"noisytune+{COMBINED}", False, 2),  # other weights to begin with
        ("child-d:p=0.2", "child-d:p=0.5:decay_masked=true", False, 1),
        ("child-d", "child-d", True, 2),
    ],
)
def test_weights_are_the_same_bit_for_bit(
    files: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    first: str, second: str, flip: bool, times: int,
) -> None:  # fmt: skip
    model, made = Path(files["models"]), counted(monkeypatch)
    common = Common(tmp_path, ("post-training", "fisher"), "cpu")
    before = trained(first, model, common)
    found = trained(second, model, common, flip=flip)
    assert len(made) == times and len(list(tmp_path.iterdir())) == times
    alone = trained(second, model, None, flip=flip)
    assert not differing(found, alone) and differing(found, before)


def test_one_checkpoint_for_all_seeds(files: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head drawn by the run's seed on weights that do not depend on it: those that the run of that seed makes."""
    model, made = Path(files["models"]), counted(monkeypatch)
    common = Common(tmp_path, ("post-training",), "cpu")

    def encoder(text: str, seed: int, **given: Any) -> dict[str, Any]:
        held = trained(text, model, common, seed=seed, learning_rate=0.0, **given)
        return {name: weight for name, weight in held.items() if "embeddings" in name or "layer" in name}

    own = encoder(COMBINED, 1)
    assert not differing(encoder(f"{COMBINED}:seed=1", 1), own)
    assert not differing(encoder(f"{COMBINED}:seed=1", 0), own)
    assert len(made) == 2
    assert differing(encoder(COMBINED, 0), own)


def test_runs_of_a_plan_take_what_another_made(
    files: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, made = planned(files, f"{COMBINED},{COMBINED}+rdrop"), counted(monkeypatch)
    assert all(job.shared == ("post-training",) for job in plan.jobs)
    assert not run_jobs(plan.jobs, options(tmp_path / "shared"), lambda *_: None)
    assert len(made) == 1
    last = dataclasses.replace(plan.jobs[1], shared=())
    assert not run_jobs([last], options(tmp_path / "alone"), lambda *_: None)
    assert len(made) == 2 and not (tmp_path / "alone" / "shared").exists()
    found, alone = (last.folder(tmp_path / name).model for name in ("shared", "alone"))
    assert weights_sha256(found) == weights_sha256(alone)


@pytest.mark.parametrize(
    ("methods", "more", "times", "runs"),
    [
        (f"{COMBINED},{COMBINED}+rdrop", {}, 2, 4),
        (f"{COMBINED}:seed=1,{COMBINED}:seed=1+rdrop", {}, 1, 4),
        (COMBINED, {"scenarios": "none,label-noise:rate=0.5"}, 2, 4),
        ("child-d:p=0.2/0.5", {}, 2, 4),
    ],
)
def test_the_plan_names_what_is_shared(
    files: dict[str, Any], methods: str, more: dict[str, Any], times: int, runs: int
) -> None:
    plan = planned(files, methods, 2, **more)
    assert all(job.shared for job in plan.jobs)
    told = plan.shared[0]
    what = "fisher" if "child-d" in methods else "post-training"
    assert told.startswith(f"done {'once' if times == 1 else '2 times'}: {what} on the rows of my-data (")
    assert told.endswith(f"for {runs} runs")


@pytest.mark.parametrize(
    ("methods", "more"),
    [
        (COMBINED, {}),  # masks and order of each seed
        ("child-d", {}),  # the head of each seed
        (f"{COMBINED},noisytune+{COMBINED}", {"seeds": 1}),  # other weights to begin with
        (f"{COMBINED},{COMBINED}:batch_size=4", {"seeds": 1}),
        ("child-d", {"seeds": 1, "scenarios": "none,label-noise:rate=0.5"}),  # other labels
        ("post-training:steps=0,post-training:steps=0+rdrop", {"seeds": 1}),  # nothing to be made
    ],
)
def test_what_differs_is_not_shared(files: dict[str, Any], methods: str, more: dict[str, Any]) -> None:
    plan = planned(files, methods, **{"seeds": 2, **more})
    assert len(plan.jobs) == 2 and not any(job.shared for job in plan.jobs)
    assert not any("post-training" in told or "fisher" in told for told in plan.shared)


def test_tokenised_rows_are_named_where_they_are_the_same(files: dict[str, Any]) -> None:
    (told,) = planned(files, "vanilla,rdrop", 2).shared
    assert told.startswith("done once in each process: tokenised training rows of ") and told.endswith("for 4 runs")
    assert planned(files, "vanilla", 2, scenarios="label-noise:rate=0.5").shared == ()
    (told,) = planned(files, "vanilla,rdrop", 2, scenarios="label-noise:rate=0.5").shared
    assert told.startswith("done 2 times in each process")


def test_what_is_removed_or_damaged_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    common, thing = Common(tmp_path, ("thing",), "cpu"), Shared("thing", {}, {}, 0, labels=False)
    held = common.once(thing, list, lambda: {"weight": torch.ones(8)})
    (place,) = tmp_path.iterdir()
    whole = (place / "made.safetensors").read_bytes()
    (place / "made.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert common.once(thing, list, lambda: "anew") == "anew"
    assert caplog.text.count("is damaged") == 1
    assert common.once(thing, list, lambda: held) == "anew"
    shutil.rmtree(place)
    assert common.once(thing, list, lambda: "once more") == "once more"


def test_another_process_that_makes_it_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    thing, begun, finish, found = Shared("thing", {}, {}, 0, labels=False), threading.Event(), threading.Event(), []
    common = Common(tmp_path, ("thing",), "cpu")

    def slow() -> str:
        begun.set()
        assert finish.wait(20)
        return "made by the first"

    first = threading.Thread(target=lambda: found.append(common.once(thing, list, slow)))
    first.start()
    assert begun.wait(20)
    second = threading.Thread(target=lambda: found.append(common.once(thing, list, lambda: "made twice")))
    second.start()
    while "is waited for" not in caplog.text:
        assert second.is_alive()
    finish.set()
    first.join()
    second.join()
    assert found == ["made by the first"] * 2


def test_what_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    common, thing = Common(tmp_path, ("thing",), "cpu"), Shared("thing", {}, {}, 0, labels=False)
    with pytest.raises(RuntimeError, match="killed"):
        common.once(thing, list, lambda: (_ for _ in ()).throw(RuntimeError("killed")))
    assert common.once(thing, list, lambda: "made") == "made"
    assert common.once(thing, list, lambda: "again") == "made"
    assert common.once(thing, lambda: ["other"], lambda: "other") == "other"
    (place,) = (each for each in tmp_path.iterdir() if '"other"' not in (each / "made-from.json").read_text())
    with claimed(place):  # what is there is read without asking
        assert common.once(thing, list, lambda: "again") == "made"
