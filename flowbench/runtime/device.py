"""The device that a cell runs on, its clock and its memory."""

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
    """The device that a budget asks for. On a GPU, float32 keeps its full precision and each run gives the same.

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``.
        where: the file and the key that ask for it, for the message.

    Raises:
        ConfigError: ``cuda`` is asked for and there is no GPU.
    """
    # TF32 has 10 bits, which is too few for inverses and log-determinants. By default torch uses it for convolutions
    # only. `precision: bfloat16` is faster than TF32.
    torch.backends.cudnn.allow_tf32 = False
    present = wanted != "cpu" and torch.cuda.is_available()
    if wanted == "cuda" and not present:
        raise ConfigError(f"{where} = 'cuda': this machine has no GPU that torch can use; choose auto or cpu")
    if present:
        # A GPU must add in the same order each time. cuBLAS reads this variable when it is first used, and torch warns
        # about an operation that cannot.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        # No code here reads memory before it is written.
        torch.utils.deterministic.fill_uninitialized_memory = False
    return torch.device("cuda" if present else "cpu")


def clock(device: torch.device) -> float:
    """Seconds of computing so far. Only a difference of two calls has a meaning.

    On a CPU this is the time of this thread, which does not depend on other programs. On a GPU it is the wall clock.
    """
    return time.perf_counter() if device.type == "cuda" else time.thread_time()


def forget(device: torch.device) -> None:
    """Free the memory that an earlier training left on a GPU, and start a new measurement of the peak."""
    if device.type == "cuda":
        gc.collect()  # an optimiser and its schedule refer to each other
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that a device has no memory left.

    torch has no class for this error on a CPU. `for_each_seed` raises a MemoryError if a process was killed.
    """
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def describe(device: torch.device) -> dict[str, Any]:
    """The names of the device and of the host's parts, without the name of the host."""
    return {
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu(),
        "host": {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.system()},
    }


def peak_memory_mb(device: torch.device) -> float:
    """The most memory so far, in MB (10⁶ bytes).

    On a GPU this is what torch has allocated since `forget`. On a CPU it is the resident memory of this process.
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
