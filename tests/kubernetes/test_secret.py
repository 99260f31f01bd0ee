"""The command in docs/operations.md that creates the Secret, as kubectl understands it. It needs no cluster."""

import base64
import json
import shlex

import yaml

from testbed.kubernetes.manifests import FOLDER
from tests.kubernetes.cluster import NAMESPACE, kubectl
from tests.project.documents import ROOT, commands

OPERATIONS = ROOT / "docs" / "operations.md"


def test_the_command_creates_the_secret_that_the_clock_reads() -> None:
    """Of the name that the component has, with the address of Redis."""
    (command,) = {one for one in commands(OPERATIONS) if " create secret " in one}
    program, *arguments = shlex.split(command)
    assert program == "kubectl"
    created = json.loads(kubectl(*arguments, "--dry-run=client", "--output=json"))
    (patch,) = yaml.safe_load((FOLDER / "components" / "redis-external" / "secret.patch.yaml").read_text())
    assert created["kind"] == "Secret"
    assert created["metadata"]["namespace"] == NAMESPACE
    assert created["metadata"]["name"] == patch["value"]["secretRef"]["name"]
    assert base64.b64decode(created["data"]["REDIS_URL"]).startswith(b"rediss://")
