"""The metric catalogue: everything that the suite measures, and all that must be known of it to use a value.

Whoever prints, combines or compares a metric asks here. An evaluation only names the values that it returns.

A file of one's own in ``plugins/metrics/``, or a module that an installed package contributes by the entry point
``flowbench.metrics``, has entries in a dictionary ``METRICS`` and a function ``measure(subject)``, which returns values
by name, each a `Measured`. A function ``applies(subject)`` may say when.
"""

from flowbench.config import plugins
from flowbench.metrics.catalogue import FEW_EVALUATIONS, LATENT_STDS, METRICS, STARTS, of_family, stored_facts
from flowbench.metrics.metric import Family, Form, Metric
from flowbench.metrics.values import Measured, over

__all__ = [
    "CONTRIBUTED",
    "FEW_EVALUATIONS",
    "LATENT_STDS",
    "METRICS",
    "STARTS",
    "Family",
    "Form",
    "Measured",
    "Metric",
    "of_family",
    "over",
    "stored_facts",
]

__path__.append(plugins.own("metrics"))

# Modules with metrics of one's own, whose entries join the catalogue.
CONTRIBUTED = plugins.load_all(__name__, [plugins.own("metrics")])
for _module in CONTRIBUTED:
    METRICS.update(_module.METRICS)
