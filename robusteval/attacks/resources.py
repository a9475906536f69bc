"""The files and packages that recipes need beyond the model: where they are looked for, who supplies them.

Every check reads the disk only. Nothing is ever downloaded: a missing resource is reported with the command
that fetches it, before the first query.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from robusteval.attacks import recipe_entry
from robusteval.errors import UserError


@dataclass(frozen=True)
class ResourceStatus:
    """One declared resource: is it there, where was it looked for, and what supplies it if not."""

    name: str
    present: bool
    looked: str
    supply: str


Check = Callable[[Path | None], tuple[bool, str]]
"""(resources folder) -> (present, where it was looked for)."""


@dataclass(frozen=True)
class Resource:
    """A declared resource; `supply` is the exact command, or the file and where to put it."""

    name: str
    check: Check
    supply: str


def nltk_folders(resources_dir: Path | None = None) -> list[str]:
    """The folders searched for NLTK data: `resources_dir`, its nltk_data, then NLTK's own path."""
    import nltk.data

    own = [str(folder) for folder in nltk.data.path]
    if resources_dir is None:
        return own
    first = [str(resources_dir), str(resources_dir / "nltk_data")]
    return first + [folder for folder in own if folder not in first]


def textattack_cache(resources_dir: Path | None = None) -> Path:
    """Where TextAttack's own files lie: `resources_dir`/textattack if there, else its cache folder."""
    if resources_dir is not None and (resources_dir / "textattack").is_dir():
        return resources_dir / "textattack"
    return Path(os.environ.get("TA_CACHE_DIR") or Path.home() / ".cache" / "textattack")


def _holds(folder: Path, package: str) -> bool:
    return (folder / package).is_dir() or (folder / f"{package}.zip").is_file()


def _nltk(*packages: str) -> Check:
    """All `packages` ("corpora/wordnet") lie in the searched folders, unpacked or zipped."""

    def check(resources_dir: Path | None) -> tuple[bool, str]:
        folders = nltk_folders(resources_dir)
        found = all(any(_holds(Path(folder), package) for folder in folders) for package in packages)
        return found, " and ".join(packages) + " in " + ", ".join(folders)

    return check


def _any_of(*checks: Check) -> Check:
    def check(resources_dir: Path | None) -> tuple[bool, str]:
        answers = [check(resources_dir) for check in checks]
        return any(found for found, _ in answers), "; or ".join(looked for _, looked in answers)

    return check


def _cached(*relative: str) -> Check:
    """Every path lies in TextAttack's cache folder."""

    def check(resources_dir: Path | None) -> tuple[bool, str]:
        paths = [textattack_cache(resources_dir) / path for path in relative]
        return all(path.exists() for path in paths), ", ".join(str(path) for path in paths)

    return check


def _importable(*modules: str) -> Check:
    """The modules really import: an installed package may fail on the versions beside it."""

    def check(_: Path | None) -> tuple[bool, str]:
        try:
            for module in modules:
                if importlib.util.find_spec(module.partition(".")[0]) is None:
                    return False, f"Python packages: no {module}"
                if module == "flair":
                    from robusteval.attacks.importing import import_flair

                    import_flair()
                else:
                    importlib.import_module(module)
        except Exception as error:
            return False, f"Python packages: {module} does not import ({type(error).__name__}: {error})"
        return True, f"Python packages: {', '.join(modules)}"

    return check


def _hub_model(name: str) -> Check:
    """A model of the Hugging Face hub: its config and weights lie in the local cache."""

    def check(_: Path | None) -> tuple[bool, str]:
        from huggingface_hub import constants, try_to_load_from_cache

        def cached(file: str) -> bool:
            return isinstance(try_to_load_from_cache(name, file), str)

        weights = ("model.safetensors", "pytorch_model.bin")
        found = cached("config.json") and any(cached(file) for file in weights)
        return found, f"{name} in {constants.HF_HUB_CACHE}"

    return check


def _flair_model(folder: str) -> Check:
    def check(_: Path | None) -> tuple[bool, str]:
        root = Path(os.environ.get("FLAIR_CACHE_ROOT") or Path.home() / ".flair")
        path = root / "models" / folder
        return any(path.rglob("pytorch_model.bin")), str(path)

    return check


def _tensorflow_hub(url: str) -> Check:
    """The unpacked module lies under the SHA-1 of its address, as TensorFlow Hub stores it."""

    def check(_: Path | None) -> tuple[bool, str]:
        root = Path(os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir()) / "tfhub_modules")
        path = root / hashlib.sha1(url.encode()).hexdigest()
        installed = importlib.util.find_spec("tensorflow_hub") is not None
        where = f"{path} and the Python package tensorflow_hub"
        return installed and any(path.glob("saved_model.pb*")), where

    return check


