"""The shape of the code: short functions, files with one subject. A reviewer's rule of thumb, kept by a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

SOURCES = sorted((Path(__file__).parent.parent / "src" / "spanledger").rglob("*.py"))
LONG = 25
LONGEST = 50
SHARE_OF_LONG = 0.03


def functions() -> Iterator[tuple[str, int]]:
    """Each function and its lines, without decorators and docstring."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield f"{path.name}:{node.lineno} {node.name}", lines_of(node)


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = node.body[0] if ast.get_docstring(node) else None
    documented = docstring.end_lineno - docstring.lineno + 1 if docstring else 0
    return node.end_lineno - node.lineno + 1 - documented


def test_functions_are_short() -> None:
    lengths = dict(functions())
    long = {name: length for name, length in lengths.items() if length > LONG}
    assert median(lengths.values()) < 8
    assert len(long) <= SHARE_OF_LONG * len(lengths), long


def test_no_function_is_very_long() -> None:
    assert not {name: length for name, length in functions() if length > LONGEST}


def test_every_module_says_what_it_is_about() -> None:
    assert not [path for path in SOURCES if path.read_text() and not ast.get_docstring(ast.parse(path.read_text()))]
