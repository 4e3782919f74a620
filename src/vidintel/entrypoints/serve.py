"""`vidintel serve`: database, worker and API on one machine."""

from collections.abc import Callable

from rich.console import Console

from vidintel.container import create_container
from vidintel.domain.identity import Role
from vidintel.entrypoints.api import bound, listen
from vidintel.entrypoints.process import database_url_of, exit_on_signals, require_default_model
from vidintel.entrypoints.supervisor import WorkerSupervisor
from vidintel.infrastructure.database.migrate import upgrade
from vidintel.infrastructure.identity.development import DevelopmentTokenIssuer
from vidintel.infrastructure.observability.logging import configure_logging
from vidintel.settings.errors import CannotRun
from vidintel.settings.model import AuthSettings
from vidintel.settings.sources import FILE_VARIABLE, Configuration

_WORKER_NAME = "serve"
_GRACE_S = 10.0


def run_serve(configuration: Configuration, *, notify: Callable[[str, str], None]) -> None:
    """Database, migrations, one supervised worker and the API, until a signal.

    ``notify`` is given the URL and a development token once the API is about to listen.
    """
    settings = configuration.settings
    if settings.auth.jwt_key is not None:
        raise CannotRun(
            "`vidintel serve` issues development tokens and must not run beside Clerk keys. "
            "Unset VIDINTEL_AUTH__*, or run `vidintel api` and `vidintel worker`."
        )
    configure_logging(settings.log)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    issuer = DevelopmentTokenIssuer(settings.data_dir)
    auth = AuthSettings.model_validate({"jwt_key": issuer.public_key_pem, "issuer": issuer.issuer})
    settings = settings.model_copy(update={"auth": auth})
    with exit_on_signals(), bound(settings) as listener, database_url_of(settings) as url:
        upgrade(url)
        container = create_container(settings, url)
        require_default_model(container)
        environment = {"VIDINTEL_DATABASE__URL": url}
        if configuration.file is not None:
            environment[FILE_VARIABLE] = str(configuration.file)
        stop_after_s = settings.work.drain_s + _GRACE_S
        arguments = [
            *("--name", _WORKER_NAME),
            *("--data-dir", str(settings.data_dir)),
            *("--model", settings.analysis.model),
        ]
        with WorkerSupervisor(arguments, environment, stop_after_s=stop_after_s):
            host, port = listener.getsockname()[:2]
            notify(f"http://{host}:{port}", issuer.issue("developer", "development", Role.ADMIN))
            listen(container, configuration, listener, drain_s=0, finish_s=_GRACE_S)


def show_serving(console: Console) -> Callable[[str, str], None]:
    """Print the URL and the development token before the API listens."""

    def notify(url: str, token: str) -> None:
        console.print(f"\n[bold]vidintel[/bold] serves on [link={url}]{url}[/link]   (docs: {url}/docs)")
        console.print("DEVELOPMENT identity: anyone who can read the data directory can sign in as any user.")
        console.print("Token of an admin of the organisation 'development', for 12 hours:\n")
        console.print(token, soft_wrap=True, highlight=False)
        console.print()

    return notify
