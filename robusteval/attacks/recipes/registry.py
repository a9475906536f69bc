"""The attacks: every TextAttack recipe that fits a classifier, by name, with what each one needs.

Recipes of your own are named as `robusteval.registry` says, and are what `custom` says. Importing this module
imports neither torch nor textattack.
"""

from __future__ import annotations

from typing import Any

from robusteval.errors import UserError
from robusteval.registry import CustomEntry, Entry, Registry

ATTACKS: Registry[Any] = Registry(
    "attack recipe", "robusteval.attacks.recipes.custom:accepted", ("robusteval.attacks",)
)

# Recipes of TextAttack that cannot attack a classifier at all, and why.
LEFT_OUT = {
    "seq2sick": "it attacks text-to-text models: its goal compares generated sentences, not labels",
    "morpheus": "it attacks translation models: its goal is a lower BLEU score, not another label",
}


def recipe_entry(name: str) -> Entry:
    """As `ATTACKS.entry`; the UserError for a recipe that was left out says why."""
    if name in LEFT_OUT:
        raise UserError(f"attack recipe: {name!r} is left out: {LEFT_OUT[name]}")
    return ATTACKS.entry(name)


def needs(recipe: str) -> list[str]:
    """Names of the declared resources of `recipe`; UserError where the recipe is unknown, or its code broken."""
    entry = recipe_entry(recipe)
    if isinstance(entry, CustomEntry):
        return list(entry.load().needs)
    return [name.strip() for name in dict(entry.facts)["needs"].split(",") if name.strip()]


def _add(name: str, recipe: str, summary: str, needs: str = "", blocked: str = "") -> None:
    """`needs`: names of `declared.RESOURCES`, comma separated; `blocked`: why nothing can make it run."""
    facts = {"needs": needs} | ({"blocked": blocked} if blocked else {})
    target = f"robusteval.attacks.recipes.{recipe}" if ":" in recipe else f"textattack.attack_recipes:{recipe}"
    ATTACKS.add(name, target, summary, **facts)


