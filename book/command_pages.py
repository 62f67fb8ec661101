"""What `book/commands.md` says of each command, from the commands themselves: help, options and examples."""

import re
from collections.abc import Iterator

import typer

from swinprune_lite.__main__ import app


def pages() -> str:
    """Every command as Markdown, in the order of a first use."""
    leaves = _leaves(typer.main.get_command(app))
    return "\n".join(section for names, command in leaves for section in _page(names, command))


def _leaves(command, names: tuple[str, ...] = ("swinprune",)) -> Iterator[tuple[tuple[str, ...], object]]:
    below = getattr(command, "commands", None)
    if not below:
        yield names, command
    for name, each in (below or {}).items():
        yield from _leaves(each, (*names, name))


def _page(names: tuple[str, ...], command) -> Iterator[str]:
    yield f"## `{' '.join(names)}`\n"
    given = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    arguments = [f"[{name}]" if not each.required else name for each in given for name in [_name(each)]]
    yield f"```\n{' '.join([*names, *arguments, '[options]'])}\n```\n"
    text, _, examples = (command.help or "").partition("Examples:")
    yield f"{text.strip()}\n"
    lines = [line.strip().removeprefix("- ").strip("`") for line in examples.splitlines() if line.strip()]
    yield "\n".join(["```", *lines, "```\n"])
    yield "| option | what it does | default |\n| --- | --- | --- |"
    for each in options:
        names_ = ", ".join(f"`{name}`" for name in [*each.opts, *each.secondary_opts])
        yield f"| {names_} | {_cell(each.help)} | {_default(each)} |"
    yield ""


def _name(argument) -> str:
    return argument.metavar or argument.name.upper()


def _default(option) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    value = option.default
    if isinstance(value, bool) and option.is_flag:
        value = (option.opts if value else option.secondary_opts or [""])[0]
    return f"`{value}`" if value not in (None, "", (), []) else ""


def _cell(text: str | None) -> str:
    return re.sub(r"([|*<])", r"\\\1", text or "")
