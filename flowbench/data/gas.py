"""GAS: sixteen sensors in mixtures of ethylene and carbon monoxide (Fonollosa et al. 2015; UCI 322)."""

import io

import numpy as np

from flowbench.data._maf import MafTable, Splits, in_order
from flowbench.data._pickled import read_frame

# Of two columns that are nearer to a line, the first is left out.
CORRELATION = 0.98


class Gas(MafTable):
    """Eight sensors that are not too much alike: 852,174 rows for training."""

    columns = 8
    rows = (852_174, 94_685, 105_206)
    members = ("gas/ethylene_CO.pickle",)

    def prepared(self, *members: io.BytesIO) -> Splits:
        frame = read_frame(members[0].getvalue())
        for name in ("Meth", "Eth", "Time"):  # what was in the mixture, and when
            del frame[name]
        rows = unlike(np.column_stack(list(frame.values())).astype(np.float64))
        # All splits together, as in the paper.
        return in_order((rows - rows.mean(0)) / rows.std(0, ddof=1))


def unlike(rows: np.ndarray) -> np.ndarray:
    """Rows without the columns that correlate too much with another, left out one by one from the first."""
    while (alike := (np.corrcoef(rows, rowvar=False) > CORRELATION).sum(0) > 1).any():
        rows = np.delete(rows, int(alike.argmax()), axis=1)
    return rows


source = Gas
