"""All pictures of finished experiments on one sheet, docs/images/pictures.png.

    robusteval run examples/pictures.yaml --data-dir DIR --out A && robusteval transfer A
    robusteval run examples/pictures-ladders.yaml --data-dir DIR --out B
    python benchmarks/contact_sheet.py A B [--to FILE] [--only NAME ...]

Each picture is drawn from the first experiment that has its numbers, narrowed to that one's first task where it has
several panels; the sheet has few colours. Prints what is missing, and the size of the file; fails where
it is above 500 kB.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from robusteval.plots import PLOTS
from robusteval.plots.base import NotMeasured, frame_of, state_of
from robusteval.plots.saving import rendered
from robusteval.plots.style import Picture, stamp
from robusteval.results.experiment import Experiment
from robusteval.storage.files import write_atomic

# one scale for all, so that the smallest letters can be read
SCALE, WIDTH, MARGIN, CAPTION = 0.5, 2000, 24, 30
COLOURS = 128
MOST = 500_000


def drawn(name: str, experiments: Sequence[Experiment]) -> Picture | None:
    """A picture of the first experiment that has its numbers."""
    plot = PLOTS[name]
    for experiment in experiments:
        try:
            frame = frame_of(plot, experiment)
        except NotMeasured:
            continue
        if "task" in frame:
            first = next((task for task in experiment.spec.tasks if task in set(frame["task"])), frame["task"].iloc[0])
            attrs, frame = frame.attrs, frame[frame["task"].eq(first)]
            frame.attrs = attrs
        figure = plot.draw(frame)
        stamp(figure, state_of(experiment))
        return figure
    return None


def sheet(tiles: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """The tiles on shelves, the highest first, each under its name."""
    shelves: list[list[tuple[str, Image.Image]]] = []
    left: list[int] = []
    for name, tile in sorted(tiles, key=lambda each: -each[1].height):
        scale = min(SCALE, (WIDTH - 2 * MARGIN) / tile.width)
        small = tile.resize((round(tile.width * scale), round(tile.height * scale)), Image.Resampling.LANCZOS)
        place = next((each for each, room in enumerate(left) if small.width + MARGIN <= room), len(shelves))
        if place == len(shelves):
            shelves.append([])
            left.append(WIDTH - MARGIN)
        shelves[place].append((name, small))
        left[place] -= small.width + MARGIN
    heights = [max(small.height for _, small in shelf) + CAPTION + MARGIN for shelf in shelves]
    whole = Image.new("RGB", (WIDTH, MARGIN + sum(heights)), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(20)
    y = MARGIN
    for shelf, height in zip(shelves, heights, strict=True):
        x = MARGIN
        for name, small in shelf:
            pen.text((x, y), name, fill="#0072B2", font=font)
            whole.paste(small, (x, y + CAPTION))
            x += small.width + MARGIN
        y += height
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, default=Path("docs/images/pictures.png"))
    parser.add_argument("--only", nargs="*", default=[], choices=PLOTS.names())
    asked = parser.parse_args()
    experiments = [Experiment.open(path, files=False) for path in asked.experiments]
    tiles = []
    for name in asked.only or PLOTS.names():
        figure = drawn(name, experiments)
        if figure is None:
            print(f"missing: {name}")
            continue
        tiles.append((name, Image.open(io.BytesIO(rendered(figure))).convert("RGB")))
    held = io.BytesIO()
    sheet(tiles).quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(held, "PNG", optimize=True)
    asked.to.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(asked.to, held.getvalue())
    print(f"{len(tiles)} pictures, {len(held.getvalue()) / 1000:.0f} kB: {asked.to}")
    if len(held.getvalue()) > MOST:
        sys.exit(f"the sheet is above {MOST / 1000:.0f} kB")


if __name__ == "__main__":
    main()
