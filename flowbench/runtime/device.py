"""Where a cell runs, and what the run cost."""

from __future__ import annotations

import gc
import os
import platform
import resource
import time
from pathlib import Path
from typing import Any

import torch

from flowbench.config import ConfigError


def pick(wanted: str, where: str) -> torch.device:
    """The device that a budget asks for; float32 there means float32 from now on, and one run is as the next.

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``.
        where: the file and the key that ask for it, for the message.

    Raises:
        ConfigError: a GPU is asked for by name and there is none.
    """
    # The 10 bits of TF32 would spoil inverses and log-determinants. torch leaves matrix products alone, but not
    # convolutions. Who wants speed says `precision: bfloat16`, which is faster still.
    torch.backends.cudnn.allow_tf32 = False
    present = wanted != "cpu" and torch.cuda.is_available()
    if wanted == "cuda" and not present:
        raise ConfigError(f"{where} = 'cuda': this machine has no GPU that torch can use; choose auto or cpu")
    if present:
        _determine()
    return torch.device("cuda" if present else "cpu")


def _determine() -> None:
    """Let a GPU add up in the same order each time; an operation that cannot says so in a warning."""
    # cuBLAS reads this when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory before it is written.
    torch.utils.deterministic.fill_uninitialized_memory = False


def clock(device: torch.device) -> float:
    """Seconds of computing so far, for differences.

    On a CPU those of this thread, which what else runs there does not lengthen; on a GPU those of the wall clock.
    """
    return time.perf_counter() if device.type == "cuda" else time.thread_time()


def forget(device: torch.device) -> None:
    """Free what a training before has left on a GPU, and measure its peak memory afresh."""
    if device.type == "cuda":
        gc.collect()  # an optimiser and its schedule hold each other
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that a device has no memory left; of a CPU's torch has no class for it.

    That of `parallel.for_each_seed` is one, where the kernel killed a process.
    """
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def describe(device: torch.device) -> dict[str, Any]:
    """Names of the device and of the host's parts: never its host name."""
    return {
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu(),
        "host": {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.system()},
    }


def peak_memory_mb(device: torch.device) -> float:
    """Most memory so far, in MB (10⁶ bytes).

    On a GPU that of torch's allocator since `forget`, else the resident memory of this process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
