"""The files and packages that recipes need beyond the model: where they are looked for, who supplies them.

Every check reads the disk only, and says which files an attack would read; `contents` says what they hold. Nothing is
ever downloaded: a missing resource is reported with the command that fetches it, before the first query.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from robusteval.attacks.resources import locations
from robusteval.attacks.resources.locations import nltk_folders, textattack_cache
from robusteval.attacks.resources.offline import import_flair
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


@dataclass(frozen=True)
class Resource:
    """A declared resource; `supply` is the exact command, or the file and where to put it."""

    name: str
    check: Check
    supply: str


def _nltk(*packages: str) -> Check:
    """All `packages` ("corpora/wordnet") lie in the searched folders, unpacked or zipped."""

    def check(resources_dir: Path | None) -> Found:
        folders = [Path(folder) for folder in nltk_folders(resources_dir)]
        found = [path for path in (_nltk_package(folders, package) for package in packages) if path is not None]
        looked = f"{' and '.join(packages)} in {', '.join(map(str, folders))}"
        return Found(len(found) == len(packages), looked, tuple(found))

    return check


def _nltk_package(folders: Sequence[Path], package: str) -> Path | None:
    """Where NLTK reads it: it looks for an unpacked one in all folders, before it takes a zipped one."""
    unpacked = [folder / package for folder in folders]
    zipped = [folder / f"{package}.zip" for folder in folders]
    found = [*filter(Path.is_dir, unpacked), *filter(Path.is_file, zipped)]
    return found[0] if found else None


def _any_of(*checks: Check) -> Check:
    """The first that is there, in the order in which an attack looks."""

    def check(resources_dir: Path | None) -> Found:
        answers = [check(resources_dir) for check in checks]
        first = next((answer for answer in answers if answer.present), answers[0])
        return Found(first.present, "; or ".join(answer.looked for answer in answers), first.paths)

    return check


def _in_folder(find: Callable[[Path | None], Path | None], *names: str) -> Check:
    """One of `names` in the --resources folder, where `find` (of `locations`) finds it."""

    def check(resources_dir: Path | None) -> Found:
        found = find(resources_dir)
        if found is not None:
            return Found(True, str(found), (found,))
        folder = "the --resources folder (none was given)" if resources_dir is None else str(resources_dir)
        return Found(False, f"{' or '.join(names)} in {folder}")

    return check


def _cached(relative: str) -> Check:
    """The path lies in TextAttack's cache folder."""

    def check(resources_dir: Path | None) -> Found:
        path = textattack_cache(resources_dir) / relative
        return Found(path.exists(), str(path), (path,))

    return check


def _importable(*modules: str) -> Check:
    """The modules really import: an installed package may fail on the versions beside it."""

    def check(_: Path | None) -> Found:
        try:
            for module in modules:
                if importlib.util.find_spec(module.partition(".")[0]) is None:
                    return Found(False, f"Python packages: no {module}")
                if module == "flair":
                    import_flair()
                else:
                    importlib.import_module(module)
        except Exception as error:
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


def _model(name: str, hub: str = "") -> Check:
    """A transformers model: a folder of its name in --resources, else in the cache of the hub, there as `hub`."""
    return _any_of(_in_folder(lambda folder: locations.model_folder(folder, name), name), _hub_model(hub or name))


def _minilm(resources_dir: Path | None) -> Found:
    """The sentence encoder itself: weights that differ from the published ones do not count."""
    folder = locations.minilm_folder(resources_dir)
    if folder is not None:
        return Found(_published(folder), f"{folder} (its checksum must be the published one)", (folder,))
    hub = _hub_model(locations.MINILM_HUB)(resources_dir)
    own = _in_folder(locations.minilm_folder, locations.MINILM_FOLDER)(resources_dir).looked
    looked = f"{own}; or the Python package {locations.MINILM_PACKAGE}; or {hub.looked}"
    return Found(hub.present, looked, hub.paths)


@functools.cache
def _published(folder: Path) -> bool:
    from robusteval.models.catalogue import MINILM
    from robusteval.models.hashes import weights_sha256

    return weights_sha256(folder) == MINILM.sha256


def _flair_model(folder: str) -> Check:
    def check(_: Path | None) -> Found:
        root = Path(os.environ.get("FLAIR_CACHE_ROOT") or Path.home() / ".flair")
        path = root / "models" / folder
        weights = tuple(sorted(path.rglob("pytorch_model.bin")))
        return Found(bool(weights), str(path), weights)

    return check


