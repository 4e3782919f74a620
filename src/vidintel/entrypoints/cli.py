"""``vidintel …``.

Each command imports what it runs: printing a token must not wait for the neural network's runtime to load, and
`vidintel doctor` has to run on an installation in which something cannot be imported.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal, NoReturn
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape

from vidintel.domain.errors import DomainError
from vidintel.domain.identity import Role
from vidintel.entrypoints import config as config_command
from vidintel.entrypoints import models
from vidintel.settings.errors import CannotRun
from vidintel.settings.sources import Configuration, ConfigurationInvalid, load

_HELP = "Video intelligence: upload a video, ask what was seen and when."
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=_HELP)
app.add_typer(models.app, name="models")
config_app = typer.Typer(no_args_is_help=True, help="Show the configuration, or write its schema and an example.")
config_app.command("publish")(config_command.publish)
app.add_typer(config_app, name="config")

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where the embedded database and the objects lie.")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on.")]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file; VIDINTEL_CONFIG, else config/vidintel.yaml, when left out."),
]
Output = Annotated[Literal["table", "json"], typer.Option("--output", help="How to show it.")]
Model = Annotated[str | None, typer.Option("--model", help="Name of a model, or path of one, used by default.")]


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(version("vidintel"))
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before the commands."""


@app.command()
def serve(
    data_dir: DataDir = None, host: Host = None, port: Port = None, model: Model = None, config: Config = None
) -> None:
    """Run everything on this machine: database, worker and API, with a development token."""
    from vidintel.entrypoints.serve import run_serve, show_serving

    configuration = _configuration(config, data_dir=data_dir, host=host, port=port, model=model)
    run_serve(configuration, notify=show_serving(Console()))


@app.command()
def api(
    host: Host = None,
    port: Port = None,
    fd: Annotated[
        int | None, typer.Option("--fd", min=0, help="A listening socket to inherit, instead of host and port.")
    ] = None,
    data_dir: DataDir = None,
    model: Model = None,
    config: Config = None,
) -> None:
    """Run the API alone, on VIDINTEL_DATABASE__URL and VIDINTEL_AUTH__*."""
    from vidintel.entrypoints.api import run_api

    run_api(_configuration(config, data_dir=data_dir, host=host, port=port, model=model), fd=fd)


@app.command()
def worker(
    data_dir: DataDir = None,
    model: Model = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Unique per worker. A new worker takes over the leases of a dead one of the same name at once."
        ),
    ] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    alone: Annotated[UUID | None, typer.Option(hidden=True)] = None,
    config: Config = None,
) -> None:
    """Run one worker process, on VIDINTEL_DATABASE__URL."""
    from vidintel.entrypoints.worker import run_worker

    configuration = _configuration(config, data_dir=data_dir, model=model)
    run_worker(configuration, name=name, with_parent=with_parent, alone=alone)


@app.command()
def migrate(data_dir: DataDir = None, config: Config = None) -> None:
    """Bring the database to the newest schema."""
    from vidintel.entrypoints.migrate import migrate_database

    migrate_database(_configuration(config, data_dir=data_dir).settings)
    Console().print("The database is up to date.")


@app.command()
def token(
    user: Annotated[str, typer.Option(help="For example alice.")],
    org: Annotated[str | None, typer.Option(help="For example acme; left out, the user's own tenant.")] = None,
    role: Annotated[Role, typer.Option(help="Deleting takes an admin.")] = Role.EDITOR,
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Print a development token, good for the `serve` on the same data directory."""
    from vidintel.infrastructure.identity.development import DevelopmentTokenIssuer

    settings = _configuration(config, data_dir=data_dir).settings
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    typer.echo(DevelopmentTokenIssuer(settings.data_dir).issue(user, org, role))


@app.command()
def analyze(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True)],
    model: Model = None,
    sample_fps: Annotated[str | None, typer.Option(help="Frames per second to look at, or 'native'.")] = None,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Leave out detections below this confidence.")
    ] = None,
    output: Output = "table",
    data_dir: DataDir = None,
    config: Config = None,
) -> None:
    """Analyse a file directly, without server or database."""
    from vidintel.application.jobs.specs import SpecRequest
    from vidintel.container import create_container
    from vidintel.entrypoints.analyze import analyze_file, render_summary, summary_json

    settings = _configuration(config, data_dir=data_dir, model=model).settings
    container = create_container(settings, database_url="")
    console = Console(stderr=True)
    summary = analyze_file(
        file,
        SpecRequest(sample_fps=_sample_fps(sample_fps), min_confidence=min_confidence),
        specs=container.specs(),
        decoder=container.decoder(),
        detectors=container.detectors(),
        limits=container.media_limits(),
        segment_s=settings.analysis.segment_s,
        console=console,
    )
    if output == "json":
        typer.echo(summary_json(summary))
    else:
        Console().print(render_summary(summary, title=f"{file.name}: {summary.frames_analysed} frames analysed"))


@app.command()
def doctor(data_dir: DataDir = None, port: Port = None, model: Model = None, config: Config = None) -> None:
    """Check what is installed, reachable and writable, and say how to fix what is not."""
    from vidintel.entrypoints.doctor import run_doctor

    settings = _configuration(config, data_dir=data_dir, port=port, model=model).settings
    raise typer.Exit(run_doctor(settings, Console()))


@config_app.command("show")
def show_config(
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    model: Model = None,
    config: Config = None,
    output: Output = "table",
) -> None:
    """Show the value of every setting, with secrets masked, and where it comes from."""
    configuration = _configuration(config, data_dir=data_dir, host=host, port=port, model=model)
    if output == "json":
        typer.echo(config_command.as_json(configuration))
    else:
        Console().print(config_command.as_table(configuration))


def main() -> None:
    """Entry point: errors that the user can fix are shown as one line, not as a stack trace."""
    try:
        app()
    except (DomainError, CannotRun, ConfigurationInvalid) as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(f"[bold red]error:[/bold red] {escape(message)}", highlight=False, soft_wrap=True)
    raise SystemExit(1)


def _configuration(
    file: Path | None = None,
    *,
    data_dir: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    model: str | None = None,
) -> Configuration:
    """What is configured, what the command line says winning over everything else."""
    http = _given(host=host, port=port)
    analysis = _given(model=model)
    return load(file=file, command_line=_given(data_dir=data_dir, http=http or None, analysis=analysis or None))


def _given(**options: object) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None}


def _sample_fps(given: str | None) -> float | Literal["native"] | None:
    if given is None:
        return None
    if given == "native":
        return "native"
    try:
        return float(given)
    except ValueError:
        raise typer.BadParameter("a number, or 'native'", param_hint="--sample-fps") from None
