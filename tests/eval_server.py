"""Runs `larobust` in children that start at once, because torch is imported already; a test tells it to, and kills them.

Reads one JSON list a line: ["run", LOG, arguments...] answers with the child's process id, ["wait", ID] with its exit status.
A child appends a line to LOG for every cell that it begins to measure, and what it says to LOG.err.
"""

import importlib
import json
import os
import pkgutil
import signal
import sys
from pathlib import Path

import matplotlib.backends.backend_svg
import sklearn.datasets
import torch._dynamo

import corruptions
import robustbench_la
from robustbench_la import cli
from robustbench_la.measuring import accuracy

assert all((sklearn.datasets, matplotlib.backends.backend_svg, torch._dynamo))
for package in (corruptions, robustbench_la):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def logged(log: Path, measure):
    def measure_and_log(evaluation, condition, advance):
        with log.open("a") as file:
            for network in evaluation.networks:
                file.write(f"{network.sha256} {condition} {evaluation.seed}\n")
        return measure(evaluation, condition, advance)

    return measure_and_log


def run(log: Path, arguments: list[str]) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):  # a program in the background of a shell ignores SIGINT, and its children too
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
    errors = os.open(f"{log}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    accuracy._measure_pass = logged(log, accuracy._measure_pass)
    sys.argv = ["larobust", *arguments]
    code = 3
    try:
        code = cli._run()
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
            run(Path(first), rest)
        print(child, flush=True)
