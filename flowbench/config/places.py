"""What configurations are called, for all that need no more of them than the name."""

from pathlib import Path

# Relative to the repository's root.
PARAMS = Path("params.yaml")
# The suite that plain `dvc repro` runs. Its pipeline is that of the repository's root.
DEFAULT = "laptop"
