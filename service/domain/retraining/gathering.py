"""Rows of what a new model sees, gathered for a reference: which of them, how many, and why not.

Left out are rows that nothing should learn from (flagged ones, where the plan keeps them apart), rows with a missing
value, which a reference has none of, and rows that do not match the schema. Where too many would be, what is left is
not what the model sees, and no reference is made of it.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from detectors.anomaly.labels import OK, RowLabels
from service.domain.client_share import ClientRows, Sender, most_of_one
from service.domain.described_reference import Described, described_again, not_of_kind
from service.domain.fitted_plan import FittedPlan
from service.domain.models import BatchPosition, Cursor, LoggedBatch
from service.domain.registration import Registration
from service.domain.schema import Kind, Role, Schema
from service.domain.windows import Admission, RecentIdentifiers
from service.domain.windows.excerpt import WindowRows

MOST_LEFT_OUT = 0.1
"""Share of the rows, beside those that the plan flags of ordinary ones: beyond it the rest is something else."""
MOST_BYTES = 2**27
"""Of a reference's rows."""
_MOST_HELD = 4
"""Times the rows that are wanted, where a client's share leaves most of them out."""
_PIECES = 100


class Gathering:
    """Takes the batches behind its beginning in the log's order, until it has enough."""

    def __init__(self, registration: Registration, wanted: int, begins: BatchPosition, seen: RecentIdentifiers) -> None:
        """`seen`: the batches up to the beginning; what repeats one of them counts for nothing."""
        self._registration = registration
        self._wanted = wanted
        self.begins = begins
        by_time = registration.schema.time is not None
        self._admission = Admission(len(registration.features), Cursor(begins), seen, by_time=by_time)
        anomalies = registration.plan.anomalies
        self._share = None if anomalies is None else anomalies.largest_client_share
        ordinary = 0.0 if anomalies is None else anomalies.outlier_rate + anomalies.typical_rate
        self._most_left_out = MOST_LEFT_OUT + ordinary
        self._held: list[tuple[Sender, WindowRows]] = []
        self._counts: Counter[Sender] = Counter()
        self.left_out: Counter[str] = Counter()
        """Rows, by why."""

    @property
    def position(self) -> BatchPosition:
        """Up to here the log has been taken."""
        return self._admission.read

    @property
    def lacking(self) -> int:
        """Rows that are still wanted, each client's within its share."""
        counts = self._counts
        if self._share is None:
            return max(0, self._wanted - counts.total())
        most = most_of_one(counts, self._share)
        return max(0, self._wanted - sum(min(count, most) for count in counts.values()))

    def take(self, logged: LoggedBatch, labels: RowLabels | None) -> None:
        """`labels`: of all its rows, where the plan keeps flagged ones apart."""
        admitted = self._admission.take(logged)
        if admitted is None:
            return
        rows = WindowRows(admitted.identifier, admitted.rows, admitted.times, admitted.places)
        if labels is not None:
            rows = self._without("flagged", rows, labels.labels[rows.places] != OK)
        rows = self._without("with a missing value", rows, _missing(self._registration.schema, rows.rows))
        rows = self._without("that do not match the schema", rows, _misfits(self._registration.schema, rows.rows))
        for piece in self._pieces(rows):
            self._held.append((logged.batch.sender, piece))
            self._counts[logged.batch.sender] += len(piece.rows)

    def impossible(self) -> str:
        """Why there will not be enough, and what to do; empty where there may be."""
        held, left_out = self._counts.total(), self.left_out.total()
        if left_out > self._most_left_out * max(self._wanted, held):
            return (
                f"of {held + left_out} rows {_listed(self.left_out)} have to be left out, and the others are not what "
                "the model sees: look at these, and register a reference by hand"
            )
        if held > _MOST_HELD * self._wanted:
            return (
                f"of {held} rows too few are within anomalies.largest_client_share: "
                "allow each client more, or register a reference by hand"
            )
        return ""

    def described(self) -> Described:
        """As a reference under the same plan, in the order of time where its rows have times."""
        rows, times = self._within_share()
        registration = self._registration
        if registration.schema.time is not None:
            order = np.argsort(times, kind="stable")
            rows, times = rows[order], times[order]
        return described_again(registration.schema, registration.declared, rows, times)

    def told(self, wanted_from: BatchPosition) -> str:
        """For people: what it is made of. `wanted_from`: where it should have begun."""
        parts = [f"{self._counts.total() - self._beyond_share()} rows behind {self.begins}"]
        if self.begins != wanted_from:
            parts.append(f"those behind {wanted_from} were dropped from the log before they were gathered")
        if self.left_out:
            parts.append(f"left out were {_listed(self.left_out)}")
        return "; ".join(parts)

    def _without(self, why: str, rows: WindowRows, unwanted: NDArray[np.bool_]) -> WindowRows:
        if not unwanted.any():
            return rows
        self.left_out[why] += int(unwanted.sum())
        return rows.only(~unwanted)

    def _pieces(self, rows: WindowRows) -> Iterator[WindowRows]:
        """No more of a batch than is lacking; where clients are told apart, as exactly as that is worth."""
        places, first = np.arange(len(rows.rows)), 0
        while first < len(places) and (lacking := self.lacking):
            last = first + (lacking if self._share is None else max(1, self._wanted // _PIECES))
            yield rows.only((places >= first) & (places < last))
            first = last

    def _beyond_share(self) -> int:
        return 0 if self._share is None else self._counts.total() - len(self._within_share()[0])

    def _within_share(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        held = self._held
        if self._share is not None:
            clients = ClientRows(self._registration.model)
            for sender, rows in held:
                clients.add(sender, rows)
            clients.limit(self._share)
            held = [(sender, clients.taken(sender, rows)) for sender, rows in held]
        return np.concatenate([rows.rows for _, rows in held]), np.concatenate([rows.times for _, rows in held])


def why_never(registration: Registration, rows: int, fitted: FittedPlan) -> str:
    """What is wrong with that many rows for a new reference, whatever is in them; empty: nothing.

    `fitted`: the plan on the reference of now.
    """
    columns = len(registration.features)
    if rows * columns * 8 > MOST_BYTES:
        return f"must be at most {MOST_BYTES // (columns * 8)}, as a row has {columns} values"
    window = fitted.plan.window
    needed = fitted.blocks_needed * (window.minimum_rows if window.varies else fitted.block_rows)
    if fitted.calibration is not None and rows < needed:
        return f"must be at least {needed}: fewer do not calibrate the plan, as the reference of now does"
    return ""


def why_not(before: FittedPlan, after: FittedPlan, shortfall: str) -> str:
    """Why a new reference must not replace the old one: what is calibrated stays so."""
    if before.calibration is None or after.calibration is not None:
        return ""
    return f"the new rows do not calibrate the plan, which the reference of now does: {shortfall}"


def _listed(left_out: Counter[str]) -> str:
    return ", ".join(f"{rows} {why}" for why, rows in left_out.items())


def _missing(schema: Schema, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    asked = [place for place, column in enumerate(schema.kept) if column.role is not Role.LABEL]
    return np.asarray(np.isnan(rows[:, asked]).any(axis=1))


def _misfits(schema: Schema, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    wrong = np.zeros(len(rows), dtype=np.bool_)
    for place, column in enumerate(schema.kept):
        values = rows[:, place]
        if column.kind is Kind.CATEGORICAL:
            wrong |= ~(np.isnan(values) | np.isin(values, schema.codes[column.name]))
        elif column.binding:
            wrong |= not_of_kind(column.kind, values)
    return wrong
