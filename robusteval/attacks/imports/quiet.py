"""Importing a package whole or not at all, with the environment, the warnings and the logging left as they were."""

from __future__ import annotations

import importlib
import logging.config
import os
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch


def import_quietly(package: str) -> types.ModuleType:
    """The package, without letting it reconfigure logging or the environment; whatever its import raises is raised."""
    with kept_environment(), quiet_import():
        return whole_package(package)


def whole_package(package: str) -> types.ModuleType:
    """The package, imported whole or not at all: a half-imported one would look importable to whoever asks next."""
    before = set(sys.modules)
    try:
        return importlib.import_module(package)
    except BaseException:
        for name in set(sys.modules) - before:
            if name == package or name.startswith(f"{package}."):
                del sys.modules[name]
        raise


@contextmanager
def kept_environment() -> Iterator[None]:
    """Restore os.environ afterwards. TA_CACHE_DIR is hidden: TextAttack would overwrite HF_HOME with it."""
    before = dict(os.environ)
    os.environ.pop("TA_CACHE_DIR", None)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


@contextmanager
def quiet_import() -> Iterator[None]:
    """No warnings and no logging set-up by the imported packages: dictConfig closes everybody's handlers."""
    with warnings.catch_warnings(), patch.object(logging.config, "dictConfig", lambda config: None):
        warnings.simplefilter("ignore")
        yield
