"""What every notebook must be. nbval compares their outputs in the same run: `pytest notebooks --nbval`."""

import ast
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
import yaml
from notebook_runs import executed, of_the_profile, one_kernel, told

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
DRAWS_OR_TIMES = re.compile(
    r"^figures\.(?!set_style|pareto)|tqdm\(|^(timing\.summary|runtimes\.table)\(measured\)|^measured\.round",
    re.MULTILINE,
)

READERS_OWN = {"hybrid-22", "score-13"}  # cells that show how a reader writes a criterion, and the algorithm
TIMED = {"figure4_acceleration", "beyond_acceleration"}  # where a ratio costs seconds


@cache
def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    expected = {f"table{number}" for number in range(1, 5)} | {f"figure{number}" for number in range(1, 7)}
    stems = {path.stem for path in NOTEBOOKS}
    assert expected | {"equations", "reproduction", "beyond", "idea"} == {stem.split("_")[0] for stem in stems}
    assert len(stems) == 21


@notebooks
def test_head_parameters_and_end(path):
    cells = read(path).cells
    assert cells[0].source.startswith("# ")
    assert "**Question.**" in cells[0].source
    assert "**Answer.**" in cells[0].source
    assert "| reproduces |" in cells[0].source
    (parameters,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    names = [target.id for node in ast.parse(parameters.source).body for target in node.targets]
    assert names == ["profile", "models", "ratios", "seed", "data", "batch_size"]
    (seen,) = [cell.source for cell in cells if "## What you should have seen" in cell.source]
    assert "@" not in seen


@notebooks
def test_installs_the_package_from_the_repository_where_it_is_missing(path):
    address = yaml.safe_load((ROOT / "book" / "_config.yml").read_text())["repository"]["url"]
    first = code_cells(path)[0]
    assert f'%pip install -q "swinprune-lite[notebooks]@git+{address}"\n' in f"{first.source}\n"
    assert 'find_spec("swinprune_lite") is None' in first.source
    assert first.outputs == []  # here it is installed


@notebooks
def test_ends_in_exercises_with_hidden_solutions_that_run(path):
    cells = read(path).cells
    begin = next(index for index, cell in enumerate(cells) if "## Exercises" in cell.source)
    assert "## What you should have seen" in cells[begin - 1].source
    questions, solutions = cells[begin::2], cells[begin + 1 :: 2]
    assert len(questions) == len(solutions) in (2, 3)
    for number, (question, solution) in enumerate(zip(questions, solutions), 1):
        assert f"**Exercise {number}.**" in question.source
        assert solution.source.startswith(f"# Solution {number}\n")
        assert solution.metadata.tags == ["hide-cell"]
        assert [output for output in solution.outputs if output.output_type in ("stream", "execute_result")]


@notebooks
def test_committed_with_lite_outputs_and_no_traces_of_the_run(path):
    notebook = read(path)
    assert "papermill" not in notebook.metadata
    said = [output.text for cell in code_cells(path) for output in cell.outputs if output.output_type == "stream"]
    assert said[0].startswith("Profile lite: ")
    assert not [cell for cell in code_cells(path) if "injected-parameters" in cell.metadata.get("tags", [])]
    assert not [output for cell in code_cells(path) for output in cell.outputs if output.get("name") == "stderr"]


@notebooks
def test_only_pictures_and_times_are_left_out_of_the_comparison(path):
    for cell in code_cells(path):
        ignored = "nbval-ignore-output" in cell.metadata.get("tags", [])
        assert ignored == bool(DRAWS_OR_TIMES.search(cell.source)), cell.source
        assert "NBVAL" not in cell.source
        if ignored:
            pictures = [output for output in cell.outputs if "image/svg+xml" in output.get("data", {})]
            drawn = "figures." in cell.source
            assert drawn == bool(pictures)
            assert not drawn or (cell.metadata.mystnb.image.alt and cell.metadata.mystnb.figure.caption)


@notebooks
def test_library_code_stays_in_the_library(path):
    for cell in code_cells(path):
        assert len(cell.source.splitlines()) <= 15
        assert max(map(len, cell.source.splitlines())) <= 100
        assert cell.id in READERS_OWN or not re.search(r"^(def|class) ", cell.source, re.MULTILINE)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    with one_kernel(folder=tmp_path_factory.mktemp("smoke")) as manager:
        yield manager


def has_a_say(path):
    """Whether the smoke profile changes anything; the ledger is of lite in every profile whose models ship."""
    sources = [cell.source for cell in code_cells(path)]
    return path.stem != "reproduction_ledger" and any(of_the_profile(sources)[told(sources) + 1 :])


@pytest.mark.parametrize("path", list(filter(has_a_say, NOTEBOOKS)), ids=lambda path: path.stem)
def test_runs_in_the_smoke_profile(path, kernel):
    parameters = {"profile": "smoke"} | ({"ratios": [0.55]} if path.stem in TIMED else {})
    cells = [cell for cell in executed(path, parameters, kernel).cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    said = next(output.text for output in outputs if output.output_type == "stream")
    assert said.startswith("Profile smoke: swin_lite_tiny")
