"""The machine is touched in four places only: settings, clock, ids and devices; all others are handed what they need."""

import ast

import pytest

from tests.architecture.tree import dotted, imported, product

TOUCHES = {
    "the environment": ({"os.environ", "os.environb", "os.getenv", "os.putenv"}, {"settings"}),
    "a clock": (
        {
            "time.time",
            "time.time_ns",
            "time.monotonic",
            "time.monotonic_ns",
            "time.perf_counter",
            "time.perf_counter_ns",
        }
        | {
            f"{base}.{call}"
            for base in ("datetime", "datetime.datetime", "date")
            for call in ("now", "utcnow", "today")
        },
        {"clock"},
    ),
    "randomness": ({"os.urandom", "os.getrandom", "uuid.uuid1", "uuid.uuid4"}, {"ids"}),
    "files": ({"open", "os.open", "io.open", "os.fdopen"}, {"devices"}),
}
RANDOM_MODULES = {"random", "secrets"}


def _names_defined(syntax: ast.Module) -> set[str]:
    """What a module itself binds at its top: a function of its own called `open` is not the builtin."""
    bound = set()
    for node in syntax.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            bound.update(alias.asname or alias.name for alias in node.names)
    return bound


def _uses(module) -> list[tuple[ast.AST, str]]:
    """Every use of a dotted name, be it called or passed on, and every `from os import …` of one."""
    own = _names_defined(module.syntax)
    loads = [
        (node, name)
        for node in ast.walk(module.syntax)
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load) and (name := dotted(node))
    ]
    return [(node, name) for node, name in loads if not (name == "open" and "open" in own)] + list(imported(module))


@pytest.mark.parametrize("touch", TOUCHES)
def test_is_touched_only_where_it_belongs(touch):
    names, rooms = TOUCHES[touch]
    strays = [
        f"{module.at(node)} {name}"
        for module in product()
        if module.room not in rooms
        for node, name in _uses(module)
        if name in names
    ]
    assert not strays


def test_no_module_but_ids_imports_a_random_generator():
    strays = [
        f"{module.at(node)} {name}"
        for module in product()
        if module.room != "ids"
        for node, name in imported(module)
        if name.split(".")[0] in RANDOM_MODULES
    ]
    assert not strays


MUTABLE = {"dict", "list", "set", "bytearray"}
MUTABLE |= {f"collections.{name}" for name in ("defaultdict", "deque", "OrderedDict", "Counter")}
MUTABLE |= {f"threading.{name}" for name in ("Lock", "RLock", "Event", "Condition", "Semaphore", "local")}
MUTABLE |= {"queue.Queue", "queue.SimpleQueue", "weakref.WeakSet", "weakref.WeakKeyDictionary"}
MUTABLE |= {"weakref.WeakValueDictionary"}

KEPT_FOR_A_REASON = {
    "src/isotherm/devices/locks.py": "a hook of os.register_at_fork stays for ever, so it must find the locks in a registry",
}


def _origins(syntax: ast.Module) -> dict[str, str]:
    """Local name → where it was imported from: `deque` → `collections.deque`."""
    return {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(syntax)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


READ_ONLY = {"Mapping", "Sequence", "Collection"}


def _is_read_only(node: ast.stmt) -> bool:
    """`_NO_TAGS: Mapping[str, str] = {}`: mypy lets nobody fill it."""
    annotation = node.annotation if isinstance(node, ast.AnnAssign) else None
    return dotted(annotation.value if isinstance(annotation, ast.Subscript) else annotation) in READ_ONLY


def _is_state(value: ast.expr, origins: dict[str, str]) -> bool:
    """An empty container that somebody means to fill, a lock, a queue. Tables with contents are taken for constants."""
    if isinstance(value, ast.Dict):
        return not value.keys
    if isinstance(value, ast.List | ast.Set):
        return not value.elts
    if not isinstance(value, ast.Call) or value.args or value.keywords:
        return False
    name = dotted(value.func)
    return origins.get(name, name) in MUTABLE


def test_no_module_keeps_state():
    """A module-level container, lock or queue is a singleton: it belongs to an object that somebody made."""
    state = []
    for module in product():
        if module.name in KEPT_FOR_A_REASON:
            continue
        origins = _origins(module.syntax)
        for node in module.syntax.body:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if value is not None and not _is_read_only(node) and _is_state(value, origins):
                state.append(module.at(node))
        state += [module.at(node) for node in ast.walk(module.syntax) if isinstance(node, ast.Global)]
    assert not state
