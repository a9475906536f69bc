"""The files and packages that recipes need beyond the model: where they are looked for, who supplies them.

Every check reads the disk only. Nothing is ever downloaded: a missing resource is reported with the command
that fetches it, before the first query.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from robusteval.attacks import places, recipe_entry
from robusteval.attacks.custom import CustomEntry, try_out
from robusteval.attacks.importing import import_flair, load_textattack
from robusteval.attacks.places import nltk_folders, textattack_cache
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


def _in_folder(find: Callable[[Path | None], Path | None], *names: str) -> Check:
    """One of `names` in the --resources folder, where `find` (of `places`) finds it."""

    def check(resources_dir: Path | None) -> tuple[bool, str]:
        found = find(resources_dir)
        if found is not None:
            return True, str(found)
        folder = "the --resources folder (none was given)" if resources_dir is None else str(resources_dir)
        return False, f"{' or '.join(names)} in {folder}"

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


def _model(name: str) -> Check:
    """A transformers model: a folder of its name in --resources, else in the cache of the hub."""
    return _any_of(_in_folder(lambda folder: places.model_folder(folder, name), name), _hub_model(name))


def _minilm(resources_dir: Path | None) -> tuple[bool, str]:
    """The sentence encoder itself: weights that differ from the published ones do not count."""
    folder = places.minilm_folder(resources_dir)
    if folder is not None:
        return _published(folder), f"{folder} (its checksum must be the published one)"
    found, looked = _hub_model(places.MINILM_HUB)(resources_dir)
    own = _in_folder(places.minilm_folder, places.MINILM_FOLDER)(resources_dir)[1]
    return found, f"{own}; or the Python package {places.MINILM_PACKAGE}; or {looked}"


@functools.cache
def _published(folder: Path) -> bool:
    from robusteval.models import MINILM, weights_sha256

    return weights_sha256(folder) == MINILM.sha256


def _flair_model(folder: str) -> Check:
    def check(_: Path | None) -> tuple[bool, str]:
        root = Path(os.environ.get("FLAIR_CACHE_ROOT") or Path.home() / ".flair")
        path = root / "models" / folder
        return any(path.rglob("pytorch_model.bin")), str(path)

    return check


def _tensorflow_hub(url: str) -> Check:
    """The unpacked module lies in --resources, or under the SHA-1 of its address, as TensorFlow Hub stores it."""
    own = _in_folder(places.use_folder, f"{places.USE_FOLDER}/saved_model.pb")

    def check(resources_dir: Path | None) -> tuple[bool, str]:
        given, looked = own(resources_dir)
        root = Path(os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir()) / "tfhub_modules")
        path = root / hashlib.sha1(url.encode()).hexdigest()
        installed = importlib.util.find_spec("tensorflow_hub") is not None
        where = looked if given else f"{looked}; or {path}"
        found = installed and (given or any(path.glob("saved_model.pb*")))
        return found, f"{where}; and the Python package tensorflow_hub"

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


_S3 = "https://textattack.s3.amazonaws.com"


def _from_s3(relative: str) -> str:
    return f"{_S3}/{relative} (unpacked if it is a zip) as textattack/{relative} in the --resources folder"


def _fetched(url: str, name: str) -> str:
    return f"curl -L {url} -o {name}, in the --resources folder"


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
            _any_of(_in_folder(places.vectors_file, *places.VECTORS), _cached("word_embeddings/paragramcf")),
            "github.com/nmrksic/counter-fitting, word_vectors/counter-fitted-vectors.txt.zip, unpacked as "
            f"{places.VECTORS[1]} in the --resources folder; or {_from_s3('word_embeddings/paragramcf')}",
        ),
        Resource(
            "neighbour list",
            _in_folder(places.neighbours_file, places.NEIGHBOURS),
            _fetched(
                "https://raw.githubusercontent.com/robinjia/certified-word-sub/master/data/counterfitted_neighbors.json",
                places.NEIGHBOURS,
            ),
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
            _any_of(_in_folder(places.homoglyphs_file, places.HOMOGLYPHS), _package_file("shared", places.HOMOGLYPHS)),
            _fetched(
                "https://raw.githubusercontent.com/QData/TextAttack/master/textattack/shared/intentional_homoglyphs.txt",
                places.HOMOGLYPHS,
            ),
        ),
        Resource(
            "use",
            _tensorflow_hub(places.USE_URL),
            f"pip install tensorflow tensorflow_hub, and {places.USE_URL}?tf-hub-format=compressed unpacked into "
            f"{places.USE_FOLDER} in the --resources folder; or the variant of the recipe that ends in -minilm",
        ),
        Resource(
            "minilm",
            _minilm,
            f"pip install 'robusteval[minilm]'; or hf download {places.MINILM_HUB} --local-dir "
            f"{places.MINILM_FOLDER}, in the --resources folder",
        ),
        Resource("tensorflow", _importable("tensorflow"), "pip install tensorflow"),
        Resource("torchfile", _importable("torchfile"), "pip install torchfile"),
        Resource(
            "flair",
            _importable("flair"),
            "pip install 'flair>=0.15' 'transformers<5' (flair 0.15 does not import on transformers 5)",
        ),
        *(
            Resource(
                name,
                _model(name),
                f"hf download {name}; or the same with --local-dir {name}, in the --resources folder",
            )
            for name in places.LANGUAGE_MODELS
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
    """Names of the declared resources of `recipe`; UserError where the recipe is unknown, or its code broken."""
    entry = recipe_entry(recipe)
    if isinstance(entry, CustomEntry):
        return list(entry.load().needs)
    return [name.strip() for name in dict(entry.facts)["needs"].split(",") if name.strip()]


def check_recipe(name: str, resources_dir: Path | None = None) -> list[ResourceStatus]:
    """The state of every declared resource of recipe `name`; an empty list where it needs nothing.

    A recipe that cannot run whatever is supplied has one more entry, called "recipe", that says why. One of the
    user's own whose resources are there is built once, and its last entry says whether that worked.
    """
    entry = recipe_entry(name)
    if isinstance(entry, CustomEntry):
        # With the folder at hand, before the recipe's own code imports it.
        load_textattack(resources_dir)
    states = []
    for need in needs(name):
        resource = RESOURCES[need]
        present, looked = resource.check(resources_dir)
        states.append(ResourceStatus(need, present, looked, resource.supply))
    blocked = dict(entry.facts).get("blocked")
    if blocked:
        states.append(ResourceStatus("recipe", False, f"recipe {name}", f"nothing: {blocked}"))
    if isinstance(entry, CustomEntry) and all(state.present for state in states):
        try:
            try_out(name, resources_dir)
        except UserError as error:
            states.append(ResourceStatus("a recipe that builds", False, entry.target, f"a correction: {error}"))
        else:
            looked = f"{entry.target}, called {entry.name} in results"
            states.append(ResourceStatus("a recipe that builds", True, looked, "nothing"))
    return states


def require(name: str, resources_dir: Path | None = None) -> None:
    """Raise UserError naming every missing resource of recipe `name`."""
    missing = [state for state in check_recipe(name, resources_dir) if not state.present]
    if missing:
        lines = [f"  {one.name}: looked for {one.looked}\n    supply: {one.supply}" for one in missing]
        raise UserError(f"attack recipe {name!r}: missing resources\n" + "\n".join(lines))
