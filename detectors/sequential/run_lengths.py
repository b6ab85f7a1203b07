"""Thresholds that keep a stated expected run time, from simulated streams in which nothing happens.

All statistics of a detector - windows, directions, features - share one threshold after each is standardised by what
its own largest values in a stream are like, so that they share the false alarms as well. A stream's run length is
where the largest standardised statistic first exceeds that threshold. Neighbouring rows' statistics are anything but
independent (their windows overlap), so nothing is computed from the distribution of a single row's: run lengths are
observed. Of runs that outlast the simulation, the rest is taken to be memoryless once windows have filled, and its mean
is estimated as for lifetimes that are watched for a limited time: total time at risk by number of alarms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from detectors.arrays import frozen
from detectors.calibration import Progress
from detectors.sequential.results import Values
from detectors.sequential.streams import Population, Stream

MAXIMUM_RUN_TIME = 10_000_000
MAXIMUM_SIMULATED_ROWS = 1_000_000_000

_PIECES = 128
"""A simulated stream is remembered as the largest statistics in so many pieces."""
_FEWEST_STREAMS, _MOST_STREAMS = 128, 1024
_FEWEST_ALARMS = 10  # a mean of fewer run lengths is no evidence
_ENOUGH_ALARMS = 40  # with fewer at the stated run time, the tail is extrapolated from all there are

Statistics = Callable[[Stream], Values]
"""From a stream to its statistics, shape (rows, statistics, k), NaN where there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class RunTime:
    """The expected run time to a false alarm, and how well the simulation knows it."""

    expected: int
    """Rows, as stated."""
    streams: int
    """Simulated."""
    stream_rows: int
    """Rows in each of them."""
    alarms: int
    """Streams among them that ran into an alarm at these thresholds."""
    extrapolated: bool
    """There were too few such alarms to observe so long a run time; the tail of shorter ones was continued."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """How many streams of how many rows."""

    expected: int
    streams: int
    piece: int
    """Rows in a piece."""
    warm_up: int
    """Rows at the start of a stream while alarms are rarer than later."""

    @classmethod
    def of(cls, expected: int, simulated_rows: int, warm_up: int) -> Self:
        """Streams as long as the run time where that leaves enough of them, and shorter ones otherwise.

        Never so short that most of it is warming up, though, and never too few: more rows are simulated then.
        """
        wanted = min(expected, simulated_rows // _FEWEST_STREAMS)
        piece = max(-(-max(wanted, 8 * warm_up) // _PIECES), 1)
        streams = min(max(simulated_rows // (piece * _PIECES), _FEWEST_STREAMS), _MOST_STREAMS)
        return cls(expected, streams, piece, warm_up)

    @property
    def rows(self) -> int:
        """Of one stream."""
        return self.piece * _PIECES


def learn(
    simulation: Simulation,
    population: Population,
    statistics: Statistics,
    *,
    seed: int,
    least: Values,
    progress: Progress | None,
) -> tuple[Values, RunTime]:
    """Thresholds of the shape that `least` has: what a statistic that never moved in any stream may move by."""
    maxima = np.full((simulation.streams, _PIECES, least.size), -np.inf)
    for number in range(simulation.streams):
        observed = statistics(population.stream(seed, number, simulation.rows))
        np.fmax.reduce(observed.reshape(_PIECES, simulation.piece, -1), axis=1, out=maxima[number], initial=-np.inf)
        if progress is not None:
            progress(number + 1, simulation.streams)
    location, scale = _standard(maxima, least.ravel())
    scores = ((maxima - location) / scale).max(axis=2, initial=-np.inf)
    level, alarms, extrapolated = _level(np.maximum.accumulate(scores, axis=1), simulation)
    thresholds = np.where(np.isfinite(location), location + level * scale, np.nan).reshape(least.shape)
    found = RunTime(simulation.expected, simulation.streams, simulation.rows, alarms, extrapolated)
    return frozen(thresholds), found


def _standard(maxima: Values, least: Values) -> tuple[Values, Values]:
    """Location and scale of each statistic: what is usual in a piece, and how far above it a whole stream gets.

    The location is infinite where too little could be measured.
    """
    largest = maxima.max(axis=1)
    location, scale = np.full(len(least), np.inf), np.ones(len(least))
    for column in np.flatnonzero(np.isfinite(largest).sum(axis=0) * 2 > len(largest)):
        pieces, streams = maxima[:, :, column], largest[:, column]
        location[column] = np.median(pieces[np.isfinite(pieces)])
        above = np.median(streams[np.isfinite(streams)]) - location[column]
        scale[column] = max(above, least[column])
    return location, scale


def _level(records: Values, simulation: Simulation) -> tuple[float, int, bool]:
    """The standardised threshold, the alarms at it, and whether it was extrapolated.

    `records`, shape (streams, pieces), is the largest score so far.
    """
    finals = np.sort(records[:, -1])
    if finals[-1] <= 0:  # nothing ever moved, or nothing could be measured
        return 1.0, 0, True
    finals = np.maximum(finals, 0.0)
    levels = np.unique(finals[:-_FEWEST_ALARMS])
    alarms = len(finals) - np.searchsorted(finals, levels, side="right")
    means = np.array([_mean_run_length(records, level, simulation) for level in levels])
    observed = int(alarms[np.argmin(np.abs(np.log(means / simulation.expected)))])
    extrapolated = observed < _ENOUGH_ALARMS
    near = np.abs(np.log(means / simulation.expected)) < np.log(3)
    chosen = np.ones(len(levels), dtype=np.bool_) if extrapolated or near.sum() < 8 else near
    level = _solve(levels[chosen], np.log(means[chosen]), np.sqrt(alarms[chosen]), float(np.log(simulation.expected)))
    return level, int((finals > level).sum()), extrapolated


def _mean_run_length(records: Values, level: float, simulation: Simulation) -> float:
    """What was seen of the runs, and for those that outlast the simulation what is expected of them.

    That is the time at risk by alarms, both after the warm-up. A run ends in the middle of the piece its alarm is in.
    """
    pieces = (records <= level).sum(axis=1)
    ended = pieces < _PIECES
    lengths = (pieces + 0.5 * ended) * simulation.piece
    at_risk = np.maximum(lengths - simulation.warm_up, 0).sum()
    alarms = int((ended & (lengths > simulation.warm_up)).sum())
    return float(lengths.mean() + (1 - ended.mean()) * at_risk / max(alarms, 1))


def _solve(levels: Values, logarithms: Values, weights: Values, target: float) -> float:
    """Where the smooth curve through (level, log run length) is at the target.

    The tails at hand are exponential or lighter, so beyond the levels a parabola that bends down is noise: there, and
    where the parabola does not reach the target, a straight line is taken.
    """
    spread = float(levels[-1] - levels[0])
    if len(levels) < 3 or spread <= 0:
        return float(levels[np.searchsorted(logarithms, target).clip(0, len(levels) - 1)])
    place = (levels - levels[0]) / spread
    curved, sloped, fixed = np.polyfit(place, logarithms, 2, w=weights).tolist()
    inside = sloped**2 - 4 * curved * (fixed - target)
    if inside >= 0 and sloped + np.sqrt(inside) > 0:
        root = 2 * (target - fixed) / (sloped + np.sqrt(inside))  # the one on the ascent
        if root <= 1 or (curved >= 0 and sloped + 2 * curved > 0):
            return float(levels[0] + root * spread)
    sloped, fixed = np.polyfit(place, logarithms, 1, w=weights).tolist()
    return float(levels[0] + (target - fixed) / max(sloped, 1e-9) * spread)
