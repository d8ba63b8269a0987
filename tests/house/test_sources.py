"""House rules that the syntax tree answers; a failure lists the places and says what to do."""

import ast
import re
import subprocess

from tests.house.sources import PYTHON_FILES, ROOT, SOURCE_FILES, nodes, tree_of

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
SUBJECTLESS = {"utils", "util", "helpers", "helper", "common", "misc"}
OUTPUT = "core/src/hitchpost/cli/output.py"
# Written with brackets, so that this file does not match itself.
MACHINE_WORDS = re.compile(
    r"/[w]ork/|/[f]arm/|/[r]oot/|/opt/(?:[p]ypi|[w]heels)|files\.[p]ythonhosted|pypi\.org/[s]imple|registry\.[n]pmjs"
    r"|deb\.[d]ebian|\.\./[s]hared"
)


def test_the_rules_look_at_every_distribution() -> None:
    packages = {path.relative_to(ROOT).as_posix().split("/src/")[0] for path in SOURCE_FILES}

    assert packages == {
        "core",
        "examples/provider-package",
        "plugins/bedrock",
        "plugins/meta_reference",
        "plugins/remote_ollama",
        "plugins/remote_openai",
        "plugins/remote_tgi",
        "plugins/tiny_llama",
        "plugins/weaviate",
    }


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON_FILES}

    long = {name: length for name, length in lengths.items() if length > MAX_FILE_LINES}

    assert not long, "find the second subject in the file and give it a file of its own"


def test_no_function_is_longer_than_60_lines() -> None:
    functions = nodes(ast.FunctionDef, ast.AsyncFunctionDef)

    long = [(at, node.name) for at, node in functions if node.end_lineno - node.lineno >= MAX_FUNCTION_LINES]

    assert not long, "split the function where its steps have names"


def test_no_wildcard_import() -> None:
    wild = [at for at, node in nodes(ast.ImportFrom) if any(alias.name == "*" for alias in node.names)]

    assert not wild, "import the names that are used, so that a reader knows where they come from"


def test_only_the_output_module_prints() -> None:
    prints = [at for at, node in nodes(ast.Call) if isinstance(node.func, ast.Name) and node.func.id == "print"]

    assert not [at for at in prints if not at.startswith(OUTPUT)], f"log it, or let {OUTPUT} print it"


def test_no_bare_except() -> None:
    bare = [at for at, node in nodes(ast.ExceptHandler) if node.type is None]

    assert not bare, "name the exceptions that are expected; `BaseException` where it must be all of them"


def test_asserts_only_narrow_types() -> None:
    checks = [(at, node.test) for at, node in nodes(ast.Assert) if not narrows(node.test)]

    assert not [at for at, _ in checks], "raise an error: asserts vanish under `python -O`, and no client can read them"


def narrows(test: ast.expr) -> bool:
    if isinstance(test, ast.BoolOp):
        return isinstance(test.op, ast.And) and all(narrows(value) for value in test.values)
    if isinstance(test, ast.Compare):
        return isinstance(test.ops[0], ast.IsNot) and ast.unparse(test.comparators[0]) == "None"
    return isinstance(test, ast.Call) and ast.unparse(test.func) == "isinstance"


def test_no_module_without_a_subject() -> None:
    vague = [path for path in SOURCE_FILES if SUBJECTLESS & {path.stem, path.parent.name}]

    assert not vague, "name the module after what it holds"


def test_every_exported_name_exists() -> None:
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCE_FILES
        for name in sorted(exported_names(tree_of(path)) - top_level_names(tree_of(path)))
    ]

    assert not missing, "define the name, or take it out of __all__"


def exported_names(tree: ast.Module) -> set[str]:
    assignments = [
        node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return {name for node in assignments for name in ast.literal_eval(node.value)}


def top_level_names(tree: ast.Module | ast.If) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names.update(alias.asname or alias.name for alias in node.names)
            case ast.Assign(targets=targets):
                names.update(ast.unparse(target) for target in targets)
            case ast.AnnAssign(target=target):
                names.add(ast.unparse(target))
            case ast.If():
                names |= top_level_names(node)
    return names


def test_no_file_names_the_machine_it_was_written_on() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]

    found = [str(path.relative_to(ROOT)) for path in files if MACHINE_WORDS.search(path.read_text("utf-8", "ignore"))]

    assert files
    assert not found, "take machine paths and registry hosts out: they mean nothing elsewhere"
