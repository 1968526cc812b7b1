"""The directions of imports: each room knows those below it, and no other."""

import ast
from pathlib import Path

import pytest

import pothole

PACKAGE = Path(pothole.__file__).parent

# From the top down. A room may import from rooms of lower rows, and from itself.
LAYERS = (
    {"entrypoints"},
    {"training", "jobs"},
    {"job"},
    {"pipeline", "job_order"},
    {"outputs", "job_result"},
    {"geo"},
    {"tracking"},
    {"detection"},
    {"media"},
    {"storage"},
    {"settings"},
    {"declaration"},
    {"errors", "detections", "metrics", "files"},
    {"types"},
)
# Python's own way in stands beside all others, and what starts the command line.
FRONT = {"__init__", "__main__"}


def room_of(module: str) -> str:
    return module.removeprefix("pothole.").partition(".")[0]


def imports(path: Path) -> set[str]:
    """The rooms that a module imports from, wherever in it that is."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "pothole":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pothole."):
            found.add(room_of(node.module or ""))
        elif isinstance(node, ast.Import):
            found |= {room_of(a.name) for a in node.names if a.name.startswith("pothole.")}
    return found - {"__version__"}


def upward(room: str, imported: set[str]) -> set[str]:
    """Those of the imported rooms that do not stand below a room."""
    [level] = [i for i, layer in enumerate(LAYERS) if room in layer]
    below = set().union(*LAYERS[level + 1 :])
    return imported - below - {room}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room not in FRONT:
        assert upward(room, imports(path)) == set()


def test_an_import_upwards_or_aside_is_seen() -> None:
    assert upward("tracking", {"media", "jobs", "types"}) == {"jobs"}
    assert upward("jobs", {"training", "job"}) == {"training"}
    assert upward("media", {"detection"}) == {"detection"}


def test_there_are_no_circles_within_a_room() -> None:
    """Of modules, through whatever rooms, wherever in a module an import stands."""
    graph: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("pothole", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        graph[name] = {node.module for node in nodes if (node.module or "").startswith("pothole.")}  # type: ignore[misc]
    visiting: list[str] = []
    done: set[str] = set()

    def visit(module: str) -> None:
        assert module not in visiting, " → ".join([*visiting[visiting.index(module) :], module])
        if module not in done:
            visiting.append(module)
            for imported in sorted(graph.get(module, ())):
                visit(imported)
            visiting.pop()
            done.add(module)

    for module in sorted(graph):
        visit(module)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_and_its_functions_are_read_at_once(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") < 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name
