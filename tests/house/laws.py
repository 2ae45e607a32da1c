"""The laws of the house that no linter knows, as functions from source text to what breaks them.

Each takes parsed code and yields sentences; the tests hold them against the tree, and against a small piece of code
that breaks the law, so that no law can rot into one that never fails.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICES = ("iam", "flags", "experiments", "audit", "compute")
# What changes something that people are told of. What only counts, measures or hands on (usage, ledgers, publications,
# the log itself) has words of its own, and is no fact.
CHANGES = {
    *("put", "add", "insert", "remove", "delete", "save", "update", "append", "create", "revoke"),
    *("add_environment", "put_environment", "remove_environment", "bump", "close", "clear", "drop"),
    *("begin", "rotate", "end_all", "logged_in", "redeem", "give_back"),
}
OPENERS = {
    "create_async_engine",
    "insecure_channel",
    "secure_channel",
    "from_url",
    "Redis",
    "create_pool",
}
NAMELESS = {"utils", "helpers", "common", "base", "manager", "misc", "platform", "util", "helper"}


def production() -> list[Path]:
    """Return every Python file that is neither a test, a migration nor generated."""
    roots = [ROOT / "libs", ROOT / "services", ROOT / "gateway", ROOT / "deploy"]
    found = [path for root in roots for path in root.rglob("*.py")]
    skipped = {"tests", "migrations", "__pycache__"}
    return sorted(path for path in found if not skipped & set(path.relative_to(ROOT).parts))


def methods(tree: ast.Module) -> Iterator[tuple[ast.ClassDef, ast.AsyncFunctionDef]]:
    """Yield every coroutine method of every class."""
    for kind in tree.body:
        if isinstance(kind, ast.ClassDef):
            for verb in kind.body:
                if isinstance(verb, ast.AsyncFunctionDef):
                    yield kind, verb


def body_of(verb: ast.AsyncFunctionDef) -> list[ast.stmt]:
    """Return the statements of a method after its docstring."""
    return verb.body[1:] if ast.get_docstring(verb) else verb.body


def calls(node: ast.AST) -> set[str]:
    """Return the dotted names of everything that is called in a piece of code."""
    return {ast.unparse(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}


def asks_no_permission(tree: ast.Module) -> Iterator[str]:
    """Law 4: every verb that knows its caller first says which permission it needs."""
    for kind, verb in methods(tree):
        known = {arg.arg for arg in verb.args.args}
        if verb.name.startswith("_") or "caller" not in known:
            continue
        first = body_of(verb)[0]
        if not any(call.startswith("caller.must") for call in calls(first)):
            yield f"{kind.name}.{verb.name} does not begin with caller.must(…)"


def knows_no_caller(tree: ast.Module) -> Iterator[str]:
    """Law 4: every public verb takes a caller; the exceptions are listed by the test, with the reason."""
    for kind, verb in methods(tree):
        if not verb.name.startswith("_") and "caller" not in {arg.arg for arg in verb.args.args}:
            yield f"{kind.name}.{verb.name}"


def leaves_no_fact(tree: ast.Module) -> Iterator[str]:
    """Law 5: who changes something through `work` records a fact in the same transaction."""
    for kind in (k for k in tree.body if isinstance(k, ast.ClassDef)):
        own = {v.name: calls(v) for v in kind.body if isinstance(v, ast.AsyncFunctionDef)}
        for name in (n for n in own if not n.startswith("_")):
            done = reached(name, own)
            changes = any(c.startswith("work.") and c.split(".")[-1] in CHANGES for c in done)
            if changes and not any(c.split(".")[-1] in ("record", "_record") for c in done):
                yield f"{kind.name}.{name} changes something and records no fact"


def reached(name: str, own: dict[str, set[str]]) -> set[str]:
    """Return everything that a method calls, its own private helpers included."""
    seen: set[str] = set()
    todo, found = [name], set()
    while todo:
        if (now := todo.pop()) in seen:
            continue
        seen.add(now)
        found |= own[now]
        todo += [c.removeprefix("self.") for c in own[now] if c.removeprefix("self.") in own]
    return found


def asks_a_neighbour_inside_a_transaction(tree: ast.Module) -> Iterator[str]:
    """Law 6: inside `async with self.work()` only `work` is awaited, our own private steps, and steps handed `work`."""
    for kind, verb in methods(tree):
        for block in (n for n in ast.walk(verb) if isinstance(n, ast.AsyncWith)):
            if not any("work(" in ast.unparse(item) for item in block.items):
                continue
            for call in awaited(block):
                if not call.startswith(("work.", "self._", "_")):
                    yield f"{kind.name}.{verb.name} awaits {call} inside its transaction"


def awaited(block: ast.AsyncWith) -> Iterator[str]:
    """Yield the dotted names of the calls that a block awaits; not of those that are given the transaction itself."""
    for inner in block.body:
        for node in ast.walk(inner):
            if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
                if node.value.args and ast.unparse(node.value.args[0]) == "work":
                    continue
                yield ast.unparse(node.value.func)


def opens_at_import(tree: ast.Module) -> Iterator[str]:
    """Law 9: no client, pool or engine is made while a module is imported."""
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for call in calls(statement):
            if call.split(".")[-1] in OPENERS:
                yield f"{call} is called at import"


def swallows_bugs(tree: ast.Module) -> Iterator[str]:
    """Law 8: nobody catches everything without raising it again or telling it to the log with its trace."""
    for handler in (n for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler)):
        caught = ast.unparse(handler.type) if handler.type else "BaseException"
        if caught not in ("Exception", "BaseException"):
            continue
        again = any(isinstance(n, ast.Raise) for n in ast.walk(handler))
        told = any(call.endswith((".exception", ".set_exception")) for call in calls(handler))
        if not again and not told:
            yield f"line {handler.lineno} catches {caught} and says nothing"


def speaks_to(tree: ast.Module) -> set[str]:
    """Return the services whose protos a module imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("switchyard."):
            found.add((node.module or "").split(".")[1])
    return found


