"""The clock in a real cluster of two nodes or more: applies the overlays, and breaks what may break there.

    python -m tests.kubernetes [--load COMMAND] [--docs] [arguments of pytest]

It needs kubectl with access to a cluster, in which it creates the namespace `clock` and deletes it again. With `--load`
it builds the image, and that of the last release from the history. It has the command put these and the others on the
nodes: `--load "kind load docker-image"`. Without, the nodes must have the image or be able to pull it, and the tests of
two versions are skipped. With `--docs` it writes its table to docs/operations.md.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from clock import __version__
from testbed import release
from testbed.kubernetes.manifests import OVERLAYS, resources
from testbed.processes import ROOT
from tests.fault_table import run

IMAGE: Final = f"tournament-clock:{__version__}"
DOCUMENT: Final = ROOT / "docs" / "operations.md"


def missing() -> str:
    """Return what this machine lacks, or nothing."""
    if not shutil.which("kubectl"):
        return "kubectl is required"
    done = subprocess.run(["kubectl", "get", "nodes", "-o", "json"], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"kubectl must reach a cluster: {done.stderr.strip()}"
    count = len(json.loads(done.stdout)["items"])
    return "" if count > 1 else "the cluster must have two nodes or more"


def images() -> list[str]:
    """Return the images of the overlays."""
    found = set()
    for overlay in OVERLAYS:
        done = subprocess.run(["kubectl", "kustomize", str(overlay)], capture_output=True, text=True, check=True)
        for resource in resources(done.stdout):
            if resource["kind"] == "Deployment":
                found |= {container["image"] for container in resource["spec"]["template"]["spec"]["containers"]}
    return sorted(found)


def load(command: str) -> None:
    """Build the images of this version and of the last release; have a command put them and the others on the nodes."""
    settings = {**os.environ, "DOCKER_BUILDKIT": "1"}  # older versions of Docker need it for the Dockerfile
    subprocess.run(["docker", "build", "--quiet", "--tag", IMAGE, str(ROOT)], env=settings, check=True)
    subprocess.run([*shlex.split(command), *images(), release.build()], check=True)


def main() -> int:
    """Run the tests; return 0 if all pass."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--load", help="a command that puts images, its arguments, on the nodes")
    parser.add_argument("--docs", action="store_true", help="write the table to docs/operations.md")
    options, arguments = parser.parse_known_args()
    if lacks := missing():
        sys.exit(f"make kubernetes-test cannot run: {lacks}")
    if options.load:
        try:
            load(options.load)
        except release.ReleaseUnavailable as error:
            sys.exit(f"make kubernetes-test cannot run: {error}")
    return run(Path(__file__).parent, arguments, DOCUMENT if options.docs else None, "kubernetes")


if __name__ == "__main__":
    sys.exit(main())
