"""`vidintel models`, and what adding refuses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.support import ultralytics_support
from vidintel.domain.errors import ModelUnusable
from vidintel.entrypoints.cli import app
from vidintel.infrastructure.inference.compiling import compile_weights

needs_ultralytics = ultralytics_support.needs_ultralytics


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ultralytics_support.prepare(tmp_path_factory.mktemp("settings"))
    return ultralytics_support.make_detector(tmp_path_factory.mktemp("weights") / "own.pt", ("car", "bus"))


def test_models_lists_what_can_be_run() -> None:
    shown = CliRunner().invoke(app, ["models"])
    assert shown.exit_code == 0
    assert "openvino" in shown.output


@needs_ultralytics
@ultralytics_support.exports
def test_an_added_model_can_be_run_and_says_what_it_is(weights: Path, tmp_path: Path) -> None:
    added = CliRunner().invoke(
        app, ["models", "add", str(weights), "--name", "mine", "--models-dir", str(tmp_path / "models")]
    )
    assert added.exit_code == 0, added.output

    listed = CliRunner().invoke(app, ["models", "--models-dir", str(tmp_path / "models")])
    assert "mine" in listed.output
    descriptor = json.loads((tmp_path / "models" / "mine" / "model.json").read_text())
    assert descriptor["labels"] == ["car", "bus"]
    assert descriptor["input_size"] == [160, 160]
    assert descriptor["licence"].startswith("AGPL-3.0")
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["mine"]
    assert list(weights.parent.iterdir()) == [weights]


@needs_ultralytics
@pytest.mark.parametrize(
    ("name", "problem"), [("taken", "already"), ("../mine", "name"), (".mine", "name"), ("x" * 65, "name")]
)
def test_a_name_that_cannot_be_used_is_refused(weights: Path, tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(ModelUnusable, match=problem):
        compile_weights(weights, tmp_path, name=name)


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_what_is_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.pt").write_bytes(content)
    with pytest.raises(ModelUnusable, match=r"own\.pt"):
        compile_weights(tmp_path / "own.pt", tmp_path)


def test_only_checkpoints_can_be_compiled(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"only those can be compiled"):
        compile_weights(tmp_path / "model.onnx", tmp_path)
