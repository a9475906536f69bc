"""Transfers by label name, the averages of the papers, and the suites on rows that are there or not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject
from robusteval.evaluation.ood import AdvGlue, OutOfDomain, advglue_average, class_map, relabel
from robusteval.evaluation.predict import Predictor
from robusteval.experiments.plan import Plan, make_plan, start
from robusteval.results.rows import Note
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.grammar import parse_parts
from robusteval.settings.runs import RunSpec
from robusteval.settings.work import WorkConfig
from robusteval.tasks import TASKS
from robusteval.tasks.base import Task, Transfer
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.load import TaskData, load_evaluation, load_split, load_task, load_transfer
from robusteval.tasks.sources import RowsMissing
from support import tiny
from support.specs import spec_of

MNLI, QQP, OCNLI, CMNLI = (TASKS[name] for name in ("mnli", "qqp", "ocnli", "cmnli"))
TO_QQP = next(transfer.labels for transfer in MNLI.transfers if transfer.task == "qqp")


def test_classes_are_mapped_by_name() -> None:
    assert class_map(MNLI, TASKS["snli"], {}).tolist() == [0, 1, 2]
    # the same names in another order
    assert class_map(MNLI, CMNLI, {}).tolist() == [1, 0, 2]
    assert class_map(MNLI, QQP, TO_QQP).tolist() == [1, 0, 0]
    bustm = next(transfer for transfer in OCNLI.transfers if transfer.task == "fewclue-bustm")
    assert class_map(OCNLI, TASKS["fewclue-bustm"], bustm.labels).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("own", "target", "labels"),
    [
        (MNLI, QQP, {}),
        (TASKS["rte"], MNLI, {}),
        (MNLI, QQP, {"entailment": "duplicate"}),
        (MNLI, QQP, {**TO_QQP, "neutral": "no_duplicate"}),
        (MNLI, QQP, dict.fromkeys(MNLI.labels, "duplicate")),
        (TASKS["stsb"], TASKS["stsb"], {}),
    ],
)
def test_what_cannot_be_mapped_is_refused(own: Task, target: Task, labels: dict[str, str]) -> None:
    with pytest.raises(UserError) as error:
        class_map(own, target, labels)
    for task in (own, target):
        assert f"'{task.name}' ({', '.join(task.labels) or 'a score'})" in str(error.value)


def test_three_classes_become_two_by_hand() -> None:
    logits = np.log(np.asarray([[0.4, 0.3, 0.3], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], np.float32))
    classes = np.asarray([1, 0, 0])
    np.testing.assert_allclose(np.exp(relabel(logits, classes)), [[0.3, 0.4], [0.7, 0.2], [0.3, 0.6]], rtol=1e-6)
    summed = np.exp(relabel(logits, classes, "sum"))
    np.testing.assert_allclose(summed, [[0.6, 0.4], [0.8, 0.2], [0.4, 0.6]], rtol=1e-6)


def test_the_prediction_is_the_old_one_renamed() -> None:
    logits = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    for classes in ([1, 0, 0], [1, 0, 2], [0, 1, 0]):
        renamed = np.asarray(classes)[logits.argmax(1)]
        assert np.array_equal(relabel(logits, np.asarray(classes)).argmax(1), renamed)


def write(folder: Path, place: str, columns: tuple[str, ...], count: int, classes: int, seed: int) -> None:
    path = folder / f"{place}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {column: tiny.sentences(count, seed=seed + n)[0] for n, column in enumerate(columns)}
    labels = np.random.default_rng(seed).integers(0, classes, count)
    pd.DataFrame({**texts, "label": labels}).to_parquet(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rows for everything MNLI is tested on, the mismatched set under the name of a sample."""
    pair = ("premise", "hypothesis")
    write(tmp_path, "glue/mnli/validation_matched", pair, 20, 3, 0)
    write(tmp_path, "glue/mnli/validation_mismatched_1k", pair, 24, 3, 2)
    write(tmp_path, "snli/snli/validation", pair, 28, 3, 4)
    write(tmp_path, "snli/snli/test", pair, 18, 3, 5)
    write(tmp_path, "sick/sick/validation", ("sentence_A", "sentence_B"), 16, 3, 6)
    write(tmp_path, "glue/qqp/validation", ("question1", "question2"), 30, 2, 8)
    write(tmp_path, "adv_glue/adv_mnli/validation", pair, 12, 3, 10)
    write(tmp_path, "adv_glue/adv_mnli_mismatched/validation", pair, 14, 3, 12)
    write(tmp_path, "adv_glue/adv_qqp/validation", ("question1", "question2"), 16, 2, 14)
    return tmp_path


