"""Names of one kind of thing and where each lives: registered here, offered by a package, or in a file of the user's.

A registered name maps to a lazy "module:object", imported only when it is used, and is never shadowed. An installed
package offers names by entry points of the registry's group. "path/to/file.py:OBJECT" names an object in a file. Code
of a package or a file is run when it is named, and only then.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import inspect
import os
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from robusteval.errors import UserError, describe_error, unknown_name

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

# a file's name is kept so far in the name that results bear
_LONGEST = 60
_PINNED = re.compile(r'^("?).*/(?=[^/]*\.py:\w+@[0-9a-f]{8}(?:[":]|$))', re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One name: where its object lives and what it is, in one line. facts: further columns for listings.

    name: what results bear; it can be part of a file's name.
    """

    name: str
    target: str
    summary: str
    facts: tuple[tuple[str, str], ...] = ()

    def load(self) -> Any:
        return _object(self.target)


@dataclass(frozen=True)
class CustomEntry(Entry):
    """An entry whose code is not of this package: `load` runs it, and says what is wrong with it.

    kind: of its registry. accepts: "module:object" of a base class, or of a function from this entry to what is used.
    version: of the package that offers it, with its name; a file's content is part of its entry's name.
    """

    kind: str = ""
    accepts: str = ""
    version: str = ""

    def load(self) -> Any:
        """The object; UserError where its code cannot be imported or holds nothing of that name that fits."""
        accepts = _object(self.accepts)
        return self.subclass_of(accepts) if isinstance(accepts, type) else accepts(self)

    @property
    def attribute(self) -> str:
        return self.target.rpartition(":")[2]

    def found(self) -> Any:
        """The object as it stands there; UserError as `load`."""
        place = self.target.rpartition(":")[0]
        module = self._module(place)
        if not hasattr(module, self.attribute):
            raise unknown_name(f"{self.kind} {self.name!r}: {place}", self.attribute, _defined(module))
        return getattr(module, self.attribute)

    def subclass_of(self, base: type) -> type:
        """The object, where it is a subclass of `base` that can be made as `base` is; else UserError."""
        found = self.found()
        what = f"{base.__module__}.{base.__qualname__}"
        if not (isinstance(found, type) and issubclass(found, base) and found is not base):
            raise self.wrong(f"{self.attribute} is no subclass of {what}")
        if missing := sorted(getattr(found, "__abstractmethods__", ())):
            raise self.wrong(f"{self.attribute} does not define {', '.join(missing)}")
        settings = getattr(found, "Settings", None)
        if not (isinstance(settings, type) and dataclasses.is_dataclass(settings)):
            raise self.wrong(f"{self.attribute} has no Settings, a frozen dataclass of what a user may set")
        if not takes(found, len(inspect.signature(base).parameters)):
            names = ", ".join(inspect.signature(base).parameters)
            raise self.wrong(f"{self.attribute} cannot be made from ({names}), as {what} is")
        return found

    def wrong(self, what: str) -> UserError:
        """The error that says so of this entry."""
        return UserError(f"{self.kind} {self.name!r}: {what}")

    def described(self, error: BaseException) -> str:
        """Kind, message, and the line of this entry's file where it happened."""
        return describe_error(error)

    def _module(self, place: str) -> types.ModuleType:
        try:
            return importlib.import_module(place)
        except (Exception, SystemExit) as error:
            raise self.wrong(f"{place} cannot be imported: {describe_error(error)}") from error


@dataclass(frozen=True)
class FileEntry(CustomEntry):
    """An object in a Python file; `target` is "FILE:OBJECT", `digest` the first 8 digits of the file's sha256.

    The name that results bear is "<file>.<object>.<digest>": the same wherever the file lies, another one as soon as
    its content is another.
    """

    digest: str = ""

    @property
    def path(self) -> Path:
        return Path(self.target.rpartition(":")[0])

    def described(self, error: BaseException) -> str:
        return describe_error(error, str(self.path))

    def _module(self, place: str) -> types.ModuleType:
        path = self.path
        source = _read(path, self.kind)
        if _digest(source) != self.digest:
            raise self.wrong(f"{path} is no longer the file that was named: its content has changed")
        name = f"robusteval_file_{_digest(str(path.absolute()).encode() + source)}"
        if name in sys.modules:
            return sys.modules[name]
        module = types.ModuleType(name)
        module.__file__ = str(path.absolute())
        # classes of the file look themselves up there; no bytecode is written beside the file
        sys.modules[name] = module
        try:
            exec(compile(source, str(path), "exec"), vars(module))
        except BaseException as error:
            del sys.modules[name]
            if not isinstance(error, Exception | SystemExit):
                raise
            raise UserError(f"{self.kind}: {path} cannot be imported: {self.described(error)}") from error
        return module


