"""Break lines of the package at random, one at a time, and see whether its tests notice.

Usage: mutants.py [--lines N] [--seed S] [--only TEXT] [--limit S] [--skip N]

Each broken package is a copy in build/mutants, which comes before ours on the path. The tests that mirror the
module are run, when they pass the others that import it, those of modules that lead to it, and then the rest
of its room, up to the first that fails. What none noticed in a line's time is listed at the end.
"""

import argparse
import ast
import copy
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "container" / "pothole"
COPY = ROOT / "build" / "mutants"
LIMIT_S = 300
HANGS_S = 120  # no test takes so long, not even beside others
NOTICED = 0.9
TOLD = r"^(?:FAILED|ERROR) (tests/.+?)(?: - .*)?$"
OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """A mutant is one statement in another wording.

    Attributes:
        path: The module.
        line: Where the change is.
        first: First line of the statement, and the last.
        last: See `first`.
        was: The statement, on one line.
        now: What stands in its place.
    """

    path: Path
    line: int
    first: int
    last: int
    was: str
    now: str

    def apply(self, target: Path) -> None:
        """Write the module with the change in it."""
        lines = self.path.read_text().splitlines()
        head = lines[self.first - 1]
        indent = head[: len(head) - len(head.lstrip())]
        changed = [indent + line for line in self.now.splitlines()]
        target.write_text("\n".join([*lines[: self.first - 1], *changed, *lines[self.last :]]) + "\n")

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.was}  ->  {' '.join(self.now.split())}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield what can be broken in the functions of a module."""
    tree = ast.parse(path.read_text())
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for statement in ast.walk(function):
            if isinstance(statement, ast.stmt) and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
                yield from _of_statement(path, statement)


def _of_statement(path: Path, statement: ast.stmt) -> Iterator[Mutant]:
    body = getattr(statement, "body", None)  # of a compound statement the head alone is changed
    last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
    if (body and last < statement.lineno) or isinstance(statement, ast.Try | ast.Match):
        return
    for line, changed in _changes(statement):
        text = (
            ast.unparse(changed) if not body else ast.unparse(_headed(changed)).removesuffix("...").rstrip()
        )
        was = " ".join(path.read_text().splitlines()[statement.lineno - 1].split())
        yield Mutant(path, line, statement.lineno, last, was, text)


def _headed(statement: ast.stmt) -> ast.stmt:
    """Return a compound statement without what is in it."""
    short = copy.copy(statement)
    short.body = [ast.Expr(ast.Constant(...))]  # type: ignore[attr-defined]
    if hasattr(short, "orelse"):
        short.orelse = []
    return ast.fix_missing_locations(short)


def _changes(statement: ast.stmt) -> Iterator[tuple[int, ast.stmt]]:
    """Yield the line of each change, and a copy of the statement with it."""
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Expr | ast.AugAssign | ast.Raise) and not is_text:
        yield statement.lineno, ast.Pass()
    if isinstance(statement, ast.Raise | ast.Assert | ast.AnnAssign) or is_text:
        return  # the wording of an error, or a type
    heads = [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.expr | ast.withitem)]
    places = [node for head in heads for node in ast.walk(head)]
    for number, node in enumerate(places):
        for change in _of_expression(node):
            changed = copy.deepcopy(statement)
            children = (n for n in ast.iter_child_nodes(changed) if isinstance(n, ast.expr | ast.withitem))
            twin = [found for head in children for found in ast.walk(head)][number]
            for name, value in change.items():
                setattr(twin, name, value)
            yield getattr(node, "lineno", statement.lineno), ast.fix_missing_locations(changed)


def _of_expression(node: ast.AST) -> Iterator[dict[str, object]]:
    """Yield the fields to set for each way to break an expression."""
    match node:
        case ast.Compare(ops=[op, *more]) if type(op) in OTHER:
            yield {"ops": [OTHER[type(op)](), *more]}
        case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in OTHER:
            yield {"op": OTHER[type(op)]()}
        case ast.UnaryOp(op=ast.Not()):
            yield {"operand": ast.UnaryOp(ast.Not(), node.operand)}
        case ast.Constant(value=bool(value)):
            yield {"value": not value}
        case ast.Constant(value=int(value) | float(value)):
            yield {"value": value + 1}
        case ast.IfExp():
            yield {"body": node.orelse, "orelse": node.body}


def tests_of(path: Path) -> list[list[str]]:
    """Return what to run for a module, in turn.

    Its own tests, others that import it, those of modules that lead to it, and the rest of its room.
    """
    room = _room_of(path)
    whole = sorted(room.glob("test_*.py") if room.name == "tests" else room.rglob("test_*.py"))
    every = whole + sorted(set((ROOT / "tests").rglob("test_*.py")) - set(whole))
    imports = _imports_of(path)
    stages = [
        _own(path),
        [test for test in every if imports.search(test.read_text())],
        [test for user in _users(path) for test in _own(user)],
        whole,
    ]
    seen: set[Path] = set()
    return [
        [str(test) for test in tests if not (test in seen or seen.add(test))]  # type: ignore[func-returns-value]
        for tests in stages
    ]


def _users(path: Path) -> list[Path]:
    """Return the modules that import a module, then those that import these, and so on."""
    modules = [module for module in sorted(PACKAGE.rglob("*.py")) if module.name != "__init__.py"]
    found = [path]
    for module in found:
        imports = _imports_of(module)
        found += [m for m in modules if m not in found and imports.search(m.read_text())]
    return found[1:]


def _room_of(path: Path) -> Path:
    room = ROOT / "tests" / path.relative_to(PACKAGE).parent
    while not room.is_dir():
        room = room.parent
    return room


def _own(path: Path) -> list[Path]:
    return sorted(_room_of(path).glob(f"test_{path.stem}*.py"))


def _imports_of(path: Path) -> re.Pattern[str]:
    """Return what finds an import of a module, or of its names from its package, which may hand them on."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    whole, package = ".".join(parts), ".".join(parts[:-1])
    handed = [
        alias.name
        for node in ast.walk(ast.parse((path.parent / "__init__.py").read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == whole
        for alias in node.names
    ]
    names = rf"|^ *from {re.escape(package)} import [^\n]*\b({'|'.join(handed)})\b" if handed else ""
    return re.compile(rf"^ *(from|import) {re.escape(whole)}\b{names}", re.MULTILINE)


def is_noticed(mutant: Mutant, limit_s: float) -> bool:
    """Run the tests on a broken copy of the package, for so many seconds at most.

    Raises:
        SystemExit: A test fails on the package as it is, too.
    """
    target = COPY / "pothole" / mutant.path.relative_to(PACKAGE)
    end = time.monotonic() + limit_s
    for tests in filter(None, tests_of(mutant.path)):
        mutant.apply(target)
        try:
            failed = failing(tests, max(0.0, end - time.monotonic()))
        finally:
            shutil.copyfile(mutant.path, target)
        if failed:
            if failing(failed, limit_s):
                sys.exit(f"{' '.join(failed)} fails without any change: mend that before.")
            return True
    return False


def failing(tests: list[str], limit_s: float) -> list[str]:
    """Run tests on the copy, and return the first that fails, if one does in the time."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-o",
        f"timeout={HANGS_S}",
    ]
    path = os.pathsep.join(map(str, (COPY, ROOT, ROOT / "tests")))
    with subprocess.Popen(
        [*command, *tests],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            told, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            # A thread that waits for ever keeps Python from ending after a test has failed.
            told, _ = process.communicate()
            return re.findall(TOLD, told, re.MULTILINE)[:1]
    first = re.findall(TOLD, told, re.MULTILINE)[:1]
    return first or (tests if process.returncode else [])


def chosen(lines: int, seed: int, only: str) -> list[Mutant]:
    """Return one mutant for each of so many lines, the same for the same seed."""
    dice = random.Random(seed)
    found: dict[tuple[Path, int], list[Mutant]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if only in str(path.relative_to(PACKAGE)):
            for mutant in mutants(path):
                found.setdefault((path, mutant.line), []).append(mutant)
    places = dice.sample(sorted(found), min(lines, len(found)))
    return [dice.choice(found[place]) for place in places]


def main() -> None:
    """Run the tests on each mutant, say what they did not notice, and fail when that is more than a tenth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0, help="of these the first so many, to go on")
    parser.add_argument("--only", default="", help="part of the names of modules")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds of tests for a line")
    parser.add_argument("--list", action="store_true", help="say what would be broken, and run nothing")
    args = parser.parse_args()
    broken = chosen(args.lines, args.seed, args.only)
    if args.list:
        sys.exit("\n".join(map(str, broken)))
    shutil.rmtree(COPY, ignore_errors=True)
    shutil.copytree(PACKAGE, COPY / "pothole", ignore=shutil.ignore_patterns("__pycache__"))
    survivors = []
    for number, mutant in enumerate(broken[args.skip :], args.skip + 1):
        noticed = is_noticed(mutant, args.limit)
        print(f"{number}/{len(broken)} {'noticed ' if noticed else 'SURVIVED'} {mutant}", flush=True)
        survivors += [] if noticed else [mutant]
    tried = len(broken) - args.skip
    print(f"{tried - len(survivors)} of {tried} noticed; not:", *survivors, sep="\n")
    sys.exit(len(survivors) > (1 - NOTICED) * tried)


if __name__ == "__main__":
    main()
