"""Checks the packages of the service for known vulnerabilities, if the database can be reached.

python -m tests.project.audit
"""

import json
import subprocess
import sys
from typing import Any

from testbed.processes import ROOT

COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"),
    *("--requirement", "requirements.txt", "--disable-pip", "--require-hashes"),
]


# What pip-audit prints to standard error if it cannot reach the database. Any other error is a failure.
OFFLINE = ("requests.exceptions.", "Could not connect", "HTTP")


def judge(output: str, errors: str) -> tuple[bool, str]:
    """Return whether the audit passes, and a text about it, from pip-audit's output and its errors.

    If pip-audit cannot reach the database, it prints nothing, and the last line of its errors is the reason.
    """
    try:
        found: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except json.JSONDecodeError:
        offline = any(sign in errors for sign in OFFLINE)
        reason = (errors.strip().splitlines() or ["no reason given"])[-1]
        return offline, f"not audited: pip-audit could not {'reach the database' if offline else 'run'}: {reason[:200]}"
    lines = [
        f"{one['name']} {one['version']} has {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no version'}"
        for one in found
        for flaw in one.get("vulns", [])
    ]
    audited = [one for one in found if "skip_reason" not in one]
    return not lines, "\n".join(
        [*lines, f"audited {len(audited)} of {len(found)} packages: {len(lines)} vulnerabilities"]
    )


def main() -> None:
    """Audit; exit with 1 if there is a vulnerability or pip-audit could not run."""
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)
    passes, text = judge(done.stdout, done.stderr)
    print(text)
    sys.exit(0 if passes else 1)


if __name__ == "__main__":
    main()
