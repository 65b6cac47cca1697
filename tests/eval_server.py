"""Runs `larobust` or pytest in children that start at once, because torch is imported already; a test may kill them.

Reads one JSON list a line: ["run", LOG, PROGRAM, UNREAD, words...] answers with the child's process id, ["wait", ID] with its
exit status. A child runs in the folder of LOG, appends a line to LOG for every cell that it begins to measure, and what it says
to LOG.out and LOG.err; nobody reads the streams that UNREAD lists, 1 or 2.
"""

import importlib
import json
import os
import pkgutil
import signal
import sys
from pathlib import Path

import matplotlib.backends.backend_svg
import pytest
import sklearn.datasets
import torch._dynamo

import corruptions
import robustbench_la
from robustbench_la import cli
from robustbench_la.measuring import accuracy

assert all((sklearn.datasets, matplotlib.backends.backend_svg, torch._dynamo))
for package in (corruptions, robustbench_la):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith(("__main__", "pytest_plugin")):  # pytest itself imports plugins
            importlib.import_module(module.name)


def logged(log: Path, measure):
    def measure_and_log(evaluation, condition, advance):
        with log.open("a") as file:
            for network in evaluation.networks:
                file.write(f"{network.sha256} {condition} {evaluation.seed}\n")
        return measure(evaluation, condition, advance)

    return measure_and_log


def run(log: Path, program: str, unread: list[int], words: list[str]) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):  # a program in the background of a shell ignores SIGINT, and its children too
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
    os.chdir(log.parent)
    for name in [name for name in os.environ if name.startswith("GITHUB_")]:  # what is said to a workflow is tested elsewhere
        del os.environ[name]
    os.environ.update(COLUMNS="100", PYTEST_ADDOPTS="")
    reading, writing = os.pipe()
    os.close(reading)
    for descriptor, name in ((1, "out"), (2, "err")):
        file = os.open(f"{log}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(writing if descriptor in unread else file, descriptor)
    accuracy._measure_pass = logged(log, accuracy._measure_pass)
    sys.argv = [program, *words]
    code = 3
    try:
        if program == "pytest":
            # Assertions are not rewritten: that would have to come before the imports.
            code = int(pytest.main(["--assert=plain", "-p", "no:cacheprovider", *words]))
            sys.stdout.flush()
        else:
            cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 3
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        what, first, *rest = json.loads(line)
        if what == "wait":
            print(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]), flush=True)
            continue
        child = os.fork()
        if not child:
            program, unread, *words = rest
            run(Path(first), program, unread, words)
        print(child, flush=True)
