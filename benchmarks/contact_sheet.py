"""All pictures of finished experiments on one sheet, docs/images/pictures.png.

    robusteval run examples/pictures.yaml --data-dir DIR --out A && robusteval transfer A
    robusteval run examples/pictures-ladders.yaml --data-dir DIR --out B
    python benchmarks/contact_sheet.py A B [--to FILE] [--only NAME ...]

Each picture is drawn from the first experiment that has its numbers, narrowed to that one's first task where it has
several panels; the sheet is made of at most 64 colours. Prints what is missing, and the size of the file; fails where
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

COLUMNS, WIDTH, MARGIN, CAPTION = 3, 760, 24, 30
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
    """The tiles in columns of one width, each where most room is, under its name."""
    heights, places = [MARGIN] * COLUMNS, []
    for name, tile in tiles:
        small = tile.resize((WIDTH, round(tile.height * WIDTH / tile.width)), Image.Resampling.LANCZOS)
        column = heights.index(min(heights))
        places.append((name, small, (MARGIN + column * (WIDTH + MARGIN), heights[column])))
        heights[column] += CAPTION + small.height + MARGIN
    whole = Image.new("RGB", (MARGIN + COLUMNS * (WIDTH + MARGIN), max(heights)), "white")
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(20)
    for name, small, (x, y) in places:
        pen.text((x, y), name, fill="#0072B2", font=font)
        whole.paste(small, (x, y + CAPTION))
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
    sheet(tiles).quantize(64, dither=Image.Dither.NONE).save(held, "PNG", optimize=True)
    asked.to.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(asked.to, held.getvalue())
    print(f"{len(tiles)} pictures, {len(held.getvalue()) / 1000:.0f} kB: {asked.to}")
    if len(held.getvalue()) > MOST:
        sys.exit(f"the sheet is above {MOST / 1000:.0f} kB")


if __name__ == "__main__":
    main()
