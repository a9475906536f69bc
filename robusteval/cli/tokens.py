"""Show what a prediction rests on: a text with its tokens shaded by a score, or what an attack changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robusteval.cli.checked import noted
from robusteval.cli.options import CHECKPOINT, MODEL, TESTS, only, option, takes
from robusteval.cli.output import AsJson, Shown, print_json
from robusteval.errors import UserError
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import loading
from robusteval.settings.runs import RunSpec
from robusteval.settings.train import TrainConfig
from robusteval.settings.work import WorkConfig

if TYPE_CHECKING:
    from robusteval.pipeline.tokens import TokenScorer
    from robusteval.report.tokens import Shown as ShownTexts
    from robusteval.results.token_scores import ScoredText

TEXTS: Any = typer.Argument(metavar="[TEXT]...", help="A text, or two for a pair.")
RESULTS: Any = option("--results", help="A .jsonl file of attack results: its texts before and after.", panel=TESTS)
BY: Any = option("--by", help="confidence, of a tdt checkpoint, or gradient (times input).", panel=MODEL)


@takes("by")
def tokens(
    *,
    checkpoint: Annotated[str, CHECKPOINT],
    texts: Annotated[list[str] | None, TEXTS] = None,
    by: Annotated[str, BY] = "gradient",
    results: Annotated[Path | None, RESULTS] = None,
    outcome: Annotated[str | None, option("--outcome", help="succeeded, failed or skipped.", panel=TESTS)] = None,
    limit: Annotated[int, option("--limit", help="Show that many attacked examples.", panel=TESTS)] = 10,
    run: Annotated[RunSpec, only("model_revision", "trust_remote_code")],
    train: Annotated[TrainConfig, only("max_length")],
    html: Annotated[Path | None, option("--html", help="Write a page instead of printing.")] = None,
    as_json: AsJson = False,
    work: Annotated[WorkConfig, only("device")],
) -> None:
    """Show a text with its tokens shaded by how much a prediction rests on them."""
    from robusteval.cli.precheck import check_work
    from robusteval.models.catalogue import check_name
    from robusteval.report.token_lines import print_tokens
    from robusteval.results.token_scores import BY as SCORES
    from robusteval.settings.checks import check_choice
    from robusteval.storage.files import write_atomic

    check_work(work)
    check_choice("by", by, SCORES)
    check_name(checkpoint)
    if html is not None:
        from robusteval.page.file import check_page
        from robusteval.page.tokens import tokens_page

        check_page(html)
    lines = _lines(texts or [], results, outcome, limit)
    with loading("torch and transformers"):
        quiet_libraries()
        from robusteval.pipeline.tokens import TokenScorer

        scorer = TokenScorer.open(checkpoint, by, max_length=train.max_length, opening=run.opening, device=work.device)
    console = Shown(as_json).screen(highlight=False)
    tell = noted(console)
    for notice in scorer.notices:
        tell(notice)
    if lines is None:
        scored = scorer.score([tuple(texts or [])])
        shown, records = [_plain(scored[0])], [scored[0].record()]
    else:
        scored, shown, records = _of_attack(scorer, lines)
        for notice in _otherwise(scorer, lines, scored):
            tell(notice)
    if as_json:
        print_json({"checkpoint": checkpoint, "by": by, "examples": records})
    if html is not None:
        title = f"{checkpoint}: {by}" + (f"; {results.name}" if results else "")
        write_atomic(html, tokens_page(shown, by, title), field="html")
        console.print(f"tokens in {html}", markup=False, soft_wrap=True)
    elif not as_json:
        print_tokens(shown, by, console)


def _lines(
    texts: Sequence[str], results: Path | None, outcome: str | None, limit: int
) -> Sequence[Mapping[str, Any]] | None:
    """The result lines that are asked for; None where texts are given. UserError for both, or neither."""
    from robusteval.report.transcripts import chosen
    from robusteval.results.reading import attack_lines
    from robusteval.settings.checks import check_range

    if results is None:
        if outcome is not None:
            raise UserError("outcome: it has no effect without --results; leave it out")
        if not 1 <= len(texts) <= 2 or not any(text.strip() for text in texts):
            raise UserError("texts: give one text, two for a pair, or --results FILE.jsonl")
        return None
    if texts:
        raise UserError("texts: they have no effect beside --results; leave one of the two out")
    check_range("limit", limit, 1, float("inf"))
    lines = chosen(attack_lines(results), outcome)
    found = [line for line in lines if line["perturbed"]][:limit]
    if not found:
        raise UserError(f"results: no text to show in {str(results)!r}, of the outcome that was given")
    return found


def _plain(scored: ScoredText) -> ShownTexts:
    from robusteval.report.tokens import Shown as ShownTexts
    from robusteval.report.tokens import View

    return ShownTexts((View(scored),))


def _of_attack(
    scorer: TokenScorer, lines: Sequence[Mapping[str, Any]]
) -> tuple[list[ScoredText], list[ShownTexts], list[dict[str, Any]]]:
    """The texts before and after, in turn; what is shown of them; and all as plain values."""
    from robusteval.report.tokens import attacked

    scored = scorer.score([tuple(line[side]) for line in lines for side in ("original", "perturbed")])
    pairs = list(zip(lines, scored[::2], scored[1::2], strict=True))
    records = [
        {
            "id": line["id"], "outcome": line["outcome"], "gold": line["gold"], "original": before.record(),
            "perturbed": after.record(),
        }
        for line, before, after in pairs
    ]  # fmt: skip
    return scored, [attacked(*pair) for pair in pairs], records


def _otherwise(scorer: TokenScorer, lines: Sequence[Mapping[str, Any]], scored: Sequence[ScoredText]) -> list[str]:
    """A notice where this model does not predict what the results say."""
    told = [line[key] for line in lines for key in ("predicted_before", "predicted_after")]
    other = sum(label is not None and label != each.predicted for label, each in zip(told, scored, strict=True))
    if not other:
        return []
    return [f"{other} of {len(told)} texts are predicted otherwise than in the results: it is another model, or task"]
