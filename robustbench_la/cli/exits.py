"""Every way out of a command has its exit code, and every mistake one line on stderr."""

from __future__ import annotations

import errno
import os
import sys
import traceback

import typer

from robustbench_la.cli import streams
from robustbench_la.cli.app import app
from robustbench_la.cli.streams import say
from robustbench_la.cli.usage_errors import explain
from robustbench_la.errors import UserError

_READER_GONE = 141
"""128 + SIGPIPE, as a shell reports a program whose reader has gone."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a quota, and a limit on the size of files."""
_TRACEBACK = "--traceback"
_COMPLETION = "_LAROBUST_COMPLETE"
"""The variable by which a shell asks for completions."""


def main() -> None:
    """Run the command line and exit."""
    streams.install()
    code = _run()
    failure = streams.stdout_failure()
    if isinstance(failure, BrokenPipeError):
        code = code or _READER_GONE
    elif failure is not None and code in (0, 1):  # other codes have their line, and a regression is not hidden
        code = _fail(f"cannot print ({failure.strerror})", code or 3)
    sys.exit(code)


def _run() -> int:
    """Run the command line and return the exit code."""
    usage_error = typer.BadParameter.__mro__[2]  # ClickException, wherever this version of typer keeps it
    try:
        words = [word for word in sys.argv[1:] if word != _TRACEBACK]  # accepted anywhere; read from sys.argv
        code = app(args=words, standalone_mode=False, prog_name="larobust")
        sys.stdout.flush()
    except UserError as error:
        if _TRACEBACK in sys.argv:
            _print_traceback()
        elif error.__cause__ is not None:  # an error in code of the user's
            return _fail(f"{error} ({_TRACEBACK} shows all of it)", error.exit_code)
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except SystemExit as error:  # code that we call asks to exit: never with the exit code of a regression (1)
        if _COMPLETION in os.environ or sys.argv[1:2] in (["--show-completion"], ["--install-completion"]):
            return error.code if isinstance(error.code, int) else 0
        return _fail(f"could not run (code that was called tried to exit with {error.code})", 3)
    except BrokenPipeError:  # only where streams.py does not replace stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left there cannot be written either
            return _fail("could not run (no space left to write)", 3)
        if isinstance(error, usage_error):
            if type(error).__name__ == "NoArgsIsHelpError":  # the help text, laid out
                print(error.format_message(), end="", file=sys.stderr)  # type: ignore[attr-defined]  # ClickException has it
                return 2
            return _fail(explain(error), 2)
        # A fault of ours or of the machine: its traceback, and never the exit code of a regression (1).
        _print_traceback()
        return _fail("could not run (the traceback above shows where)", 3)
    return _fail("interrupted", 130) if code == 130 else code if isinstance(code, int) else 0


def _print_traceback() -> None:
    for line in traceback.format_exc().rstrip("\n").split("\n"):
        say(line)


def _fail(message: str, code: int) -> int:
    """Report an error in one line on stderr."""
    say(f"larobust: {message}")
    return code
