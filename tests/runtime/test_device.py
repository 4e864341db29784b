"""Where a cell runs, and the clock that computing is timed by."""

import subprocess
import sys
import time

import torch

from flowbench.runtime.device import clock

CPU = torch.device("cpu")


def test_the_clock_of_a_cpu_goes_on_while_it_computes_and_stands_still_while_it_waits():
    begin = clock(CPU)
    time.sleep(0.3)
    waited = clock(CPU) - begin
    while clock(CPU) - begin < 0.1:  # ends only if the clock goes on
        torch.randn(100_000).sort()
    assert waited < 0.1


def test_a_gpu_adds_up_in_one_order():
    # In a process of its own, for the setting is torch's own and stays.
    program = (
        "import os, torch; from flowbench.runtime import device; torch.cuda.is_available = lambda: True;"
        "assert not torch.are_deterministic_algorithms_enabled(); device.pick('cpu', '');"
        "assert not torch.are_deterministic_algorithms_enabled(); assert device.pick('auto', '').type == 'cuda';"
        "assert torch.are_deterministic_algorithms_enabled() and os.environ['CUBLAS_WORKSPACE_CONFIG']"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