def reads_clock_or_dice(tree: ast.Module) -> Iterator[str]:
    """The domain has no clock and no dice: time and ids are handed to it."""
    dice = ("datetime.now", "datetime.utcnow", "time.time", "time.monotonic", "uuid4", "uuid7")
    chance = ("random.", "secrets.", "os.urandom")
    for call in calls(tree):
        if call.endswith(dice) or call.startswith(chance):
            yield f"{call} is called in the domain"


QUICK_OPS = {"create_table", "add_column", "create_index", "execute", "f", "get_context"}


def stalls_who_serves(tree: ast.Module) -> Iterator[str]:
    """A migration beside a service that serves: no old table is gone through while others wait for it.

    `schemas.online` is the way; as its steps are committed one by one, they have a migration of their own.
    """
    steps = [c for c in ast.walk(tree) if isinstance(c, ast.Call)]
    online = any(ast.unparse(c.func).startswith("online.") for c in steps)
    new = {ast.unparse(c.args[0]) for c in steps if ast.unparse(c.func) == "op.create_table"}
    for step in steps:
        where, _, verb = ast.unparse(step.func).rpartition(".")
        if where != "op":
            continue
        if online:
            yield f"op.{verb}: what is online has a migration of its own, with nothing else in it"
        elif verb not in QUICK_OPS:
            yield f"op.{verb}: expand only, with schemas.online where rows are gone through"
        elif verb == "create_index" and ast.unparse(step.args[1]) not in new:
            yield "op.create_index on a table that was there before: schemas.online.index"
        elif verb == "add_column" and _wants_a_value(step):
            yield "op.add_column, not nullable and without server_default: who serves cannot insert"
        elif verb == "execute" and _goes_through_rows(step):
            yield "op.execute of what goes through rows or keeps others waiting: schemas.online"


def _wants_a_value(step: ast.Call) -> bool:
    """Whether a column that is added must be given by who inserts."""
    said = {
        word.arg: ast.unparse(word.value)
        for c in ast.walk(step)
        for word in getattr(c, "keywords", ())
    }
    return said.get("nullable") == "False" and "server_default" not in said


def _goes_through_rows(step: ast.Call) -> bool:
    sql = ast.unparse(step).upper()
    slow = (
        "UPDATE ",
        "DELETE FROM",
        "INDEX",
        "SET NOT NULL",
        "ADD CONSTRAINT",
        " TYPE ",
        "CLUSTER",
        "VACUUM",
        "LOCK TABLE",
    )
    return any(word in sql for word in slow)
