"""Where things lie: the repository, its tests, and data beside it that may or may not be there."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
DOCS = ROOT / "docs"
SHARED = ROOT.parent / "shared"
NO_WORDNET = "no WordNet in NLTK_DATA or ../shared/nltk_data (python -m nltk.downloader wordnet)"


def nltk_data(*needed: str) -> Path | None:
    """The first folder of NLTK data, of those in NLTK_DATA and beside the repository, with all that is needed."""
    folders = [Path(folder) for folder in os.environ.get("NLTK_DATA", "").split(os.pathsep) if folder]
    for folder in [*folders, SHARED / "nltk_data"]:
        if all((folder / name).is_dir() or (folder / f"{name}.zip").is_file() for name in needed):
            return folder
    return None


def wordnet_folder() -> Path | None:
    return nltk_data("corpora/wordnet")