def subject(folder: Path, task: str = "mnli", **more: Any) -> Subject:
    data = load_evaluation(task, DataConfig(data_dir=str(folder), **more))
    model = tiny.model(num_labels=data.task.num_labels)
    return Subject(Predictor(model, tiny.tokenizer(), 32), data, EvalConfig())


def suite(text: str = "ood") -> OutOfDomain:
    ((name, values),) = parse_parts(text, "suites")
    built = OutOfDomain.configure(name, values)
    assert isinstance(built, OutOfDomain)
    return built


def run(built: Any, tested: Subject) -> dict[str, Measurement]:
    return {item.value: item for item in built.run(tested)}


MISMATCHED = "ood:splits=mnli_mismatched=validation_mismatched_1k"


def test_every_transfer_is_measured_and_the_average_is_the_papers(folder: Path) -> None:
    tested, built = subject(folder), suite(MISMATCHED)
    assert built.check(tested.data, tiny.tokenizer(), tested.config) == []
    found = run(built, tested)
    assert list(found) == ["mnli", "mnli_mismatched", "snli", "sick", "qqp", "average"]
    assert [item.n for item in found.values()] == [20, 24, 28, 16, 30, 24 + 28 + 16]
    assert found["mnli_mismatched"].split == "validation_mismatched_1k"
    assert (found["mnli"].in_domain, found["mnli"].notes) == (True, ())
    assert not found["snli"].notes and not found["snli"].in_domain
    assert set(found["qqp"].metrics) == {"accuracy", "f1"}
    # the average leaves out the in-domain set, and QQP, which has other classes
    three = [found[name].metrics["accuracy"] for name in ("mnli_mismatched", "snli", "sick")]
    assert found["average"].metrics == {"accuracy": pytest.approx(np.mean(three))}
    said = "mean of the out-of-domain sets with the task's own classes (mnli_mismatched, snli, sick)"
    assert found["average"].notes == (Note(said, "test"),)
    frame = found["snli"].frame
    assert frame is not None
    assert frame.iloc[0][["set", "split", "rows", "origin"]].tolist() == ["snli", "validation", 28, "folder"]
    assert len(frame.iloc[0]["fingerprint"]) == 64


def test_bi_drop_averages_its_own_columns() -> None:
    """Table 4, vanilla: which columns the paper's average is over follows from its numbers."""
    published = {
        "mnli": ({"mnli": 75.78, "mnli_mismatched": 77.31, "snli": 70.87, "sick": 53.27}, 67.15),
        "snli": ({"mnli": 64.53, "mnli_mismatched": 66.11, "snli": 83.37, "sick": 52.59}, 61.08),
    }
    for name, (columns, average) in published.items():
        counted = [t.task for t in TASKS[name].transfers if not t.in_domain and not t.labels]
        assert np.mean([columns[each] for each in counted]) == pytest.approx(average, abs=0.006)


def test_predictions_are_recorded_in_the_targets_classes(folder: Path) -> None:
    tested = subject(folder)
    kept: dict[str, Any] = {}
    tested.record = lambda name, value, number, predictions: kept.update({value: predictions})
    found = run(suite(), tested)
    assert kept["qqp"].logits.shape == (30, 2)
    # computed from scratch: argmax over three classes, then renamed
    rows = pd.read_parquet(folder / "glue/qqp/validation.parquet")
    texts = list(zip(rows["question1"], rows["question2"], strict=True))
    predicted = np.asarray([1, 0, 0])[tested.predictor.logits(texts).argmax(1)]
    assert found["qqp"].metrics["accuracy"] == pytest.approx(float(np.mean(predicted == rows["label"])))


def test_the_dev_split_is_predicted_once(folder: Path) -> None:
    tested = subject(folder, eval_limit=10)
    before = tested.clean
    calls = tested.predictor.rows
    found = run(suite("ood:only=mnli"), tested)
    assert tested.predictor.rows == calls == 10
    assert found["mnli"].metrics["accuracy"] == float(np.mean(before.argmax(1) == tested.data.dev.labels))


