"""Statlog Landsat satellite: neighbourhoods of 3 × 3 pixels in four bands (Srinivasan 1993; UCI 146)."""

from flowbench.data._uci import UciTable


class Satimage(UciTable):
    """Nine pixels in four bands, whole grey levels from 27 to 157: 6,435 rows."""

    openml = 182
    columns = 36
    classes = 6
    whole = True
    fingerprint = "e7022668d3c7e34ce1f1952335dc897856bbfed8768fbe94b7dd96dd87fe2e10"


source = Satimage
