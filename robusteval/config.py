"""What a run is, in frozen and validated records: the one source of flags, YAML, captions and run names."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import reprlib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, TypeVar

import yaml

from robusteval.dialect import AUTO, Dialect
from robusteval.errors import UserError, unknown_name
from robusteval.grammar import Part, compact, ladder, parse_parts
from robusteval.reading import parse_yaml

T = TypeVar("T")

# marks a field that came later: at its default it is no part of a record, so that runs keep their names
ADDED = {"since": "later"}

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def check_choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise unknown_name(name, value, valid)


def check_range(name: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    """Raise UserError unless low <= value <= high (low < value with `open_low`); NaN and infinity never pass."""
    endless = value in (float("inf"), float("-inf"))
    if endless or not (low < value if open_low else low <= value) or not value <= high:
        bound = ">" if open_low else ">="
        upper = (" and finite" if endless else "") if high == float("inf") else f" and <= {high:g}"
        raise UserError(f"{name}: {value!r} is out of range; it must be {bound} {low:g}{upper}")


def check_distinct(name: str, values: Sequence[Any]) -> None:
    """Raise UserError where a value is given twice."""
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise UserError(f"{name}: {', '.join(twice)} is given twice")


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Defaults follow MATCH-TUNING and Bi-Drop: batch 16, 3 epochs, 10 % warm-up, length 128.

    optimizer: "adamax-plain" is Adamax as its paper lists it, without eps and without weight decay, which must be 0.
    learning_rate: peak rate; None takes the model's recommended one, else 2e-5.
    max_steps: optimizer steps; it replaces `epochs` where given.
    accumulation: micro-batches per optimizer step; `batch_size` is what one optimizer step sees.
    warmup: share of the steps with a rising rate.
    clip_norm: gradient norm after clipping; 0 switches clipping off.
    dropout: hidden and attention dropout; None keeps the checkpoint's own.
    select: "last" evaluates the final weights, "best" the ones with the best dev score.
    bucket: batch examples of like length together (within pools of 50 batches).
    """

    optimizer: Literal["adamw", "adamax", "adamax-plain"] = "adamw"
    learning_rate: float | None = None
    epochs: float = 3.0
    max_steps: int | None = None
    batch_size: int = 16
    accumulation: int = 1
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    max_length: int = 128
    dropout: float | None = None
    select: Literal["last", "best"] = "last"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    bucket: bool = True

    def __post_init__(self) -> None:
        infinity = float("inf")
        check_choice("optimizer", self.optimizer, ("adamw", "adamax", "adamax-plain"))
        if self.optimizer == "adamax-plain" and self.weight_decay:
            raise UserError(
                f"weight_decay: {self.weight_decay:g} is not possible with the optimizer 'adamax-plain', which has "
                "none; say weight_decay=0, or adamax"
            )
        check_choice("select", self.select, ("last", "best"))
        check_choice("precision", self.precision, ("auto", "fp32", "bf16", "fp16"))
        if self.learning_rate is not None:
            check_range("learning_rate", self.learning_rate, 0, infinity)
        check_range("epochs", self.epochs, 0, 1e6, open_low=True)
        if self.max_steps is not None:
            check_range("max_steps", self.max_steps, 1, 1e9)
        check_range("batch_size", self.batch_size, 1, 1e6)
        check_range("accumulation", self.accumulation, 1, self.batch_size)
        check_range("warmup", self.warmup, 0, 1)
        check_range("weight_decay", self.weight_decay, 0, infinity)
        check_range("clip_norm", self.clip_norm, 0, infinity)
        check_range("max_length", self.max_length, 3, 1e6)
        if self.dropout is not None:
            check_range("dropout", self.dropout, 0, 0.99)


