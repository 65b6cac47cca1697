"""The source files behind a network of the user's: its own file and all that it imports. Read, never executed.

Comments, docstrings and layout do not count. Installed packages count by name and version; torch, torchvision and numpy not at
all, because every run records their versions.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from robustbench_la.files import exists, is_there

_RECORDED = frozenset({"torch", "torchvision", "numpy", "robustbench_la", "corruptions"})
"""Packages whose versions are part of every record."""
_INSTALLED = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")})
_STANDARD = Path(sysconfig.get_path("stdlib")).resolve()


@dataclass(slots=True)
class Sources:
    """What a network of the user's is made of."""

    first: Path
    """The file that is named."""
    files: dict[Path, bytes] = field(default_factory=dict)
    """Of the user: path -> content, the first file included."""
    packages: dict[str, str] = field(default_factory=dict)
    """Installed ones: name -> version."""

    @property
    def digest(self) -> str:
        """SHA-256 of what the files compute and of the packages they use; the same wherever their folder lies."""
        parts = [(os.path.relpath(path, self.first.parent), normalised(content)) for path, content in self.files.items()]
        return hashlib.sha256(repr((sorted(parts), sorted(self.packages.items()))).encode()).hexdigest()

    @property
    def content(self) -> str:
        """SHA-256 of the files as they are: whether anything has to be executed again."""
        return hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()


@functools.lru_cache(maxsize=4096)
def normalised(content: bytes) -> str:
    """Python code without comments, docstrings and layout; what is no valid Python stays as it is.

    >>> normalised(b"x = 1  # one") == normalised(b"x=1")
    True
    """
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return repr(content)
    return ast.unparse(_WithoutTexts().visit(tree))


class _WithoutTexts(ast.NodeTransformer):
    """Removes texts that stand alone: docstrings, and comments in their form."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:  # the name that ast looks for
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if text else node


def search_folders(path: Path | None = None) -> list[Path]:
    """Where imports of the user's are looked for first: next to the file, then in the working folder."""
    return list(dict.fromkeys([*([path.parent] if path else []), Path.cwd()]))


def find_source(source: str) -> Path | None:
    """The file of ``FILE.py`` or of ``package.module``; None if there is none.

    Args:
        source: What stands before the colon of an architecture.
    """
    if source.endswith(".py"):
        path = Path(source)
        return path.resolve() if is_there(path) else None
    found = _in_folders(source.split("."), search_folders())
    if found:
        return found[-1]
    folder = _folder_of_package(source.partition(".")[0])
    found = _in_folders(source.split("."), [folder]) if folder else []
    return found[-1] if found else None


def sources_of(path: Path) -> Sources:
    """Everything of the user's that a file imports, directly or through other files of the user's.

    Args:
        path: A Python file.
    """
    sources, waiting = Sources(path), [path]
    folders = search_folders(path)
    if _is_installed(path):
        name = path.relative_to(next(folder for folder in _INSTALLED if folder in path.parents)).parts[0].removesuffix(".py")
        sources.packages[name] = version_of(name)
        return sources
    while waiting:
        current = waiting.pop()
        if current in sources.files:
            continue
        try:
            sources.files[current] = current.read_bytes()
        except OSError:
            continue
        waiting += _packages_around(current)
        for level, parts in _imports(sources.files[current]):
            if level == 0 and parts[0] in _RECORDED:
                continue
            where = [current.parents[level - 1]] if 0 < level <= len(current.parents) else folders
            found = _in_folders(parts, where)
            waiting += found
            if not found and level == 0:
                waiting += _elsewhere(parts, sources)
    return sources


@functools.lru_cache(maxsize=4096)
def _imports(content: bytes) -> tuple[tuple[int, list[str]], ...]:
    """Level (0: absolute) and dotted name of everything that a file imports, in functions too.

    A name that is imported from a module may be a module.
    """
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return ()
    found: list[tuple[int, list[str]]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += ((0, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module.split(".") if node.module else []
            found += ((node.level, [*base, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and (name := _imported_by_name(node)):
            found.append((len(name) - len(name.lstrip(".")), name.lstrip(".").split(".")))
    return tuple(found)


def _imported_by_name(call: ast.Call) -> str:
    """The module in ``importlib.import_module("name")`` or ``__import__("name")``; empty for any other call."""
    function = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    first = call.args[0] if call.args and function in ("import_module", "__import__") else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def _packages_around(path: Path) -> list[Path]:
    """The ``__init__.py`` of each package that a file lies in: importing the file executes them first."""
    found: list[Path] = []
    for folder in path.parents:
        if not (folder / "__init__.py").is_file():
            break
        found.append(folder / "__init__.py")
    return found


def relative_level(path: Path) -> int:
    """How many folders up a file imports from (``from ..x import y``: 2); 0 if it has no such imports."""
    return max((level for level, _ in _imports(path.read_bytes())), default=0)


def _in_folders(parts: Sequence[str], folders: Sequence[Path]) -> list[Path]:
    """The files that importing a dotted name executes, found in the first folder that has it; the last is the module itself."""
    for folder in folders:
        found: list[Path] = []
        place = folder
        for part in parts:
            module, package = place / f"{part}.py", place / part
            if is_there(package / "__init__.py"):
                found.append((package / "__init__.py").resolve())
            elif is_there(module):
                found.append(module.resolve())
                break
            elif not exists(package):
                break
            place = package
        if found:
            return found
    return []


def _elsewhere(parts: Sequence[str], sources: Sources) -> list[Path]:
    """Files of the user's outside these folders (PYTHONPATH, editable installs); an installed package is noted by its version."""
    top = parts[0]
    if top in sys.stdlib_module_names or top in sources.packages:
        return []
    folder = _folder_of_package(top)
    if folder is None:
        return []
    if _is_installed(folder):
        sources.packages[top] = version_of(top)
        return []
    return _in_folders(parts, [folder])


def _folder_of_package(top: str) -> Path | None:
    """The folder that a top-level package or module is imported from."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or [])
    if places:
        return Path(places[0]).resolve().parent
    return Path(spec.origin).resolve().parent if spec.origin and spec.has_location else None


def _is_installed(path: Path) -> bool:
    resolved = path.resolve()
    return any(folder == resolved or folder in resolved.parents for folder in (*_INSTALLED, _STANDARD))


@functools.lru_cache(maxsize=256)
def version_of(package: str) -> str:
    """The version of an installed package, whose distribution may have another name (PIL: pillow)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pass
    # importlib.metadata.packages_distributions parses every list of files, which takes seconds.
    named = re.compile(rf"^{re.escape(package)}(/__init__)?\.py,", re.MULTILINE)
    for record in (record for folder in _INSTALLED for record in sorted(folder.glob("*.dist-info/RECORD"))):
        if named.search(record.read_text(encoding="utf-8", errors="replace")):
            return record.parent.name.removesuffix(".dist-info")
    return "unknown"
