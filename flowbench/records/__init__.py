"""What a cell leaves on disk, and what DVC's lock says of it.

Import from the modules: a training that imports `records.training` then does not depend on the metric catalogue.
"""
