"""Architectures that are the user's own Python code: found, executed once, and blamed for their faults."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from robustbench_la.errors import UserError, did_you_mean, first_line


def code_of(architecture: str) -> str | None:
    """SHA-256 of the user's file that builds the network; None for an architecture that is not code of the user's.

    The same weights in changed code are another network.
    """
    source, colon, _ = architecture.rpartition(":")
    if not colon or source == "torchvision":
        return None
    found = None if source.endswith(".py") else importlib.util.find_spec(source)
    path = Path(source if found is None else found.origin or source)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def user_function(source: str, name: str) -> Callable[..., object]:
    """The function ``name`` of a Python file or of an importable module."""
    if source.endswith(".py"):
        path = Path(source)
        if not path.is_file():
            raise UserError(f"no file {source!r} (the architecture was {source}:{name})")
        with blaming(source):
            module = _executed(path.resolve())
    else:
        try:
            found = importlib.util.find_spec(source)
        except (ImportError, ValueError):
            found = None
        if found is None:
            raise UserError(f"no module {source!r} can be imported (the architecture was {source}:{name})")
        module = importlib.import_module(source)
    function = getattr(module, name, None)
    if not inspect.isroutine(function) and not inspect.isclass(function):
        raise UserError(f"{source} holds no function {name!r}{did_you_mean(name, public_names(module))}")
    made: Callable[..., object] = function
    return made


@functools.lru_cache(maxsize=16)
def _executed(path: Path) -> ModuleType:
    """The module of a Python file, executed once; files beside it can be imported by it."""
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module_spec = importlib.util.spec_from_file_location(f"larobust_user_{path.stem}", path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module
    module_spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def blaming(what: str) -> Iterator[None]:
    """Tell a fault of the user's code in one line, with its place."""
    try:
        yield
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}, line {place.lineno}"
        raise UserError(f"{what} failed with {type(error).__name__}: {first_line(error)} ({where})") from error


def public_names(module: object) -> list[str]:
    """Names of the functions and classes that ``module`` offers: its own, or what it imports if it has none."""
    found = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and (inspect.isroutine(value) or inspect.isclass(value))
    }
    own = [name for name, value in found.items() if getattr(value, "__module__", None) == getattr(module, "__name__", "")]
    return own or list(found) or ["nothing"]


def offered_by(path: Path) -> list[str]:
    """Functions of a Python file, then its classes, as the file says them: it is read, not run.

    Raises:
        UserError: For a file that is not Python.
    """
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read as Python ({first_line(error)})") from None
    functions = [one.name for one in body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")]
    return functions + [f"{one.name} (class)" for one in body if isinstance(one, ast.ClassDef) and not one.name.startswith("_")]
