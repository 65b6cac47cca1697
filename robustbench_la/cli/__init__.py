"""The command line. Each command stands in its own file: it reads arguments, calls the library, prints, exits."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import traceback
from typing import Annotated, TextIO

import typer

from robustbench_la import __version__
from robustbench_la.cli import (
    baseline,
    check,
    compare,
    evaluate,
    fluctuation,
    forget,
    list_,
    merge,
    plot,
    quickstart,
    results,
    train,
)
from robustbench_la.errors import UserError

EXIT_CODES = (
    "Exit codes: 0 fine; 1 a regression (check alone); 2 a mistake in what was given; 3 could not run here; 4 not comparable; "
    "5 nothing selected; 130 interrupted."
)

app = typer.Typer(
    name="larobust",
    help="Is this image classifier robust to noise, and does its activation function matter?",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("eval", help=evaluate.HELP)(evaluate.command)
app.command("fluctuation", help=fluctuation.HELP)(fluctuation.command)
app.command("results", help=results.HELP)(results.command)
app.command("compare", help=compare.HELP)(compare.command)
app.command("merge", help=merge.HELP)(merge.command)
app.command("forget", help=forget.HELP)(forget.command)
app.command("baseline", help=baseline.HELP)(baseline.command)
app.command("check", help=check.HELP)(check.command)
app.command("train", help=train.HELP)(train.command)
app.command("list", help=list_.HELP)(list_.command)
app.command("plot", help=plot.HELP)(plot.command)
app.command("quickstart", help=quickstart.HELP)(quickstart.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"larobust {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; every way out has its exit code."""
    sys.stderr = _Unheard(sys.stderr)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal without − or √ shows ? and loses nothing
        sys.stdout.reconfigure(errors="replace")
    sys.exit(_run())


class _Unheard(io.TextIOBase):
    """stderr, whose reader may go away: progress that nobody reads ends no measurement."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


def _run() -> int:
    usage_error = typer.BadParameter.__mro__[2]  # ClickException, wherever this version of typer keeps it
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except UserError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except SystemExit as error:  # code that we call asks to exit: never with the exit code of a regression (1)
        return _fail(f"could not run (something asked to exit with {error.code})", 3)
    except BrokenPipeError:  # the reader of our output has gone, as in `larobust list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left there cannot be written either
            return _fail("could not run (no space left to write)", 3)
        if isinstance(error, usage_error):
            message = error.format_message()  # type: ignore[attr-defined]  # ClickException has it
            if type(error).__name__ == "NoArgsIsHelpError":  # the help text, laid out
                print(message, file=sys.stderr)
                return 2
            return _fail(_renamed(error) or message, 2)
        # A fault of ours or of the machine: its traceback, and never the exit code of a regression (1).
        traceback.print_exc()
        return _fail("could not run (the traceback above tells where)", 3)
    return _fail("interrupted", 130) if code == 130 else code if isinstance(code, int) else 0


_RENAMED = {"--alpha": ("--layeract-alpha",), "--seed": ("--training-seed", "--noise-seed")}
"""Flags of earlier versions, and what they may be called now; the one that the command has is meant."""


def _renamed(error: Exception) -> str | None:
    """What to say of a flag that has another name now."""
    given, context = getattr(error, "option_name", ""), getattr(error, "ctx", None)
    flags = [flag for parameter in context.command.params for flag in parameter.opts] if context is not None else []
    for flag in _RENAMED.get(given, ()):
        if flag in flags:
            return f"{given} is now {flag}"
    return None


def _fail(message: str, code: int) -> int:
    """Say one line on stderr."""
    print("larobust: " + " ".join(message.split()), file=sys.stderr)
    return code
