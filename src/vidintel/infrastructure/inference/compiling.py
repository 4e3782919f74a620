"""Compiles Ultralytics weights to OpenVINO: a folder that the registry lists, and that runs without torch."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from vidintel.application.ports import ModelInfo
from vidintel.domain.errors import ModelUnusable
from vidintel.infrastructure.inference.openvino import OpenVinoDetector
from vidintel.infrastructure.inference.registry import DirectoryModelRegistry
from vidintel.infrastructure.inference.ultralytics import first_line, import_yolo
from vidintel.infrastructure.inference.weights import read_weights, unusable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def compile_weights(weights: Path, models_dir: Path, *, name: str | None = None, half: bool = True) -> ModelInfo:
    """Put the model of the ``.pt`` file ``weights`` into ``models_dir``, named ``name`` or else like its file.

    Weights are stored as FP16, or FP32 unless ``half``; the input takes any size. The folder appears when it is
    complete, so a server may be running. Loading weights runs code of the file's choosing. Raises `ModelUnusable`.
    """
    weights = weights.resolve()
    if weights.suffix != ".pt":
        raise unusable(weights, "is not a .pt file; only those can be compiled")
    facts = read_weights(weights)
    name = name or weights.stem
    if not _NAME.fullmatch(name):
        raise ModelUnusable(f"'{name}' cannot be a model's name; use letters, digits, '_', '.' and '-' only.")
    target = models_dir / name
    if target.exists() or target.is_symlink():
        raise ModelUnusable(f"There is a model '{name}' in {models_dir} already; choose another name, or remove it.")
    with TemporaryDirectory(dir=models_dir, prefix=".adding-") as folder:
        made = Path(folder) / name
        _export(weights, made, Path(folder), facts.input_size, 16 if half else 32)
        descriptor = {
            "name": name,
            "version": facts.version,
            "runtime": "openvino",
            "task": "detect",
            "weights": "model.xml",
            "input_size": list(facts.input_size),
            "labels": list(facts.labels),
            "licence": facts.licence,
            "description": facts.description,
            "sha256": hashlib.sha256((made / "model.bin").read_bytes()).hexdigest(),
        }
        (made / "model.json").write_text(json.dumps(descriptor, indent=2, ensure_ascii=False) + "\n", "utf-8")
        compiled = DirectoryModelRegistry(made.parent, name).stored(name)
        OpenVinoDetector(compiled.info, compiled.network)
        made.rename(target)
    return compiled.info


def _export(weights: Path, made: Path, work: Path, size: tuple[int, int], bits: int) -> None:
    """Ultralytics exports beside the weights it is given, hence from a copy in ``work``."""
    yolo = import_yolo(work / "settings")
    copy = Path(shutil.copy(weights, work / "model.pt"))
    try:
        model = yolo(copy)
        exported = Path(model.export(format="openvino", dynamic=True, quantize=bits, imgsz=list(size), verbose=False))
    except Exception as error:  # a damaged pickle or an odd network may raise anything at all
        raise unusable(weights, f"cannot be compiled by Ultralytics ({first_line(error)})") from error
    exported.rename(made)
    metadata = yaml.safe_load((made / "metadata.yaml").read_text("utf-8"))
    if metadata["task"] != "detect":
        raise unusable(weights, f"is of the task '{metadata['task']}', not of 'detect'")
