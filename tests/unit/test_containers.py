"""What lies in docker/ fits together, as far as that can be seen without a container engine."""

import json
import re
import shlex
import shutil
import subprocess
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

from vidintel.settings.model import Settings
from vidintel.settings.sources import FILE_VARIABLE, leaves, variable_of

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE_FILES = (DOCKER / "compose.yaml", DOCKER / "compose.dev.yaml")
KNOWN_VARIABLES = {variable_of(name) for name, _ in leaves(Settings)} | {FILE_VARIABLE}
TAGGED = re.compile(r"[\w./-]+:(?!latest$)[\w.-]+$")
REFERENCE = re.compile(r"\$\{(\w+)(:?[-?])?")

each_compose_file = pytest.mark.parametrize("path", COMPOSE_FILES, ids=lambda path: path.name)


def compose(path: Path) -> dict[str, Any]:
    document = yaml.safe_load(path.read_text())
    assert isinstance(document, dict)
    return document


def services(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose(path)["services"]
    return found


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Each instruction with its arguments, comments left out and continued lines joined."""
    lines = [line for line in dockerfile.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def stages() -> dict[str, list[tuple[str, str]]]:
    """The Dockerfile's stages by name, each without its FROM; that stands first, as what it is made from."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, rest in instructions(DOCKER / "Dockerfile"):
        if name == "FROM":
            source, _, stage = rest.partition(" AS ")
            found[stage] = [("FROM", source)]
        else:
            found[list(found)[-1]].append((name, rest))
    return found


def with_ancestors(stage: str) -> list[tuple[str, str]]:
    """All instructions that make the image of ``stage``."""
    (_, source), *own = stages()[stage]
    return (with_ancestors(source) if source in stages() else []) + own


@each_compose_file
def test_a_compose_file_fits_the_specification(path: Path) -> None:
    schema = json.loads(files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text())

    validator_for(schema)(schema).validate(compose(path))


@each_compose_file
def test_a_compose_command_line_accepts_the_file(path: Path, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no `docker compose`; the specification's schema is checked in any case")
    environment = tmp_path / "env"
    environment.write_text("".join(f"{name}=x\n" for name in declared_in_example()))
    command = [docker, "compose", "--env-file", str(environment), "-f", str(path), "config", "--quiet"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@each_compose_file
def test_only_settings_that_exist_are_set(path: Path) -> None:
    named = {name for service in services(path).values() for name in service.get("environment", {})}

    assert {name for name in named if name.startswith("VIDINTEL_")} <= KNOWN_VARIABLES


def test_the_images_set_only_settings_that_exist() -> None:
    named = {
        word.partition("=")[0]
        for stage in stages().values()
        for instruction, rest in stage
        if instruction == "ENV"
        for word in shlex.split(rest)
    }

    assert {name for name in named if name.startswith("VIDINTEL_")} <= KNOWN_VARIABLES


@each_compose_file
def test_what_is_mounted_is_there(path: Path) -> None:
    named_volumes = set(compose(path)["volumes"])
    for service in services(path).values():
        for mount in service.get("volumes", []):
            source, target, *mode = mount.split(":")
            if source.startswith("."):
                assert (path.parent / source).exists(), mount
                assert mode == ["ro"], mount
            else:
                assert source in named_volumes, mount
            assert target.startswith("/"), mount


@each_compose_file
def test_what_is_waited_for_can_be_told(path: Path) -> None:
    for service in services(path).values():
        for name, how in service.get("depends_on", {}).items():
            needed = services(path)[name]
            match how["condition"]:
                case "service_healthy":
                    assert "test" in needed["healthcheck"], name
                case "service_completed_successfully":
                    assert needed.get("restart", "no") == "no", name
                case other:
                    pytest.fail(f"{name}: {other}")


@each_compose_file
def test_nothing_is_published_beyond_this_machine_unless_asked_for(path: Path) -> None:
    for name, service in services(path).items():
        for port in service.get("ports", []):
            allowed = ("127.0.0.1:", "${PROXY_BIND:-127.0.0.1}:") if name == "proxy" else ("127.0.0.1:",)
            assert port.startswith(allowed), f"{name}: {port}"


@each_compose_file
def test_images_are_pinned_by_tag(path: Path) -> None:
    for name, service in services(path).items():
        assert TAGGED.match(service["image"].replace("${TAG:-local}", "local")), name


@each_compose_file
def test_networks_and_secrets_are_declared(path: Path) -> None:
    document = compose(path)
    for service in services(path).values():
        assert set(service.get("networks", [])) <= set(document.get("networks", {}))
        assert set(service.get("secrets", [])) <= set(document.get("secrets", {}))


def declared_in_example() -> set[str]:
    lines = (DOCKER / ".env.example").read_text().splitlines()
    return {found[1] for line in lines if (found := re.match(r"(?:# )?([A-Z_0-9]+)=", line))}


def test_the_example_of_secrets_names_every_variable_of_the_compose_file_and_no_other() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    used = {found[1] for found in REFERENCE.finditer(text)} | set(
        re.findall(r"^    environment: ([A-Z_]+)$", text, re.M)
    )

    assert used == declared_in_example()


def test_secrets_have_no_default() -> None:
    example = (DOCKER / ".env.example").read_text()
    required = {name for name, how in REFERENCE.findall((DOCKER / "compose.yaml").read_text()) if how == ":?"}

    assert required == set(re.findall(r"^([A-Z_0-9]+)=$", example, re.M))


def test_production_services_give_up_what_they_do_not_need() -> None:
    for name, service in services(DOCKER / "compose.yaml").items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service.get("read_only") or name == "qdrant", name


def test_only_what_answers_people_reaches_the_internet() -> None:
    document = compose(DOCKER / "compose.yaml")
    closed = {name for name, network in document["networks"].items() if network and network.get("internal")}
    open_to_the_world = {
        name for name, service in services(DOCKER / "compose.yaml").items() if set(service["networks"]) - closed
    }

    assert open_to_the_world == {"proxy", "api", "prometheus", "grafana"}


@pytest.mark.parametrize("image", ["api", "worker", "serve"])
def test_an_image_runs_as_an_ordinary_user_under_an_init_and_has_a_health_check(image: str) -> None:
    made_by = with_ancestors(image)
    users = [rest for name, rest in made_by if name == "USER"]

    assert users[-1].split(":")[0].isdigit()
    assert users[-1].split(":")[0] != "0"
    assert any(name == "ENTRYPOINT" and json.loads(rest)[0] == "tini" for name, rest in made_by)
    assert any(name == "HEALTHCHECK" for name, _ in made_by)
    assert json.loads(next(rest for name, rest in reversed(made_by) if name == "CMD"))


def test_the_last_stage_is_the_one_for_trying_out() -> None:
    assert list(stages())[-1] == "serve"


def test_base_images_are_pinned_and_nothing_is_fetched_from_an_address() -> None:
    for stage in stages().values():
        source = stage[0][1]
        assert source in stages() or TAGGED.match(source), source
        assert all(name != "ADD" and "http" not in rest for name, rest in stage if name in ("ADD", "COPY"))


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for stage, made_by in stages().items():
        for name, rest in made_by:
            if name != "COPY":
                continue
            words = shlex.split(rest)
            if words[0].startswith("--from="):
                assert words[0].removeprefix("--from=") in list(stages())[: list(stages()).index(stage)]
                continue
            for source in words[:-1]:
                assert (ROOT / source).exists(), source
                assert any(fnmatch(source, pattern) for pattern in kept), f"{source} is ignored"


@pytest.mark.parametrize("image", ["api", "worker"])
def test_what_an_image_lacks_is_a_dependency_of_ours(image: str) -> None:
    ours = (ROOT / "pyproject.toml").read_text()

    for name in (DOCKER / f"not-in-{image}.txt").read_text().split():
        assert f'"{name}>=' in ours


def test_prometheus_finds_api_and_workers_under_the_names_that_the_alerts_expect() -> None:
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text())
    jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in config["scrape_configs"]}
    composed = services(DOCKER / "compose.yaml")

    assert {name: (found["names"], found["port"]) for name, found in jobs.items()} == {
        "vidintel-api": (["api"], 8000),
        "vidintel-worker": (["worker"], 9100),
    }
    assert {"api", "worker"} <= set(composed)
    assert all((DOCKER / "prometheus" / name).exists() for name in config["rule_files"])


def test_the_api_has_time_to_answer_before_it_is_killed() -> None:
    grace = services(DOCKER / "compose.yaml")["api"]["stop_grace_period"]
    http = Settings.model_fields["http"].default

    assert float(grace.removesuffix("s")) > http.drain_s + http.finish_s


def test_a_worker_has_time_to_finish_before_it_is_killed() -> None:
    grace = services(DOCKER / "compose.yaml")["worker"]["stop_grace_period"]

    assert float(grace.removesuffix("s")) > Settings.model_fields["work"].default.drain_s


def test_a_worker_is_refused_memory_before_its_container_is_killed_for_it() -> None:
    worker = services(DOCKER / "compose.yaml")["worker"]
    at_once = int(worker["environment"]["VIDINTEL_WORK__CONCURRENCY"].removeprefix("${WORK_CONCURRENCY:-").rstrip("}"))
    each = int(worker["environment"]["VIDINTEL_WORK__MEMORY_BYTES"])
    container = worker["deploy"]["resources"]["limits"]["memory"].removeprefix("${WORKER_MEMORY:-").rstrip("g}")

    assert each * (at_once + 1) < int(container) * 1024**3
