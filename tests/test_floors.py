"""The floors of the house: a file imports only from floors below its own, and the few walls that matter most."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up. Rooms on one floor do not know each other; the files of one room may.
FLOORS = [
    {"llmimg", "llmimg.errors"},  # the package itself: its version, and two names on demand
    {"llmimg.nearest", "llmimg.setting_types", "llmimg.ranks", "llmimg.paths", "llmimg.atomic"},  # know errors alone
    {"llmimg.settings", "llmimg.registry", "llmimg.run_folder"},
    {"llmimg.textify", "llmimg.metrics"},
    {"llmimg.data", "llmimg.hub"},  # what comes in: images, and models of others
    {"llmimg.tokens"},
    {"llmimg.tasks"},
    {"llmimg.models"},
    {"llmimg.readouts"},
    {"llmimg.training", "llmimg.baselines", "llmimg.objective"},
    {"llmimg.saved"},
    {"llmimg.recogniser"},
    {"llmimg.reloaded", "llmimg.predict"},  # whether what a run saved is what it was; what others ask of it
    {"llmimg.combinations", "llmimg.mixtures"},
    {"llmimg.configuration"},  # the rooms' settings in one
    {"llmimg.provenance", "llmimg.bound"},  # which data a run is of
    {"llmimg.solvers"},
    {"llmimg.insight"},
    {"llmimg.report"},
    {"llmimg.experiment"},
    {"llmimg.carry_out", "llmimg.show", "llmimg.compose", "llmimg.command_line"},  # who comes to one, and from where
    {"llmimg.cli", "run"},
    {"llmimg.__main__"},
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted([ROOT / "run.py", *(ROOT / "llmimg").rglob("*.py")])
STANDARD = sys.stdlib_module_names


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for file in FILES}


def imports(file: Path) -> list[ast.Import | ast.ImportFrom]:
    tree = ast.parse(file.read_text())
    named_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) and node not in named_only]


def imported(file: Path) -> set[str]:
    """The modules a file imports, at its top or inside a function; not those it only names in type hints."""
    names = set()
    for node in imports(file):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{file}: imports are absolute"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in inside}
    return names


def room_of(module: str) -> str:
    """`llmimg.textify.pixel` → `llmimg.textify`."""
    return ".".join(module.split(".")[:2])


def libraries(file: Path) -> set[str]:
    return {module.split(".")[0] for module in imported(file)}


@pytest.mark.parametrize("module", MODULES)
def test_a_file_imports_only_from_floors_below(module):
    room = room_of(module)
    assert room in FLOOR, f"{room} has no floor yet: give it one in FLOORS"
    ours = {name for name in imported(MODULES[module]) if name.split(".")[0] == "llmimg"}
    if module == "llmimg":  # `Recogniser` and `UserError`, on demand
        assert ours == {"llmimg.recogniser", "llmimg.errors"}
        return
    above = {name for name in ours if room_of(name) != room and FLOOR[room_of(name)] >= FLOOR[room]}
    assert not above, f"{module} imports from its own floor or above: {sorted(above)}"


def test_there_are_no_circles():
    """Not even between the files of one room."""
    graph = {module: {name for name in imported(file) if name in MODULES} for module, file in MODULES.items()}
    graph["llmimg"] = set()  # on demand
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        if module not in done:
            for name in sorted(graph[module] - {module}):
                visit(name, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_only_run_and_one_small_file_know_hydra():
    knowing = {module for module, file in MODULES.items() if libraries(file) & {"hydra", "omegaconf"}}
    assert knowing == {"run", "llmimg.compose"}


def test_textify_stands_on_numpy_and_pydantic_and_the_ground_on_nothing():
    for module, file in MODULES.items():
        if room_of(module) == "llmimg.textify":
            lazily = {"cv2", "skimage", "sklearn", "threadpoolctl"}  # where a textifier needs them
            assert libraries(file) <= {"llmimg", "numpy", "pydantic", *lazily, *STANDARD}, module
        if module in {"llmimg.settings", "llmimg.setting_types"}:
            assert libraries(file) <= {"llmimg", "pydantic", "pydantic_core", "annotated_types", *STANDARD}, module
        ground = {"", ".errors", ".nearest", ".ranks", ".paths", ".atomic", ".registry"}
        if module in {f"llmimg{name}" for name in ground}:
            assert libraries(file) <= {"llmimg", *STANDARD}, module


def test_files_are_short_and_none_is_a_drawer():
    for module, file in MODULES.items():
        assert len(file.read_text().splitlines()) < 300, module
        assert not {"utils", "helpers", "common", "manager", "handler"} & set(module.split(".")), module
    assert len((ROOT / "run.py").read_text().splitlines()) < 60
    assert len((ROOT / "llmimg" / "experiment.py").read_text().splitlines()) < 150  # it reads like a method section


def test_functions_are_short():
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    for module, file in MODULES.items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, functions):
                assert node.end_lineno - node.lineno < 60, f"{module}.{node.name}"


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names() -> set[str]:
    """What the files of the house call their own: functions, classes, values and attributes."""
    names = set()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                names.add(node.id if isinstance(node, ast.Name) else node.attr)
    return set(filter(private, names)) - {"_fingerprint"}  # the name by which `datasets` knows a set of rows


PRIVATE = private_names()


def reached(tree: ast.AST) -> set[str]:
    """The private names that a file reads of others: imported, as an attribute, by its name, or in code it starts."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "llmimg":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            names.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("attr"):
            names |= {word.value for word in node.args if isinstance(word, ast.Constant)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= set(re.findall(r"(?:\.|import )(_[a-z]\w*)", node.value))
    return {name for name in names if isinstance(name, str) and private(name)}


@pytest.mark.parametrize("file", sorted((ROOT / "tests").rglob("*.py")), ids=lambda file: file.stem)
def test_tests_stand_outside(file):
    """They read no private name, so that what is inside can be written anew."""
    names = reached(ast.parse(file.read_text())) & PRIVATE
    assert not names, f"{file.relative_to(ROOT)} reads {sorted(names)}: test what shows from outside"


@pytest.mark.parametrize(
    "code",
    [
        "from llmimg.errors import _inner",
        "x._inner",
        "setattr(x, '_inner', 1)",
        "patch('llmimg.errors._inner')",
        "'x._inner(1)'",
    ],
)
def test_each_way_to_reach_inside_is_seen(code):
    assert reached(ast.parse(code)) == {"_inner"}
