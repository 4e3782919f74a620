"""Trains, exports and measures `models/traffic-yolov8n`: a YOLOv8n from scratch on synthetic scenes, on CPU.

    python -m scripts.train_model --work DIR --out models/traffic-yolov8n

Five stages: mosaics first, then whole pictures of fresh scenes, then many more of them, larger, the last with more of
the rarer kinds of trucks. Seeds of training and held-out scenes never meet. The last weights are kept (no choice by
held-out results), exported to OpenVINO with FP16 weights and a dynamic input, and measured on the held-out scenes. What
it needs is in scripts/requirements-train.txt.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scripts.synthetic_traffic import LABELS, write_dataset


@dataclass(frozen=True)
class Stage:
    """One training run on scenes of its own; `settings` go to ultralytics on top of `TRAINING`.

    `bf16` computes the network in bfloat16 (about twice as fast where the processor has it), the loss in FP32.
    With `even_loads` the rarer kinds of trucks are as frequent as the usual one.
    """

    name: str
    seeds: range
    epochs: int
    image_size: int
    settings: dict[str, Any]
    bf16: bool = False
    even_loads: bool = False


HELD_OUT_SEEDS = range(900_000, 900_080)
IMAGES_PER_SCENE = 2
IMAGE_SIZE = 512
TRAINING: dict[str, Any] = {
    "optimizer": "AdamW",
    "lrf": 0.02,
    "cos_lr": True,
    "warmup_epochs": 1.0,
    "batch": 16,
    "seed": 0,
    "deterministic": True,
    "scale": 0.3,
    "translate": 0.1,
    "degrees": 0.0,
    "fliplr": 0.5,
    "flipud": 0.5,
    "hsv_h": 0.02,
    "hsv_s": 0.5,
    "hsv_v": 0.3,
    "workers": 1,
    "cache": "ram",
    "amp": False,
    "val": False,
    "plots": False,
}
WHOLE: dict[str, Any] = {"lr0": 0.0012, "mosaic": 0.0, "rect": True, "warmup_bias_lr": 0.0}
STAGES = (
    Stage("mosaic", range(100_000, 100_550), 22, 320, {"lr0": 0.002, "mosaic": 1.0, "close_mosaic": 5}),
    Stage("whole", range(100_550, 101_100), 16, 320, WHOLE),
    Stage("large", range(101_100, 103_600), 14, 448, WHOLE, bf16=True),
    Stage("larger", range(103_600, 106_600), 7, 512, WHOLE | {"lr0": 0.001}, bf16=True),
    Stage("loads", range(110_000, 113_000), 7, 512, WHOLE | {"lr0": 0.0006}, bf16=True, even_loads=True),
)
MODEL_NAME = "traffic-yolov8n"
DESCRIPTION = "YOLOv8n for cars, trucks and people seen from above, trained from scratch on synthetic scenes"


def prepare_environment(work: Path) -> None:
    """Keep ultralytics off the network and its settings in the work folder; call it before ultralytics is imported."""
    os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_CONFIG_DIR=str(work))


def draw_images(root: Path, split: str, seeds: range, *, even_loads: bool = False) -> Path:
    """Draw the images and labels of a split below `root`, in parallel; returns the path of its description.

    The description names the split as training data and `val` as held-out data.
    """
    for kind in ("images", "labels"):
        shutil.rmtree(root / kind / split, ignore_errors=True)
    with ProcessPoolExecutor() as pool:
        parts = [range(start, min(start + 10, seeds.stop)) for start in range(seeds.start, seeds.stop, 10)]
        jobs = [
            pool.submit(write_dataset, root, split, part, IMAGES_PER_SCENE, even_loads=even_loads) for part in parts
        ]
        images = sum(job.result() for job in jobs)
    print(f"{split}: {images} images")
    content = {"path": str(root), "train": f"images/{split}", "val": "images/val", "names": dict(enumerate(LABELS))}
    description = root / f"{split}.yaml"
    description.write_text(yaml.safe_dump(content, sort_keys=False))
    return description


def train(stage: Stage, start: Path | None, work: Path) -> Path:
    """Train one stage from the weights `start`, or from scratch; returns the path of its last weights.

    A stage whose weights already lie in the work folder is not trained again.
    """
    from ultralytics import YOLO

    weights = work / f"{stage.name}.pt"
    if weights.exists():
        return weights
    data = draw_images(work / "data", stage.name, stage.seeds, even_loads=stage.even_loads)
    model = YOLO(start or "yolov8n.yaml")
    if stage.bf16:
        model.add_callback("on_train_start", compute_in_bf16)
    model.train(
        data=str(data),
        epochs=stage.epochs,
        imgsz=stage.image_size,
        device="cpu",
        project=str(work),
        name=stage.name,
        exist_ok=True,
        pretrained=start is not None,
        **TRAINING,
        **stage.settings,
    )
    return Path(shutil.copy(work / stage.name / "weights" / "last.pt", weights))


def compute_in_bf16(trainer: Any) -> None:
    """Callback: run the network under bfloat16 autocast, which ultralytics itself does on GPUs only."""
    import torch

    model = trainer.model.to(memory_format=torch.channels_last)
    predict = model.predict

    def predict_in_bf16(x: Any, *arguments: Any, **options: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            found = predict(x.contiguous(memory_format=torch.channels_last), *arguments, **options)
        return in_fp32(found)

    model.predict = predict_in_bf16


def in_fp32(value: Any) -> Any:
    """A nest of dicts, lists and tuples of tensors with every floating tensor in FP32."""
    if isinstance(value, dict):
        return {key: in_fp32(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(in_fp32(part) for part in value)
    return value.float() if hasattr(value, "is_floating_point") and value.is_floating_point() else value


def export(weights: Path, out: Path, *, half: bool) -> Path:
    """Export to OpenVINO with a dynamic input; `model.xml`, `model.bin` and `metadata.yaml` are put into `out`."""
    from ultralytics import YOLO

    extra = {"quantize": 16} if half else {}
    exported = Path(YOLO(weights).export(format="openvino", imgsz=IMAGE_SIZE, dynamic=True, **extra))
    out.mkdir(parents=True, exist_ok=True)
    for suffix in (".xml", ".bin"):
        (found,) = exported.glob(f"*{suffix}")
        shutil.copy(found, out / f"model{suffix}")
    metadata = yaml.safe_load((exported / "metadata.yaml").read_text())
    metadata["description"] = DESCRIPTION
    (out / "metadata.yaml").write_text(yaml.safe_dump(metadata, sort_keys=False))
    shutil.rmtree(exported)
    return out


def write_descriptor(out: Path) -> None:
    """Write `model.json`, by which the project knows the model."""
    descriptor = {
        "name": MODEL_NAME,
        "version": "3.1.0",
        "runtime": "openvino",
        "task": "detect",
        "weights": "model.xml",
        "input_size": [IMAGE_SIZE, IMAGE_SIZE],
        "labels": list(LABELS),
        "licence": "AGPL-3.0",
        "description": DESCRIPTION,
        # Long trucks sometimes get a second, shorter box; road users seen from above hardly overlap.
        "iou_threshold": 0.5,
        # What it takes for a road user and is none, a tree or a sign, it is less sure of.
        "track_confidence": 0.75,
        "sha256": hashlib.sha256((out / "model.bin").read_bytes()).hexdigest(),
    }
    (out / "model.json").write_text(json.dumps(descriptor, indent=2) + "\n")


def measure(model: Path, data: Path, work: Path) -> dict[str, dict[str, float]]:
    """Held-out mAP50 and mAP50-95 of all classes and of each; `model` is a .pt file or the folder of an export.

    Pictures are letterboxed to the square input size.
    """
    from ultralytics import YOLO

    validation = YOLO(model, task="detect").val(
        data=str(data),
        imgsz=IMAGE_SIZE,
        rect=False,
        batch=1,
        device="cpu",
        workers=0,
        plots=False,
        verbose=False,
        project=str(work),
        name="val",
        exist_ok=True,
    )
    box = validation.box
    results = {"all": {"mAP50": float(box.map50), "mAP50-95": float(box.map)}}
    for place, label in enumerate(box.ap_class_index):
        results[LABELS[label]] = {"mAP50": float(box.ap50[place]), "mAP50-95": float(box.ap[place])}
    return results


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, required=True, help="folder for the data set and the run")
    parser.add_argument("--out", type=Path, default=Path("models") / MODEL_NAME)
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    prepare_environment(work)
    from scripts.torchvision_cpu import make_importable

    make_importable()
    held_out = draw_images(work / "data", "val", HELD_OUT_SEEDS)
    report: dict[str, Any] = {"seconds": {}}
    weights: Path | None = None
    for stage in STAGES:
        started = time.monotonic()
        weights = train(stage, weights, work)
        report["seconds"][stage.name] = round(time.monotonic() - started)
    assert weights is not None
    export(weights, given.out, half=True)
    write_descriptor(given.out)
    # ultralytics takes a folder for an OpenVINO model by the end of its name
    whole = export(weights, work / "fp32_openvino_model", half=False)
    half = Path(shutil.copytree(given.out, work / "fp16_openvino_model", dirs_exist_ok=True))
    for name, model in (("torch_fp32", weights), ("openvino_fp32", whole), ("openvino_fp16", half)):
        report[name] = measure(model, held_out, work)
    (work / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    json.dump(report, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
