"""BSDS300: patches of 8 × 8 grey pixels of natural photographs (Martin et al. 2001)."""

import io

from flowbench.data import SPLITS
from flowbench.data._maf import MafTable, Splits, require_columns


class Bsds300(MafTable):
    """Patches with noise and without their mean, as the archive has them: 1,000,000 rows for training.

    Since they add up to nothing, the last pixel, at the bottom right, is left out. They are not standardised.
    """

    columns = 63
    rows = (1_000_000, 50_000, 250_000)
    members = ("BSDS300/BSDS300.hdf5",)

    def prepared(self, *members: io.BytesIO) -> Splits:
        import h5py  # slow

        with h5py.File(members[0], "r") as file:
            return {split: require_columns(file[split][()], self.columns) for split in SPLITS}


source = Bsds300
