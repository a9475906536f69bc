"""Where flair cannot be imported, a hollow one lets TextAttack be imported all the same."""

from __future__ import annotations

import importlib.machinery
import logging
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager

from robusteval.attacks.imports.quiet import import_quietly
from robusteval.errors import describe_error

logger = logging.getLogger(__name__)


@contextmanager
def flair_or_stand_in() -> Iterator[None]:
    """Import flair if possible; else let TextAttack import a hollow one, gone again afterwards."""
    try:
        import_quietly("flair")
    except Exception as error:  # beside other versions an import fails in any way
        logger.info("flair cannot be imported (%s)", describe_error(error))
    else:
        yield
        return
    stand_in = _hollow_flair()
    sys.modules.update(stand_in)
    try:
        yield
    finally:
        for name in stand_in:
            sys.modules.pop(name, None)


def _hollow_flair() -> dict[str, types.ModuleType]:
    """Just the names TextAttack imports from flair at module level."""
    modules = {name: types.ModuleType(name) for name in ("flair", "flair.data", "flair.models")}
    for name, module in modules.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=name == "flair")
    for module_name, class_name in (
        ("data", "Sentence"),
        ("data", "Tokenizer"),
        ("models", "SequenceTagger"),
    ):
        setattr(modules[f"flair.{module_name}"], class_name, type(class_name, (), {}))
    vars(modules["flair"]).update(data=modules["flair.data"], models=modules["flair.models"], __path__=[])
    return modules
