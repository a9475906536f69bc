"""Two processes on gloo that train one model, against one process with the same global batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robusteval.cli import app as command_line
from robusteval.errors import UserError
from robusteval.methods.base import Part
from robusteval.pipeline import followers
from robusteval.runtime.environment import differences
from robusteval.runtime.launch import check_launch, launched, place
from robusteval.storage.reading import read_lines
from robusteval.training.distributed import ENDED
from support import two_processes as two
from support.fitting import fit


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distributed")
    both = two.start(folder)
    two.all_methods(folder / "one")
    two.fitted("match", folder / "one" / "apart", rows=40, max_steps=4, accumulation=2)
    for each in both:
        each.join()
    return folder


@pytest.fixture(scope="module")
def said(done: Path) -> list[dict[str, Any]]:
    return [json.loads((done / f"said-{rank}.json").read_text()) for rank in range(2)]


def losses(done: Path, name: str) -> list[list[float]]:
    return [[line["loss"] for line in read_lines(done / side / name / "train.jsonl")] for side in ("one", "two")]


@pytest.mark.parametrize("number", range(len(two.TWENTY)), ids=two.TWENTY)
def test_twenty_losses_are_those_of_one_process(done: Path, number: int) -> None:
    one, both = losses(done, f"twenty-{number}")
    assert len(one) == 20
    np.testing.assert_allclose(both, one, rtol=1e-5)


def test_methods_that_couple_or_draw_are_those_of_one_process(done: Path) -> None:
    names = two.COUPLED + two.DRAWN + two.WEIGHED
    for number, text in enumerate(names):
        one, both = losses(done, f"short-{number}")
        np.testing.assert_allclose(both, one, rtol=1e-5, err_msg=text)


def test_accumulation_and_uneven_micro_batches(done: Path) -> None:
    for text in ("bidrop", "groupdro"):
        one, both = losses(done, f"accumulated-{text}")
        np.testing.assert_allclose(both, one, rtol=1e-5, err_msg=text)


def test_match_without_gathering_matches_within_each_process(done: Path) -> None:
    """As one process does within micro-batches of half the size; gathered is another method."""
    halves, both = losses(done, "apart")
    np.testing.assert_allclose(both, halves, rtol=1e-5)
    whole = losses(done, f"twenty-{two.TWENTY.index('match')}")[1][: len(both)]
    assert max(abs(np.subtract(whole, both))) > 1e-3


def test_gradient_norm_and_the_methods_own_numbers_are_those_of_the_batch(done: Path) -> None:
    sides = [read_lines(done / side / f"twenty-{two.TWENTY.index('match')}" / "train.jsonl") for side in ("one", "two")]
    for key in ("grad_norm", "mass_self", "mass_same", "lr"):
        one, both = ([line[key] for line in lines] for lines in sides)
        np.testing.assert_allclose(both, one, rtol=1e-4, err_msg=key)


def test_asked_in_one_process_both_stop_and_go_on_exactly(done: Path, said: list[dict[str, Any]]) -> None:
    for each in said:
        assert each["resumed"]["stopped"] and each["resumed"]["saved"] == 4
        assert each["resumed"]["differing"] == []
    assert said[0]["resumed"]["sum"] == said[1]["resumed"]["sum"]
    logs = [read_lines(done / name / "train.jsonl") for name in ("whole", "parts")]
    timeless = [[{k: v for k, v in line.items() if k != "seconds"} for line in log] for log in logs]
    assert timeless[0] == timeless[1] and len(timeless[0]) == 7


def test_a_state_of_two_processes_is_for_two(done: Path) -> None:
    with pytest.raises(UserError, match="a training of 2 processes, not of 1; start as many"):
        fit("tdt:margin=2+pats", folder=done / "whole", max_steps=7)


def test_errors_of_one_process_are_told_to_all(said: list[dict[str, Any]]) -> None:
    for rank, each in enumerate(said):
        assert each["alone"] == "UserError: alone: it counts its rows itself; train with one process"
        assert each["breaking"] == ("ValueError: no room" if rank else "UserError: process 1: ValueError: no room")
        assert "train.jsonl" in each["unwritable"]
        assert "no longer hold the same weights" in each["drifting"]
    assert said[0]["lost"] == f"UserError: {ENDED}"


def test_the_others_follow_what_the_first_does(done: Path, said: list[dict[str, Any]]) -> None:
    assert said[0]["command"] in (0, 1)
    assert said[1]["command"] == 0
    assert len(read_lines(done / "out" / "train.jsonl")) == 2


def test_parts_of_a_micro_batch() -> None:
    parts = [Part((2, 1, 1, 0), rank) for rank in range(4)]
    assert [list(range(4))[part.rows] for part in parts] == [[0, 1], [2], [3], [3]]
    assert [part.share for part in parts] == [0.5, 0.25, 0.25, 0.0]


def test_how_many_processes_trained_is_told() -> None:
    found = differences({"a": [{"hardware": {"processes": 2}}], "b": [{"hardware": {}}]})
    assert found == ["not all measured with the same number of processes: 2 (a), 1 (b)"]


def test_what_cannot_be_launched_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert launched() == 1
    check_launch("cuda:1", workers=3)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (launched(), place()) == (2, 1)
    with pytest.raises(UserError, match="workers: 3 cannot go with 2 processes"):
        check_launch("auto", workers=3)
    with pytest.raises(UserError, match="engine: 'ray' cannot go with 2 processes"):
        check_launch("auto", engine="ray")
    with pytest.raises(UserError, match="device: 'cuda:1' cannot go with 2 processes"):
        check_launch("cuda:1")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match="launch: FSDP"):
        check_launch("cuda")
    monkeypatch.setattr(followers, "follow", lambda: 7)
    assert command_line._command() == 7
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UserError, match="WORLD_SIZE: 'two'"):
        launched()
