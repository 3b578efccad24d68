"""Where numbers come from: versions, commit, machine."""

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


@cache
def versions() -> dict[str, str]:
    """Everything whose change can change a result."""
    packages = {}
    for package in ("torch", "numpy", "numba", "scipy", "gymnasium", "mujoco", "ale-py", "opencv-python-headless"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = "absent"
    return {"python": platform.python_version(), **packages}


@cache
def commit() -> str:
    """The code's commit, with "+changes" if files differ from it; "unknown" outside a checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", "../ppo", "../baselines")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@cache
def machine() -> str:
    """Processor, number of cores, system."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return f"{processor}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def device_name(device: str) -> str:
    """The device in words."""
    return torch.cuda.get_device_name() if device.startswith("cuda") else device
