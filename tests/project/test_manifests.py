"""The manifests in deploy/kubernetes fit the clock: its settings, its drain, its version."""

import re
from typing import Any, Final

import pytest
import yaml

from clock import __version__
from clock.asgi import ServerStatus
from clock.broadcast.relay import Relay
from clock.endpoints.metrics import metrics
from testbed.kubernetes import manifests
from testbed.kubernetes.manifests import FOLDER, Resource, files, problems, resources
from tournament.configuration.table import CLOCK_DRAIN_NOTICE, CLOCK_DRAIN_SPREAD, SETTINGS
from tournament.server.drain import STRAGGLER_TIMEOUT_S

RESOURCES: Final = [resource for path in files() for resource in resources(path.read_text())]
DEPLOYMENTS: Final = {one["metadata"]["name"]: one for one in RESOURCES if one["kind"] == "Deployment"}
KUSTOMIZATIONS: Final = sorted(FOLDER.rglob("kustomization.yaml"))


def pod(name: str) -> dict[str, Any]:
    """Return the specification of a deployment's pods."""
    found: dict[str, Any] = DEPLOYMENTS[name]["spec"]["template"]["spec"]
    return found


def test_every_file_is_valid() -> None:
    """As `make check` says."""
    assert [problem for path in files() for problem in problems(path.read_text())] == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("readinessProbe", "readynessProbe"), ("replicas: 3", "replicas: three"), ("apps/v1", "apps/v0")],
)
def test_what_is_invalid_is_found(right: str, wrong: str) -> None:
    """A misspelt field, a value of the wrong type, an unknown version."""
    text = (FOLDER / "base" / "web.yaml").read_text()
    assert right in text
    assert list(problems(text.replace(right, wrong, 1)))


def test_every_file_is_part_of_a_kustomization() -> None:
    """Except the rules of the Prometheus adapter, which belong elsewhere."""
    named = set()
    for path in KUSTOMIZATIONS:
        content = yaml.safe_load(path.read_text())
        named |= {(path.parent / name).resolve() for name in content.get("resources", [])}
        named |= {(path.parent / one["path"]).resolve() for one in content.get("patches", [])}
    present = {path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml"}
    assert {path.name for path in present - named} == {"prometheus-adapter.yaml"}


def test_every_component_is_in_an_overlay() -> None:
    """So that it is rendered, and validated with its patches."""
    used = set()
    for path in KUSTOMIZATIONS:
        content = yaml.safe_load(path.read_text())
        used |= {(path.parent / name).resolve() for name in content.get("components", [])}
    assert used == {path for path in (FOLDER / "components").iterdir() if path.is_dir()}


def given() -> dict[str, str]:
    """Return all settings that the manifests give, of all components."""
    found = dict(line.split("=", 1) for line in _lines((FOLDER / "base" / "settings.env").read_text()))
    for path in KUSTOMIZATIONS:
        for generator in yaml.safe_load(path.read_text()).get("configMapGenerator", []):
            found.update(literal.split("=", 1) for literal in generator.get("literals", []))
    for name in ("ticker", "web"):
        found |= {one["name"]: one["value"] for one in pod(name)["containers"][0].get("env", [])}
    return found


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_every_setting_exists_and_is_valid() -> None:
    """A misspelt name would have no effect."""
    table = {setting.name: setting for setting in SETTINGS}
    for name, value in given().items():
        table[name].parser.parse(value)


async def test_the_autoscaler_has_the_metrics_that_it_asks_for(relay: Relay) -> None:
    """Its rules make each of its metrics, of metrics that workers have."""
    (adapter,) = (one for one in RESOURCES if one["kind"] == "ConfigMap")
    rules = yaml.safe_load(adapter["data"]["config.yaml"])["externalRules"]
    (autoscaler,) = (one for one in RESOURCES if one["kind"] == "HorizontalPodAutoscaler")
    asked = {one["external"]["metric"]["name"] for one in autoscaler["spec"]["metrics"]}
    assert asked == {rule["name"]["as"] for rule in rules}
    told = metrics(ServerStatus()).decode()
    for rule in rules:
        used = set(re.findall(r"clock_\w+", rule["metricsQuery"] + rule["seriesQuery"]))
        assert used
        assert used <= set(re.findall(r"^# TYPE (clock_\w+)", told, re.MULTILINE))


def test_a_worker_has_time_to_drain() -> None:
    """The grace period is longer than a drain with the default settings. What does not answer gets little time."""
    drain_s = float(CLOCK_DRAIN_NOTICE.default) + float(CLOCK_DRAIN_SPREAD.default) + STRAGGLER_TIMEOUT_S
    assert not {"CLOCK_DRAIN_NOTICE", "CLOCK_DRAIN_SPREAD"} & given().keys()
    assert pod("web")["terminationGracePeriodSeconds"] > drain_s + 5
    for name in DEPLOYMENTS:
        for container in pod(name)["containers"]:
            assert container["livenessProbe"]["terminationGracePeriodSeconds"] <= 5, name


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_pod_is_restricted(name: str) -> None:
    """No privileges, a limit of memory, and none of the CPU."""
    assert pod(name)["automountServiceAccountToken"] is False
    assert pod(name)["securityContext"]["runAsNonRoot"] is True
    assert pod(name)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod(name)["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert container["resources"]["limits"].keys() == {"memory"}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_ports_and_settings_agree() -> None:
    """Of the metrics of ticker and worker."""
    for name, setting in (("ticker", "CLOCK_TICKER_METRICS_PORT"), ("web", "CLOCK_METRICS_PORT")):
        ports = {port["name"]: port["containerPort"] for port in pod(name)["containers"][0]["ports"]}
        assert ports["metrics"] == int(given()[setting])


def test_only_what_can_be_replaced_has_a_disruption_budget() -> None:
    """Redis for trials has one pod, and a budget would block the drain of its node."""
    budgets: list[Resource] = [one for one in RESOURCES if one["kind"] == "PodDisruptionBudget"]
    components = {one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] for one in budgets}
    assert components == {name for name, one in DEPLOYMENTS.items() if one["spec"]["replicas"] > 1}
    assert "redis" not in components
    assert DEPLOYMENTS["redis"]["spec"]["strategy"] == {"type": "Recreate"}


def test_the_image_is_of_this_version() -> None:
    """A release has one place more where its version is."""
    (image,) = yaml.safe_load((FOLDER / "base" / "kustomization.yaml").read_text())["images"]
    assert image == {"name": "tournament-clock", "newTag": __version__}


def test_only_files_with_whole_resources_are_validated() -> None:
    """Patches and kustomizations are not."""
    names = {path.name for path in manifests.files()}
    assert "web.yaml" in names
    assert not any(name.endswith(".patch.yaml") or name == "kustomization.yaml" for name in names)
