"""The application: it imports a command's file only when that command is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from robustbench_la import __version__
from robustbench_la.cli.commands import ABOUT, COMMANDS, EXIT_CODES
from robustbench_la.errors import UserError


class _Command(TyperCommand):
    """A command whose help shows what to give for a flag or an argument (its metavar), and never a type of Python."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments. Raises UserError for a network property that is given twice: the last would win in silence."""
        given = [parameter.name for parameter in self.make_parser(ctx).parse_args(list(args))[2]]
        for name in ("activation", "arch", "layeract_alpha", "normalize"):
            parameter = next((one for one in self.params if one.name == name and not one.multiple), None)
            if parameter is not None and given.count(name) > 1:
                hint = "; names of files can say which has which: --ckpt 'runs/{activation}_seed{seed}.pt'"
                raise UserError(f"{parameter.opts[0]} is given more than once, but holds for all" + hint * (name == "activation"))
        return list(super().parse_args(ctx, args))

    def get_params(self, ctx: Any) -> list[Any]:
        """The flags and arguments."""
        parameters = super().get_params(ctx)
        for parameter in parameters:
            if isinstance(parameter, TyperArgument):
                parameter.display_type_rich = lambda ctx: None  # type: ignore[method-assign]  # only newer typer calls it
            elif parameter.metavar is None:
                parameter.metavar = ""  # --help, which typer makes
        return list(parameters)


class _Commands(Mapping[str, Any]):
    """The commands by name, each imported and built on first use."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            entry = COMMANDS[name]
            module = importlib.import_module(f"robustbench_la.cli.{entry.module}")
            only = typer.Typer(add_completion=False, rich_markup_mode="rich")
            only.command(
                name,
                cls=_Command,
                help=_paragraphs(module.HELP),
                short_help=entry.summary,
                epilog=module.EXAMPLE,
                rich_help_panel=entry.panel,
            )(module.command)
            self._made[name] = typer.main.get_command(only)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _paragraphs(text: str) -> str:
    """Paragraphs of one line each, which the help folds to the width of the terminal."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


class _Application(TyperGroup):
    """The group of the commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": None})
        self.commands = _Commands()  # type: ignore[assignment]  # nothing is ever added to it

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, without importing them."""
        return list(COMMANDS)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the overview without importing the commands, or what typer's help needs for Markdown."""
        from robustbench_la.cli.overview import print_overview

        options = [(", ".join(option.opts), getattr(option, "help", None) or "") for option in self.get_params(ctx)]
        print_overview(COMMANDS, options)


app = typer.Typer(
    name="larobust",
    cls=_Application,
    help=ABOUT,
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"larobust {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Anywhere in a command: also show all of an error in your own code.")
    ] = False,
) -> None:
    pass
