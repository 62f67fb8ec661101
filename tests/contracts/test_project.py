"""The parts of the project that must agree with each other."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import swinprune_lite as sp
from swinprune_lite.paper.numbers import TABLES, paper_table

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")
)


def test_every_dependency_is_pinned_within_what_the_project_allows():
    pins = {canonicalize_name(name): version for name, version in CONSTRAINTS.items()}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for requirement in (Requirement(text) for group in groups for text in group):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_conda_environment_installs_the_same_as_the_makefile():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    (pip,) = [entry["pip"] for entry in environment if isinstance(entry, dict)]
    needed = re.search(r"^NEEDED := (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert set(" ".join(pip).split()) == set(needed.replace("'", "").split())
    (python,) = [entry for entry in environment if str(entry).startswith("python=")]
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python.split("=")[1])


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == sp.__version__
    assert "Data-independent Module-aware Pruning" in citation["preferred-citation"]["title"]


def test_the_record_for_a_doi_says_what_the_citation_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    record = json.loads((ROOT / ".zenodo.json").read_text())
    for key in ("title", "version", "license", "keywords"):
        assert record[key] == citation[key]
    assert record["upload_type"] == citation["type"] == "software"
    assert record["license"] == PROJECT["license"]
    assert [creator["name"] for creator in record["creators"]] == [author["name"] for author in citation["authors"]]
    cited = [citation["preferred-citation"], *citation["references"]]
    assert {each["identifier"] for each in record["related_identifiers"]} == {each["url"] for each in cited}
    assert all({"type", "title", "authors"} <= each.keys() for each in (citation, *cited))  # what CFF 1.2 asks for
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]


@pytest.mark.parametrize("name", TABLES)
def test_paper_tables_load(name):
    assert not paper_table(name).empty


def test_unknown_paper_table():
    with pytest.raises(ValueError, match="Unknown table 'table9'"):
        paper_table("table9")


def test_every_public_name_is_documented():
    for name in sp.__all__:
        thing = getattr(sp, name)
        assert not callable(thing) or thing.__doc__


def test_notebooks_do_not_spell_the_papers_accuracies():
    """They come from the data files. (Errata quoted in prose are the exception that a reader needs.)"""
    printed = {f"{value:.2f}" for value in paper_table("table3_uniform_vs_dimap").dimap_top1_pct}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        sources = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
        assert not [value for value in printed if value in sources]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_files_that_are_linked_to_are_there(page):
    named = re.findall(r"\]\((?!\w+:)([^)#]+)", (ROOT / page).read_text())
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert (ROOT / "book/_static/book.png").stat().st_size <= 150_000  # the README's picture


def test_make_help_lists_the_two_commands():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"^book +\w", said, re.MULTILINE)
    assert re.search(r"^test +\w", said, re.MULTILINE)


def test_every_test_file_that_the_makefile_names_is_there():
    named = [f"tests/{path}" for path in re.findall(r"(\w+/test_\w+\.py)", (ROOT / "Makefile").read_text())]
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []
