"""The page of the command line, from the parser that reads it."""

import argparse
import inspect

from videoglamm_hf.cli.arguments import COMMANDS


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of every command, by its name."""
    made = {}
    for declare in COMMANDS:
        name = declare.__name__.replace("_", "-")
        text = inspect.getdoc(declare)
        made[name] = argparse.ArgumentParser(prog=f"videoglamm {name}", description=text)
        declare(made[name])
    return made


def page() -> str:
    """Markdown: what every command does, and what it takes."""
    found = parsers()
    rows = [f"| [`{name}`](#{name}) | {parser.description.splitlines()[0]} |" for name, parser in found.items()]
    parts = [
        "# Command line",
        "`videoglamm COMMAND --help` prints what is here. A command ends with status 0, or with 1 and one line that "
        "says what was wrong and what to do; 130 if it was interrupted.",
        "\n".join(["| command | what it does |", "|---|---|", *rows]),
    ]
    for name, parser in found.items():
        parts.append(f"## {name} {{ #{name} }}\n\n{parser.description}")
        parts += [_table(group, parser) for group in parser._action_groups if _shown(group)]
    return "\n\n".join(parts) + "\n"


def _shown(group: argparse._ArgumentGroup) -> list[argparse.Action]:
    return [action for action in group._group_actions if not isinstance(action, argparse._HelpAction)]


def _table(group: argparse._ArgumentGroup, parser: argparse.ArgumentParser) -> str:
    rows = [f"| {_names(action)} | {_help(action, parser)} |" for action in _shown(group)]
    title = f"**{_escaped(group.title)}**" if group.title not in ("positional arguments", "options") else ""
    head = "argument" if group.title == "positional arguments" else "option"
    return "\n".join([title, "", f"| {head} | |", "|---|---|", *rows]).strip()


def _names(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{_metavar(action).strip()}`"
    names = ", ".join(f"`{name}`" for name in action.option_strings)
    value = "" if action.nargs == 0 or action.choices else f" `{_metavar(action)}`"
    return names + value + (" (needed)" if action.required else "")


def _metavar(action: argparse.Action) -> str:
    name = action.metavar or (
        "..." if action.choices else action.dest.upper() if action.option_strings else action.dest
    )
    return name if isinstance(name, str) else " ".join(name)


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    choices = f" One of {', '.join(f'`{choice}`' for choice in action.choices)}." if action.choices else ""
    again = " May be given again." if isinstance(action, argparse._AppendAction) else ""
    return _escaped(text) + ("." if choices and not text.endswith(".") else "") + choices + again


def _escaped(text: str) -> str:
    """A cell of a table: what Markdown would take for its own is text."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("\n", " ")
