"""The tables of data: what waits, what units saw and did, what it adds up to."""

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Float, Identity, Index, LargeBinary, SmallInteger
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from experiments.store.tables import Base


class InboxRow(Base):
    """Packed exposures or events that a client was told are safe, until a worker has absorbed them."""

    __tablename__ = "inbox"
    __table_args__ = (Index("inbox_shard", "shard", "seq"),)

    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    shard: Mapped[int] = mapped_column(SmallInteger)
    kind: Mapped[str]
    n: Mapped[int]
    body: Mapped[bytes] = mapped_column(LargeBinary)


class ShardRow(Base):
    """A share of all units. Who absorbs into it holds the lock on its row."""

    __tablename__ = "shard"

    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)


class EventRow(Base):
    """What units did. The key drops what comes twice; `at` is in microseconds since 1970.

    The index knows for each stretch of the table its times, so that the latest events are found at next to no cost.
    """

    __tablename__ = "event"
    __table_args__ = (Index("event_at", "at", postgresql_using="brin"),)

    unit: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str]
    at: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[float]
    properties: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class ExposureRow(Base):
    """The first exposure of each unit; `crossed`: it was seen in several variants and counts in none."""

    __tablename__ = "exposure"

    unit: Mapped[UUID] = mapped_column(primary_key=True)
    experiment: Mapped[UUID] = mapped_column(primary_key=True)
    variant: Mapped[int] = mapped_column(SmallInteger)
    phase: Mapped[int] = mapped_column(SmallInteger)
    at: Mapped[int] = mapped_column(BigInteger)
    dims: Mapped[str]
    crossed: Mapped[bool]


class IdentityRow(Base):
    """A unit that turned out to be another one, and which one that is at last."""

    __tablename__ = "identity"
    __table_args__ = (Index("identity_same_as", "same_as"),)

    unit: Mapped[UUID] = mapped_column(primary_key=True)
    same_as: Mapped[UUID]


class MeasureRow(Base):
    """A metric as an experiment began with it; number 0 is the exposure itself."""

    __tablename__ = "measure"

    experiment: Mapped[UUID] = mapped_column(primary_key=True)
    metric: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    key: Mapped[str]
    definition: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    whether: Mapped[bool]
    ratio: Mapped[bool]
    low: Mapped[float | None]
    high: Mapped[float | None]
    ranked: Mapped[bool]
    steps: Mapped[int] = mapped_column(SmallInteger)


class SourceRow(Base):
    """Which events make a measure: above or below, which step of a funnel, and when they count (microseconds).

    `closes`: when the experiment ends, as far as is known; what units do from then on does not count.
    """

    __tablename__ = "source"

    experiment: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    below: Mapped[bool] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    summed: Mapped[bool]
    after: Mapped[int] = mapped_column(BigInteger)
    until: Mapped[int | None] = mapped_column(BigInteger)
    lookback: Mapped[int] = mapped_column(BigInteger)
    closes: Mapped[int | None] = mapped_column(BigInteger)


class TallyRow(Base):
    """What the events of a unit add up to for one measure, in its window and before the exposure."""

    __tablename__ = "tally"

    unit: Mapped[UUID] = mapped_column(primary_key=True)
    experiment: Mapped[UUID] = mapped_column(primary_key=True)
    metric: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    above: Mapped[float]
    below: Mapped[float]
    above_before: Mapped[float]
    below_before: Mapped[float]


class CellRow(Base):
    """The moments of a group of units. Variant -1 of measure 0 counts the units seen in several variants."""

    __tablename__ = "cell"

    experiment: Mapped[UUID] = mapped_column(primary_key=True)
    slice: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    phase: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    variant: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    bucket: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(BigInteger)
    mean: Mapped[list[float]] = mapped_column(ARRAY(Float))
    co: Mapped[list[float]] = mapped_column(ARRAY(Float))