def test_a_missing_split_is_a_notice_and_ends_the_average(folder: Path) -> None:
    tested, built = subject(folder), suite()
    first, second = built.check(tested.data, tiny.tokenizer(), tested.config)
    assert first.startswith("no ood mnli_mismatched: ")
    assert "say ood:splits=mnli_mismatched=validation_mismatched_1k" in first
    assert second == "no ood average: it is over mnli_mismatched, snli, sick, without mnli_mismatched"
    assert list(run(built, tested)) == ["mnli", "snli", "sick", "qqp"]


def test_only_some_sets_and_other_splits(folder: Path) -> None:
    tested, built = subject(folder), suite("ood:only=snli|sick:splits=snli=test")
    assert built.check(tested.data, tiny.tokenizer(), tested.config) == []
    found = run(built, tested)
    assert list(found) == ["snli", "sick", "average"]
    assert (found["snli"].split, found["snli"].n) == ("test", 18)
    both = [found[name].metrics["accuracy"] for name in ("snli", "sick")]
    assert found["average"].metrics == {"accuracy": pytest.approx(np.mean(both))}
    said = "mean of the out-of-domain sets with the task's own classes (snli, sick)"
    assert found["average"].notes == (Note(said, "test"),)


@pytest.mark.parametrize(
    ("only", "names", "notices"),
    [
        ("mnli|snli|qqp", ["mnli", "snli", "qqp"], ["no ood"]),
        ("mnli_mismatched|snli|qqp", ["snli", "qqp"], ["no ood mnli_mismatched", "no ood average"]),
        ("mnli_mismatched|qqp", ["qqp"], ["no ood mnli_mismatched"]),
    ],
)
def test_an_average_needs_two_of_the_chosen_sets(only: str, names: list[str], notices: list[str], folder: Path) -> None:
    tested, built = subject(folder), suite(f"ood:only={only}")
    told = built.check(tested.data, tiny.tokenizer(), tested.config)
    assert [notice.startswith(start) for notice, start in zip(told, notices, strict=False)] == [True] * len(told)
    assert list(run(built, tested)) == names
    if len(told) == 2:
        assert told[1] == "no ood average: it is over mnli_mismatched, snli, without mnli_mismatched"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ood:splits=snli", "suites: 'snli' in ood:splits is not set=split"),
        ("ood:splits=snly=test", "suites: ood:splits: unknown name 'snly'; did you mean 'snli'"),
        ("ood:only=qq", "suites: ood:only: unknown name 'qq'; did you mean 'qqp'"),
        ("ood:splits=snli=tset", "has no split 'tset'; it has test, validation (say ood:splits=snli=test)"),
        ("ood:merge=max", "suites: ood:merge"),
        ("ood:split=x", "unknown name 'split'; did you mean 'splits'"),
    ],
)
def test_mistakes_are_found_before_training(text: str, message: str, folder: Path) -> None:
    tested = subject(folder)
    with pytest.raises(UserError) as error:
        suite(text).check(tested.data, tiny.tokenizer(), tested.config)
    assert message in str(error.value)


def test_wrong_rows_of_a_transfer_are_an_error(folder: Path) -> None:
    rows = pd.read_parquet(folder / "snli/snli/validation.parquet").assign(label=3)
    rows.to_parquet(folder / "snli/snli/validation.parquet")
    tested = subject(folder)
    with pytest.raises(UserError, match="snli validation: column 'label': row 0 holds the label 3"):
        suite().check(tested.data, tiny.tokenizer(), tested.config)


def test_unlabelled_rows_of_a_transfer_are_a_notice(folder: Path) -> None:
    rows = pd.read_parquet(folder / "snli/snli/validation.parquet")
    rows.loc[:3, "label"] = -1
    rows.to_parquet(folder / "snli/snli/validation.parquet")
    tested = subject(folder)
    notices = suite("ood:only=snli").check(tested.data, tiny.tokenizer(), tested.config)
    assert notices == ["snli validation: rows left out because they have no gold label (-1): 4"]


