"""Importing TextAttack without its side effects.

Left alone, `import textattack` tries six NLTK downloads, marks them as done even when they failed, closes the
process's log handlers and sets environment variables. Every change made here for the time of the import is taken back
after it.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from robusteval.attacks.imports.flair import flair_or_stand_in
from robusteval.attacks.imports.quiet import kept_environment, quiet_import, whole_package

INSTALL = "textattack.shared.utils.install"
SUPPLY = "pip install 'textattack>=0.3.10,<0.4' 'flair>=0.15' 'transformers>=4.57,<5'"


def textattack_found() -> bool:
    """Whether the package is installed; it is not imported."""
    try:
        return importlib.util.find_spec("textattack") is not None
    except (ImportError, ValueError):
        return False


def textattack_loaded() -> types.ModuleType | None:
    """The package, if somebody has imported it."""
    loaded = sys.modules.get("textattack")
    return loaded if loaded is not None and hasattr(loaded, "Attack") else None


def import_textattack() -> types.ModuleType:
    """The package; whatever its import raises is raised, which is LookupError where NLTK finds no stop words.

    Where flair cannot be imported, recipes that do not tag with it still run.
    """
    with kept_environment(), quiet_import(), flair_or_stand_in(), _without_post_install():
        textattack = whole_package("textattack")
    # Its messages go where the program's logging sends them, not to a handler of its own.
    messages: logging.Logger = sys.modules[INSTALL].logger
    messages.handlers.clear()
    messages.propagate = True
    messages.setLevel(logging.NOTSET)
    return textattack


@contextmanager
def _without_post_install() -> Iterator[None]:
    """Import `textattack.shared.utils.install` without its last line: downloads, marked as done."""
    finder = _InstallFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _InstallFinder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != INSTALL:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            spec.loader = _InstallLoader(fullname, spec.origin)
        return spec


class _InstallLoader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> types.CodeType:
        # No bytecode is read or written: the file on disk keeps its meaning for everybody else.
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        tree.body = [node for node in tree.body if not _is_call_of(node, "_post_install_if_needed")]
        return compile(tree, path, "exec")


def _is_call_of(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == name
