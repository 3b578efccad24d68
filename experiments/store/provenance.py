"""The origin of results: versions, commit, machine, processor."""

import contextlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

FAMILIES = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "arm64", "arm64": "arm64"}
"""One name for an architecture that systems name differently."""


@cache
def versions() -> dict[str, str]:
    """Return the version of each library whose change can change a result."""
    packages = {}
    for package in ("torch", "numpy", "numba", "scipy", "gymnasium", "mujoco", "ale-py", "opencv-python-headless"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = "absent"
    return {"python": platform.python_version(), **packages}


@cache
def commit() -> str:
    """Return the code's commit, with "+changes" if files differ from it; of an installed copy the version, "v0.1.0":
    a repository around it is somebody else's."""
    folder = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if not os.path.samefile(git("rev-parse", "--show-toplevel"), folder.parent):
            raise OSError("not the project's own repository")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", "../ppo", "../baselines")
        return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        with contextlib.suppress(PackageNotFoundError):
            return f"v{version('ppo-reproduction')}"
        return "unknown"


@cache
def machine() -> str:
    """Describe processor, number of cores, system."""
    return f"{_model()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


@cache
def processor() -> dict[str, Any]:
    """Describe the properties of the processor that can change the bits of a result.

    ``family``: x86-64, arm64, or the system's name of another. ``model``: its name. ``microarchitecture``: the target
    of LLVM, and so of numba. ``vector_extensions``: those by which torch and numpy choose their code.
    """
    import torch  # takes seconds to import; only training needs it

    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {
        "family": FAMILIES.get(platform.machine(), platform.machine() or "unknown"),
        "model": _model(),
        "microarchitecture": _microarchitecture(),
        "vector_extensions": {
            "torch": torch.backends.cpu.get_cpu_capability(),
            "numpy": " ".join([*simd.get("baseline", ()), *simd.get("found", ())]),
        },
    }


def _model() -> str:
    """Return the processor's name: Linux has it for x86-64 but not for arm64; other systems have no such file."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    with contextlib.suppress(KeyError, RuntimeError):  # if torch's library does not know the processor
        import torch

        return str(torch.cpu.get_capabilities()["cpu_name"])
    return platform.processor() or "unknown"


def _microarchitecture() -> str:
    """Return LLVM's name of the processor; "unknown" without numba, which contains LLVM."""
    try:
        from llvmlite import binding
    except ImportError:
        return "unknown"
    return str(binding.get_host_cpu_name()) or "unknown"


def device_name(device: str) -> str:
    """Return the device in words."""
    import torch

    return torch.cuda.get_device_name() if device.startswith("cuda") else device
