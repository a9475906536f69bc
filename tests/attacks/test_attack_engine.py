"""The attack engine: whatever is attacked at a time, by however many processes, TextAttack's own results come out."""

from __future__ import annotations

import functools
import itertools
import json
import multiprocessing
import os
import random
import signal
import string
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest
import torch

from robusteval.attacks.plan import make_plan
from robusteval.attacks.queries.batched import Answer, BatchedPredict, Predict
from robusteval.attacks.queries.cache import LogitsCache
from robusteval.attacks.queries.gradients import gradient_of
from robusteval.attacks.queries.lockstep import Routine, lock_step
from robusteval.attacks.queries.wrapper import PredictWrapper, token_ids
from robusteval.attacks.recipes.building import remembered_words
from robusteval.attacks.recipes.registry import ATTACKS, recipe_entry
from robusteval.attacks.resources.offline import load_textattack, offline
from robusteval.attacks.runner import Victim, attack_examples
from robusteval.attacks.workers import attack_in_workers
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.pipeline.attack import checkpoint_victim
from robusteval.results.attack_lines import AttackLine
from robusteval.results.attack_summary import ProgressNote
from robusteval.runtime.generators import seeded
from robusteval.runtime.seeds import derive
from robusteval.tasks.base import Examples
from support import tiny
from support.places import NO_WORDNET, wordnet_folder
from support.processes import carried_out, prepared_workers
from support.victims import LABELS, Facts, attack_checkpoint, examples_of, facts, keyword, slow_victim

# More than the most that are attacked at a time below.
COUNT = 20
# Where it takes thousands of queries for each.
FEW = {"leap": 3}
MASKED_LM = "TINY_MASKED_LM"
RECIPES = ("deepwordbug", "pruthi", "input-reduction", "pwws", "leap", "tiny-bae", "tiny-gradient")


class TinyBae:
    """BAE's search and masked word swaps, with a masked language model that a test can afford."""

    @staticmethod
    def build(model_wrapper: Any) -> Any:
        from textattack import Attack
        from textattack.constraints.pre_transformation import RepeatModification, StopwordModification
        from textattack.goal_functions import UntargetedClassification
        from textattack.search_methods import GreedyWordSwapWIR
        from textattack.transformations import WordSwapMaskedLM
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        folder = os.environ[MASKED_LM]
        swap = WordSwapMaskedLM(
            method="bae",
            masked_language_model=AutoModelForMaskedLM.from_pretrained(folder),
            tokenizer=AutoTokenizer.from_pretrained(folder),
            max_length=64,
            max_candidates=8,
            min_confidence=0.0,
        )
        constraints = [RepeatModification(), StopwordModification()]
        return Attack(UntargetedClassification(model_wrapper), constraints, swap, GreedyWordSwapWIR("delete"))


class TinyGradient:
    """DeepWordBug's characters, in words that A2T's search orders by the model's gradient."""

    @staticmethod
    def build(model_wrapper: Any) -> Any:
        from textattack import Attack
        from textattack.attack_recipes import DeepWordBugGao2018
        from textattack.search_methods import GreedyWordSwapWIR

        made = DeepWordBugGao2018.build(model_wrapper)
        constraints = [*made.constraints, *made.pre_transformation_constraints]
        return Attack(made.goal_function, constraints, made.transformation, GreedyWordSwapWIR("gradient"))


OWN_RECIPES = {"tiny-bae": "TinyBae", "tiny-gradient": "TinyGradient"}


def add_own_recipes() -> None:
    for name, recipe in OWN_RECIPES.items():
        if name not in ATTACKS:
            ATTACKS.add(name, f"test_attack_engine:{recipe}", "of these tests", needs="")


RESOURCES = wordnet_folder()