def test_the_tasks_own_out_of_domain_split() -> None:
    texts, labels = tiny.sentences(30)
    task = Task("tiny", "test", ("text",), ("bad", "good"), ("accuracy", "f1"), out_of_domain="other")
    dev = examples_from_frame(pd.DataFrame({"text": texts, "label": labels}), task, "dev")
    data = TaskData(task, dev.take([]), dev, ood=dev.take(range(10)))
    tested = Subject(Predictor(tiny.model(), tiny.tokenizer(), 32), data, EvalConfig())
    found = run(suite(), tested)
    assert (found[""].split, found[""].n) == ("other", 10)
    assert list(found) == [""]
    assert suite().outline(data, EvalConfig()) == "other 10"
    assert suite().facts(data) == {"ood other": dev.take(range(10)).fingerprint}
    bare = TaskData(task, dev.take([]), dev)
    with pytest.raises(UserError, match="'ood' has nothing to test 'tiny' on: no other: its rows are not loaded"):
        suite().check(bare, tiny.tokenizer(), EvalConfig())
    with pytest.raises(UserError, match="ood:only names 'snli', but 'tiny' has no transfers"):
        suite("ood:only=snli").check(data, tiny.tokenizer(), EvalConfig())


@pytest.mark.parametrize(
    ("task", "suites", "message"),
    [
        (
            "sick",
            "ood",
            "on: it declares neither an out-of-domain split nor transfers",
        ),
        ("snli", "ood", "on: no mnli: data_dir: '{0}' has no glue/mnli/valid"),
        ("snli", "ood", "; no snli: data_dir: '{0}/snli/snli' has no split 'validation'; it has train, validation_1k"),
        ("sick", "advglue", "on: no AdvGLUE set is made from it"),
        (
            "qqp",
            "advglue",
            "on: no adv_qqp: data_dir: '{0}' has no adv_glue/adv_qqp",
        ),
    ],
)
def test_a_suite_without_any_rows_is_an_error_before_training(
    task: str, suites: str, message: str, tmp_path: Path, tiny_folder: Path
) -> None:
    for split in ("train", "validation_1k"):
        write(tmp_path, f"snli/snli/{split}", ("premise", "hypothesis"), 8, 3, 0)
        write(tmp_path, f"sick/sick/{split}", ("sentence_A", "sentence_B"), 8, 3, 0)
        write(tmp_path, f"glue/qqp/{split}", ("question1", "question2"), 8, 2, 0)
    with pytest.raises(RowsMissing) as error:
        plan(tmp_path, tiny_folder, task, suites, dev_split="validation_1k")
    assert str(error.value).startswith(f"suites: '{suites}' has nothing to test '{task}' on: ")
    assert message.format(tmp_path) in str(error.value)


def test_advglue_beside_a_data_set_in_memory_says_why_there_is_none(folder: Path) -> None:
    data = load_evaluation("qqp", DataConfig(data_dir=str(folder)))
    given = TaskData(data.task, data.train, data.dev)
    with pytest.raises(UserError, match="on: no adv_qqp: its rows are not loaded beside a data set given in memory"):
        AdvGlue.configure("advglue", {}).check(given, tiny.tokenizer(), EvalConfig())


def plan(folder: Path, model: Path, task: str, *suites: str, **data: Any) -> Plan:
    """The plan of one run on the rows in `folder`."""
    base = RunSpec(
        model=str(model),
        task=task,
        data=DataConfig(data_dir=str(folder), **data),
        evaluation=EvalConfig(suites=suites),
        attack=AttackConfig(recipes=()),
    )
    spec = spec_of(base, ("vanilla",), (0,), {"max_length": 32})
    return make_plan(spec, WorkConfig(folder / "out", device="cpu"))


def test_other_rows_of_a_transfer_are_another_run(folder: Path, tiny_folder: Path) -> None:
    write(folder, "glue/mnli/train", ("premise", "hypothesis"), 30, 3, 20)

    def facts(text: str) -> dict[str, str]:
        (job,) = plan(folder, tiny_folder, "mnli", text).jobs
        assert list(job.facts) == ["data", "model", "code", "precision"]
        return dict(job.tests[text])

    asked = ("ood", "ood:only=snli", "clean")
    before = [facts(each) for each in asked]
    made = plan(folder, tiny_folder, "mnli", "ood", "clean")
    (finished,) = made.jobs
    start(made, WorkConfig(folder / "out"))
    run = finished.folder(folder / "out")
    run.path.mkdir(parents=True)
    run.finish_stage("ood", [], facts=finished.tests["ood"])
    write(folder, "sick/sick/validation", ("sentence_A", "sentence_B"), 16, 3, 7)
    after = [facts(each) for each in asked]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True, True]
    # a run has a suite but once, so with other settings it is another run, too
    same = [plan(folder, tiny_folder, "mnli", each).jobs[0].name == finished.name for each in asked]
    assert same == [False, False, True]
    # a set that was not there before
    write(folder, "glue/mnli/validation_mismatched", ("premise", "hypothesis"), 24, 3, 2)
    assert facts("ood") != after[0]
    assert list(after[1]) == ["ood snli"] and list(after[2]) == []


