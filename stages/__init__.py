"""One script per DVC stage. Run one as ``python -m stages.<name>`` from the repository's root."""

from flowbench.runtime.warm import hand_over

hand_over()  # here, because what a script imports next takes seconds
