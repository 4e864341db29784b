"""How a number is written."""

from __future__ import annotations

import math
from typing import TypeGuard

from flowbench.metrics import Form
from flowbench.report.judgement.estimates import Estimate

# From here on digits say nothing; a training that ends there is as good as diverged.
ASTRONOMIC = 1e12
# An interval of a positive quantity reaches further up than down; from this ratio on both of its ends are written.
_LOPSIDED = 1.25


def spread(e: Estimate | None, *, count: bool = True) -> str:
    """A mean with its interval, to two digits of the interval and no more than four decimals or three digits.

    ``0.2184 ± 0.0021``, or where the interval is lopsided ``0.023 (0.011 to 0.049)``. Of two seeds both values,
    ``0.21, 0.24``, and of one ``0.21 (n = 1)``, without the ``count`` where the table says it once.
    """
    if e is None or not _ordinary(e.value):
        return _unusual(e.value if e else None)
    if not e.known:
        places = _places(abs(e.value) / 100)
        if e.seeds == 2 and all(map(math.isfinite, e.values)):
            return ", ".join(fixed(value, places) for value in e.values)
        return fixed(e.value, places) + (f" (n = {e.seeds})" if count else "")
    below, above = e.value - e.low, e.high - e.value
    half = max(below, above)
    places = min(_places(half), max(4, _places(abs(e.value) / 10)))
    if above > _LOPSIDED * below:
        if not _ordinary(e.high):
            return f"{significant(e.value)} (up to {_unusual(e.high)})"
        places = max(places, min(_places(below), _places(e.low)))
        return f"{fixed(e.value, places)} ({fixed(e.low, places)} to {significant(e.high, 2)})"
    written = f"{half:,.{places}f}"
    return f"{fixed(e.value, places)} ± {written if half >= 0.5 * 10.0**-places else f'<{10.0**-places:.{places}f}'}"


def significant(value: float | None, digits: int = 3) -> str:
    """A number to some significant digits, without an exponent and with thousands apart."""
    if not _ordinary(value):
        return _unusual(value)
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return fixed(round(value, places), max(0, places))


def fixed(value: float, places: int) -> str:
    """With a proper minus sign, and none before a zero."""
    return f"{round(value, places) + 0.0:,.{places}f}".replace("-", "−")


def signed(value: float) -> str:
    """A difference to two digits, with its sign."""
    return f"+{significant(value, 2)}".replace("+−", "−")


def at_most(value: float, digits: int = 2) -> str:
    """A value rounded up to some significant digits."""
    if not _ordinary(value) or value == 0:
        return significant(value, digits)
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1)
    # A value that is off by its last bit is not rounded up by a whole unit.
    return significant(math.ceil(round(value / unit, 9)) * unit, digits)


def span(low: float, high: float) -> str:
    """The smallest and the largest of some numbers, ``14–16``; one number where they are written alike."""
    ends = list(dict.fromkeys(significant(value, 2) for value in (low, high)))
    return "–".join(ends) if len(ends) > 1 else significant(high)


def written(e: Estimate | None, form: Form, *, count: bool = True) -> str:
    """A metric in the form that the catalogue gives it; ``count`` as in `spread`."""
    if e is None:
        return "–"
    if form == "interval":
        return spread(e, count=count)
    if form in ("range", "times"):
        return span(e.least, e.most) + " ×" * (form == "times")
    if not e.finite:
        return _unusual(e.value)
    if form == "count":
        return f"{e.value:,.0f}"
    if form == "share":
        return fixed(e.value, 4)
    return {"mean": significant, "power": power, "rate": rate}[form](e.value)


def power(value: float | None) -> str:
    """A size that spans many orders: ``2.4 × 10⁻⁷``."""
    if not _ordinary(value):
        return _unusual(value)
    if value == 0:
        return "0"
    return _powers_of_ten(value)


def rate(value: float | None) -> str:
    """A throughput to three digits: ``12.3 k``, ``1.20 M``."""
    if value is None or not math.isfinite(value):
        return significant(value)
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{significant(value / size)} {unit}"
    return significant(value)


def _ordinary(value: float | None) -> TypeGuard[float]:
    """Whether the digits of ``value`` say something."""
    return value is not None and abs(value) < ASTRONOMIC


def _unusual(value: float | None) -> str:
    """What is written where digits would say nothing."""
    if value is None:
        return "–"
    return _powers_of_ten(value) if math.isfinite(value) else "not finite"


def _powers_of_ten(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.replace('-', '−')} × 10{raised}"


def _places(value: float) -> int:
    """Decimal places that show two digits of ``value``."""
    return max(0, 1 - math.floor(math.log10(value))) if value > 0 else 4