def needs_wordnet(recipe: str) -> None:
    if recipe in ("pwws", "leap") and RESOURCES is None:
        pytest.skip(NO_WORDNET)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny checkpoint; while it is there, so are OWN_RECIPES."""
    from transformers import BertForMaskedLM

    folder = tiny.save(tmp_path_factory.mktemp("victim") / "bert")
    masked = tmp_path_factory.mktemp("masked")
    with seeded(11):
        BertForMaskedLM(tiny.CONFIGS["bert"]()).save_pretrained(masked)
    tiny.tokenizer().save_pretrained(masked)
    os.environ[MASKED_LM] = str(masked)
    add_own_recipes()
    yield folder
    del os.environ[MASKED_LM]
    for name in OWN_RECIPES:
        del ATTACKS._entries[name]


@pytest.fixture(scope="module")
def predict(folder: Path) -> Predict:
    return checkpoint_victim(folder, LABELS, 64, "cpu", 0).predict


@pytest.fixture(scope="module")
def examples(predict: Predict) -> Examples:
    """Short sentences that the model gets right, except the last."""
    texts = [text for text in dict.fromkeys(tiny.sentences(120, seed=4)[0]) if len(text.split()) < 6][:COUNT]
    gold = predict([(text,) for text in texts]).argmax(axis=1)
    gold[-1] = 1 - gold[-1]
    return examples_of(texts, [int(label) for label in gold])


@pytest.fixture(scope="module")
def stock(folder: Path, examples: Examples) -> Callable[[str], dict[str, Facts]]:
    """(outcome, text, queries) by id, from TextAttack's own `Attack.attack`, one example at a time."""

    @functools.cache
    def run(recipe: str) -> dict[str, Facts]:
        textattack = load_textattack(RESOURCES)
        outcomes = {"SkippedAttackResult": "skipped", "FailedAttackResult": "failed"}
        found = {}
        with offline(RESOURCES):
            # it takes gradients in training mode
            model = tiny.model(dropout=0.0)
            wrapper = textattack.models.wrappers.HuggingFaceModelWrapper(model, tiny.tokenizer())
            attack = recipe_entry(recipe).load().build(wrapper)
            chosen = attacked(recipe, examples)
            for name, text, gold in zip(chosen.ids, chosen.texts[0], chosen.labels, strict=True):
                attack.clear_cache()
                with seeded(derive(3, "attack", recipe, name)):
                    result = attack.attack(textattack.shared.AttackedText(OrderedDict(text=text)), int(gold))
                outcome = outcomes.get(type(result).__name__, "succeeded")
                found[name] = (outcome, result.perturbed_result.attacked_text.text, result.num_queries)
        return found

    return run


def attacked(recipe: str, examples: Examples) -> Examples:
    """What is attacked with `recipe`; the last one is always the one that is skipped."""
    return examples.take([*range(FEW[recipe]), COUNT - 1]) if recipe in FEW else examples


