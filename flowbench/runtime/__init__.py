"""How the suite runs: devices, processes, random seeds, files, errors."""