def test_transfers_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(task: Task, split: str, *more: Any) -> Any:
        read.append(task.name)
        return load_split(task, split, *more)

    monkeypatch.setattr("robusteval.tasks.load.load_split", counted)
    tested, built = subject(folder), suite()
    read.clear()
    built.check(tested.data, tiny.tokenizer(), tested.config)
    assert built.outline(tested.data, tested.config) == "mnli 20, snli 28, sick 16, qqp 30"
    built.facts(tested.data)
    tested.data = dataclasses.replace(tested.data, train=tested.data.dev)
    list(built.run(tested))
    # what is missing is not looked for again either
    assert read == ["mnli", "mnli_mismatched", "snli", "sick", "qqp"]
    assert "_others" not in repr(tested.data)
    # rows from elsewhere are other rows
    elsewhere = dataclasses.replace(tested.data, config=dataclasses.replace(tested.data.config, eval_limit=5))
    assert built.outline(elsewhere, tested.config) == "mnli 5, snli 5, sick 5, qqp 5"


@pytest.mark.parametrize(
    ("task", "split", "suites", "message"),
    [
        ("snli", "test", "ood:splits=snli=test", "the split 'test' of 'snli', which is trained on; test on another "
         "with ood:splits=snli=SPLIT"),
        # MNLI's mismatched rows by another name
        ("mnli", "validation_mismatched_1k", MISMATCHED, "the split 'validation_mismatched_1k' of 'mnli_mismatched'"),
        ("demo-sentiment", "ood", "ood", "the split 'ood' of 'demo-sentiment', which is trained on; train on another"),
    ],
)  # fmt: skip
def test_no_model_is_tested_on_the_split_it_was_trained_on(
    task: str, split: str, suites: str, message: str, folder: Path, tiny_folder: Path
) -> None:
    with pytest.raises(UserError) as error:
        plan(folder, tiny_folder, task, suites, train_split=split)
    assert f"suites: 'ood' would test on {message}" in str(error.value)
    # a finished checkpoint was trained on who knows what
    if task != "demo-sentiment":
        data = load_evaluation(task, DataConfig(data_dir=str(folder), train_split=split))
        suite(suites).check(data, tiny.tokenizer(), EvalConfig())


def test_test_rows_that_stand_in_the_training_set_are_a_notice(folder: Path) -> None:
    columns = ["premise", "hypothesis"]
    parts = [("glue/mnli/validation_matched", 2), ("snli/snli/validation", 3), ("adv_glue/adv_mnli/validation", 4)]
    train = pd.concat([pd.read_parquet(folder / f"{place}.parquet").head(count) for place, count in parts])
    # the same second text alone is no shared row
    extra = pd.read_parquet(folder / "sick/sick/validation.parquet").set_axis([*columns, "label"], axis=1)
    train = pd.concat([train, extra.assign(premise="other")])
    train.to_parquet(folder / "glue/mnli/train.parquet")
    data = load_task("mnli", DataConfig(data_dir=str(folder)))
    shared = "have a text that also stands in the training set"
    assert data.notices == (f"2 of 20 dev rows {shared}",)
    told = suite(MISMATCHED).check(data, tiny.tokenizer(), EvalConfig())
    # of the dev split, which `ood` tests again, it is said once
    assert told == [f"3 of 28 ood snli rows {shared}"]
    told = AdvGlue.configure("advglue", {}).check(data, tiny.tokenizer(), EvalConfig())
    assert told == [f"4 of 12 advglue adv_mnli rows {shared}"]


def test_advglue_counts_mnli_once(folder: Path) -> None:
    tested, built = subject(folder), AdvGlue.configure("advglue", {})
    assert built.check(tested.data, tiny.tokenizer(), tested.config) == []
    found = run(built, tested)
    assert list(found) == ["adv_mnli", "adv_mnli_mismatched", "average"]
    both = [found[name].metrics["accuracy"] for name in ("adv_mnli", "adv_mnli_mismatched")]
    assert found["average"].metrics == {"score": pytest.approx(np.mean(both))}
    assert (found["average"].n, found["average"].notes) == (26, (Note("mean of the 2 sets", "test"),))


