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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from robustbench_la.errors import UserError, did_you_mean, first_line
from robustbench_la.models.user_prints import prints_on_stderr
from robustbench_la.models.user_sources import find_source, relative_level, search_folders, sources_of, version_of
from robustbench_la.records.named_code import LIBRARIES

_NOT_THEIRS = (Path(__file__).parents[1], *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platlib", "purelib")))
"""Folders of larobust, of Python and of installed packages: an error is placed in the user's own code."""
_LONGEST = 240
"""Characters of a message of several lines that is shown as a whole."""
PACKAGES = {"timm": "timm", "hf": "transformers", "onnx": "onnxruntime"}
"""The packages whose code such an architecture is, by what stands before its colon; torchvision goes with torch."""


def code_of(architecture: str) -> str | None:
    """A digest of user code: the same weights in changed code are another network.

    Args:
        architecture: As given with --arch.

    Returns:
        SHA-256 of what the user's code computes, including all modules of the user's that it imports, or of the name and version
        of the package that builds the network; None for an architecture of ours, and of torchvision. Comments do not count, and
        installed packages count by name and version.
    """
    if package := PACKAGES.get(architecture.partition(":")[0]):
        return hashlib.sha256(f"{package} {version_of(package)}".encode()).hexdigest()
    source, colon, _ = architecture.rpartition(":")
    if not colon or source in LIBRARIES:
        return None
    path = find_source(source)
    return None if path is None else sources_of(path).digest


def _attribute(source: str, name: str) -> tuple[object, ModuleType]:
    """What a file or module of the user's has under a name, None if nothing; and the module."""
    path = find_source(source)
    if path is None and source.endswith(".py"):
        raise UserError(f"no file {source!r} ({source}:{name})")
    if path is None:
        raise UserError(f"cannot import a module {source!r} ({source}:{name})")
    sources = sources_of(path)
    _forget_namesakes(path, tuple(sources.files))
    with blaming(source), importable(search_folders(path)):
        module = _executed(path, None if source.endswith(".py") else source, sources.content, tuple(sources.files))
    return getattr(module, name, None), module


def user_object(source: str, name: str) -> object:
    """Import anything of the user's, with arguments and errors as of ``user_function``."""
    found, module = _attribute(source, name)
    if found is None:
        raise UserError(f"{source} has no {name!r}{did_you_mean(name, public_names(module))}")
    return found


def user_function(source: str, name: str) -> Callable[..., object]:
    """Import a function of the user's.

    Args:
        source: A Python file, or the name of a module that can be imported, also from the working folder.
        name: The function or class in it.

    Returns:
        The function.

    Raises:
        UserError: If there is no such file, module or function, or if its code fails.
    """
    function, module = _attribute(source, name)
    if not inspect.isroutine(function) and not inspect.isclass(function):
        raise UserError(f"{source} has no function {name!r}{did_you_mean(name, public_names(module))}")
    callable_: Callable[..., object] = function
    return callable_


@functools.lru_cache(maxsize=16)
def _executed(path: Path, dotted: str | None, content: str, files: tuple[Path, ...]) -> ModuleType:
    """The module of a Python file, executed once per ``content`` of all files that it imports."""
    _forget_edited(files)
    importlib.invalidate_caches()
    level = relative_level(path) if dotted is None else 0
    if dotted is None and level:  # a file of a package, which imports its neighbours by their place in it
        package = _root(path, level)
        dotted = ".".join(path.relative_to(package).with_suffix("").parts)
        with importable([package]):
            return importlib.import_module(dotted)
    if dotted is not None:
        return importlib.import_module(dotted)
    module_spec = importlib.util.spec_from_file_location(f"larobust_user_{path.stem}", path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module
    module_spec.loader.exec_module(module)
    return module


def _root(path: Path, level: int) -> Path:
    """The folder from which a file of a package is imported, so that it can import its neighbours ``level`` folders up."""
    package = path.parents[level - 1]
    while (package / "__init__.py").is_file():
        package = package.parent
    return package.parent if package == path.parents[level - 1] else package


_READ: dict[Path, str] = {}
"""Files of the user's that were executed: path -> SHA-256 of what they were then."""


def _forget_edited(files: Sequence[Path]) -> None:
    """If a file was edited since it was executed, let all of them be executed again: others hold what they imported from it."""
    now = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    if any(_READ.get(path, digest) != digest for path, digest in now.items()):
        for name, module in list(sys.modules.items()):
            origin = getattr(module, "__file__", None)
            if isinstance(origin, str) and name != "__main__" and Path(origin).resolve() in now:
                del sys.modules[name]
    _READ.update(now)


def _forget_namesakes(path: Path, files: Sequence[Path]) -> None:
    """Forget modules of other folders under the names that a file's imports have: Python would take them instead of its own."""
    level = relative_level(path)
    expected: dict[str, Path | None] = {}
    for folder in [*([_root(path, level)] if level else []), *search_folders(path)]:
        for file in (file for file in files if file.is_relative_to(folder)):
            parts = file.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if parts:
                expected[".".join(parts)] = expected.get(".".join(parts)) or file
            for count in range(1, len(parts)):
                expected.setdefault(".".join(parts[:count]), None)  # a package, perhaps without __init__.py
    stale = {name.partition(".")[0] for name, file in expected.items() if _is_namesake(sys.modules.get(name), file)}
    for name in [name for name in sys.modules if name.partition(".")[0] in stale]:
        del sys.modules[name]


def _is_namesake(module: ModuleType | None, file: Path | None) -> bool:
    """Whether a module of the user's is not the file (None: a folder) that is meant by its name."""
    origin = getattr(module, "__file__", None)
    if not isinstance(origin, str):  # a folder; or, without a path, part of Python itself
        return file is not None and hasattr(module, "__path__")
    found = Path(origin).resolve()
    return found != file and not any(found.is_relative_to(folder.resolve()) for folder in _NOT_THEIRS)


@contextlib.contextmanager
def importable(folders: Sequence[Path]) -> Iterator[None]:
    """Let modules in these folders be imported before others inside the context, and after all others when it has ended."""
    before = list(sys.path)
    names = [str(folder) for folder in folders]
    sys.path[:0] = names
    # Python would write the folder __pycache__ into the user's, and read a stale one after an edit within a second.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        added = [name for name in sys.path if name not in before and name not in names]
        sys.path[:] = [*before, *added, *(name for name in names if name not in before)]


@contextlib.contextmanager
def blaming(what: str) -> Iterator[None]:
    """Turn an error in user code into a UserError of one line, with file and line number; what it prints goes to stderr."""
    try:
        with prints_on_stderr():
            yield
    except (Exception, SystemExit) as error:
        raise UserError(f"{what} failed with {failure(error)}") from error


def failure(error: BaseException) -> str:
    """An error in a line: its type, its message, and the last line of code that is neither ours nor a package's."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    own = [frame for frame in frames if not any(Path(frame.filename).is_relative_to(folder) for folder in _NOT_THEIRS)]
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    message = "; ".join(lines).replace(":;", ":")  # what to do often stands in the second line
    return f"{type(error).__name__}: {message if 0 < len(message) <= _LONGEST else first_line(error)}{where}"


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
