"""How an energy is turned on while a flow learns it."""


def beta(step: int, anneal_steps: int) -> float:
    """β = min(1, 0.01 + step / anneal_steps), the share of log p that counts at a step (Rezende & Mohamed 2015,
    1505.05770, section 6.1)."""
    return min(1.0, 0.01 + step / anneal_steps)