def test_advglue_counts_qqp_once(folder: Path) -> None:
    found = run(AdvGlue.configure("advglue", {}), subject(folder, "qqp"))
    assert found["average"].metrics == {"score": pytest.approx(np.mean(list(found["adv_qqp"].metrics.values())))}
    assert found["average"].notes == (Note("mean of accuracy and f1", "test"),)


def test_advglue_has_no_average_over_fewer_sets(folder: Path) -> None:
    (folder / "adv_glue/adv_mnli/validation.parquet").unlink()
    tested = subject(folder)
    built = AdvGlue.configure("advglue", {})
    (notice,) = built.check(tested.data, tiny.tokenizer(), tested.config)
    assert notice.startswith("no advglue adv_mnli: data_dir: ")
    assert list(run(built, tested)) == ["adv_mnli_mismatched"]


@pytest.mark.parametrize(
    ("sst2", "mnli", "rte", "qnli", "qqp", "average"),
    [
        (47.57, (34.99, 30.00), 41.73, 46.40, (38.45, 27.59), 40.24),
        (38.51, (35.81, 30.26), 50.12, 47.52, (40.59, 35.23), 41.42),
        (34.46, (33.88, 26.53), 41.98, 47.53, (40.38, 35.82), 38.46),
        (39.19, (34.06, 27.84), 46.17, 49.55, (40.66, 39.80), 41.22),
        (51.35, (35.54, 31.07), 52.52, 47.52, (41.45, 32.62), 44.35),
    ],
)
def test_match_counts_each_task_once(
    sst2: float, mnli: tuple[float, float], rte: float, qnli: float, qqp: tuple[float, float], average: float
) -> None:
    """Table 2: MNLI is the mean of matched and mismatched, QQP that of accuracy and F1, and five tasks are averaged."""
    single = {"adv_sst2": sst2, "adv_mnli": mnli[0], "adv_mnli_mismatched": mnli[1], "adv_rte": rte, "adv_qnli": qnli}
    numbers = {name: {"accuracy": number} for name, number in single.items()}
    numbers["adv_qqp"] = dict(zip(("accuracy", "f1"), qqp, strict=True))
    numbers["average"] = {"score": 0.0}
    assert advglue_average(numbers) == pytest.approx(average, abs=0.006)


def test_an_average_over_tasks_names_what_is_missing() -> None:
    sets = ("adv_sst2", "adv_mnli", "adv_rte", "adv_qqp")
    with pytest.raises(UserError) as error:
        advglue_average({name: {"accuracy": 0.5} for name in sets})
    assert str(error.value) == (
        "advglue: the average over sst2, mnli, rte, qnli, qqp lacks adv_mnli_mismatched accuracy, "
        "adv_qnli accuracy, adv_qqp f1"
    )


@pytest.mark.parametrize(
    ("task", "text", "counts"),
    [
        ("mnli", MISMATCHED, {"mnli": 9815, "mnli_mismatched": 1000, "snli": 9842, "sick": 495, "qqp": 40430}),
        ("ocnli", "ood", {"cmnli": 12241, "fewclue-bustm": 1772}),
    ],
)
def test_real_rows_of_transfers(task: str, text: str, counts: dict[str, int], data_dir: Path) -> None:
    data = load_evaluation(task, DataConfig(data_dir=str(data_dir)))
    built = suite(text)
    assert built.check(data, tiny.tokenizer(), EvalConfig()) == []
    assert {each.task: len(load_transfer(each, data)) for each in built._chosen(data.task)} == counts


def test_a_transfer_of_a_task_of_ones_own(folder: Path) -> None:
    """A declared transfer is all that a new task needs."""
    labels = ("no", "maybe", "yes")
    same = {"no": "contradiction", "maybe": "neutral", "yes": "entailment"}
    task = Task("own", "test", ("left", "right"), labels, ("accuracy",), transfers=(Transfer("snli", labels=same),))
    frame = pd.DataFrame({"left": tiny.sentences(9)[0], "right": "good", "label": [0, 1, 2] * 3})
    dev = examples_from_frame(frame, task, "dev")
    data = TaskData(task, dev.take([]), dev, config=DataConfig(data_dir=str(folder)))
    tested = Subject(Predictor(tiny.model(num_labels=3), tiny.tokenizer(), 32), data, EvalConfig())
    found = run(suite(), tested)
    assert list(found) == ["snli"]