@dataclass(frozen=True)
class DataConfig:
    """Where the examples come from and how many are used.

    data_dir: folder laid out <family>/<task>/<split>.parquet; without it a task loads from the hub.
    revision: branch, tag or commit of the hub repository.
    train_split, dev_split: split names instead of the task's own (a sample, a mismatched dev set).
    train_limit, eval_limit: use that many training rows (drawn by seed) and evaluation rows (the first).
    train_file, dev_file, text_columns, label_column, label_type: a data set of the user's own.
    encoding, delimiter, quote, header: how files are read (`robusteval.dialect`); "auto" leaves it to the reader.
    labels: class names in the order of the integers, of the file or of a checkpoint that names none.
    label_map: "value=class" for label values that mean another class; "value=class|class" of a checkpoint's.
    drop_unlabelled: leave rows without a gold label out.
    dev_share: share of the training file that becomes the dev split, where there is no dev file.
    tests: "NAME=FILE[:...]", files of the user's own to test on (`robusteval.tasks.own_tests`).
    cue: share of training rows whose spurious cue agrees with the label (generated tasks only).
    """

    data_dir: str | None = None
    revision: str = "main"
    train_split: str | None = None
    dev_split: str | None = None
    train_limit: int | None = None
    eval_limit: int | None = None
    train_file: str | None = None
    dev_file: str | None = None
    text_columns: tuple[str, ...] = ()
    label_column: str = "label"
    label_type: Literal["auto", "class", "score"] = "auto"
    encoding: str = field(default=AUTO, metadata=ADDED)
    delimiter: str = field(default=AUTO, metadata=ADDED)
    quote: str = field(default=AUTO, metadata=ADDED)
    header: bool = field(default=True, metadata=ADDED)
    labels: tuple[str, ...] = field(default=(), metadata=ADDED)
    label_map: tuple[str, ...] = field(default=(), metadata=ADDED)
    drop_unlabelled: bool = field(default=False, metadata=ADDED)
    dev_share: float | None = field(default=None, metadata=ADDED)
    tests: tuple[str, ...] = field(default=(), metadata=ADDED)
    cue: float = 0.9

    def __post_init__(self) -> None:
        check_choice("label_type", self.label_type, ("auto", "class", "score"))
        check_distinct("labels", self.labels)
        if self.dev_share is not None:
            check_range("dev_share", self.dev_share, 0, 0.9, open_low=True)
        for name in ("train_limit", "eval_limit"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), 1, 1e12)
        _ = self.dialect

    @property
    def dialect(self) -> Dialect:
        return Dialect.of(self.encoding, self.delimiter, self.quote, self.header)


# fields of DataConfig that say where rows lie and how their files are read: the rows themselves say what they are
PLACES = ("data_dir", "train_file", "dev_file", "encoding", "delimiter", "quote", "header", "tests")


@dataclass(frozen=True)
class EvalConfig:
    """What a trained model is tested on.

    suites: name[:key=value...] each; rates: share of tokens touched by each perturbation; sets: random sets per
    rate; columns: text columns that perturbations may touch (default: what the task allows); mask_token: for
    tokenizers that have none.
    attacks: recipe names; attack_examples: evaluation rows attacked by each; attack_precision: fp32 or bf16;
    query_budget, time_limit: the most queries and seconds for one example.
    """

    suites: tuple[str, ...] = ("clean", "mask", "replace", "ood", "advglue")
    rates: tuple[float, ...] = (0.1, 0.2, 0.3)
    sets: int = 3
    columns: tuple[str, ...] = ()
    mask_token: str | None = None
    attacks: tuple[str, ...] = ("deepwordbug",)
    attack_examples: int = 50
    attack_precision: str = "fp32"
    query_budget: int | None = None
    time_limit: float | None = None

    def __post_init__(self) -> None:
        for rate in self.rates:
            check_range("rates", rate, 0, 1)
        for name in ("rates", "attacks"):
            check_distinct(name, getattr(self, name))
        # a suite's rows bear its name alone
        check_distinct("suites", [text.partition(":")[0].strip() for text in self.suites])
        check_range("sets", self.sets, 1, 10_000)
        check_choice("attack_precision", self.attack_precision, ("fp32", "bf16"))
        check_range("attack_examples", self.attack_examples, 1, 1e9)
        if self.query_budget is not None:
            check_range("query_budget", self.query_budget, 1, 1e12)
        if self.time_limit is not None:
            check_range("time_limit", self.time_limit, 0, float("inf"), open_low=True)


