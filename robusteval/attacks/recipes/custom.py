"""Recipes of the user's own: an object in a Python file, or an entry point of an installed package.

Such an object has `build(model_wrapper)`, as TextAttack's recipes have, or is a function of the wrapper; either
returns a `textattack.Attack`. It may list what it needs: `needs = ("wordnet", "pos tagger")`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import sys
import traceback
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robusteval.errors import UserError, unknown_name
from robusteval.registry import Entry

ENTRY_POINTS = "robusteval.attacks"
KIND = "attack recipe"


@dataclass(frozen=True)
class CustomRecipe:
    """What was found under `name`. needs: names of `declared.RESOURCES`."""

    name: str
    found: Any
    needs: tuple[str, ...]

    def build(self, model_wrapper: Any) -> Any:
        """The `textattack.Attack`; UserError where something else comes back, or an attack on no classifier."""
        from textattack import Attack
        from textattack.goal_functions import ClassificationGoalFunction

        attack = getattr(self.found, "build", self.found)(model_wrapper)
        if not isinstance(attack, Attack):
            raise UserError(f"{KIND} {self.name!r}: returned a {type(attack).__name__}, not a textattack.Attack")
        if not isinstance(attack.goal_function, ClassificationGoalFunction):
            goal = type(attack.goal_function).__name__
            raise UserError(f"{KIND} {self.name!r}: its goal {goal} is not one for classifiers")
        return attack


class CustomEntry(Entry):
    """An entry whose code is not of this package: `load` runs it, and says what is wrong with it."""

    def load(self) -> CustomRecipe:
        """The recipe; UserError where its code cannot be imported or holds nothing of that name that fits."""
        # Its imports of textattack shall have no side effects.
        from robusteval.attacks.resources.offline import load_textattack

        load_textattack()
        place, _, attribute = self.target.rpartition(":")
        module = self._module(place)
        if not hasattr(module, attribute):
            raise unknown_name(f"{KIND} {self.name!r}: {place}", attribute, _offered(module))
        found = getattr(module, attribute)
        if not callable(getattr(found, "build", found)):
            raise UserError(f"{KIND} {self.name!r}: {attribute} is neither a function nor has it build(model_wrapper)")
        return CustomRecipe(self.name, found, _needs(self.name, found))

    def _module(self, place: str) -> types.ModuleType:
        try:
            return importlib.import_module(place)
        except (Exception, SystemExit) as error:
            raise UserError(f"{KIND} {self.name!r}: {place} cannot be imported: {_described(error)}") from error


class FileEntry(CustomEntry):
    """An object in a Python file; `target` is "FILE:OBJECT".

    The name that results bear is "<file>.<object>.<8 digits of the file's hash>": the same wherever the file lies,
    another one as soon as its content is another.
    """

    def _module(self, place: str) -> types.ModuleType:
        path = Path(place)
        source = _read(path)
        name = f"robusteval_recipe_{_digest(source)}"
        if name in sys.modules:
            return sys.modules[name]
        module = types.ModuleType(name)
        module.__file__ = str(path.absolute())
        # Classes of the file look themselves up there; no bytecode is written beside the file.
        sys.modules[name] = module
        try:
            exec(compile(source, str(path), "exec"), vars(module))
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise UserError(f"{KIND}: {path} cannot be imported: {_described(error, str(path))}") from error
        return module


def is_file_recipe(name: str) -> bool:
    """Whether `name` has the form of a file's recipe: "path/to/file.py:OBJECT"."""
    return name.endswith(".py") or name.rpartition(":")[0].endswith(".py")


def file_entry(name: str) -> FileEntry:
    """The recipe "path/to/file.py:OBJECT"; the file is read, but not run. UserError where that cannot be."""
    file, _, attribute = name.rpartition(":")
    if not file.endswith(".py") or not attribute.isidentifier():
        file = file or name
        raise UserError(f"{KIND}: {name!r} names no object; give {file}:NAME of a class or function in it")
    path = Path(file).expanduser()
    label = f"{path.stem}.{attribute}.{_digest(_read(path))}"
    return FileEntry(re.sub(r"[^A-Za-z0-9_.-]", "_", label), f"{path}:{attribute}", f"a recipe in {path}")


def entry_points() -> dict[str, CustomEntry]:
    """The recipes that installed packages offer, by name; UserError where two offer the same."""
    found: dict[str, CustomEntry] = {}
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        entry = CustomEntry(point.name, point.value, f"a recipe of the package {_distribution(point)}")
        if found.setdefault(point.name, entry).target != entry.target:
            raise UserError(
                f"{KIND} {point.name!r}: offered by {found[point.name].target} and by {entry.target}; uninstall one"
            )
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", point.name):
            raise UserError(
                f"{KIND} {point.name!r} of {_distribution(point)}: a name has only letters, digits, '_', '.' and '-'"
            )
    return found


def _needs(name: str, found: Any) -> tuple[str, ...]:
    from robusteval.attacks.resources.declared import RESOURCES

    needs = getattr(found, "needs", ())
    if isinstance(needs, str) or not isinstance(needs, Sequence):
        raise UserError(f"{KIND} {name!r}: its needs {needs!r} are not a tuple of names of resources")
    for need in needs:
        if need not in RESOURCES:
            raise unknown_name(f"{KIND} {name!r}: needs", need, RESOURCES)
    return tuple(needs)


def _offered(module: types.ModuleType) -> list[str]:
    """What the module defines itself, and could be meant."""
    return [
        name
        for name, found in vars(module).items()
        if not name.startswith("_") and getattr(found, "__module__", None) == module.__name__
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{KIND}: the file {str(path)!r} cannot be read ({error.strerror})") from error


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()[:8]


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _described(error: BaseException, file: str = "") -> str:
    """Kind, message, and the line of `file` where it happened."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{where}"
