"""Compare two checkpoints, or two methods of an experiment."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robusteval.cli.checked import noted
from robusteval.cli.evaluate import TRAINED_ON
from robusteval.cli.options import TESTS, Given, only, option, takes, without
from robusteval.cli.output import AsJson, EveryRow, Shown, print_json
from robusteval.errors import UserError
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import loading
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.fields import described
from robusteval.settings.grammar import listed, part_name
from robusteval.settings.runs import RunSpec
from robusteval.settings.train import TrainConfig
from robusteval.settings.work import WorkConfig

if TYPE_CHECKING:
    from robusteval.pipeline.known_rows import Rows
    from robusteval.results.outcomes import Side

WHAT = "Checkpoint (folder or hub id), folder of a run or of evaluate --out, or EXPERIMENT:METHOD"
SIDE_A: Any = typer.Argument(metavar="A", help=f"{WHAT}: the reference.")
SIDE_B: Any = typer.Argument(metavar="B", help="The same, what is compared with it.")
FAIL_IF = "Exit with code 3 if so: '[SUITE[@VALUE]] METRIC drop|gain|difference|value > NUMBER', as shown; repeatable."
# of AttackConfig and WorkConfig, beside what decides the rows
ATTACK = ("attack_examples", "truncate", "query_budget", "time_limit")
WORK = ("device", "attack_parallel", "resources")
EXIT_CODE = 3
# suites whose values are the rates
RATES = ("mask", "replace", "delete", "swap", "typos")


@takes("task", "attacks")
def compare(
    *,
    a: Annotated[str, SIDE_A],
    b: Annotated[str, SIDE_B],
    data: Annotated[DataConfig, without(*TRAINED_ON)],
    run: Annotated[RunSpec, only("task", "model_revision", "trust_remote_code")],
    evaluation: EvalConfig,
    attacks: Annotated[
        str, option("--attacks", help="Recipes to attack both with, comma separated.", panel=TESTS)
    ] = "",
    attack: Annotated[AttackConfig, only(*ATTACK)],
    train: Annotated[TrainConfig, only("max_length")],
    cluster: Annotated[str, option("--cluster", help="Column that names what a row was made from.", panel=TESTS)] = "",
    primary: Annotated[
        list[str] | None,
        option("--primary", help="Test of the declared family, 'SUITE METRIC'; repeatable.", panel=TESTS),
    ] = None,
    fail_if: Annotated[list[str] | None, option("--fail-if", help=FAIL_IF)] = None,
    sure: Annotated[bool, option("--sure", help="Fail only where the whole interval is beyond the bound.")] = False,
    as_json: AsJson = False,
    every: EveryRow = False,
    examples: Annotated[int, option("--examples", help="Show that many differing answers.")] = 10,
    work: Annotated[WorkConfig, only(*WORK)],
    given: Given,
) -> None:
    """Compare two checkpoints over examples, or two methods of an experiment over seeds, on every test."""
    from robusteval.cli.precheck import check_work
    from robusteval.pipeline.known_rows import notes_on
    from robusteval.report.comparison import compare as compared
    from robusteval.report.conditions import Condition, check_names, checked
    from robusteval.report.side_by_side import print_checks, print_comparison, record
    from robusteval.results.outcomes import read_side
    from robusteval.settings.checks import check_range

    check_work(work)
    check_range("examples", examples, 0, 10**9)
    conditions = [Condition.parse(text) for text in fail_if or ()]
    if Path(a).expanduser().resolve() == Path(b).expanduser().resolve():
        raise UserError(f"b: {b!r} is A itself; name another one")
    texts, found = (a, b), (read_side(a, "a"), read_side(b, "b"))
    finished = [side for side in found if side is not None]
    _check_kinds(finished, given, run.task)
    asked = _Asked(data, run, evaluation, replace(attack, recipes=listed(attacks)), train, work, given, Shown(as_json))
    with ExitStack() as stack:
        if len(finished) < 2:
            asked = asked.like(finished)
            asked.check([text for text, side in zip(texts, found, strict=True) if side is None])
            check_names(conditions, primary or (), asked.tests(), closed=asked.closed)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="robusteval-")))
            finished = [
                side or asked.tested(text, folder / name, name.upper())
                for name, text, side in zip("ab", texts, found, strict=True)
            ]
        rows = asked.rows(finished, [text for text, side in zip(texts, found, strict=True) if side is None], cluster)
        comparison = compared(finished[0], finished[1], rows, primary or ())
        comparison = replace(comparison, notes=(*comparison.notes, *rows.notes, *notes_on(finished)))
    console = Shown(as_json).screen(highlight=False)
    checks = checked(conditions, comparison, sure=sure)
    if as_json:
        print_json(record(comparison, checks))
    else:
        print_comparison(comparison, examples, console, every=every)
    print_checks(checks, console)
    if any(check.failed for check in checks):
        raise typer.Exit(EXIT_CODE)


def _check_kinds(finished: Sequence[Side], given: Given, task: str) -> None:
    """Raise UserError for a method beside a model, another task, and for options of tests that are made already."""
    methods = [side for side in finished if side.method]
    if len(methods) == 1:
        raise UserError(
            f"b: {methods[0].name!r} is a method, of which there are several models; compare it with another method, "
            "or name a run's folder"
        )
    tests = [each.parameter for kind in (EvalConfig, WorkConfig, AttackConfig) for each in described(kind)]
    idle = [name for name in ("attacks", "max_length", "model_revision", "trust_remote_code", *tests) if name in given]
    if len(finished) == 2 and idle:
        raise UserError(f"{idle[0]}: it has no effect here: A and B were tested already; leave it out")
    for side in finished if "task" in given else ():
        if task not in side.tasks:
            raise UserError(f"task: {side.name!r} was tested on {', '.join(side.tasks)}, not on {task!r}")


@dataclass(frozen=True)
class _Asked:
    """How checkpoints are to be tested."""

    data: DataConfig
    run: RunSpec
    evaluation: EvalConfig
    attack: AttackConfig
    train: TrainConfig
    work: WorkConfig
    given: Given
    shown: Shown

    @property
    def own(self) -> bool:
        return bool(self.data.dev_file)

    @property
    def task(self) -> str:
        from robusteval.cli.precheck import named_task

        return named_task(self.run.task, self.given, own=self.own)

    def like(self, finished: Sequence[Side]) -> _Asked:
        """With the settings of what was tested before, where the user gives no others."""
        if not finished:
            return self
        (side,) = finished
        spec, (record,) = side.runs[0].spec, side.records
        kept = record.get("evaluation", {}) if spec is None else vars(spec.evaluation)
        length = int(record["max_length"]) if spec is None else spec.train.max_length
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}
        measured = set(side.rows["suite"])  # not a suite whose rows were nowhere
        plain["suites"] = tuple(text for text in plain["suites"] if part_name(text) in measured)
        changes = {**plain, **self.given.settings(self.evaluation)}
        told = Given({*self.given, "task", *(each.parameter for each in described(EvalConfig) if each.field in kept)})
        train = self.train if "max_length" in self.given else replace(self.train, max_length=length)
        run = self.run if "task" in self.given else replace(self.run, task=str(side.runs[0].whose["task"]))
        return replace(self, evaluation=replace(self.evaluation, **changes), train=train, run=run, given=told)

    @property
    def suites(self) -> list[str]:
        """The names of the suites that will run."""
        from robusteval.cli.precheck import with_suites
        from robusteval.evaluation.suites import with_own

        chosen = with_suites(self.evaluation, self.task, self.given, own=self.own).suites
        return [part_name(text) for text in with_own(chosen, self.data)]

    @property
    def closed(self) -> bool:
        """Whether all suites are this program's, whose metrics are known before."""
        from robusteval.evaluation import SUITES

        return all(name in SUITES for name in self.suites)

    def tests(self) -> dict[str, Sequence[str]]:
        """Suite -> the values that it will have, none where they are found only as it runs."""
        from robusteval.tasks.user_tests import read_tests

        rates = [f"{rate:g}" for rate in self.evaluation.rates]
        found: dict[str, Sequence[str]] = {name: rates if name in RATES else () for name in self.suites}
        found |= {"test": [test.name for test in read_tests(self.data)]} if self.data.tests else {}
        return found | ({"attack": self.attack.recipes} if self.attack.recipes else {})

    def check(self, checkpoints: Sequence[str]) -> None:
        """Raise UserError for what will not do, before anything heavy is imported."""
        from robusteval.cli.precheck import check_attack, check_checkpoint, check_tests

        check_tests(None, self.evaluation.suites if "suites" in self.given else ())
        if self.attack.recipes:
            check_attack(self.attack.recipes, None, None)
        for checkpoint in checkpoints:
            check_checkpoint(checkpoint, self.task, self.data, self.evaluation.columns)
        with loading("torch and transformers"):
            quiet_libraries()
            from robusteval.attacks.recipes.requirements import require
            from robusteval.pipeline.opening import open_tested
            from robusteval.pipeline.rows import evaluation_rows

            for recipe in self.attack.recipes:
                require(recipe, self.work.resources_dir)
        opening, length = self.run.opening, self.train.max_length
        for checkpoint in checkpoints[1:]:  # what is wrong with the second is not told after the first was tested
            rows = evaluation_rows(checkpoint, self.task, self.data, None, opening)
            open_tested(checkpoint, None, rows, max_length=length, opening=opening, device=self.work.device)

    def tested(self, checkpoint: str, folder: Path, name: str) -> Side:
        """A checkpoint, tested and attacked; what that left lies in `folder`. name: A or B, before its notices."""
        from robusteval import api
        from robusteval.pipeline.compared import attack_checkpoint
        from robusteval.results.outcomes import Side
        from robusteval.results.reading import Run

        tell = noted(self.shown.screen())

        def notify(notice: str) -> None:
            tell(f"{name}: {notice}")

        opening = self.run.opening
        api.evaluate(
            checkpoint, self.task, data=self.data, device=self.work.device, max_length=self.train.max_length,
            out=folder, model_revision=opening.model_revision, trust_remote_code=opening.trust_remote_code,
            notify=notify, **self.given.settings(self.evaluation),
        )  # fmt: skip
        if self.attack.recipes:
            attack_checkpoint(
                folder, checkpoint, self.task, self.data, self.attack, max_length=self.train.max_length,
                opening=opening, work=self.work, notify=notify,
            )  # fmt: skip
        return Side(checkpoint, (Run(folder),))

    def rows(self, finished: Sequence[Side], checkpoints: Sequence[str], column: str) -> Rows:
        """What tells of the rows that both were tested on."""
        from robusteval.pipeline.known_rows import Rows, sources

        if checkpoints:
            from robusteval.pipeline.rows import evaluation_rows

            load = functools.partial(evaluation_rows, checkpoints[0], self.task, self.data, None, self.run.opening)
            return Rows({self.task: [load]}, column)
        return Rows(sources(finished, self.given.settings(self.data)), column)
