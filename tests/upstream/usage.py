"""Finds the private names of other libraries in Beam's code.

A name is private if it begins with one underscore. Found are:
- attributes of other objects, also by `getattr` and `vars`, unless Beam's own code
  defines the name too;
- imports of private names and of private modules;
- in a class with a base class of another library, the names that the base class
  has too: they are used, overridden or hidden.

`python -m tests.upstream.usage` prints them as JSON, with the modules that use them.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TypeGuard

import django

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("beam", "rooms", "presence")
# Documented, in spite of the underscore: named tuples and Django's models.
DOCUMENTED = frozenset({"_make", "_replace", "_asdict", "_fields", "_meta"})
# Not those of enums, such as `_value_`: they are documented.
PRIVATE = re.compile(r"_[A-Za-z0-9]\w*(?<!_)")
BY_NAME = frozenset({"getattr", "setattr", "hasattr", "delattr"})


@cache
def modules() -> dict[Path, ast.Module]:
    """Every module of Beam's, parsed, by its path in the repository."""
    paths = [path for top in PACKAGES for path in (ROOT / top).rglob("*.py")]
    return {
        path.relative_to(ROOT): ast.parse(path.read_text())
        for path in sorted(paths)
        if "migrations" not in path.parts
    }


def private_names() -> dict[str, set[Path]]:
    """Private names of other libraries, each with the modules that use it.

    It imports every module, the server's event loop included: best in a process of
    its own.
    """
    own = {name for tree in modules().values() for name in _defined(tree)}
    found: dict[str, set[Path]] = defaultdict(set)
    for path, tree in modules().items():
        names = {name for name in _accessed(tree) if name not in own}
        for name in names | set(_imported(tree)) | set(_inherited(path)):
            if PRIVATE.fullmatch(name) and name not in DOCUMENTED:
                found[name].add(path)
    return found


def places(*names: str) -> list[str]:
    """The modules in which any of the names stands."""
    return [
        str(path)
        for path, tree in modules().items()
        if any(name in _identifiers(tree) for name in names)
    ]


@cache
def _identifiers(tree: ast.Module) -> frozenset[str]:
    return frozenset(
        {*_accessed(tree), *_imported(tree), *_defined(tree), *_of_self(tree)}
    )


def _defined(tree: ast.AST) -> Iterator[str]:
    """Names of functions and variables, and attributes that are set on `self`."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif _is_own_attribute(node):
            yield node.attr


def _is_own_attribute(node: ast.AST) -> TypeGuard[ast.Attribute]:
    """Whether it sets an attribute of `self`."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and _is_self(node.value)
    )


def _accessed(tree: ast.AST) -> Iterator[str]:
    """Attributes of other objects than `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not _is_self(node.value):
            yield node.attr
        elif isinstance(node, (ast.Call, ast.Subscript)):
            yield from _named_by_a_string(node)


def _named_by_a_string(node: ast.Call | ast.Subscript) -> Iterator[str]:
    """The attribute in `getattr(thing, "name")` and `vars(thing)["name"]`."""
    text: ast.AST | None = None
    if isinstance(node, ast.Subscript):
        if isinstance(node.value, ast.Call) and _is_call_of(node.value, {"vars"}):
            text = node.slice
    elif _is_call_of(node, BY_NAME) and len(node.args) > 1:
        text = node.args[1]
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        yield text.value


def _imported(tree: ast.AST) -> Iterator[str]:
    """Names, and parts of module paths, that are imported from other libraries."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] not in PACKAGES and parts != ["__future__"]:
                yield from [*parts[1:], *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from alias.name.split(".")[1:]


def _inherited(path: Path) -> Iterator[str]:
    """Names in a module's classes that a base class of another library has too."""
    module = import_module(".".join(path.with_suffix("").parts))
    for node in modules()[path].body:
        if isinstance(node, ast.ClassDef):
            bases = vars(module)[node.name].__mro__
            theirs = {name for base in bases for name in _names_in(base)}
            yield from theirs.intersection({*_defined(node), *_of_self(node)})


@cache
def _names_in(cls: type) -> frozenset[str]:
    """What a class of another library defines, and what its methods use."""
    if cls.__module__.partition(".")[0] in PACKAGES:
        return frozenset()
    code = [
        member.__code__ for member in vars(cls).values() if inspect.isfunction(member)
    ]
    used = (name for each in code for name in each.co_names)
    return frozenset({*vars(cls), *used})


def _of_self(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_self(node.value):
            yield node.attr
        elif isinstance(node, (ast.Call, ast.Subscript)):
            yield from _named_by_a_string(node)


def _is_self(node: ast.AST) -> bool:
    """Whether an expression is `self`, `cls` or `super()`."""
    if isinstance(node, ast.Call):
        return _is_call_of(node, {"super"})
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _is_call_of(node: ast.Call, names: frozenset[str] | set[str]) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in names


def main() -> None:
    """Print the private names."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    names = {name: sorted(map(str, at)) for name, at in private_names().items()}
    json.dump(names, sys.stdout, indent=2, sort_keys=True)


if __name__ == "__main__":
    main()