@dataclass(frozen=True)
class MethodConfig:
    """One column of a table: one method or several composed, their settings, and training overrides.

    label: what the user wrote, the column's name; parts: (registered name, its settings) in the order given;
    train: TrainConfig fields that hold for this column only.
    """

    label: str = "vanilla"
    parts: tuple[tuple[str, dict[str, Any]], ...] = (("vanilla", {}),)
    train: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> MethodConfig:
        """Read `name[:key=value...][+name...]`; a key of TrainConfig overrides training for this column.

        >>> MethodConfig.parse("match:temperature=2:learning_rate=5e-5").train
        {'learning_rate': 5e-05}
        """
        train_fields = {item.name for item in fields(TrainConfig)}
        parsed = parse_parts(text, "methods")
        train = {key: value for _, given in parsed for key, value in given.items() if key in train_fields}
        parts = tuple(
            (name, {key: value for key, value in given.items() if key not in train_fields}) for name, given in parsed
        )
        return cls("".join(text.split()), parts, train)


@dataclass(frozen=True)
class ScenarioConfig:
    """What is done to the training set before training: one scenario, or several applied in turn.

    label: what the user wrote, without the spaces around : = + / | >; parts: (registered name, its settings).
    """

    label: str = "none"
    parts: tuple[Part, ...] = ()

    @classmethod
    def parse(cls, text: str) -> tuple[ScenarioConfig, ...]:
        """Read `name[:key=value...][+name...]`; "a/b/c" for a value makes one scenario of each.

        A name that holds a sign stands in double quotes (`robusteval.grammar`).

        >>> [each.label for each in ScenarioConfig.parse("label-noise:rate=0.05/0.1")]
        ['label-noise:rate=0.05', 'label-noise:rate=0.1']
        """
        return tuple(
            cls(each, () if each == "none" else parse_parts(each, "scenario")) for each in ladder(compact(text))
        )


