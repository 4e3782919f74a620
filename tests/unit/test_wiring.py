"""A wrong argument in the wiring fails `make lint`: mypy is run on copies of it in which every argument is wrong."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from vidintel.wiring import http, shared, worker

_ROOT = Path(__file__).parents[2]


def _source(module: ModuleType) -> Path:
    assert module.__file__ is not None
    return Path(module.__file__)


_WIRING = [_source(module) for module in (shared, http, worker)]


class _MyPy:
    """Runs mypy as `make lint` does, with its own cache, which later runs of the tests find again."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self._cache = cache
        self._folder = folder

    def complaints(self, copies: dict[Path, str]) -> str:
        """What mypy says when the files of the wiring have the content of ``copies``."""
        shadows = []
        for file, content in copies.items():
            copy = self._folder / file.name
            copy.write_text(content)
            shadows += ["--shadow-file", str(file), str(copy)]
        command = [sys.executable, "-m", "mypy", "--cache-dir", str(self._cache), "--no-pretty", *shadows]
        done = subprocess.run(
            [*command, *map(str, _WIRING)], cwd=_ROOT, capture_output=True, text=True, timeout=240, check=False
        )
        assert not done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> _MyPy:
    return _MyPy(_ROOT / ".mypy_cache" / "wiring", tmp_path_factory.mktemp("wiring"))


class _ReplaceArguments(ast.NodeTransformer):
    """Gives every argument of every call an object of a class of its own.

    Arguments that are made by a call with arguments would hide these: they are replaced with ``outer``, the others
    without.
    """

    def __init__(self, outer: bool) -> None:
        self._outer = outer
        self.replaced: dict[str, str] = {}

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        for index, argument in enumerate(node.args):
            node.args[index] = self._replaced(argument, node)
        for keyword in node.keywords:
            keyword.value = self._replaced(keyword.value, node)
        return node

    def _replaced(self, argument: ast.expr, call: ast.Call) -> ast.expr:
        if any(isinstance(inner, ast.Call) and (inner.args or inner.keywords) for inner in ast.walk(argument)):
            if not self._outer:
                return self.visit(argument)  # type: ignore[no-any-return]
        elif self._outer:
            return argument
        name = f"Wrong{len(self.replaced)}"
        self.replaced[name] = f"{ast.unparse(argument)} in {ast.unparse(call)}"
        return ast.Call(ast.Name(name, ast.Load()), [], [])


def _builders(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for part in tree.body:
        if isinstance(part, ast.ClassDef):
            yield from (each for each in part.body if isinstance(each, ast.FunctionDef) and each.decorator_list)


@pytest.mark.parametrize("outer", [False, True])
@pytest.mark.parametrize("file", _WIRING, ids=lambda file: file.stem)
def test_mypy_sees_every_argument_in_the_wiring(mypy: _MyPy, file: Path, outer: bool) -> None:
    tree = ast.parse(file.read_text())
    replace = _ReplaceArguments(outer)
    for builder in _builders(tree):
        builder.body = [replace.visit(statement) for statement in builder.body]
    classes = "\n".join(f"class {name}: ..." for name in replace.replaced)
    complaints = mypy.complaints({file: f"{ast.unparse(tree)}\n{classes}\n"})
    unseen = {name: where for name, where in replace.replaced.items() if f'"{name}"' not in complaints}
    assert replace.replaced
    assert not unseen


_MISTAKES = {
    "missing argument": (
        "RequestAnalysis(self.uow, self.specs(), self.clock())",
        "RequestAnalysis(self.uow, self.specs())",
        'Missing positional argument "clock" in call to "RequestAnalysis"',
    ),
    "swapped arguments": (
        "OpenContent(self.query_uow, self.storage())",
        "OpenContent(self.storage(), self.query_uow)",
        'Argument 1 to "OpenContent" has incompatible type "ObjectStorage"',
    ),
    "wrong keyword": (
        "retention=self.retention",
        "retained=self.retention",
        'Unexpected keyword argument "retained" for "RegisterVideo"',
    ),
    "another use case": (
        "list_jobs=ListJobs(self.query_uow)",
        "list_jobs=ListVideos(self.query_uow)",
        'Argument "list_jobs" to "HttpServices" has incompatible type "ListVideos"',
    ),
    "a provider instead of its object": (
        "ListModels(self.registry())",
        "ListModels(self.registry)",
        'Argument 1 to "ListModels" has incompatible type "Provided[DirectoryModelRegistry]"',
    ),
    "an object instead of its provider": (
        "ListTracks(self.query_uow)",
        "ListTracks(self.query_uow())",
        'Argument 1 to "ListTracks" has incompatible type "UnitOfWork"',
    ),
    "a provider called with an argument": (
        "limits=self.limits,",
        "limits=lambda: self.limits(3),",
        'Too many arguments for "__call__" of "Provided"',
    ),
    "a provider that does not exist": ("meter=self.telemetry()", "meter=self.telemetri()", '"None" not callable'),
    "a builder of another type": (
        "def verifier(self) -> TokenVerifier:",
        "def verifier(self) -> GetVideo:",
        'Incompatible return value type (got "ClerkTokenVerifier", expected "GetVideo")',
    ),
}


def test_mypy_sees_every_kind_of_mistake_in_the_wiring(mypy: _MyPy) -> None:
    file = _source(http)
    content = file.read_text()
    for right, wrong, _ in _MISTAKES.values():
        assert content.count(right) == 1
        content = content.replace(right, wrong)
    complaints = mypy.complaints({file: content})
    assert [kind for kind, (_, _, complaint) in _MISTAKES.items() if complaint not in complaints] == []


@pytest.mark.parametrize("file", _WIRING, ids=lambda file: file.stem)
def test_more_than_three_arguments_are_given_by_keyword(file: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    assert [
        ast.unparse(call.func) for call in calls if len(call.args) + len(call.keywords) > 3 and len(call.args) > 0
    ] == []
