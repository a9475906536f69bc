"""Where a resource is looked for: each check reads the disk only, and says which files an attack would read."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from robusteval.attacks.imports.quiet import import_quietly
from robusteval.attacks.resources import locations
from robusteval.attacks.resources.contents import Stamp, stamp
from robusteval.errors import describe_error


@dataclass(frozen=True)
class Found:
    """What a check has to say.

    looked: where it looked. paths: the files and folders that an attack will read, which are there if `present`;
    none for a Python package.
    """

    present: bool
    looked: str
    paths: tuple[Path, ...] = ()


Check = Callable[[Path | None], Found]
"""(resources folder) -> what was found."""


def nltk_data(*packages: str) -> Check:
    """All `packages` ("corpora/wordnet") lie in the searched folders, unpacked or zipped."""

    def check(resources_dir: Path | None) -> Found:
        folders = locations.nltk_folders(resources_dir)
        found = [*filter(None, (locations.nltk_package(folders, package) for package in packages))]
        looked = f"{' and '.join(packages)} in {', '.join(map(str, map(Path, folders)))}"
        return Found(len(found) == len(packages), looked, tuple(found))

    return check


def any_of(*checks: Check) -> Check:
    """The first that is there, in the order in which an attack looks."""

    def check(resources_dir: Path | None) -> Found:
        answers = [check(resources_dir) for check in checks]
        first = next((answer for answer in answers if answer.present), answers[0])
        return Found(first.present, "; or ".join(answer.looked for answer in answers), first.paths)

    return check


def in_folder(find: Callable[[Path | None], Path | None], *names: str) -> Check:
    """One of `names` in the --resources folder, where `find` (of `locations`) finds it."""

    def check(resources_dir: Path | None) -> Found:
        found = find(resources_dir)
        if found is not None:
            return Found(True, str(found), (found,))
        folder = "the --resources folder (none was given)" if resources_dir is None else str(resources_dir)
        return Found(False, f"{' or '.join(names)} in {folder}")

    return check


def in_textattack_cache(relative: str) -> Check:
    """The path lies in TextAttack's cache folder."""

    def check(resources_dir: Path | None) -> Found:
        path = locations.textattack_cache(resources_dir) / relative
        return Found(path.exists(), str(path), (path,))

    return check


def importable(*modules: str) -> Check:
    """The modules really import: an installed package may fail on the versions beside it."""

    def check(_: Path | None) -> Found:
        try:
            for module in modules:
                if importlib.util.find_spec(module.partition(".")[0]) is None:
                    return Found(False, f"Python packages: no {module}")
                import_quietly(module)
        except Exception as error:  # beside other versions an import fails in any way
            return Found(False, f"Python packages: {module} does not import ({describe_error(error)})")
        return Found(True, f"Python packages: {', '.join(modules)}")

    return check


def _hub_model(name: str) -> Check:
    """A model of the Hugging Face hub: its config and weights lie in the local cache."""

    def check(_: Path | None) -> Found:
        from huggingface_hub import constants, try_to_load_from_cache

        def cached(file: str) -> list[Path]:
            path = try_to_load_from_cache(name, file)
            return [Path(path)] if isinstance(path, str) else []

        config, weights = cached("config.json"), cached("model.safetensors") or cached("pytorch_model.bin")
        looked = f"{name} in {constants.HF_HUB_CACHE}"
        # They lie in the folder of one revision, beside the tokenizer.
        return Found(bool(config and weights), looked, tuple(path.parent for path in config))

    return check


def transformers_model(name: str, hub: str = "") -> Check:
    """A transformers model: a folder of its name in --resources, else in the cache of the hub, there as `hub`."""
    return any_of(in_folder(lambda folder: locations.model_folder(folder, name), name), _hub_model(hub or name))


def minilm(resources_dir: Path | None) -> Found:
    """The sentence encoder itself: weights that differ from the published ones do not count."""
    folder = locations.minilm_folder(resources_dir)
    if folder is not None:
        published = _published(folder, stamp([folder]))
        return Found(published, f"{folder} (its checksum must be the published one)", (folder,))
    hub = _hub_model(locations.MINILM_HUB)(resources_dir)
    own = in_folder(locations.minilm_folder, locations.MINILM_FOLDER)(resources_dir).looked
    looked = f"{own}; or the Python package {locations.MINILM_PACKAGE}; or {hub.looked}"
    return Found(hub.present, looked, hub.paths)


@functools.cache
def _published(folder: Path, files: Stamp) -> bool:
    from robusteval.models.catalogue import MINILM
    from robusteval.models.hashes import weights_sha256

    return weights_sha256(folder) == MINILM.sha256


def flair_model(folder: str) -> Check:
    def check(_: Path | None) -> Found:
        root = Path(os.environ.get("FLAIR_CACHE_ROOT") or Path.home() / ".flair")
        path = root / "models" / folder
        weights = tuple(sorted(path.rglob("pytorch_model.bin")))
        return Found(bool(weights), str(path), weights)

    return check


def tensorflow_hub(url: str) -> Check:
    """The unpacked module lies in --resources, or under the SHA-1 of its address, as TensorFlow Hub stores it."""
    own = in_folder(locations.use_folder, f"{locations.USE_FOLDER}/saved_model.pb")

    def check(resources_dir: Path | None) -> Found:
        given = own(resources_dir)
        root = Path(os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir()) / "tfhub_modules")
        path = root / hashlib.sha1(url.encode()).hexdigest()
        installed = importlib.util.find_spec("tensorflow_hub") is not None
        where = given.looked if given.present else f"{given.looked}; or {path}"
        found = installed and (given.present or any(path.glob("saved_model.pb*")))
        return Found(found, f"{where}; and the Python package tensorflow_hub", given.paths or (path,))

    return check


def in_textattack_package(*relative: str) -> Check:
    """A file inside the installed textattack package."""

    def check(_: Path | None) -> Found:
        spec = importlib.util.find_spec("textattack")
        folders = list(spec.submodule_search_locations or ()) if spec else []
        paths = [Path(folder, *relative) for folder in folders]
        where = ", ".join(map(str, paths)) or "the package textattack, which is not installed"
        found = tuple(path for path in paths if path.is_file())
        return Found(bool(found), where, found[:1])

    return check


def openhownet(_: Path | None) -> Found:
    """The files that OpenHowNet opens for the likeness of words, where it opens them."""
    folder = Path.home() / ".openhownet" / "resources"
    names = ("HowNet_dict_complete", "sememe_all", "sememe_sim_table", "sememe_triples_taxonomy.txt", "sense_tree")
    paths = tuple(folder / name for name in (*names, "synonym"))
    return Found(all(map(Path.is_file, paths)), f"{', '.join(path.name for path in paths)} in {folder}", paths)
