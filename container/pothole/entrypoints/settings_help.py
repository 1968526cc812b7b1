"""This module shows the settings to people: as a page, and in the help of `serve` and `work`.

python -m pothole.entrypoints.settings_help > docs/reference/settings.md
"""

import argparse
from collections.abc import Callable
from itertools import groupby
from typing import Any

from pothole.declaration import Declaration, declarations, shown_default
from pothole.settings import Settings

HEAD = """# Settings

Settings are read from the environment of the container, of `serve` or of `pothole`. A variable that is not
set has its default. A wrong value ends the start with one sentence that names the variable. This page is made
by `make settings-page`.
"""
FOOT = """
Credentials, region and endpoint of S3 are those that boto3 finds.
"""


def page() -> str:
    """Return the page, a table a group."""
    lines = [HEAD]
    for group, members in _groups():
        lines += [f"## {group.capitalize()}", "", "| name | default | is |", "| --- | --- | --- |"]
        lines += [f"| `{d.variable}` | {shown_default(Settings, name)} | {d.help} |" for name, d in members]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n" + FOOT


def text() -> str:
    """Return the settings as a command's help shows them."""
    lines = ["settings, from the environment:"]
    for group, members in _groups():
        lines += ["", f"{group}:"]
        for name, d in members:
            plain = shown_default(Settings, name).replace("`", "")
            lines += [f"  {d.variable}", f"      {d.help.replace('`', '')} (default: {plain})"]
    return "\n".join(lines)


def command(run: Callable[..., None]) -> dict[str, Any]:
    """Return the options of a parser of arguments whose help shows the settings below what `run` does."""
    return {
        "description": run.__doc__,
        "epilog": text(),
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def _groups() -> list[tuple[str, list[tuple[str, Declaration]]]]:
    found = sorted(declarations(Settings).items(), key=lambda item: item[1].group)
    return [(group, list(members)) for group, members in groupby(found, key=lambda item: item[1].group)]


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
