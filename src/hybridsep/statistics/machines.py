"""What another processor changes: trials of one row that ran on unlike machines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MachineEffect:
    """Error on one machine less that on the first, in points, with its standard error, degrees of freedom and p."""

    machine: int
    mean: float
    error: float
    df: int
    p: float


def machine_effects(errors: np.ndarray, rows: np.ndarray, machines: np.ndarray) -> list[MachineEffect]:
    """Return the effect of each machine but the first, rows being held apart (ordinary least squares, statsmodels).

    `errors`, `rows` and `machines` are (trials,); rows and machines are numbered from 0. Machines can be told apart
    only where some row ran on both; where they cannot, the list is empty.
    """
    count = int(machines.max()) + 1 if len(machines) else 0
    design = [rows == row for row in np.unique(rows)] + [machines == machine for machine in range(1, count)]
    matrix = np.array(design, dtype=float).T
    if count < 2 or np.linalg.matrix_rank(matrix) < matrix.shape[1] or len(errors) <= matrix.shape[1]:
        return []
    from statsmodels.api import OLS

    fit = OLS(errors, matrix).fit()
    return [
        MachineEffect(
            machine=machine,
            mean=float(fit.params[machine - count]),
            error=float(fit.bse[machine - count]),
            df=int(fit.df_resid),
            p=float(fit.pvalues[machine - count]),
        )
        for machine in range(1, count)
    ]


def adjusted(errors: np.ndarray, machines: np.ndarray, effects: Sequence[MachineEffect]) -> np.ndarray:
    """Return the errors as if all trials had run on the first machine."""
    change = np.zeros(int(machines.max()) + 1 if len(machines) else 1)
    for effect in effects:
        change[effect.machine] = effect.mean
    return errors - change[machines]
