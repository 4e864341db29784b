"""Where and how the suite runs: devices, processes, random seeds, files."""
