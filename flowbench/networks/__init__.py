"""Conditioner networks: what the parameters of an invertible map are computed by."""
