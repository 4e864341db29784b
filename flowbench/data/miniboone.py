"""MINIBOONE: electron neutrinos among muon neutrinos (Roe et al. 2005; UCI 199)."""

import io

import numpy as np

from flowbench.data._maf import MafTable, Splits, in_order, require_columns, standardised


class Miniboone(MafTable):
    """Forty-three measures without outliers, as the archive has them: 29,556 rows for training."""

    columns = 43
    rows = (29_556, 3_284, 3_648)
    members = ("miniboone/data.npy",)

    def prepared(self, *members: io.BytesIO) -> Splits:
        rows = require_columns(np.load(members[0], allow_pickle=False), self.columns).astype(np.float64)
        return standardised(in_order(rows))


source = Miniboone
