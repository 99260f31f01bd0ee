"""Whether what the service installs has known vulnerabilities, as far as that can be asked from here.

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


# What pip-audit complains of, when it cannot ask: of anything else it must not be silent.
OFFLINE = ("requests.exceptions.", "Could not connect", "HTTP")


def judge(printed: str, complained: str) -> tuple[bool, str]:
    """Return whether nothing is known to be wrong, and what to say, of what pip-audit printed and complained of.

    Where it cannot ask it prints nothing, and complains in its last line.
    """
    try:
        found: list[dict[str, Any]] = json.loads(printed)["dependencies"]
    except json.JSONDecodeError:
        offline = any(sign in complained for sign in OFFLINE)
        reason = (complained.strip().splitlines() or ["it said nothing"])[-1]
        return offline, f"nothing was audited, for pip-audit could not {'ask' if offline else 'run'}: {reason[:200]}"
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
    """Audit, and exit with 1 if there is a vulnerability."""
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)
    good, words = judge(done.stdout, done.stderr)
    print(words)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