def _package_file(*relative: str) -> Check:
    """A file inside the installed textattack package."""

    def check(_: Path | None) -> tuple[bool, str]:
        spec = importlib.util.find_spec("textattack")
        folders = list(spec.submodule_search_locations or ()) if spec else []
        paths = [Path(folder, *relative) for folder in folders]
        where = ", ".join(map(str, paths)) or "the package textattack, which is not installed"
        return any(path.is_file() for path in paths), where

    return check


_USE = "https://tfhub.dev/google/universal-sentence-encoder/3"
_S3 = "https://textattack.s3.amazonaws.com"


def _from_s3(relative: str) -> str:
    return f"{_S3}/{relative} (unpacked if it is a zip) as textattack/{relative} in the --resources folder"


def _python(code: str) -> str:
    return f'python -c "{code}"'


RESOURCES: dict[str, Resource] = {
    resource.name: resource
    for resource in (
        Resource("wordnet", _nltk("corpora/wordnet"), "python -m nltk.downloader wordnet"),
        Resource(
            "multilingual wordnet",
            _any_of(_nltk("corpora/omw-2.0"), _nltk("corpora/omw-1.4")),
            "python -m nltk.downloader omw-2.0 (omw-1.4 for an NLTK older than 3.10)",
        ),
        Resource(
            "pos tagger",
            _nltk("taggers/averaged_perceptron_tagger_eng", "taggers/universal_tagset"),
            "python -m nltk.downloader averaged_perceptron_tagger_eng universal_tagset",
        ),
        Resource(
            "counter-fitted vectors",
            _cached("word_embeddings/paragramcf"),
            _from_s3("word_embeddings/paragramcf"),
        ),
        Resource(
            "hownet candidates",
            _cached("transformations/hownet/word_candidates_sense.pkl"),
            _from_s3("transformations/hownet/word_candidates_sense.pkl"),
        ),
        Resource(
            "learning-to-write language model",
            _cached("constraints/grammaticality/language-models/learning-to-write"),
            _from_s3("constraints/grammaticality/language-models/learning-to-write"),
        ),
        Resource(
            "google language model",
            _cached("constraints/semantics/language-models/alzantot-goog-lm"),
            _from_s3("constraints/semantics/language-models/alzantot-goog-lm"),
        ),
        Resource(
            "homoglyphs",
            _package_file("shared", "intentional_homoglyphs.txt"),
            "textattack/shared/intentional_homoglyphs.txt of github.com/QData/TextAttack, copied there",
        ),
        Resource(
            "use",
            _tensorflow_hub(_USE),
            "pip install tensorflow tensorflow_hub, then set TFHUB_CACHE_DIR to a folder that stays and run "
            + _python(f"import tensorflow_hub as hub; hub.load('{_USE}')"),
        ),
        Resource("tensorflow", _importable("tensorflow"), "pip install tensorflow"),
        Resource("torchfile", _importable("torchfile"), "pip install torchfile"),
        Resource(
            "flair",
            _importable("flair"),
            "pip install 'flair>=0.15' 'transformers<5' (flair 0.15 does not import on transformers 5)",
        ),
        *(
            Resource(name, _hub_model(name), f"hf download {name}")
            for name in ("bert-base-uncased", "distilroberta-base", "xlm-roberta-base", "gpt2")
        ),
        *(
            Resource(
                name,
                _flair_model(folder),
                _python(f"from flair.models import SequenceTagger; SequenceTagger.load('{model}')"),
            )
            for name, folder, model in (
                ("flair ner", "ner-english", "ner"),
                ("flair upos", "upos-english-fast", "upos-fast"),
                ("flair ner-french", "ner-french", "flair/ner-french"),
                ("flair ner-multi", "ner-multi-fast", "flair/ner-multi-fast"),
            )
        ),
    )
}


def needs(recipe: str) -> list[str]:
    """Names of the declared resources of `recipe`; UserError where the recipe is unknown."""
    listed = dict(recipe_entry(recipe).facts)["needs"]
    return [name.strip() for name in listed.split(",") if name.strip()]


def check_recipe(name: str, resources_dir: Path | None = None) -> list[ResourceStatus]:
    """The state of every declared resource of recipe `name`; an empty list where it needs nothing.

    A recipe that cannot run whatever is supplied has one more entry, called "recipe", that says why.
    """
    states = []
    for need in needs(name):
        resource = RESOURCES[need]
        present, looked = resource.check(resources_dir)
        states.append(ResourceStatus(need, present, looked, resource.supply))
    blocked = dict(recipe_entry(name).facts).get("blocked")
    if blocked:
        states.append(ResourceStatus("recipe", False, f"recipe {name}", f"nothing: {blocked}"))
    return states


def require(name: str, resources_dir: Path | None = None) -> None:
    """Raise UserError naming every missing resource of recipe `name`."""
    missing = [state for state in check_recipe(name, resources_dir) if not state.present]
    if missing:
        lines = [f"  {one.name}: looked for {one.looked}\n    supply: {one.supply}" for one in missing]
        raise UserError(f"attack recipe {name!r}: missing resources\n" + "\n".join(lines))
