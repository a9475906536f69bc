"""What a run is: the one source of run names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from robusteval.registry import pinned, result_name
from robusteval.settings.attack import AttackConfig
from robusteval.settings.codec import content_hash, from_dict, to_dict
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.fields import Record, same, setting
from robusteval.settings.grammar import Part, compact, label, ladder, parse_parts, pinned_parts
from robusteval.settings.model import ModelConfig
from robusteval.settings.train import TrainConfig

# where no task is named: its rows are built in
TASK = "demo-sentiment"

# Field of AttackConfig -> where EvalConfig had it in records of earlier versions.
EARLIER = {
    "recipes": "attacks",
    "examples": "attack_examples",
    "precision": "attack_precision",
    "query_budget": "query_budget",
    "time_limit": "time_limit",
}


@dataclass(frozen=True)
class MethodConfig:
    """One column of a table: one method or several composed, their settings, and training overrides.

    label: what the user wrote, as results bear it (`grammar.label`), the column's name; parts: (name, its settings) in
    the order given; train: TrainConfig fields that hold for this column only.
    """

    label: str = "vanilla"
    parts: tuple[tuple[str, dict[str, Any]], ...] = (("vanilla", {}),)
    train: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def ladder(cls, text: str) -> tuple[MethodConfig, ...]:
        """One column of each value that "a/b/c" stands for.

        >>> [each.label for each in MethodConfig.ladder("match:temperature=1/2")]
        ['match:temperature=1', 'match:temperature=2']
        """
        return tuple(map(cls.parse, ladder(pinned_parts(compact(text), "method"))))

    @classmethod
    def parse(cls, text: str) -> MethodConfig:
        """Read `name[:key=value...][+name...]`; a key of TrainConfig overrides training for this column.

        >>> MethodConfig.parse("match:temperature=2:learning_rate=5e-5").train
        {'learning_rate': 5e-05}
        """
        text = pinned_parts(text, "method")
        train_fields = {item.name for item in fields(TrainConfig)}
        parsed = parse_parts(text, "methods")
        train = {key: value for _, given in parsed for key, value in given.items() if key in train_fields}
        parts = tuple(
            (name, {key: value for key, value in given.items() if key not in train_fields}) for name, given in parsed
        )
        return cls("".join(label(text).split()), parts, train)


@dataclass(frozen=True)
class ScenarioConfig:
    """What is done to the training set before training: one scenario, or several applied in turn.

    label: what the user wrote, as results bear it (`grammar.label`), without the spaces around : = + / | >; parts:
    (name, its settings).
    """

    label: str = "none"
    parts: tuple[Part, ...] = ()

    @classmethod
    def parse(cls, text: str) -> tuple[ScenarioConfig, ...]:
        """Read `name[:key=value...][+name...]`; "a/b/c" for a value makes one scenario of each.

        A name that holds a sign stands in double quotes (`robusteval.settings.grammar`).

        >>> [each.label for each in ScenarioConfig.parse("label-noise:rate=0.05/0.1")]
        ['label-noise:rate=0.05', 'label-noise:rate=0.1']
        """
        return tuple(
            cls(label(each), () if each == "none" else parse_parts(each, "scenario"))
            for each in ladder(pinned_parts(compact(text), "scenario"))
        )


@dataclass(frozen=True)
class Tuning:
    """How a model is, or was, fine-tuned."""

    method: MethodConfig
    train: TrainConfig
    seed: int = 0


@dataclass(frozen=True)
class RunSpec(Record):
    """One run: train one model with one method and one seed, then evaluate and attack it."""

    PANEL: ClassVar[str] = "Model and methods"

    model: str = setting("minilm", "Registered name, folder or hub id.")
    model_revision: str = same(ModelConfig, "model_revision")
    trust_remote_code: bool = same(ModelConfig, "trust_remote_code")
    task: str = setting(TASK, "Task (robusteval list tasks) or FILE.py:NAME.", panel=DataConfig.PANEL, unset=TASK)
    method: MethodConfig = field(default_factory=MethodConfig)
    seed: int = setting(0, "Seed of an attack, or of a run.", panel=AttackConfig.PANEL, low=0, high=2**63 - 1)
    scenario: ScenarioConfig = field(default_factory=ScenarioConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluation: EvalConfig = field(default_factory=EvalConfig)
    attack: AttackConfig = field(default_factory=AttackConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "task", pinned(self.task, "task"))

    @classmethod
    def read(cls, held: Any, path: str = "") -> RunSpec:
        """From a record of this or an earlier version; UserError as `from_dict`."""
        return from_dict(cls, as_now(held), path)

    @property
    def tuning(self) -> Tuning:
        return Tuning(self.method, self.train, self.seed)

    @property
    def opening(self) -> ModelConfig:
        return ModelConfig(self.model_revision, self.trust_remote_code)

    @property
    def identity(self) -> dict[str, Any]:
        """Every field that says how the run is trained, as plain values."""
        spec = to_dict(self, identity=True)
        del spec["evaluation"], spec["attack"]
        return spec

    def name(self, identity: Mapping[str, Any] | None = None, **facts: str) -> str:
        """The folder name of the run; its hash covers every field that says how it is trained, and the given facts.

        Where the rows lie is not part of it, but what they are is: `facts` carries the fingerprint of the data, the
        hash of the starting checkpoint and the version of the code. Nor are the tests, each of which has facts of its
        own: a finished run can have more of them. identity: of this run, where it is known.
        """
        spec = self.identity if identity is None else identity
        hash8 = content_hash({"spec": spec, "facts": facts})[:8]
        method, scenario = (
            "".join(c if c.isalnum() or c in "+-=_" else "-" for c in label)[:60]
            for label in (self.method.label, self.scenario.label)
        )
        return f"{result_name(self.task)}.{method}.{scenario}.s{self.seed}.{hash8}"


def as_now(held: Any) -> Any:
    """The record of a run with its fields where they are now; what is none is left as it is."""
    evaluation = held.get("evaluation") if isinstance(held, Mapping) else None
    if not isinstance(evaluation, Mapping) or "attack" in held:
        return held
    attack = {now: evaluation[before] for now, before in EARLIER.items() if before in evaluation}
    if "columns" in evaluation:  # one field was for both
        attack["columns"] = evaluation["columns"]
    rest = {name: value for name, value in evaluation.items() if name not in EARLIER.values()}
    return {**held, "evaluation": rest, "attack": attack}
