"""The metric catalogue: everything that the suite measures, and all that must be known of it to use a value.

Whoever prints, combines or compares a metric asks here. An evaluation only names the values that it returns.
"""

from flowbench.metrics.catalogue import FEW_EVALUATIONS, LATENT_STDS, METRICS, STARTS, of_family, stored_facts
from flowbench.metrics.metric import Family, Form
from flowbench.metrics.values import Measured, over

__all__ = [
    "FEW_EVALUATIONS",
    "LATENT_STDS",
    "METRICS",
    "STARTS",
    "Family",
    "Form",
    "Measured",
    "of_family",
    "over",
    "stored_facts",
]
