"""The rules of the house, as functions from sources to violations.

A source tree is a mapping from path to text, so that a planted violation is one more entry.
"""

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

Tree = Mapping[str, str]
Rule = Callable[[Tree], list[str]]

SERVICES = ("members", "points", "events")
LAYERS = {
    "contracts": {"contracts"},
    "kit": {"contracts", "kit"},
    "programmes": {"contracts", "kit", "programmes"},
    "services": {"contracts", "kit", "programmes"},
    "gateway": {"contracts", "kit", "gateway"},
    "mooring": {"contracts", "kit", "programmes", "services", "gateway", "mooring"},
}
DOMAIN_MAY_IMPORT = {"contracts", "msgspec"}
DOMAIN_KIT_MODULES = {"kit.errors", "kit.clock"}
IMPURE = {"time", "random", "secrets", "os", "io", "asyncio", "socket", "threading", "subprocess"}
DRIVERS = {"motor", "pymongo", "kafka", "sqlite3", "bson"}
DRIVER_HOMES = ("kit/journal/", "kit/views/", "kit/bus/", "kit/mongo/", "kit/sqlite/")
ADAPTERS = (
    "kit.journal.sqlite",
    "kit.journal.mongo",
    "kit.views.sqlite",
    "kit.views.mongo",
    "kit.bus.sqlite",
    "kit.bus.kafka",
)
ADAPTER_WIRING = ("kit/store.py", "kit/bus/open.py", "wiring.py")
EDGES = ("kit/http/", "kit/bus/consume.py", "gateway/")
VAGUE_NAMES = {"utils", "helpers", "common", "misc", "base", "manager"}
FUNCTION_LINES = 70
FILE_LINES = 500


def imports(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and dotted name of everything a module imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _sources(tree: Tree) -> Iterator[tuple[str, str]]:
    return ((path, text) for path, text in tree.items() if not path.startswith("tests/"))


def layers_point_one_way(tree: Tree) -> list[str]:
    """contracts ← kit ← programmes ← services | gateway ← mooring ← tests."""
    found = []
    for path, text in _sources(tree):
        allowed = LAYERS.get(_top(path.replace("/", ".")))
        if allowed is None:
            continue
        if path.startswith("services/"):
            allowed = allowed | {"services"}
        found += [
            f"{path}:{line}: {name} is above this layer"
            for line, name in imports(text)
            if _top(name) in {*LAYERS, "tests"} - allowed
        ]
    return found


def services_import_no_other_service(tree: Tree) -> list[str]:
    """A service knows another by its topics alone."""
    found = []
    for path, text in _sources(tree):
        parts = PurePosixPath(path).parts
        if parts[0] != "services" or len(parts) < 3:
            continue
        others = tuple(f"services.{name}" for name in SERVICES if name != parts[1])
        found += [
            f"{path}:{line}: {name} belongs to another service"
            for line, name in imports(text)
            if name.startswith(others)
        ]
    return found


def domain_is_pure(tree: Tree) -> list[str]:
    """Domain modules know the standard library's pure part, contracts and each other."""
    found = []
    for path, text in _sources(tree):
        if "/domain/" not in path:
            continue
        home = path.partition("/domain/")[0].replace("/", ".") + ".domain"
        for line, name in imports(text):
            if _top(name) in IMPURE:
                found.append(f"{path}:{line}: {name} is not pure")
            elif not _domain_may_import(name, home):
                found.append(f"{path}:{line}: {name} is not for a domain module")
    return found


def _domain_may_import(name: str, home: str) -> bool:
    if _top(name) in sys.stdlib_module_names or _top(name) in DOMAIN_MAY_IMPORT:
        return True
    if name == home or name.startswith(home + "."):
        return True
    return name == "kit" or any(
        name == module or name.startswith(module + ".") for module in DOMAIN_KIT_MODULES
    )


def drivers_stay_in_adapters(tree: Tree) -> list[str]:
    """Only adapters import a database's or broker's driver."""
    return [
        f"{path}:{line}: {name} is a driver"
        for path, text in _sources(tree)
        if not path.startswith(DRIVER_HOMES)
        for line, name in imports(text)
        if _top(name) in DRIVERS
    ]


def adapters_are_named_in_wiring(tree: Tree) -> list[str]:
    """Business code sees ports; choosing an adapter is wiring's."""
    return [
        f"{path}:{line}: {name} is an adapter"
        for path, text in _sources(tree)
        if not path.startswith(DRIVER_HOMES) and not path.endswith(ADAPTER_WIRING)
        for line, name in imports(text)
        if name.startswith(ADAPTERS)
    ]


def broad_excepts_stay_at_the_edges(tree: Tree) -> list[str]:
    """``except Exception`` only where HTTP and the bus come in, or to clean up and raise again."""
    return [
        f"{path}:{node.lineno}: catches everything"
        for path, text in _sources(tree)
        if not path.startswith(EDGES)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"})
        and not _raises_again(node)
    ]


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def functions_and_files_stay_small(tree: Tree) -> list[str]:
    """A function fits a screen, a file an afternoon."""
    found = []
    for path, text in tree.items():
        if (lines := text.count("\n")) > FILE_LINES:
            found.append(f"{path}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > FUNCTION_LINES:
                    found.append(f"{path}:{node.lineno}: {node.name} has {size} lines")
    return found


def modules_have_telling_names(tree: Tree) -> list[str]:
    """No module is named for not knowing what it is."""
    return [
        f"{path}: a vague name"
        for path in tree
        if VAGUE_NAMES & {PurePosixPath(path).stem, *PurePosixPath(path).parts[:-1]}
    ]


def tests_use_no_mocks(tree: Tree) -> list[str]:
    """Embedded adapters instead of patches, and nothing skipped."""
    banned = ("mock.patch", "monkeypatch." + "setattr", "pytest." + "skip", "mark." + "skip")
    return [
        f"{path}: uses {word}"
        for path, text in tree.items()
        if path.startswith("tests/") and not path.startswith("tests/architecture/")
        for word in banned
        if word in text
    ]


RULES: tuple[Rule, ...] = (
    layers_point_one_way,
    services_import_no_other_service,
    domain_is_pure,
    drivers_stay_in_adapters,
    adapters_are_named_in_wiring,
    broad_excepts_stay_at_the_edges,
    functions_and_files_stay_small,
    modules_have_telling_names,
    tests_use_no_mocks,
)