_add("deepwordbug", "DeepWordBugGao2018", "swap, replace, delete or insert one character per word (Gao 2018)")
_add("pruthi", "Pruthi2019", "keyboard typos inside at most one word (Pruthi 2019)")
_add("input-reduction", "InputReductionFeng2018", "delete words while the label stays (Feng 2018)")
_add("pwws", "PWWSRen2019", "WordNet synonyms, ordered by word saliency (Ren 2019)", "wordnet")
_add("leap", "LEAP2023", "WordNet synonyms, particle swarm with Levy flights (Xiao 2023)", "wordnet")
_add(
    "textfooler",
    "TextFoolerJin2019",
    "nearest counter-fitted words, part of speech and sentence meaning kept (Jin 2019)",
    "counter-fitted vectors, pos tagger, use",
)
_add(
    "textbugger",
    "variants:TextBugger",
    "character bugs, look-alikes and nearest words, sentence meaning kept (Li 2018)",
    "counter-fitted vectors, use",
)
_add(
    "bae",
    "BAEGarg2019",
    "words proposed by a masked language model (Garg 2019)",
    "bert-base-uncased, pos tagger, use",
)
_add(
    "bert-attack",
    "BERTAttackLi2020",
    "word pieces proposed by a masked language model (Li 2020)",
    "bert-base-uncased, use",
)
_add(
    "clare",
    "CLARE2020",
    "replace, insert and merge with a masked language model (Li 2020)",
    "distilroberta-base, use, flair, flair upos",
)
_add(
    "checklist",
    "CheckList2020",
    "contractions, other names, numbers and places (Ribeiro 2020)",
    "flair, flair ner",
)
_add(
    "alzantot",
    "GeneticAlgorithmAlzantot2018",
    "genetic search over nearest words with a language model (Alzantot 2018)",
    "counter-fitted vectors, google language model, tensorflow",
)
_add(
    "faster-alzantot",
    "FasterGeneticAlgorithmJia2019",
    "the genetic search with a faster language model (Jia 2019)",
    "counter-fitted vectors, learning-to-write language model, torchfile",
)
_add("iga", "IGAWang2019", "improved genetic search over nearest words (Wang 2019)", "counter-fitted vectors")
_add(
    "pso",
    "PSOZang2020",
    "HowNet sememe words, particle swarm search (Zang 2020)",
    "hownet candidates, flair, flair upos",
)
_add(
    "kuleshov",
    "Kuleshov2017",
    "nearest words, thought vectors and GPT-2 fluency; goal: gold score under 0.7 (Kuleshov 2018)",
    "counter-fitted vectors, gpt2",
)
_add(
    "french",
    "FrenchRecipe",
    "French WordNet synonyms, other names and places",
    "wordnet, multilingual wordnet, flair, flair ner-french",
)
_add(
    "spanish",
    "variants:Spanish",
    "Spanish WordNet synonyms, other names and places",
    "wordnet, multilingual wordnet, flair, flair ner-multi",
)
_add(
    "chinese",
    "ChineseRecipe",
    "Chinese HowNet words, masked words, look-alike and sound-alike characters",
    "xlm-roberta-base, openhownet, homophones",
    blocked="TextAttack 0.3.11 reads its homophone table with pandas' sep='\\n', which pandas 2 refuses, and "
    "OpenHowNet takes the meaning of a word that comes first in memory; chinese-masked-lm does without both",
)
_add(
    "a2t",
    "A2TYoo2021",
    "nearest words in the order of the model's gradient, sentence meaning kept (Yoo 2021)",
    "counter-fitted vectors, pos tagger, stsb-distilbert-base, sentence-transformers",
)
_add(
    "hotflip",
    "HotFlipEbrahimi2017",
    "swaps read off the gradient (Ebrahimi 2017)",
    "counter-fitted vectors, pos tagger",
    blocked="TextAttack takes this gradient from its own LSTM classifier only",
)
_add(
    "bad-characters",
    "BadCharacters2021",
    "invisible characters and homoglyphs (Boucher 2021)",
    "homoglyphs",
    blocked="TextAttack 0.3.11 builds it for targeted, translation and toxicity goals only",
)

# Variants: one part of the recipe exchanged, never without saying so in the name.
for _base, _needs in (
    ("textfooler", "counter-fitted vectors, pos tagger"),
    ("textbugger", "counter-fitted vectors"),
    ("bae", "bert-base-uncased, pos tagger"),
    ("bert-attack", "bert-base-uncased"),
    ("clare", "distilroberta-base, flair, flair upos"),
    ("a2t", "counter-fitted vectors, pos tagger"),
):
    _add(
        f"{_base}-minilm",
        f"variants:{_base.replace('-', '_').upper()}_MINILM",
        f"{_base}, sentence meaning judged by the embedded MiniLM",
        f"{_needs}, minilm",
    )
_add(
    "textfooler-minilm-neighbours",
    "variants:TEXTFOOLER_MINILM_NEIGHBOURS",
    "textfooler-minilm, with a list of nearest words instead of vectors",
    "neighbour list, pos tagger, minilm",
)
_add(
    "textbugger-minilm-neighbours",
    "variants:TEXTBUGGER_MINILM_NEIGHBOURS",
    "textbugger-minilm, with a list of nearest words instead of vectors",
    "neighbour list, minilm",
)
_add(
    "a2t-minilm-neighbours",
    "variants:A2T_MINILM_NEIGHBOURS",
    "a2t-minilm, with a list of nearest words instead of vectors",
    "neighbour list, pos tagger, minilm",
)
_add(
    "chinese-masked-lm",
    "variants:ChineseMaskedLM",
    "chinese, with words by the masked language model and look-alike characters alone",
    "xlm-roberta-base",
)
_add(
    "iga-neighbours",
    "variants:IGA_NEIGHBOURS",
    "iga, with a list of nearest words instead of vectors",
    "neighbour list",
)
