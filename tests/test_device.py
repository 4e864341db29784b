"""The clock that computing is timed by."""

import time

import torch

from flowbench.device import clock

CPU = torch.device("cpu")


def test_the_clock_of_a_cpu_goes_on_while_it_computes_and_stands_still_while_it_waits():
    begin = clock(CPU)
    time.sleep(0.3)
    waited = clock(CPU) - begin
    while clock(CPU) - begin < 0.1:  # ends only if the clock goes on
        torch.randn(100_000).sort()
    assert waited < 0.1
