"""Where the verdict of ``larobust check`` goes: stdout, files, and the page of a job."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from robustbench_la.cli.streams import say
from robustbench_la.errors import UserError

if TYPE_CHECKING:
    from robustbench_la.gate.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the verdict goes, in addition to the exit code."""

    junit: str | None
    summary: str | None
    """``-``: stdout, instead of the table."""
    as_json: bool

    def check(self, inputs: Mapping[str, str | None]) -> None:
        """Raise UserError for files that cannot be written, or would overwrite something."""
        from robustbench_la.files import check_outputs

        files = [Path(name) for name in (self.junit, self.summary) if name is not None and name != "-"]
        check_outputs(files, {what: [Path(name)] for what, name in inputs.items() if name})

    def publish(self, verdict: Verdict, *, strict: bool) -> list[str]:
        """Write and print the verdict, files first: the reader of stdout may go away at any line.

        Returns:
            What could not be written, in words.
        """
        from robustbench_la.files import write_whole
        from robustbench_la.gate import github, junit

        markdown = github.verdict_markdown(verdict, strict=strict)
        failures = []
        for name, content in ((self.junit, junit.junit(verdict, strict=strict)), (self.summary, markdown)):
            if name is not None and name != "-":
                try:
                    write_whole(Path(name), content)
                except UserError as error:
                    failures.append(str(error))
        if self.summary is None and (page := os.environ.get("GITHUB_STEP_SUMMARY")):
            _append(Path(page), markdown)
        try:
            self._print(verdict, markdown, strict=strict)
            sys.stdout.flush()
        except OSError as error:  # only where streams.py does not replace stdout; a reader that has gone is no failure
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not isinstance(error, BrokenPipeError):
                failures.append(f"cannot print ({error.strerror})")
        return failures

    def _print(self, verdict: Verdict, markdown: str, *, strict: bool) -> None:
        """Print the JSON document, the Markdown or the table."""
        from robustbench_la.gate import github, report
        from robustbench_la.output import terminal
        from robustbench_la.output.json_documents import json_text

        for remark in verdict.remarks:
            say(remark)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            for line in github.github(verdict, strict=strict):  # the runner reads them from stderr too
                print(line, file=sys.stderr)
        if self.as_json:
            print(json_text(report.verdict_document(verdict, strict=strict)))
            if self.summary == "-":
                print(markdown, end="", file=sys.stderr)
        elif self.summary == "-":
            print(markdown, end="")
        else:
            say(report.headline(verdict, strict=strict), on=sys.stdout)
            terminal.show(report.verdict_tables(verdict))
            if verdict.now is not None:
                say(report.about(verdict), on=sys.stdout)


@contextlib.contextmanager
def reported_under_actions() -> Iterator[None]:
    """Under GitHub's Actions, report also on the page of the job why nothing could be judged."""
    try:
        yield
    except UserError as error:
        from robustbench_la.gate import github

        if os.environ.get("GITHUB_ACTIONS") == "true":
            print(github.annotation("error", "could not judge", str(error)), file=sys.stderr)
        if page := os.environ.get("GITHUB_STEP_SUMMARY"):
            _append(Path(page), github.excuse(str(error)))
        raise


def _append(path: Path, text: str) -> None:
    """Add to the page of the job, which other steps write to as well; a failure is only reported, since nobody asked for it."""
    try:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        say(f"cannot write {path}: {error.strerror}")
