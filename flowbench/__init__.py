"""flowbench: a reproducible benchmark suite for normalizing flows."""
