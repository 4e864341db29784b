"""Where the time of one call of ours goes: the reason why a goal is missed, and how far it could be reached."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from torch.profiler import ProfilerActivity, profile

from bench.run import call_of
from bench.timing import in_turns
from bench.works import Work, candidate

# What multiplies matrices or convolves. The arithmetic that every library has to do for the same architecture.
_PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::mkldnn_convolution", "aten::_convolution")
_PRODUCTS_BACK = ("aten::convolution_backward", "aten::mkldnn_linear_backward")
# Seconds of calls that are profiled: enough for shares of whole percents. The profiler takes far longer to tell.
_SECONDS = 0.05


class Parts(NamedTuple):
    """The parts of one call.

    Attributes:
        work, quantity: what is called.
        products: the share of the time that matrix products and convolutions take, from 0 to 1.
        operators: how many operators of torch a call starts.
        most: the operators that take most, with the share of each in the time of all operators.
    """

    work: str
    quantity: str
    products: float
    operators: int
    most: list[tuple[str, float]]

    def limit(self, ratio: float) -> float:
        """The speed over a peer if nothing but the products remained of ours, where it is ``ratio`` now."""
        return ratio / self.products if self.products else float("inf")


def parts(work: Work, quantity: str) -> Parts:
    """Profile one quantity of ours.

    The time of the whole is taken without the profiler, which slows the start of each operator, and hardly a product.
    """
    call = call_of(work, quantity, candidate(work.ours()))
    assert call
    seconds_of_call = in_turns({"": call}, rounds=5)[""].median
    calls = max(1, round(_SECONDS / seconds_of_call))
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(calls):
            call()
    seconds: Counter[str] = Counter()
    started = 0
    for event in profiled.events():
        if event.name.startswith("aten::"):
            seconds[event.name] += event.self_cpu_time_total / 1e6 / calls
            started += not event.cpu_children
    of_products = sum(seconds[name] for name in (*_PRODUCTS, *_PRODUCTS_BACK))
    most = [(name.removeprefix("aten::"), part / seconds.total()) for name, part in seconds.most_common(4)]
    return Parts(work.name, quantity, min(1.0, of_products / seconds_of_call), round(started / calls), most)
