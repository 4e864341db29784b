"""Numerical methods that serve flows and metrics: quadrature, assignment, roots."""
