"""HEPMASS: simulated collisions in which a heavy particle decays (Baldi et al. 2016; UCI 347)."""

import io

import numpy as np

from flowbench.data._maf import MafTable, Splits, with_validation

# Of its least value, a column with more repetitions than these is no continuous variable.
REPETITIONS = 5


class Hepmass(MafTable):
    """Twenty-one measures of collisions with a particle of mass 1,000: 315,123 rows for training."""

    columns = 21
    rows = (315_123, 35_013, 174_987)
    members = ("hepmass/1000_train.csv", "hepmass/1000_test.csv")

    def prepared(self, *members: io.BytesIO) -> Splits:
        train, test = (signal(member) for member in members)
        test = test[:, :-1]  # which the training file does not have
        if test.shape[1] != train.shape[1]:
            raise ValueError(f"{train.shape[1]} features to train on and {test.shape[1]} to test")
        mean, deviation = train.mean(0), train.std(0, ddof=1)
        continuous = (train == train.min(0)).sum(0) <= REPETITIONS
        train, test = ((rows - mean)[:, continuous] / deviation[continuous] for rows in (train, test))
        return with_validation(train, test)


def signal(member: io.BytesIO) -> np.ndarray:
    """The features of the rows of a CSV file whose first column, the label, is 1."""
    import pandas as pd  # takes a second

    rows = pd.read_csv(member, index_col=False).to_numpy(np.float64)
    return rows[rows[:, 0] == 1, 1:]


source = Hepmass
