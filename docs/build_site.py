"""Writes what the site is built from: the pages of docs/, and a page for everything that is registered.

    python docs/build_site.py FOLDER && zensical build --strict --config-file FOLDER/zensical.toml

A page docs/<kind>/<name>.md says what only a person can say; facts that the code knows (what it is, how to ask for it,
its settings and their defaults, what it needs) are added here, under its title. Without such a page they are all of it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docstrings import markdown

from robusteval.attacks.recipes.registry import ATTACKS
from robusteval.attacks.resources.declared import RESOURCES
from robusteval.evaluation import SUITES
from robusteval.experiments.recipes import load_recipe, recipe_names
from robusteval.methods import METHODS
from robusteval.registry import Entry, Registry
from robusteval.scenarios import SCENARIOS

DOCS = Path(__file__).resolve().parent
# a page with such a table says more of its settings than their defaults
OWN_SETTINGS = re.compile(r"^\| setting", re.MULTILINE)


@dataclass(frozen=True)
class Kind:
    """One kind of registered thing. asked: the option that asks for one; facts: further lines of its page."""

    folder: str
    registry: Registry[Any]
    asked: str
    facts: Callable[[Entry], Iterable[str]]


def method_facts(entry: Entry) -> Iterable[str]:
    told = dict(entry.facts)
    yield f"**Cost of a step:** {told['cost']} ([what F is](../glossary.md#what-9f-costs))"
    if told["hook"] != "-":
        yield f"**Hook:** `{told['hook']}`; methods of one hook [cannot be combined](../adding-a-method.md#the-hooks)"
    if told["regression"] != "yes":
        yield f"**Tasks with scores:** {told['regression']}"


def attack_facts(entry: Entry) -> Iterable[str]:
    told = dict(entry.facts)
    if blocked := told.get("blocked"):
        yield f"**Does not run:** {escaped(blocked)}."
    needs = [name.strip() for name in told["needs"].split(",") if name.strip()]
    if not needs:
        yield "**Needs:** nothing beyond the model."
        return
    yield f"`robusteval doctor --attack {entry.name}` checks which of these are there."
    lines = [f"| {name} | {escaped(RESOURCES[name].supply)} |" for name in needs]
    yield "\n".join(["| needs | what supplies it |", "|---|---|", *lines])


KINDS = (
    Kind("methods", METHODS, "--methods {}", method_facts),
    Kind("scenarios", SCENARIOS, "--scenario none,{}", lambda entry: ()),
    Kind("suites", SUITES, "--suites {}", lambda entry: ()),
    Kind("attacks", ATTACKS, "--attacks {}", attack_facts),
)


def main(folder: Path) -> None:
    pages = folder / "pages"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DOCS, pages, ignore=shutil.ignore_patterns("*.py", "*.toml", "__pycache__"))
    config = (DOCS / "zensical.toml").read_text("utf-8").replace("ROOT", str(DOCS.parent))
    for kind in KINDS:
        names = []
        for entry in kind.registry:
            place = pages / kind.folder / f"{entry.name}.md"
            write(place, page(kind, entry, place.read_text("utf-8") if place.is_file() else ""))
            names.append(f"{kind.folder}/{entry.name}.md")
        strangers = {str(path.relative_to(pages)) for path in (pages / kind.folder).glob("*.md")} - set(names)
        if strangers:
            raise SystemExit(f"docs: {', '.join(sorted(strangers))}: nothing of that name is registered")
        config = config.replace(f'"{kind.folder}/*"', ", ".join(json.dumps(name) for name in names))
        overview = pages / ("choosing.md" if kind.folder == "methods" else f"{kind.folder}.md")
        write(overview, overview.read_text("utf-8") + listing(kind))
    recipes = pages / "recipes.md"
    write(recipes, recipes.read_text("utf-8") + recipe_listing())
    write(folder / "zensical.toml", config)


def page(kind: Kind, entry: Entry, written: str) -> str:
    """The page of one registered thing; written: what docs/ says of it, with its title."""
    title, _, text = written.partition("\n")
    parts = [title or f"# {entry.name}", f"*{escaped(entry.summary)}*", f"    {kind.asked.format(entry.name)}"]
    parts += [*kind.facts(entry), text.strip()]
    if kind.folder in ("suites", "scenarios") and not OWN_SETTINGS.search(text):
        parts += settings(entry.load().Settings)
    return "\n\n".join(filter(None, parts)) + "\n"


def settings(record: type) -> Iterable[str]:
    """The settings of a suite or scenario with their defaults, and what its docstring says of them."""
    lines = [f"| `{field.name}` | {default(field)} |" for field in dataclasses.fields(record)]
    if lines:
        yield "## Settings"
        yield "\n".join(["| setting | default |", "|---|---|", *lines])
        yield markdown(re.sub(r"\n    +", "\n", record.__doc__ or ""))


def default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING or field.default is None or field.default == "":
        return ""
    text = json.dumps(field.default) if isinstance(field.default, bool) else str(field.default)
    return f"`{escaped(text)}`"


def listing(kind: Kind) -> str:
    """All of a kind with links, and the facts of their registrations."""
    facts = [name for name in dict.fromkeys(name for entry in kind.registry for name, _ in entry.facts)
             if name not in ("needs", "blocked")]  # fmt: skip
    lines = [f"| {' | '.join(['name', 'what it is', *facts])} |", "|---" * (len(facts) + 2) + "|"]
    for entry in kind.registry:
        told = [escaped(dict(entry.facts).get(name, "")) for name in facts]
        link = f"[`{entry.name}`]({kind.folder}/{entry.name}.md)"
        lines.append(f"| {' | '.join([link, escaped(entry.summary), *told])} |")
    return f"\n## All {kind.folder}\n\n" + "\n".join(lines) + "\n"


def recipe_listing() -> str:
    lines = [f"| `{name}` | {escaped(load_recipe(name).caption)} |" for name in recipe_names()]
    return "\n## All recipes\n\n| recipe | what it shows |\n|---|---|\n" + "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
