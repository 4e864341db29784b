"""POWER: a household's use of electric power by the minute over 47 months (Hebrail and Berard 2012; UCI 235)."""

import io

import numpy as np

from flowbench.data._maf import MafTable, Splits, in_order, require_columns, standardised


class Power(MafTable):
    """Six measures, with noise of a reading's last digit: 1,659,917 rows for training."""

    columns = 6
    rows = (1_659_917, 184_435, 204_928)
    members = ("power/data.npy",)

    def prepared(self, *members: io.BytesIO) -> Splits:
        rows = require_columns(np.load(members[0], allow_pickle=False), 8).astype(np.float64)
        # The paper's generator and seed, whose stream NumPy keeps, for the paper's split and noise.
        rng = np.random.RandomState(42)
        rng.shuffle(rows)
        # Without reactive power, of few values, and intensity, which active power and voltage nearly determine.
        rows = np.delete(rows, [1, 3], axis=1)
        # Up to one in a reading's last digit, in the order in which the paper's code draws; the time has no noise.
        voltage, active, meters = (rng.rand(len(rows), columns) for columns in (1, 1, 3))
        noise = [0.001 * active, 0.01 * voltage, meters, np.zeros((len(rows), 1))]
        return standardised(in_order(rows + np.hstack(noise)))


source = Power
