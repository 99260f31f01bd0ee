"""The resources in `deploy/kubernetes`, and whether they are valid by the schemas that Kubernetes publishes.

python -m testbed.kubernetes.manifests

It validates the files that hold whole resources, and needs neither kubectl nor a cluster. Patches can be validated only
where they are applied: `make kubernetes-test` renders each overlay with kubectl, and validates the result.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "deploy" / "kubernetes"
OVERLAYS: Final = tuple(sorted(path.parent for path in FOLDER.glob("overlays/*/kustomization.yaml")))

# The oldest version that knows all fields of the resources, and the newest that has published schemas here.
VERSIONS: Final = ("1.30", kubernetes_validate.latest_version())

Resource = dict[str, Any]


def files() -> list[Path]:
    """Return the files that hold whole resources: neither patches nor kustomizations."""
    return sorted(
        path
        for path in FOLDER.rglob("*.yaml")
        if path.name != "kustomization.yaml" and not path.name.endswith(".patch.yaml")
    )


def resources(text: str) -> list[Resource]:
    """Return the resources of a file, or of what kubectl has rendered."""
    return [resource for resource in yaml.safe_load_all(text) if resource]


def problems(text: str) -> Iterator[str]:
    """Yield what is wrong with each resource, one line each, also fields that a version does not know."""
    for resource in resources(text):
        name = f"{resource.get('kind')} {resource.get('metadata', {}).get('name')}"
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(resource, version, strict=True)
            except (
                kubernetes_validate.ValidationError,
                kubernetes_validate.SchemaNotFoundError,
                kubernetes_validate.InvalidSchemaError,
            ) as error:
                where = ".".join(str(part) for part in getattr(error, "path", ()))
                yield f"{name}: Kubernetes {version}: {where}: {getattr(error, 'message', error)}"


def main() -> None:
    """Validate all files; exit with 1 if there is a problem."""
    found = [f"{path.relative_to(ROOT)}: {problem}" for path in files() for problem in problems(path.read_text())]
    print("\n".join(found) or f"{len(files())} files with Kubernetes resources are valid")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
