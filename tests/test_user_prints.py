"""What user code does with its standard output beyond printing."""

import faulthandler
import io
import sys

import pytest

from robustbench_la.models.user_prints import prints_on_stderr


def test_user_code_has_a_standard_output_like_any_other(capfd: pytest.CaptureFixture[str]) -> None:
    with prints_on_stderr():
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a TextIOWrapper, as Python's own
        sys.stdout.buffer.write(b"bytes \xff\n")
        faulthandler.dump_traceback(file=sys.stdout)
        print(sys.stdout.encoding, sys.stdout.isatty(), sys.stdout.fileno() == sys.stderr.fileno())
        print("wrapped again", file=io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", write_through=True))
        sys.stdout.close()
        print("\x1b[2Jnot ended", end="")
    out, shown = capfd.readouterr()
    assert out == ""
    assert "bytes \N{REPLACEMENT CHARACTER}\n" in shown
    assert "utf-8 False True\nwrapped again\n\\x1b[2Jnot ended\n" in shown
