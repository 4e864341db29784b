"""What all tests share: one thread each, no window, and nothing read from or written to the user's own settings."""

import os

from hypothesis import settings

# Set before torch is imported. Results must not depend on the number of threads, and few cores are shared.
os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "DO_NOT_TRACK": "true"}
os.environ.pop("MLFLOW_TRACKING_URI", None)

# Tests that commit in a repository of their own need a name, and must not depend on the user's.
for role in ("AUTHOR", "COMMITTER"):
    os.environ |= {f"GIT_{role}_NAME": "flowbench", f"GIT_{role}_EMAIL": "flowbench@example.org"}

# The same examples in each run, without a limit of time that a busy machine would exceed.
settings.register_profile("flowbench", derandomize=True, deadline=None)
settings.load_profile("flowbench")
