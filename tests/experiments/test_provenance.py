"""What is recorded of the machine, against what Linux says of it and on machines that nobody has heard of."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.store import provenance

CPUINFO = Path("/proc/cpuinfo")
on_linux_x86 = pytest.mark.skipif(
    not CPUINFO.exists() or platform.machine() != "x86_64", reason="Linux lists the flags of an x86-64 processor"
)


@pytest.fixture
def processor():
    """What is recorded now, not what was before."""
    return provenance.processor.__wrapped__


def flags_of_linux():
    (flags, *_) = (line for line in CPUINFO.read_text().splitlines() if line.startswith("flags"))
    return set(flags.partition(":")[2].split())


@on_linux_x86
def test_vector_extensions_are_those_that_linux_lists(processor):
    recorded, flags = processor(), flags_of_linux()
    assert recorded["family"] == "x86-64"
    torchs, numpys = (recorded["vector_extensions"][name] for name in ("torch", "numpy"))
    torch_has_avx512 = {"avx512f", "avx512vl", "avx512bw", "avx512dq", "fma"} <= flags
    torch_has_avx2 = {"avx2", "fma"} <= flags
    assert torchs == ("AVX512" if torch_has_avx512 else "AVX2" if torch_has_avx2 else "DEFAULT")
    assert ("avx2" in flags) == any(name in numpys.split() for name in ("AVX2", "X86_V3"))
    assert ("avx512vl" in flags) == any(name in numpys.split() for name in ("AVX512_SKX", "X86_V4"))


@on_linux_x86
def test_vector_extensions_are_those_used():
    """Vector extensions are those that are used, not all that there are."""
    say = "import json; from experiments.store import provenance; print(json.dumps(provenance.processor()))"
    told = {**os.environ, "ATEN_CPU_CAPABILITY": "default", "NPY_DISABLE_CPU_FEATURES": "X86_V3"}
    said = subprocess.run([sys.executable, "-c", say], env=told, capture_output=True, text=True, check=True).stdout
    used = json.loads(said)["vector_extensions"]
    assert used["torch"] == "DEFAULT"
    assert used["numpy"].split()[0] == "X86_V2"
    assert "X86_V3" not in used["numpy"].split()


@pytest.mark.parametrize(
    ("system", "family"), [("AMD64", "x86-64"), ("aarch64", "arm64"), ("arm64", "arm64"), ("riscv64", "riscv64")]
)
def test_a_family_has_one_name_whatever_the_system_calls_it(processor, system, family, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: system)
    assert processor()["family"] == family


def test_of_an_unknown_processor_what_is_unknown_is_called_that(processor, monkeypatch):
    def unreadable(path):
        raise PermissionError(path)

    def unheard_of():
        raise RuntimeError("cpuinfo: processor not supported")

    monkeypatch.setattr(platform, "machine", lambda: "")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(Path, "read_text", unreadable)
    monkeypatch.setattr(torch.cpu, "get_capabilities", unheard_of)
    monkeypatch.setitem(sys.modules, "llvmlite", None)  # not installed
    monkeypatch.setattr(np, "show_config", lambda mode: {})
    recorded = processor()
    assert {name: recorded[name] for name in ("family", "model", "microarchitecture")} == {
        "family": "unknown",
        "model": "unknown",
        "microarchitecture": "unknown",
    }
    assert recorded["vector_extensions"]["numpy"] == ""


def test_without_a_name_from_linux_torch_or_the_system_gives_it(processor, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path: "processor : 0\nCPU part : 0xd0c\n")  # as Linux has it on arm64
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "arm64", "cpu_name": "ARM Neoverse"})
    assert processor()["model"] == "ARM Neoverse"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"architecture": "riscv64"})
    monkeypatch.setattr(platform, "processor", lambda: "riscv")
    assert processor()["model"] == "riscv"
