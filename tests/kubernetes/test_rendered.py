"""Each overlay, as kubectl renders it: its patches fit, and the result is valid. It needs no cluster."""

from pathlib import Path

import pytest

from testbed.kubernetes.manifests import OVERLAYS, Resource, problems, resources
from tests.kubernetes.cluster import NAMESPACE, kubectl


def rendered(overlay: Path) -> list[Resource]:
    """Return the resources of an overlay."""
    return resources(kubectl("kustomize", str(overlay)))


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_an_overlay_is_valid(overlay: Path) -> None:
    """By the published schemas, patches applied."""
    assert list(problems(kubectl("kustomize", str(overlay)))) == []


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_all_of_it_is_in_one_namespace(overlay: Path) -> None:
    """So that deleting that removes it."""
    spaces = {one["metadata"].get("namespace") for one in rendered(overlay) if one["kind"] != "Namespace"}
    assert spaces == {NAMESPACE}


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_ticker_and_workers_have_a_redis(overlay: Path) -> None:
    """Its address is in their settings, or in a Secret. Both have the same settings."""
    found = rendered(overlay)
    settings = {one["metadata"]["name"]: one["data"] for one in found if one["kind"] == "ConfigMap"}
    sources = []
    for one in found:
        if one["kind"] == "Deployment" and one["metadata"]["name"] in {"ticker", "web"}:
            (container,) = one["spec"]["template"]["spec"]["containers"]
            sources.append(container["envFrom"])
    assert len(sources) == 2
    assert sources[0] == sources[1]
    given = set().union(*(settings[one["configMapRef"]["name"]] for one in sources[0] if "configMapRef" in one))
    secrets = [one["secretRef"]["name"] for one in sources[0] if "secretRef" in one]
    assert ("REDIS_URL" in given) != (secrets == ["redis"])


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_every_service_finds_pods(overlay: Path) -> None:
    """The labels that Services, budgets and policies select are those of pods."""
    found = rendered(overlay)
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in found if one["kind"] == "Deployment"]
    for one in found:
        if one["kind"] == "Service":
            selected = one["spec"]["selector"]
        elif one["kind"] == "PodDisruptionBudget":
            selected = one["spec"]["selector"]["matchLabels"]
        elif one["kind"] == "NetworkPolicy":
            selected = one["spec"]["podSelector"].get("matchLabels", {})
        else:
            continue
        assert any(selected.items() <= pod.items() for pod in labels), one["metadata"]["name"]
