"""The house: rooms without circles, small files, names that mean one thing, and tests that mirror the rooms."""

import ast
import importlib
import pkgutil
import re
import sys
import tomllib
from collections import Counter
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import swinprune_lite
from swinprune_lite import HOMES
from swinprune_lite.__main__ import commands

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "swinprune_lite"
FILES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
UPWARDS = ["types", "files", "kept", "provenance", "anatomy", "pruning", "data", "models", "training", "sources",
           "calibration", "repairing", "acceleration", "clock", "measurements", "paper", "figures", "studies",
           "shell", "jobs", "report", "commands", "__main__"]  # fmt: skip
"""Each room uses those before it alone. (Training and data do not know each other, whatever their order.)"""


NOT_INSTALLED = re.compile(
    r"^(?!.*in the repository).*((data_scripts|benchmarks|tests|notebooks|book)/|\bmake \w+')", re.DOTALL
)


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {dotted(path): path for path in FILES}


def imports(path: Path) -> set[str]:
    """Modules of this package that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("swinprune_lite"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
    return found - {dotted(path)}


def test_no_import_goes_up():
    room = {name: name.split(".")[1] if "." in name else "" for name in MODULES}
    wrong = [
        f"{name} imports {other}"
        for name, path in MODULES.items()
        for other in imports(path)
        if room[name]
        and room[other] not in ("", room[name])
        and UPWARDS.index(room[other]) >= UPWARDS.index(room[name])
    ]
    assert wrong == []
    assert set(UPWARDS) == {part for part in room.values() if part}


def test_no_circle_of_modules():
    graph = {name: imports(path) for name, path in MODULES.items()}
    while leaves := [name for name, used in graph.items() if not used & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert list(graph) == []


def test_no_file_is_long_and_no_room_crowded():
    lines = {path: len(path.read_text().splitlines()) for path in FILES}
    assert [(dotted(path), count) for path, count in lines.items() if count > 300] == []
    crowd = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert [(folder.name, count) for folder, count in crowd.items() if count > 10] == []
    rooms = Counter()
    for path, count in lines.items():
        rooms[path.relative_to(PACKAGE).parts[0]] += count
    assert max(rooms.values()) < 0.25 * rooms.total()


@pytest.mark.parametrize("name", [name for name in MODULES if "." in name and not name.endswith("__init__")])
def test_no_module_is_hidden_behind_a_name(name):
    module = importlib.import_module(name)
    parent, _, leaf = name.rpartition(".")
    assert getattr(sys.modules[parent], leaf) is module


def test_every_room_is_packaged_and_has_its_tests():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert set(listed) == {"swinprune_lite", "swinprune_lite.results", *(f"swinprune_lite.{room}" for room in ROOMS)}
    found = {module.name for module in pkgutil.iter_modules(swinprune_lite.__path__) if module.ispkg}
    assert found == set(ROOMS)
    assert {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")} == {*ROOMS, "contracts"}


def test_no_message_names_a_file_that_an_installed_copy_does_not_have():
    wrong = []
    for path in FILES:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        prose = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        texts = [node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in prose]
        wrong += [text for text in texts if isinstance(text, str) and NOT_INSTALLED.search(text)]
    assert wrong == []


def test_commands_named_in_messages_are_there():
    named = {name for path in FILES for name in re.findall(r"['`]swinprune (\w+)", path.read_text())}
    assert named <= {*commands(), "COMMAND"}


@cache
def asked(source: str) -> list[str]:
    """What a source imports, wherever in it: modules, and what is taken from them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def test_what_a_notebook_imports_is_installed_by_its_first_cell():
    """By the requirements and the extra that the cell names, counting what the library's modules import in turn."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    distributions = packages_distributions()
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        (extra,) = re.findall(r"swinprune-lite\[(\w+)\]@git\+", cells[0])
        texts = project["dependencies"] + project["optional-dependencies"][extra]
        installed = {canonicalize_name(Requirement(text).name) for text in texts} | {"swinprune-lite"}
        source = re.sub(r"^( *)%.*", r"\1pass", "\n".join(cells), flags=re.MULTILINE)
        homes = [MODULES.get(f"swinprune_lite.{home}", PACKAGE / home / "__init__.py") for home in HOMES]
        names, seen, waiting = set(), set(), [source, *(home.read_text() for home in homes)]
        while waiting:
            for name in asked(waiting.pop()):
                if name in MODULES and name not in seen:
                    seen.add(name)
                    waiting.append(MODULES[name].read_text())
                names.add(name.split(".")[0])
        outside = {name for name in names if name not in sys.stdlib_module_names}
        providers = {name: {canonicalize_name(one) for one in distributions.get(name, [name])} for name in outside}
        missing = {name for name in outside if not providers[name] & installed}
        assert missing <= {"IPython", "matplotlib_inline"}, path  # every notebook runs in IPython
