"""On what a run was made: versions, machine, commit and command line."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "transformer-lens", "numpy", "scipy", "scikit-learn", "statsmodels",
            "pytest", "pytest-html", "plotly", "optim-hunter")  # fmt: skip


def describe_run(command: str, started: datetime) -> dict[str, Any]:
    """Versions, machine, commit and command line of a run."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "started": started.isoformat(timespec="seconds"),
        "finished": None,
        "seconds": None,
        "device": None,
        "dtype": None,
        "command": command,
        "versions": versions(),
        "machine": {
            "platform": platform.platform(terse=True),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(memory, 1),
        },
        "commit": _commit(),
        "work": {},
        "store_problems": [],
    }


def versions() -> dict[str, str | None]:
    """Of Python and of the packages that numbers and pages depend on."""
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str | None:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() if found.returncode == 0 else None
