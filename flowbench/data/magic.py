"""MAGIC gamma telescope: simulated showers of gamma rays and of hadrons (Bock et al. 2004; UCI 159)."""

from flowbench.data._uci import UciTable


class Magic(UciTable):
    """Ten measures of a shower's picture, real numbers: 19,020 rows, of which 115 repeat another's features."""

    openml = 1120
    columns = 10
    classes = 2
    whole = False
    fingerprint = "b7bf97202da5b6bda6c78fb91381bae39562465ae3e5dabf4eda6b72e24306cb"


source = Magic
