"""``vidintel models``: lists the models, and adds one."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from vidintel.settings.errors import CannotRun
from vidintel.settings.sources import load

app = typer.Typer(invoke_without_command=True, help="List the models that can be run, or add one.")

ModelsDir = Annotated[
    Path | None, typer.Option("--models-dir", help="Where models lie; VIDINTEL_ANALYSIS__MODELS_DIR when left out.")
]


@app.callback()
def list_models(
    context: typer.Context,
    model: Annotated[str | None, typer.Option("--model", help="Name of a model, or path of one, to list too.")] = None,
    models_dir: ModelsDir = None,
) -> None:
    """List the models that can be run, or `add` one."""
    if context.invoked_subcommand is not None:
        return
    from vidintel.infrastructure.inference.registry import DirectoryModelRegistry

    analysis = load().settings.analysis
    registry = DirectoryModelRegistry.serving(model or analysis.model, models_dir or analysis.models_dir)
    table = Table()
    for column in ("name", "version", "runtime", "input", "labels", "licence"):
        table.add_column(column)
    for info in registry.list():
        name = f"{info.name} (default)" if info.name == registry.default_name else info.name
        labels = ", ".join(info.labels[:6]) + (f" … {len(info.labels)} in all" if len(info.labels) > 6 else "")
        table.add_row(name, info.version, info.runtime, "×".join(map(str, info.input_size)), labels, info.licence)
    Console().print(table)


@app.command()
def add(
    weights: Annotated[
        Path, typer.Argument(help="A .pt file of a YOLO detector. Loading it can run code from the file.")
    ],
    name: Annotated[str | None, typer.Option(help="What the model is called; the file's name when left out.")] = None,
    models_dir: ModelsDir = None,
    half: Annotated[bool, typer.Option(help="Store weights as FP16, which halves the files.")] = True,
) -> None:
    """Compile Ultralytics weights to OpenVINO, so that they run without torch. Only for weights you trust."""
    from vidintel.infrastructure.inference.compiling import compile_weights
    from vidintel.resources import find_resource

    listed = load().settings.analysis.models_dir or find_resource("models")
    folder = models_dir or listed
    try:
        folder.mkdir(parents=True, exist_ok=True)
        info = compile_weights(weights, folder, name=name, half=half)
    except OSError as error:
        raise CannotRun(f"Cannot write into {folder} ({error.strerror}). Choose another --models-dir.") from error
    call_it = info.name if folder == listed else folder / info.name
    Console().print(f"Added {info.name} ({len(info.labels)} labels, {info.licence}): vidintel serve --model {call_it}")