class Registry(Generic[T]):
    """Names of one kind. Listing them imports nothing; `registry[name]` imports that one object.

    kind: one of them, in words. accepts: what code of others must be, as in `CustomEntry`; none is taken without it.
    groups: of the entry points by which packages offer names.
    Raises UserError with the nearest valid names where a name is not known.
    """

    def __init__(self, kind: str, accepts: str = "", groups: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self._accepts, self._groups = accepts, groups
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, target: str, summary: str, **facts: str) -> None:
        """Register `target` ("module:object"); `facts` are further columns for listings."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = Entry(name, target, summary, tuple(facts.items()))

    def entry(self, name: str) -> Entry:
        """What `name` means: a registered name, "path/to/file.py:OBJECT", or what a package offers.

        A file is read, but not run.
        """
        if name in self._entries:
            return self._entries[name]
        if self._accepts and is_file(name):
            path, attribute, digest = _parts(name, self.kind)
            return FileEntry(
                _label(path, attribute, digest), f"{path}:{attribute}", f"{_article(self.kind)} in {path}",
                kind=self.kind, accepts=self._accepts, digest=digest,
            )  # fmt: skip
        offered = self.offered()
        if name not in offered:
            raise unknown_name(self.kind, name, [*self._entries, *offered])
        return offered[name]

    def offered(self) -> dict[str, CustomEntry]:
        """What installed packages offer, by name; UserError where two offer the same."""
        from importlib.metadata import entry_points

        found: dict[str, CustomEntry] = {}
        for group in self._groups:
            for point in entry_points(group=group):
                what = f"{_article(group.rpartition('.')[2].rstrip('s'))} of the package {_package(point)}"
                entry = CustomEntry(
                    point.name, point.value, what, kind=self.kind, accepts=self._accepts, version=_version(point)
                )
                if found.setdefault(point.name, entry).target != entry.target:
                    raise UserError(
                        f"{self.kind} {point.name!r}: offered by {found[point.name].target} and by {entry.target}; "
                        "uninstall one"
                    )
                if not re.fullmatch(r"[A-Za-z0-9_.-]+", point.name):
                    raise UserError(
                        f"{self.kind} {point.name!r} of {_package(point)}: a name has only letters, digits, '_', '.' "
                        "and '-'"
                    )
        return found

    def __getitem__(self, name: str) -> T:
        return cast(T, self.entry(name).load())

    def __contains__(self, name: object) -> bool:
        """Whether the name is registered here."""
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        """The registered entries, then those of installed packages."""
        yield from self._entries.values()
        yield from (entry for name, entry in self.offered().items() if name not in self._entries)

    def names(self) -> list[str]:
        """The registered names."""
        return list(self._entries)


def is_file(name: str) -> bool:
    """Whether `name` has the form of an object in a file: "path/to/file.py:OBJECT"."""
    return name.endswith(".py") or name.rpartition(":")[0].endswith(".py")


def pinned(name: str, kind: str) -> str:
    """An object in a file, named so that it holds from any folder, and for this content of the file alone.

    "file.py:OBJECT" becomes "/path/to/file.py:OBJECT@<digest>"; any other name is itself. kind: as in `Registry`.
    UserError where the file cannot be read.
    """
    if not is_file(name):
        return name
    path, attribute, digest = _parts(name, kind)
    return f"{Path(os.path.abspath(path)).as_posix()}:{attribute}@{digest}"


def result_name(name: str, kind: str = "name") -> str:
    """The name that results bear: that of a file's object says its content instead of its place."""
    return _label(*_parts(name, kind)) if is_file(name) else name


def placeless(value: Any) -> Any:
    """Plain values, with every pinned name in them (`pinned`) without the folder that its file lies in."""
    if isinstance(value, dict):
        return {key: placeless(each) for key, each in value.items()}
    if isinstance(value, list):
        return [placeless(each) for each in value]
    return _PINNED.sub(r"\1", value) if isinstance(value, str) else value


def takes(function: Any, count: int) -> bool:
    """Whether `function` can be called with so many arguments by place."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True


def _parts(name: str, kind: str) -> tuple[Path, str, str]:
    """File, object and the digest of the content: the file's, unless the name says it."""
    file, _, rest = name.rpartition(":")
    attribute, pin, digest = rest.partition("@")
    if not file.endswith(".py") or not attribute.isidentifier() or (pin and not re.fullmatch("[0-9a-f]{8}", digest)):
        file = file if file.endswith(".py") else name
        raise UserError(f"{kind}: {name!r} names no object; give {file}:NAME of a class or function in it")
    path = Path(file).expanduser()
    return path, attribute, digest or _digest(_read(path, kind))


def _label(path: Path, attribute: str, digest: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", f"{path.stem[:_LONGEST]}.{attribute}.{digest}")


def _object(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _defined(module: types.ModuleType) -> list[str]:
    """What the module defines itself, and could be meant."""
    return [name for name, found in vars(module).items() if not name.startswith("_") and _is_own(found, module)]


def _is_own(found: Any, module: types.ModuleType) -> bool:
    if callable(found):
        return getattr(found, "__module__", None) == module.__name__
    return not isinstance(found, types.ModuleType) and type(found).__module__ != "__future__"


def _read(path: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(f"{kind}: the file {str(path)!r} cannot be read ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()[:8]


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _version(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
