"""What no command takes: an option given twice, an empty value, a path that the system cannot look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.core import TyperCommand, TyperGroup

from acdc.errors import BadSetting
from acdc.tasks.errors import lone_surrogates


class _Strict:
    """What refuses what others pass over: of an option given twice, the parser would take the last."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line, as far as it is this command's.

        Raises: BadSetting.
        """
        order = _options_once(self, ctx, args)  # type: ignore[arg-type]  # likewise
        rest: list[str] = super().parse_args(ctx, args)  # type: ignore[misc]  # of the command it stands before
        _require_usable_paths(ctx, order)
        return rest


class StrictCommand(_Strict, TyperCommand):
    """A command that is strict about its options."""


class StrictGroup(_Strict, TyperGroup):
    """A command with commands of its own, as strict about its options."""


def _options_once(command: TyperCommand | TyperGroup, ctx: Any, args: list[str]) -> list[Any]:
    """The parameters that are given, each once and with a value."""
    given, _, order = command.make_parser(ctx).parse_args(args=list(args))
    for parameter in order:
        name = _named(parameter)
        if order.count(parameter) > 1:
            raise BadSetting(f"{name} is given more than once; wanted it once, leave the others out")
        if any(isinstance(word, str) and not word.strip() for word in _each(given.get(parameter.name))):
            raise BadSetting(f"{name} is empty; give it a value, or leave it out")
    return list(order)


def _require_usable_paths(ctx: Any, order: list[Any]) -> None:
    for parameter in order:
        for value in _each(ctx.params.get(parameter.name)):
            if isinstance(value, Path):
                _require_usable(value, _named(parameter))


def _named(parameter: Any) -> str:
    """What a user calls an option or an argument."""
    return str(parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar)


def _each(value: Any) -> tuple[Any, ...]:
    """The values of an argument that takes several, or the one value."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def _require_usable(path: Path, name: str) -> None:
    """Refuse a path that cannot be one of a file, whether there is one or not, or that no file of ours could name."""
    if lone_surrogates(str(path)):  # a byte that is no character
        raise BadSetting(f"{name} is {str(path)!a}, which is no UTF-8 text; give another path")
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # whoever reads or writes it says what was wanted there
    except OSError as error:
        raise BadSetting(f"{name} is {path}, which cannot be used: {error.strerror}; give another path") from error
