"""Pen-based recognition of handwritten digits (Alpaydin and Alimoglu 1996; UCI 81)."""

from flowbench.data._uci import UciTable


class Pendigits(UciTable):
    """Eight points along the pen's way, whole coordinates from 0 to 100: 10,992 rows."""

    openml = 32
    columns = 16
    classes = 10
    whole = True
    fingerprint = "150b2bd8763d58fdb568ee52be7a479e59dac8d5b07614accff8156d8d062be5"


source = Pendigits
