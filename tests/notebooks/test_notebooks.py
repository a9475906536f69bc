"""Every notebook runs from a fresh kernel, on a tiny model, and is kept without what it printed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from robusteval.experiments.plan import make_plan
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import RunSpec
from robusteval.settings.spec import ExperimentSpec
from support import tiny
from support.others import mine
from support.places import ROOT
from support.small_experiment import done, options
from support.specs import spec_of

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# a kernel imports everything anew, which takes long on a busy machine
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def experiment(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny experiment that has all that the notebooks read, on rows that are called sst2."""
    root = tmp_path_factory.mktemp("notebooks")
    for split, count, seed in (("train", 48, 0), ("validation", 16, 5)):
        texts, labels = tiny.sentences(count, seed=seed)
        place = root / "data" / "glue" / "sst2" / f"{split}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"sentence": texts, "label": labels, "idx": range(count)}).to_parquet(place)
    base = RunSpec(
        model=str(tiny_folder),
        task="sst2",
        data=DataConfig(data_dir=str(root / "data")),
        evaluation=EvalConfig(suites=("clean", "mask", "sensitivity", "representations"), rates=(0.1, 0.3), sets=3),
        attack=AttackConfig(recipes=()),
    )
    train = {"max_steps": 4, "batch_size": 8, "max_length": 32}
    plan = make_plan(spec_of(base, ("vanilla", "tdt"), (0, 1), train), options(root / "out"))
    code, said = done(plan, root / "out")
    assert code == 0, said
    return root / "out"


def run(path: Path, folder: Path, **parameters: Any) -> str:
    """All that a notebook shows, run in `folder` with other values in place of its parameters."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed (pip install nbclient)")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (pip install nbclient)")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed (pip install ipykernel)")
    notebook = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    names = set(re.findall(r"^(\w+) = ", cell.source, re.MULTILINE))
    assert names >= parameters.keys(), f"{path.name} has the parameters {', '.join(sorted(names))}"
    cell.source += "\n" + "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    nbclient.NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "\n".join(str(output.get("data", output.get("text", ""))) for output in outputs)


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_its_outputs(path: Path) -> None:
    held = json.loads(path.read_text("utf-8"))
    code = [cell for cell in held["cells"] if cell["cell_type"] == "code"]
    assert code and not [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"]]
    assert "widgets" not in held["metadata"]


# what each must show, of what it was given
SHOWN = {
    "02-perturbation-violins": ("tdt", "image/png", "mask 0.3"),
    "03-sensitivity": ("tdt", "image/png", "insensitive", "gini"),
    "04-your-own-table-and-picture": ("tdt", "image/png", "clean"),
    "06-representations-and-confidence": ("tdt", "image/png", "negative"),
    "05-a-papers-table": ("FineTuning", "SST-2", "published", "model"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_notebook_reads_an_experiment(name: str, experiment: Path, tmp_path: Path) -> None:
    shown = run(FOLDER / f"{name}.ipynb", tmp_path, EXPERIMENT=str(experiment))
    assert not [text for text in SHOWN[name] if text not in shown]


def test_the_quick_start_runs(tiny_folder: Path, tmp_path: Path) -> None:
    # few words and short texts, which a tiny model can read
    given = {"MODEL": str(tiny_folder), "TASK": f"{mine(tmp_path)}:OPINION", "STEPS": 2, "EXAMPLES": 2, "LENGTH": 64}
    shown = run(FOLDER / "01-quick-start.ipynb", tmp_path, **given)
    assert not [text for text in ("rdrop", "mask 0.3", "attack success rate", "perturbed") if text not in shown]


def test_every_notebook_is_run() -> None:
    assert {path.stem for path in NOTEBOOKS} == {*SHOWN, "01-quick-start"}


def test_the_experiment_of_the_notebooks_is_one() -> None:
    held = yaml.safe_load((FOLDER / "experiment.yaml").read_text("utf-8"))
    assert ExperimentSpec.read(held).evaluation["sets"] > 1
