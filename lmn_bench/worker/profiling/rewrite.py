"""Functions compiled anew from their own source, with calls put in where a part begins and ends.

The copy of a function does what the function does, statement by statement; beside that it says
when it enters and leaves a part. So a model can be watched without knowing of it, and at no other
cost than that of the calls: wrappers around functions could not look into them, and around torch's
operations they would cost as much as a small operation itself.
"""

from __future__ import annotations
import __future__

import ast
import importlib
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

from lmn_bench.errors import WorkerError
from lmn_bench.worker.profiling.parts import Rule, Site

# What copies call; the names stand in their modules while there are copies.
ENTER, LEAVE, MARK = "_lmn_bench_enter", "_lmn_bench_leave", "_lmn_bench_mark"
_BEFORE = "_lmn_bench_before"
# Callees whose name says less than that of the function they are called in.
_PLAIN = ("torch.", "F.", "to_")


@dataclass(frozen=True)
class Place:
    """A function, and the code that it runs of itself.

    Its code is what is exchanged, not the function: bound methods of it may be kept anywhere.
    """

    module: ModuleType
    function: FunctionType
    code: CodeType


def place_of(path: str) -> Place:
    """The function "module:Class.function", without what decorates it."""
    module_name, _, inside = path.partition(":")
    module = importlib.import_module(module_name)
    found: Any = module
    for name in inside.split("."):
        found = vars(found)[name]
    if isinstance(found, staticmethod | classmethod):
        found = found.__func__
    function = inspect.unwrap(found)
    assert isinstance(function, FunctionType)
    return Place(module, function, function.__code__)


def rewritten(rule: Rule, place: Place, number: Callable[[Site], int]) -> CodeType:
    """Code for the function at `place` that does the same, and says which part it is in.

    Args:
        rule: which of its pieces belong to which part.
        place: the function.
        number: of a site, as the calls that are put in will tell it.

    Raises:
        WorkerError: the function has no such piece.
    """
    source = textwrap.dedent(inspect.getsource(place.function))
    tree = ast.parse(source)
    (definition,) = tree.body
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    rewriter = _Rewriter(rule, number)
    rewriter.rewrite(definition)
    if rewriter.unmatched:
        raise WorkerError(
            f"the parts of {rule.path} are not up to date: it has no "
            f"{', '.join(sorted(rewriter.unmatched))}",
            "please report it",
        )
    # The copy keeps the lines of the original, for tracebacks.
    ast.increment_lineno(tree, place.code.co_firstlineno - 1)
    ast.fix_missing_locations(tree)
    file = place.code.co_filename
    flags = __future__.annotations.compiler_flag
    namespace: dict[str, Any] = {}
    exec(compile(tree, file, "exec", flags, dont_inherit=True), vars(place.module), namespace)
    copy: FunctionType = namespace[place.function.__name__]
    return copy.__code__


class _Rewriter(ast.NodeTransformer):
    """Puts the calls into one function; `unmatched` are the pieces that it did not find."""

    def __init__(self, rule: Rule, number: Callable[[Site], int]) -> None:
        self._rule, self._number = rule, number
        self._function = rule.path.rpartition(":")[2]
        self.unmatched = {*rule.calls, *rule.since}

    def rewrite(self, definition: ast.FunctionDef) -> None:
        """Change `definition` in place."""
        self.generic_visit(definition)
        if self._rule.body is None:
            return
        begin = 1 if ast.get_docstring(definition) is not None else 0
        site = Site(self._rule.body, self._function)
        enter = ast.Assign([ast.Name(_BEFORE, ast.Store())], self._call(ENTER, site))
        definition.body.insert(begin, enter)
        if not isinstance(definition.body[-1], ast.Return):
            definition.body.append(ast.Expr(_leave(ast.Constant(None))))

    def visit(self, node: ast.AST) -> Any:
        """Mark statements from which on another part begins."""
        if not isinstance(node, ast.stmt):
            return super().visit(node)
        text = ast.unparse(node)
        found = [start for start in self._rule.since if text.startswith(start)]
        changed = super().visit(node)
        if not found:
            return changed
        self.unmatched.discard(found[0])
        site = Site(self._rule.since[found[0]], self._function)
        return [ast.copy_location(ast.Expr(self._call(MARK, site)), node), changed]

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Enclose calls that belong to a part of their own."""
        callee = ast.unparse(node.func)
        first = f"{callee}({ast.unparse(node.args[0])}" if node.args else callee
        self.generic_visit(node)
        for key in (first, callee):
            if key in self._rule.calls:
                self.unmatched.discard(key)
                own = callee.removeprefix("self.")
                plain = own.startswith(_PLAIN) or not own.replace(".", "").isidentifier()
                site = Site(self._rule.calls[key], self._function if plain else own)
                whole = ast.Call(_name(LEAVE), [self._call(ENTER, site), node], [])
                return ast.copy_location(whole, node)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """Leave the function's own part after what is returned has been worked out."""
        self.generic_visit(node)
        if self._rule.body is None:
            return node
        return ast.copy_location(ast.Return(_leave(node.value or ast.Constant(None))), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Leave functions inside the function as they are."""
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """Likewise."""
        return node

    def _call(self, name: str, site: Site) -> ast.Call:
        return ast.Call(_name(name), [ast.Constant(self._number(site))], [])


def _name(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _leave(value: ast.expr) -> ast.Call:
    return ast.Call(_name(LEAVE), [_name(_BEFORE), value], [])
