"""What a reader sees: tables, figures and pages. The sentences are in ``templates/``."""