def _tensorflow_hub(url: str) -> Check:
    """The unpacked module lies in --resources, or under the SHA-1 of its address, as TensorFlow Hub stores it."""
    own = _in_folder(locations.use_folder, f"{locations.USE_FOLDER}/saved_model.pb")

    def check(resources_dir: Path | None) -> Found:
        given = own(resources_dir)
        root = Path(os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir()) / "tfhub_modules")
        path = root / hashlib.sha1(url.encode()).hexdigest()
        installed = importlib.util.find_spec("tensorflow_hub") is not None
        where = given.looked if given.present else f"{given.looked}; or {path}"
        found = installed and (given.present or any(path.glob("saved_model.pb*")))
        return Found(found, f"{where}; and the Python package tensorflow_hub", given.paths or (path,))

    return check


def _package_file(*relative: str) -> Check:
    """A file inside the installed textattack package."""

    def check(_: Path | None) -> Found:
        spec = importlib.util.find_spec("textattack")
        folders = list(spec.submodule_search_locations or ()) if spec else []
        paths = [Path(folder, *relative) for folder in folders]
        where = ", ".join(map(str, paths)) or "the package textattack, which is not installed"
        found = tuple(path for path in paths if path.is_file())
        return Found(bool(found), where, found[:1])

    return check


def _openhownet(_: Path | None) -> Found:
    """The files that OpenHowNet opens for the likeness of words, where it opens them."""
    folder = Path.home() / ".openhownet" / "resources"
    names = ("HowNet_dict_complete", "sememe_all", "sememe_sim_table", "sememe_triples_taxonomy.txt", "sense_tree")
    paths = tuple(folder / name for name in (*names, "synonym"))
    return Found(all(map(Path.is_file, paths)), f"{', '.join(path.name for path in paths)} in {folder}", paths)


_S3 = "https://textattack.s3.amazonaws.com"
_TEXTATTACK = "https://raw.githubusercontent.com/QData/TextAttack/master/textattack/shared"


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
            _any_of(_in_folder(locations.vectors_file, *locations.VECTORS), _cached("word_embeddings/paragramcf")),
            "github.com/nmrksic/counter-fitting, word_vectors/counter-fitted-vectors.txt.zip, unpacked as "
            f"{locations.VECTORS[1]} in the --resources folder; or {_from_s3('word_embeddings/paragramcf')}",
        ),
        Resource(
            "neighbour list",
            _in_folder(locations.neighbours_file, locations.NEIGHBOURS),
            _fetched(
                "https://raw.githubusercontent.com/robinjia/certified-word-sub/master/data/counterfitted_neighbors.json",
                locations.NEIGHBOURS,
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
            _any_of(
                _in_folder(locations.homoglyphs_file, locations.HOMOGLYPHS),
                _package_file("shared", locations.HOMOGLYPHS),
            ),
            _fetched(f"{_TEXTATTACK}/{locations.HOMOGLYPHS}", locations.HOMOGLYPHS),
        ),
        Resource(
            "homophones",
            _package_file("shared", locations.HOMOPHONES),
            f"{_TEXTATTACK}/{locations.HOMOPHONES} in the folder shared of the package textattack",
        ),
        Resource("openhownet", _openhownet, _python("import OpenHowNet; OpenHowNet.download()")),
        Resource(
            "use",
            _tensorflow_hub(locations.USE_URL),
            f"pip install tensorflow tensorflow_hub, and {locations.USE_URL}?tf-hub-format=compressed unpacked into "
            f"{locations.USE_FOLDER} in the --resources folder; or the variant of the recipe that ends in -minilm",
        ),
        Resource(
            "minilm",
            _minilm,
            f"pip install 'robusteval[minilm]'; or hf download {locations.MINILM_HUB} --local-dir "
            f"{locations.MINILM_FOLDER}, in the --resources folder",
        ),
        Resource(
            locations.SBERT,
            _model(locations.SBERT, locations.SBERT_HUB),
            f"hf download {locations.SBERT_HUB}; or the same with --local-dir {locations.SBERT}, "
            "in the --resources folder",
        ),
        Resource(
            "sentence-transformers", _importable("sentence_transformers"), "pip install 'sentence-transformers<6'"
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
            for name in locations.LANGUAGE_MODELS
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
