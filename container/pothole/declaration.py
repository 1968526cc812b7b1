"""A setting is declared once: its variable in the environment, default, group and help."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pothole.errors import ConfigError


@dataclass(frozen=True)
class Kind:
    """A kind says how a value is read from text.

    Attributes:
        expected: What it has to be, for people.
        read: Reads it; raises ValueError for what it cannot be.
    """

    expected: str
    read: Callable[[str], Any]


@dataclass(frozen=True)
class Declaration:
    """A declaration is all that is said of a setting.

    Attributes:
        variable: Its name in the environment.
        group: What it belongs to.
        help: What it is, in some words.
        kind: How it is read.
        shown: Its default as people read it; None for the value itself.
    """

    variable: str
    group: str
    help: str
    kind: Kind
    shown: str | None = None

    def read(self, text: str) -> Any:
        """Read a value.

        Raises:
            ConfigError: It is not what it has to be; names the variable.
        """
        try:
            return self.kind.read(text)
        except ValueError as exc:
            raise ConfigError(f"{self.variable} is {text!r}, expected {self.kind.expected}.") from exc


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ValueError
    return int(text)


def _switch(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError
    return text.lower() == "true"


def _level(text: str) -> str:
    if text.upper() not in logging.getLevelNamesMapping():
        raise ValueError
    return text.upper()


NUMBER = Kind("a positive whole number", _positive)
SWITCH = Kind("true or false", _switch)
TEXT = Kind("text", str)
FOLDER = Kind("a folder", Path)
NAMES = Kind("names with commas between them", lambda text: tuple(text.replace(",", " ").split()))
LEVEL = Kind("DEBUG, INFO, WARNING or ERROR", _level)


def one_of(values: tuple[str, ...]) -> Kind:
    """Return the kind of a value that is one of a few words."""

    def read(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return Kind(", ".join(values), read)


def setting(
    default: Any, variable: str, group: str, help: str, kind: Kind = NUMBER, shown: str | None = None
) -> Any:
    """Declare a field of a dataclass; see `Declaration`."""
    declaration = Declaration(variable, group, help, kind, shown)
    return field(default=default, metadata={"declaration": declaration})


def declarations(settings: type[Any]) -> dict[str, Declaration]:
    """Return what is said of each setting, by the name of its field, in the order of declaration.

    Args:
        settings: A dataclass whose fields are declared by `setting`.
    """
    return {each.name: each.metadata["declaration"] for each in fields(settings)}


def shown_default(settings: type[Any], name: str) -> str:
    """Return the default of a field as people read it, in Markdown."""
    [default] = [each.default for each in fields(settings) if each.name == name]
    shown = declarations(settings)[name].shown
    return shown or (f"`{default}`" if default not in ("", ()) else "none")
