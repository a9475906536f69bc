"""Pictures as parts of a page: an SVG file's content that clashes with nothing else there, and brings nothing along."""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass

from robusteval.errors import UserError, describe_error
from robusteval.plots import PLOTS
from robusteval.registry import Entry
from robusteval.results.experiment import Experiment

# So many bytes may be one picture.
ONE = 250_000
# What a drawing is made of; anything else, as a script or a style of the whole page, is left out.
_ELEMENTS = {
    "svg", "g", "defs", "symbol", "use", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text",
    "tspan", "clipPath", "mask", "marker", "pattern", "linearGradient", "radialGradient", "stop", "image", "filter",
    "feColorMatrix",
}  # fmt: skip
_PLACES = ("d", "x", "y", "width", "height", "points")
_REFERENCE = re.compile(r"url\(#([^)]+)\)|^#(.+)$")
_DECIMALS = re.compile(r"(\.\d\d)\d+")


@dataclass(frozen=True)
class Picture:
    """A picture as it stands in a page. svg: the element, "" where there is none; why: the reason for that."""

    name: str
    title: str
    svg: str = ""
    why: str = ""


def pictures_of(experiment: Experiment) -> list[Picture]:
    """Every picture of an experiment, in the order of `PLOTS`."""
    return [drawn(entry, experiment) for entry in PLOTS]


def drawn(entry: Entry, experiment: Experiment) -> Picture:
    """A picture of an experiment, or why there is none; one that cannot be drawn is no reason for having no page."""
    try:
        return Picture(entry.name, entry.summary, part_of_page(_svg(entry, experiment), entry.name))
    except UserError as error:
        return Picture(entry.name, entry.summary, why=str(error).removeprefix(f"{entry.name}: "))
    except Exception as error:
        return Picture(entry.name, entry.summary, why=f"it cannot be drawn: {describe_error(error)}")


def _svg(entry: Entry, experiment: Experiment) -> str:
    from robusteval.plots.base import frame_of
    from robusteval.plots.saving import MissingGlyphs, svg

    plot = entry.load()
    with warnings.catch_warnings():
        # the page's text is text: whoever reads it has the glyphs, whatever this machine has
        warnings.simplefilter("ignore", MissingGlyphs)
        return svg(plot.draw(frame_of(plot, experiment)))


def part_of_page(svg: str, name: str) -> str:
    """An <svg> element to stand in a page: ids begin with `name`, hundredths of a point are the finest places.

    UserError where it is no SVG.
    """
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise UserError(f"picture {name}: is no SVG ({error})") from None
    for each in root.iter():
        each.tag = _plain(each.tag)
        each.attrib = {_plain(key): value for key, value in each.attrib.items()}
    _prune(root)
    used = {a or b for each in root.iter() for value in each.attrib.values() for a, b in _REFERENCE.findall(value)}
    prefix = re.sub(r"\W", "-", name)
    for each in root.iter():
        each.attrib = {
            key: _attribute(key, value, prefix) for key, value in each.attrib.items() if key != "id" or value in used
        }
        each.tail = None if each.tail is None or not each.tail.strip() else each.tail
        each.text = each.text if each.tag in ("text", "tspan") else None
    # matplotlib says so in a style sheet, which would hold for the whole page
    root.attrib = {key: value for key, value in root.attrib.items() if key in ("viewBox", "width", "height")}
    root.attrib |= {"stroke-linejoin": "round", "role": "img", "aria-labelledby": f"{prefix}-title"}
    return ElementTree.tostring(root, encoding="unicode")


def _plain(name: object) -> str:
    """A name without its namespace; comments and instructions, which are no elements, have none."""
    return name.rpartition("}")[2] if isinstance(name, str) else ""


def _prune(parent: ElementTree.Element) -> None:
    for child in list(parent):
        if child.tag not in _ELEMENTS:
            parent.remove(child)
            continue
        child.attrib = {key: value for key, value in child.attrib.items() if _harmless(key, value)}
        _prune(child)


def _harmless(key: str, value: str) -> bool:
    """Whether an attribute neither runs anything nor names anything outside the picture."""
    if key == "href":
        return value.startswith(("#", "data:image/png;"))
    outside = re.search(r"url\((?!#)", value) or "expression(" in value
    return not key.startswith("on") and not outside


def _attribute(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return f"{prefix}-{value}"
    if key in _PLACES:
        return " ".join(_DECIMALS.sub(r"\1", value).split())
    if key == "href" and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    return re.sub(r"url\(#", f"url(#{prefix}-", value)


def fitting(pictures: Sequence[Picture], left: int, one: int = ONE) -> list[Picture]:
    """The pictures; instead of one that is larger than `one`, or than what those before it left of `left`, the reason.

    All of these are bytes.
    """
    found = []
    for picture in pictures:
        size = len(picture.svg.encode())
        if size > min(one, left):
            picture = Picture(
                picture.name, picture.title, why=f"its {size / 1000:.0f} kB are too much for a page that opens at once"
            )
        else:
            left -= size
        found.append(picture)
    return found