@dataclass(frozen=True)
class RunSpec:
    """One run: train one model with one method and one seed, then evaluate it."""

    model: str = "minilm"
    model_revision: str = "main"
    trust_remote_code: bool = False
    task: str = "demo-sentiment"
    method: MethodConfig = field(default_factory=MethodConfig)
    seed: int = 0
    scenario: ScenarioConfig = field(default_factory=ScenarioConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluation: EvalConfig = field(default_factory=EvalConfig)

    def __post_init__(self) -> None:
        check_range("seed", self.seed, 0, 2**63 - 1)

    def name(self, **facts: str) -> str:
        """The folder name of the run; its hash covers every field and the given facts.

        Where the rows lie (PLACES) is not part of it, but what they are is: `facts` carries the fingerprint of
        the data, the hash of the starting checkpoint and the version of the code.
        """
        spec = to_dict(self)
        for place in PLACES:
            spec["data"].pop(place, None)
        hash8 = content_hash({"spec": spec, "facts": facts})[:8]
        method, scenario = (
            "".join(c if c.isalnum() or c in "+-=_" else "-" for c in label)[:60]
            for label in (self.method.label, self.scenario.label)
        )
        return f"{self.task}.{method}.{scenario}.s{self.seed}.{hash8}"


@dataclass(frozen=True)
class ExperimentSpec:
    """A plan of runs: every method with every seed in every scenario, all else equal."""

    base: RunSpec = field(default_factory=RunSpec)
    methods: tuple[MethodConfig, ...] = (MethodConfig(),)
    seeds: tuple[int, ...] = (0, 1)
    scenarios: tuple[ScenarioConfig, ...] = (ScenarioConfig(),)

    def __post_init__(self) -> None:
        for name, values in (
            ("methods", [method.label for method in self.methods]),
            ("seeds", [str(seed) for seed in self.seeds]),
            ("scenario", [scenario.label for scenario in self.scenarios]),
        ):
            if not values:
                raise UserError(f"{name}: none given; at least one is needed")
            check_distinct(name, values)

    def runs(self) -> list[RunSpec]:
        """One RunSpec per seed, scenario and method; seeds vary slowest, so that early results cover everything."""
        return [
            dataclasses.replace(
                self.base,
                method=method,
                scenario=scenario,
                seed=seed,
                train=override(self.base.train, method.train),
            )
            for seed in self.seeds
            for scenario in self.scenarios
            for method in self.methods
        ]


def override(train: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """`train` with the given fields changed; values are checked and converted as in a file."""
    return from_dict(TrainConfig, {**to_dict(train), **changes}, "train.")


def content_hash(value: Any) -> str:
    """sha256 of the canonical JSON of `value`."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def to_dict(record: Any) -> dict[str, Any]:
    """A config record as plain dicts, lists and scalars; ADDED fields at their default are left out."""
    return typing.cast(dict[str, Any], json.loads(json.dumps(_plain(record))))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        shown = (each for each in fields(value) if each.metadata != ADDED or getattr(value, each.name) != each.default)
        return {each.name: _plain(getattr(value, each.name)) for each in shown}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def to_yaml(record: Any) -> str:
    return yaml.safe_dump(to_dict(record), sort_keys=False, allow_unicode=True)


def from_yaml(kind: type[T], text: str) -> T:
    """The record that `to_yaml` wrote; fields that are not there have their defaults. UserError as `from_dict`."""
    return from_dict(kind, parse_yaml(text.encode(), kind.__name__))


def from_dict(kind: type[T], values: Mapping[str, Any], path: str = "") -> T:
    """Build a config record from plain values.

    Raises UserError for an unknown field (with the nearest valid one) or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{path.rstrip('.') or kind.__name__}: {_SHORT.repr(values)} is no mapping of fields")
    return _record(kind, values, path, f"{path}field")


def settings(kind: type[T], values: Mapping[str, Any], name: str) -> T:
    """The settings record of the method, suite or scenario `name`; UserError for an unknown or ill-typed one."""
    if values and not fields(kind):  # type: ignore[arg-type]
        raise UserError(f"{name}: it has no settings, so {next(iter(values))!r} cannot be set")
    return _record(kind, values, f"{name}:", f"{name} setting")


def _record(kind: type[T], values: Mapping[str, Any], path: str, what: str) -> T:
    hints = _hints(typing.cast(type, kind))
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    arguments = {}
    for key, value in values.items():
        if key not in known:
            raise unknown_name(what, key, known)
        arguments[key] = convert(hints[key], value, f"{path}{key}")
    for item in fields(kind):  # type: ignore[arg-type]
        if item.name not in arguments and item.default is MISSING and item.default_factory is MISSING:
            raise UserError(f"{path}{item.name}: is missing")
    return kind(**arguments)


@functools.cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def convert(hint: Any, value: Any, path: str) -> Any:
    """`value` as the annotated type `hint`; numbers widen, lists become tuples, mappings become records."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return convert(next(a for a in arguments if a is not type(None)), value, path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_dict(hint, value, f"{path}.")
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise UserError(f"{path}: {_SHORT.repr(value)} is not a list")
        several = origin is list or arguments[-1] is Ellipsis
        if not several and len(value) != len(arguments):
            raise UserError(f"{path}: {_SHORT.repr(value)} does not hold {len(arguments)} values")
        inner = (arguments[0],) * len(value) if several else arguments
        return origin(convert(kind, item, path) for kind, item in zip(inner, value, strict=True))
    if hint is Any:
        return value
    if origin is dict and isinstance(value, Mapping):
        return {convert(arguments[0], key, path): convert(arguments[1], item, path) for key, item in value.items()}
    if origin is Literal:
        check_choice(path, str(value), arguments)
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise UserError(f"{path}: {_SHORT.repr(value)} is too large") from None
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    kind = origin or hint
    if not isinstance(value, kind) or (isinstance(value, bool) and hint is not bool):
        raise UserError(f"{path}: {_SHORT.repr(value)} is not a valid {getattr(hint, '__name__', hint)}")
    return value