SETTINGS: dict[str, Any] = {"seed": 3, "resources_dir": RESOURCES}


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
@pytest.mark.parametrize("recipe", RECIPES)
def test_any_number_at_a_time_gives_what_textattack_gives(
    recipe: str, predict: Predict, examples: Examples, stock: Callable[[str], dict[str, Facts]]
) -> None:
    needs_wordnet(recipe)
    expected = stock(recipe)
    examples = attacked(recipe, examples)
    count = len(examples)
    assert len(expected) == count
    assert sum(outcome == "skipped" for outcome, _, _ in expected.values()) == 1
    assert sum(queries for _, _, queries in expected.values()) > 4 * count
    under_way: list[int] = []

    def counted(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        under_way.append(threading.active_count() - before)
        return predict(texts)

    with_gradient: Any = counted
    with_gradient.gradient = gradient_of(predict)
    mixed = np.random.default_rng(1).permutation(count)
    before, rows = threading.active_count(), []
    for parallel, order in ((1, range(count)), (4, mixed), (16, range(count))):
        under_way.clear()
        selected = examples.take(order)
        result = attack_examples(counted, selected, LABELS, recipe, parallel=parallel, **SETTINGS)
        assert [line["id"] for line in result.lines] == list(selected.ids)
        assert facts(result.lines) == expected, f"{parallel} at a time"
        assert max(under_way) == min(parallel, count)
        rows.append({line["id"]: line["model_rows"] + line["cached_rows"] for line in result.lines})
    assert rows[0] == rows[1] == rows[2]


def carry_out_elsewhere(folder: Path, out: Path, recipes: Sequence[str], examples: Examples) -> None:
    """In a process of its own: each recipe by two workers, and in a process that is killed after three lines.

    Their processes are forked from that one, so that all share one import of TextAttack and one reading of WordNet.
    """
    from nltk.corpus import wordnet

    add_own_recipes()
    load_textattack(RESOURCES)
    with offline(RESOURCES):
        if RESOURCES is not None:
            wordnet.ensure_loaded()
    fork = multiprocessing.get_context("fork")

    def kill(done: int, total: int, line: AttackLine) -> None:
        if done == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    with patch.object(multiprocessing, "get_context", lambda method: fork):
        for recipe in recipes:
            chosen = attacked(recipe, examples)
            turned = chosen.take(list(range(len(chosen)))[::-1])
            attack = functools.partial(
                attack_checkpoint, folder, turned, LABELS, recipe, max_length=64, threads=1, **SETTINGS
            )
            attack(workers=2, parallel=4, out=out / f"{recipe}-workers.jsonl")
            killed = fork.Process(
                target=attack, kwargs={"parallel": 2, "out": out / f"{recipe}-killed.jsonl", "progress": kill}
            )
            killed.start()
            killed.join()
            assert killed.exitcode == -signal.SIGKILL


@pytest.fixture(scope="module")
def elsewhere(folder: Path, examples: Examples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result files of `carry_out_elsewhere`, under another hash seed, the examples in another order."""
    out = tmp_path_factory.mktemp("elsewhere")
    recipes = [recipe for recipe in RECIPES if RESOURCES is not None or recipe not in ("pwws", "leap")]
    done = carried_out(functools.partial(carry_out_elsewhere, folder, out, recipes, examples))
    assert done.returncode == 0, done.stderr
    return out


def written(path: Path) -> dict[str, Facts]:
    return facts([json.loads(line) for line in path.read_text().splitlines()])


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_workers_under_another_hash_seed_give_the_same(
    recipe: str, elsewhere: Path, stock: Callable[[str], dict[str, Facts]]
) -> None:
    needs_wordnet(recipe)
    assert written(elsewhere / f"{recipe}-workers.jsonl") == stock(recipe)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_killed_process_and_another_hash_seed_change_nothing(
    recipe: str,
    elsewhere: Path,
    folder: Path,
    predict: Predict,
    examples: Examples,
    stock: Callable[[str], dict[str, Facts]],
) -> None:
    needs_wordnet(recipe)
    out = elsewhere / f"{recipe}-killed.jsonl"
    with out.open("a") as handle:
        handle.write('{"id": "row-5", "index": 5, "re')
    model = checkpoint_victim(folder, LABELS, 64, "cpu", 0).name
    examples = attacked(recipe, examples)
    result = attack_examples(predict, examples, LABELS, recipe, out=out, parallel=4, model=model, **SETTINGS)
    assert result.resumed == 3
    assert facts(result.lines) == stock(recipe)
    assert written(out) == stock(recipe)


def test_a_killed_worker_loses_what_it_was_at_and_nothing_else(
    folder: Path, examples: Examples, stock: Callable[[str], dict[str, Facts]], tmp_path: Path
) -> None:
    out, cache = tmp_path / "lines.jsonl", tmp_path / "logits.sqlite"
    few = examples.take(range(7))
    plan = make_plan(few, LABELS, "deepwordbug", **SETTINGS)
    load = functools.partial(slow_victim, folder)

    def kill_one(done: int, total: int, line: AttackLine) -> None:
        if done == 1:
            multiprocessing.active_children()[0].kill()

    lost = r"ended with code -9; .*lines\.jsonl keeps the finished lines"
    with prepared_workers(), pytest.raises(UserError, match=lost):
        attack_in_workers(load, plan, workers=2, cache=cache, out=out, progress=kill_one)
    finished = len(out.read_text().splitlines())
    assert 3 <= finished < len(few)
    assert not multiprocessing.active_children()
    result = attack_in_workers(load, plan, workers=1, parallel=16, cache=cache, out=out)
    assert result.resumed == finished
    assert facts(result.lines) == {name: stock("deepwordbug")[name] for name in few.ids}


def bae_victim(folder: Path, masked: str) -> Victim:
    """For worker processes: they know the recipe only once this module told them."""
    add_own_recipes()
    os.environ[MASKED_LM] = masked
    return checkpoint_victim(folder, LABELS, 64, "cpu", 1)


def test_workers_give_the_same_results_and_share_the_cache(
    folder: Path, examples: Examples, stock: Callable[[str], dict[str, Facts]], tmp_path: Path
) -> None:
    cache = tmp_path / "logits.sqlite"
    mixed = np.random.default_rng(2).permutation(COUNT)
    plan = make_plan(examples.take(mixed), LABELS, "tiny-bae", **SETTINGS)
    load = functools.partial(bae_victim, folder, os.environ[MASKED_LM])
    seen: list[tuple[int, int]] = []
    progress = lambda done, total, line: seen.append((done, total))  # noqa: E731
    with prepared_workers():
        result = attack_in_workers(load, plan, workers=2, parallel=4, cache=cache, progress=progress)
    assert facts(result.lines) == stock("tiny-bae")
    assert seen == [(done, COUNT) for done in range(1, COUNT + 1)]
    again = attack_in_workers(load, plan, cache=cache)
    assert facts(again.lines) == facts(result.lines)
    assert sum(line["model_rows"] for line in again.lines) == 0


def test_a_mistake_in_a_worker_is_the_users_to_read(examples: Examples, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model: there is no folder"):
        attack_checkpoint(tmp_path / "none", examples, LABELS, "deepwordbug")
    for wrong in ({"workers": 0}, {"parallel": 0}, {"query_budget": 0}, {"time_limit": 0.0}):
        with pytest.raises(UserError, match="out of range"):
            attack_checkpoint(tmp_path, examples, LABELS, "deepwordbug", **wrong)


def test_many_open_a_new_cache_at_once(tmp_path: Path) -> None:
    def use(path: Path, together: threading.Barrier) -> int:
        together.wait()
        with LogitsCache(path, "model") as cache:
            cache.put([("a good film",)], np.ones((1, 2), np.float32))
            return cache.count()

    with ThreadPoolExecutor(4) as pool:
        for name in range(40):
            together = threading.Barrier(4)
            users = [pool.submit(use, tmp_path / f"{name}.sqlite", together) for _ in range(4)]
            assert [user.result() for user in users] == [1] * 4


def test_the_cache_answers_what_it_knows_and_nothing_of_another_model(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "logits.sqlite"
    rows = examples_of(["a good film", "a film so good that I left"], [1, 1])
    with LogitsCache(path, "model a") as cache:
        plain = attack_examples(keyword, rows, LABELS, "deepwordbug")
        first = attack_examples(keyword, rows, LABELS, "deepwordbug", cache=cache)
        second = attack_examples(keyword, rows, LABELS, "deepwordbug", cache=cache, parallel=2)
        assert facts(first.lines) == facts(second.lines) == facts(plain.lines)
        assert [line["model_rows"] for line in second.lines] == [0, 0]
        asked = [line["model_rows"] + line["cached_rows"] for line in plain.lines]
        assert [line["cached_rows"] for line in second.lines] == asked
        pruthi = attack_examples(keyword, rows, LABELS, "pruthi", cache=cache)
        assert all(line["cached_rows"] >= 1 for line in pruthi.lines)
        assert cache.get([("a good film",)], 3) == {}
        # a text is the columns it has, not their concatenation
        assert cache.get([("a good", "film")], 2) == {}
        np.testing.assert_array_equal(
            cache.get([("a good film",)], 2)[("a good film",)], keyword([("a good film",)])[0]
        )
    with LogitsCache(path, "model b") as other:
        assert other.get([("a good film",)], 2) == {}
        assert other.count() > 10
    path.write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match=r"logits\.sqlite.*not a database"):
        LogitsCache(path, "model a")


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_query_beyond_the_budget(recipe: str, predict: Predict, examples: Examples, tmp_path: Path) -> None:
    needs_wordnet(recipe)
    few = examples.take([0, 1, COUNT - 1])
    for budget in (1, 2, 5, 9):
        lines = attack_examples(
            predict, few, LABELS, recipe, query_budget=budget, parallel=3, out=tmp_path / f"{budget}", **SETTINGS
        ).lines
        for line in lines[:-1]:
            assert line["outcome"] in ("succeeded", "failed"), line["message"]
            assert line["queries"] <= budget
            spent = line["outcome"] == "failed" and line["queries"] == budget
            assert line["message"] == ("query budget reached" if spent else "")
        assert (lines[-1]["outcome"], lines[-1]["message"]) == ("skipped", "")
    with pytest.raises(UserError, match="query_budget 9, but this run has None"):
        attack_examples(predict, few, LABELS, recipe, out=tmp_path / "9", **SETTINGS)


def test_an_example_beyond_its_time_is_an_error_that_says_so() -> None:
    def slow_on_bad(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        if any("slow" in text[0] for text in texts):
            time.sleep(0.3)
        return keyword(texts)

    rows = examples_of(["a slow and good film", "good"], [1, 1])
    lines = attack_examples(slow_on_bad, rows, LABELS, "deepwordbug", time_limit=0.2).lines
    assert [(line["outcome"], line["message"]) for line in lines] == [
        ("error", "time limit of 0.2 s reached"),
        ("succeeded", ""),
    ]
    assert lines[0]["seconds"] >= 0.2


def test_one_text_that_breaks_the_model_costs_its_own_example_only() -> None:
    def failing(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        if any("boom" in text[0] for text in texts):
            raise RuntimeError("out of memory")
        return keyword(texts)

    rows = examples_of(["a good film", "a good boom", "really good"], [1] * 3)
    lines = attack_examples(failing, rows, LABELS, "deepwordbug", parallel=3).lines
    assert [line["outcome"] for line in lines] == ["succeeded", "error", "succeeded"]
    assert lines[1]["message"] == "RuntimeError: out of memory"
    # nor is such an error taken for a budget that ran out at the same query
    lines = attack_examples(failing, rows, LABELS, "deepwordbug", parallel=3, query_budget=1).lines
    assert [line["outcome"] for line in lines] == ["failed", "error", "failed"]


def test_chance_inside_the_model_does_not_reach_the_attacks() -> None:
    def drawing(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        torch.rand(len(texts)), random.random(), np.random.rand()
        return keyword(texts)

    rows = examples_of([f"a good film number {word}" for word in ("one", "two", "three")], [1] * 3)
    runs = [
        facts(attack_examples(model, rows, LABELS, "deepwordbug", parallel=parallel).lines)
        for model, parallel in ((keyword, 1), (drawing, 1), (drawing, 3))
    ]
    assert runs[0] == runs[1] == runs[2]


def test_an_interrupted_run_leaves_its_lines_and_no_thread(tmp_path: Path) -> None:
    out, threads = tmp_path / "lines.jsonl", threading.active_count()
    calls = itertools.count()

    def interrupted(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return keyword(texts)

    rows = examples_of(["good", "a good film about good people", "good actors in a good story"], [1] * 3)
    with pytest.raises(KeyboardInterrupt):
        attack_examples(interrupted, rows, LABELS, "deepwordbug", parallel=3, out=out)
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["row-0"]
    assert threading.active_count() == threads
    assert attack_examples(keyword, rows, LABELS, "deepwordbug", parallel=3, out=out).resumed == 1
    with pytest.raises(ZeroDivisionError):
        attack_examples(keyword, rows, LABELS, "deepwordbug", parallel=3, progress=lambda *_: 1 / 0)
    assert threading.active_count() == threads


def test_routines_wait_for_each_other_and_take_turns() -> None:
    asked: list[list[int]] = []

    def answers(questions: Sequence[Sequence[Any]]) -> list[Any]:
        asked.append([len(question) for question in questions])
        time.sleep(0.05)
        return [sum(question) for question in questions]

    def adding(number: int, routine: Routine[tuple[int, float]]) -> tuple[int, float]:
        random.seed(number)
        total = sum(routine.ask([number] * number) + random.randrange(1) for _ in range(number))
        return total, routine.spent()

    jobs = [functools.partial(adding, number) for number in (1, 3, 2, 1)]
    began = time.perf_counter()
    results = list(lock_step(jobs, 3, answers))
    assert [total for total, _ in results] == [1, 8, 1, 27]
    # a routine that ends makes room at once for the next one
    assert asked == [[1, 3, 2], [3, 2, 1], [3]]
    # each waits for all, but is charged with its own share only
    assert 3 * 0.05 <= sum(seconds for _, seconds in results) <= time.perf_counter() - began
    assert results[0][1] < 0.04


def test_equal_texts_of_many_questions_are_computed_once() -> None:
    asked: list[Sequence[tuple[str, ...]]] = []

    def recording(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        asked.append(list(texts))
        return keyword(texts)

    answers = BatchedPredict(recording, 2)([[("good",), ("bad",)], [("bad",), ("ugly",)], [("bad",)]])
    assert asked == [[("good",), ("bad",), ("ugly",)]]
    assert all(isinstance(answer, Answer) for answer in answers)
    assert [answer.computed for answer in answers if isinstance(answer, Answer)] == [2, 1, 0]


def test_texts_that_a_model_cannot_tell_apart_are_asked_once(predict: Predict) -> None:
    asked: list[str] = []

    def noisy(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        """As a model in which the batch shows in the last digits."""
        asked.extend(text[0] for text in texts)
        return predict(texts) + np.float32(1e-6) * np.random.default_rng(len(asked)).normal(size=(len(texts), 2))

    sees = token_ids(tiny.tokenizer(), 8)
    same, longer = sees([("Good film",), ("good  FILM",)]), sees([("good " * 9,), ("good " * 7,), ("good",)])
    assert same[0] == same[1] != longer[2]
    assert longer[0] == longer[1] != longer[2]
    pairs = sees([("good", "film"), ("good film", ""), ("good", "film")])
    assert pairs[0] == pairs[2] != pairs[1]
    wrapper = PredictWrapper(lambda texts: BatchedPredict(noisy, 2)([texts])[0], sees)
    first, again = wrapper(["good film", "bad film"]), wrapper(["Good film", "dull film"])
    assert torch.equal(first[0], again[0])
    assert asked == ["good film", "bad film", "dull film"]
    assert wrapper.rows == 3


def test_remembered_words_are_textattacks_words() -> None:
    load_textattack()
    import textattack.shared.attacked_text as module

    cut = module.words_from_text
    generator = random.Random(5)
    letters = string.ascii_letters + string.punctuation + " '-é中文ɑ"
    texts = ["".join(generator.choices(letters, k=generator.randrange(60))) for _ in range(300)]
    with remembered_words():
        assert module.words_from_text is not cut
        for text in texts * 2:
            assert module.words_from_text(text) == cut(text)
        module.words_from_text("one").append("changed")
        assert module.words_from_text("one") == ["one"]
    assert module.words_from_text is cut


def test_very_long_texts_do_not_take_quadratic_time() -> None:
    textattack = load_textattack()
    text = "plain " * 2000 + "good"
    began = time.process_time()
    line = attack_examples(keyword, examples_of([text], [0]), LABELS, "deepwordbug").lines[0]
    assert line["outcome"] == "skipped"
    assert (line["words_changed"], line["words"]) == (0, 2001)
    assert time.process_time() - began < 2
    one = "a film so good that I left and came back"
    line = attack_examples(keyword, examples_of([one], [1]), LABELS, "input-reduction").lines[0]
    assert line["perturbed"] is not None
    before, after = (textattack.shared.AttackedText(each) for each in (one, line["perturbed"][0]))
    assert line["words_changed"] == before.words_diff_num(after) > 0


def test_progress_says_how_many_succeed_and_how_long_all_take() -> None:
    clock = iter([105.0, 110.0, 120.0])
    note = ProgressNote(wait=2, clock=lambda: next(clock))
    succeeded, failed, skipped = (
        {"outcome": outcome, "seconds": 5.0} for outcome in ("succeeded", "failed", "skipped")
    )
    assert note(11, 30, succeeded) == "1/1 succeeded (100 %)"
    # ten examples were resumed: the 20 others take five seconds each
    assert note(12, 30, skipped) == "1/1 succeeded (100 %), all 20 in about 1 min 40 s"
    assert note(13, 30, failed) == "1/2 succeeded (50 %), all 20 in about 2 min 13 s"
    assert note(30, 30, failed) == "1/3 succeeded (33 %)"
    assert ProgressNote()(1, 5, skipped) == ""


def test_the_predictor_is_asked_by_the_thread_that_called(predict: Predict) -> None:
    threads = set()

    def noting(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        threads.add(threading.get_ident())
        return keyword(texts)

    attack_examples(noting, examples_of(["a good film", "good"], [1, 1]), LABELS, "deepwordbug", parallel=2)
    assert threads == {threading.get_ident()}
    assert isinstance(predict.__self__, Predictor)  # type: ignore[attr-defined]
