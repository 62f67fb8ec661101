"""What `book/api.md` and `book/api_rooms.md` hold: a directive of Sphinx's autodoc for each public name.

Two marks stand for them: `<!-- api: make_masks importance -->` for names of the package itself, and
`<!-- api of pruning -->` for what else is public in a room, file by file.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import swinprune_lite as sp

PACKAGE = Path(sp.__file__).parent
NAMES = re.compile(r"<!-- api: ([\w ]+) -->")
ROOM = re.compile(r"<!-- api of (\w+) -->")
Definition = ast.FunctionDef | ast.ClassDef | ast.AnnAssign | ast.Assign


def filled(page: str) -> str:
    """The page with directives in place of its marks."""
    page = NAMES.sub(lambda found: _block(map(_of_package, found[1].split())), page)
    return ROOM.sub(lambda found: "\n\n".join(_file(path) for path in _files(found[1])), page)


def public(path: Path) -> dict[str, Definition]:
    """Name of each public function, class and documented constant of a file -> its definition."""
    body = ast.parse(path.read_text()).body
    found = {}
    for node, after in zip(body, [*body[1:], None]):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, (ast.AnnAssign, ast.Assign)) and _is_text(after):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            found |= {target.id: node} if isinstance(target, ast.Name) else {}
    return {name: node for name, node in found.items() if not name.startswith("_")}


def _files(room: str) -> list[Path]:
    return [path for path in sorted((PACKAGE / room).glob("*.py")) if public(path)]


def _is_text(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _of_package(name: str) -> str:
    (home,) = [home for home, names in sp.HOMES.items() if name in names]
    (definition,) = [
        node
        for path in [PACKAGE / f"{home.replace('.', '/')}.py", *_files(home)]
        if path.exists()
        for found, node in public(path).items()
        if found == name
    ]
    constant = isinstance(definition, (ast.AnnAssign, ast.Assign))
    return _directive(f"swinprune_lite.{home}.{name}" if constant else f"swinprune_lite.{name}", definition)


def _file(path: Path) -> str:
    module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    first = ast.get_docstring(ast.parse(path.read_text())).partition("\n\n")[0]
    rest = [_directive(f"{module}.{name}", node) for name, node in public(path).items() if name not in sp.__all__]
    return f"### `{path.stem}`\n\n{first}\n\n" + (_block(rest) if rest else "")


def _directive(name: str, definition: Definition) -> str:
    if isinstance(definition, ast.FunctionDef):
        return f".. autofunction:: {name}"
    if not isinstance(definition, ast.ClassDef):
        return f".. autodata:: {name}\n   :no-value:"
    methods = [
        node.name
        for node in definition.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and ast.get_docstring(node)
    ]
    return f".. autoclass:: {name}" + (f"\n   :members: {', '.join(methods)}" if methods else "")


def _block(directives: Iterator[str] | list[str]) -> str:
    return "```{eval-rst}\n.. currentmodule:: swinprune_lite\n\n" + "\n\n".join(directives) + "\n```"
