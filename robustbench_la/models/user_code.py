"""Architectures defined in the user's own Python code: found, executed once, and named in the errors that they cause."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from robustbench_la.errors import UserError, did_you_mean, first_line

_NOT_THEIRS = (Path(__file__).parents[1], *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platlib", "purelib")))
"""Folders of larobust, of Python and of installed packages: an error is placed in the user's own code."""


def code_of(architecture: str) -> str | None:
    """The hash of user code: the same weights in changed code are another network.

    Args:
        architecture: As given with --arch.

    Returns:
        SHA-256 of the user's file that builds the network; None for an architecture that is not user code.
    """
    source, colon, _ = architecture.rpartition(":")
    if not colon or source == "torchvision":
        return None
    module_spec = None if source.endswith(".py") else importlib.util.find_spec(source)
    path = Path(source if module_spec is None else module_spec.origin or source)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def user_function(source: str, name: str) -> Callable[..., object]:
    """Import a function of the user's.

    Args:
        source: A Python file, or the name of an importable module.
        name: The function or class in it.

    Returns:
        The function.

    Raises:
        UserError: If there is no such file, module or function, or if its code fails.
    """
    if source.endswith(".py"):
        path = Path(source)
        if not path.is_file():
            raise UserError(f"no file {source!r} (architecture {source}:{name})")
        with blaming(source):
            module = _executed(path.resolve(), hashlib.sha256(path.read_bytes()).hexdigest())
    else:
        try:
            module_spec = importlib.util.find_spec(source)
        except (ImportError, ValueError):
            module_spec = None
        if module_spec is None:
            raise UserError(f"cannot import a module {source!r} (architecture {source}:{name})")
        with blaming(source):
            module = importlib.import_module(source)
    function = getattr(module, name, None)
    if not inspect.isroutine(function) and not inspect.isclass(function):
        raise UserError(f"{source} has no function {name!r}{did_you_mean(name, public_names(module))}")
    callable_: Callable[..., object] = function
    return callable_


@functools.lru_cache(maxsize=16)
def _executed(path: Path, sha256: str) -> ModuleType:
    """The module of a Python file, executed once per content (``sha256``); it can import files next to it."""
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
    """Turn an error in user code into a UserError of one line, with file and line number."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise UserError(f"{what} failed with {failure(error)}") from error


def failure(error: BaseException) -> str:
    """An error in a line: its type, its message, and the last line of code that is neither ours nor a package's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    own = [frame for frame in frames if not any(Path(frame.filename).is_relative_to(folder) for folder in _NOT_THEIRS)]
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {first_line(error)}{where}"


def public_names(module: object) -> list[str]:
    """Names of the public functions and classes of ``module``: those it defines, or else those it imports."""
    public = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and (inspect.isroutine(value) or inspect.isclass(value))
    }
    defined = [name for name, value in public.items() if getattr(value, "__module__", None) == getattr(module, "__name__", "")]
    return defined or list(public) or ["nothing"]


def offered_by(path: Path) -> list[str]:
    """The public functions of a Python file, then its classes; the file is parsed, not executed.

    Args:
        path: The file.

    Returns:
        Their names, those of classes marked as such.

    Raises:
        UserError: If the file is not valid Python.
    """
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path} cannot be read as Python ({first_line(error)})") from None
    functions = [node.name for node in body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    classes = [node.name for node in body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    return functions + [f"{name} (class)" for name in classes]
