"""Which row goes with which column, so that the pairs cost least: exact, in numpy alone."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def pairs(cost: Floats, limit: float) -> tuple[Ints, Ints]:
    """Pair rows with columns at the least total cost, leaving a row or column alone at `limit`.

    `cost`: (n, m) float64, finite. Returns the rows and columns of the pairs, rows rising. No pair
    costs `limit` or more. Among all ways to pair, the sum of (cost - limit) is the lowest.

    Shortest augmenting paths with potentials (Kuhn 1955; Jonker and Volgenant 1987): O(n² m) at
    worst, three passes of numpy when no two rows want the same column, as in most pictures.
    """
    gain = np.minimum(cost - limit, 0.0)
    rows = np.flatnonzero((gain < 0).any(axis=1))
    columns = np.flatnonzero((gain < 0).any(axis=0))
    if not len(rows):
        return rows, columns
    gain = gain[np.ix_(rows, columns)]
    turned = len(rows) > len(columns)
    of = _cheapest(gain.T if turned else gain)
    mine = np.arange(len(of))
    a, b = (of, mine) if turned else (mine, of)
    real = gain[a, b] < 0
    a, b = a[real], b[real]
    order = np.argsort(a)
    return rows[a[order]], columns[b[order]]


def _cheapest(cost: Floats) -> Ints:
    """For each row a column of its own, at the least total cost; no more rows than columns."""
    n, m = cost.shape
    wanted = cost.argmin(axis=1)
    column_of = np.full(n, -1, np.int64)
    row_of = np.full(m, -1, np.int64)
    firsts, at = np.unique(wanted, return_index=True)
    column_of[at], row_of[firsts] = firsts, at
    # Potentials u, v: cost[i, j] - u[i] - v[j] is never negative, and 0 for every pair.
    u, v = cost[np.arange(n), wanted].copy(), np.zeros(m)
    for row in np.flatnonzero(column_of < 0).tolist():
        _augment(row, cost, u, v, column_of=column_of, row_of=row_of)
    return column_of


def _augment(
    row: int, cost: Floats, u: Floats, v: Floats, *, column_of: Ints, row_of: Ints
) -> None:
    """Give one more row a column, along the shortest path to a free one (Dijkstra)."""
    m = len(v)
    distance = np.full(m, np.inf)
    before = np.full(m, row)
    done = np.zeros(m, bool)
    reached = 0.0
    at, column = row, -1
    while True:
        through = cost[at] - u[at] - v + reached
        shorter = ~done & (through < distance)
        distance[shorter], before[shorter] = through[shorter], at
        column = int(np.where(done, np.inf, distance).argmin())
        reached = distance[column]
        if row_of[column] < 0:
            break
        done[column] = True
        at = int(row_of[column])
    passed = np.flatnonzero(done)
    u[row] += reached
    u[row_of[passed]] += reached - distance[passed]
    v[passed] -= reached - distance[passed]
    while True:
        at = int(before[column])
        row_of[column] = at
        column, column_of[at] = int(column_of[at]), column
        if at == row:
            return
