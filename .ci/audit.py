# ruff: noqa: INP001  a script beside the package, not part of one
"""Ask for known vulnerabilities of what is installed: `make audit`.

Exit code 1 names them. Where the vulnerability data cannot be had (no network, a mirror without it), nothing was
looked at: that is said in one line and is no failure, and never looks like «no vulnerabilities».
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

LONGEST_SECONDS = 180


def main() -> int:
    """Run pip-audit and tell what it found, or that it could not look."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--skip-editable"],
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return skipped(f"no answer within {LONGEST_SECONDS} s")
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return skipped("pip-audit is not installed" if "No module named" in done.stderr else "no data could be fetched")
    return told(found)


def told(found: list[dict[str, Any]]) -> int:
    """Print what was found; return the exit code."""
    looked_at = [package for package in found if "skip_reason" not in package]
    if not looked_at:
        return skipped("the package index has no vulnerability data")
    vulnerable = [package for package in looked_at if package["vulns"]]
    for package in vulnerable:
        for fault in package["vulns"]:
            fixed = ", ".join(fault.get("fix_versions", ())) or "no version yet"
            sys.stdout.write(f"{package['name']} {package['version']}: {fault['id']}, fixed in {fixed}\n")
    unknown = len(found) - len(looked_at)
    sys.stdout.write(f"audit: {len(looked_at)} packages looked at, {len(vulnerable)} vulnerable, {unknown} unknown\n")
    return 1 if vulnerable else 0


def skipped(reason: str) -> int:
    """Say that nothing was looked at."""
    sys.stdout.write(f"audit skipped: {reason}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
