"""Absorbing what waits, and pausing what harms, on stand-ins for the ports."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.errors import Fault, Unavailable
from experiments.domain.analysis import Analysis, MetricRole, MetricUse
from experiments.domain.errors import ExperimentNotFound
from experiments.domain.experiment import Status
from experiments.domain.inference import moments
from experiments.domain.inference.moments import Moments
from experiments.domain.metric import Definition, MetricKind
from experiments.domain.trial import Cell, Frozen, Span, Trial
from experiments.jobs import Absorber, Guard
from experiments.ports.measuring import Parcel
from experiments.usecases.experiments import Intent
from experiments.usecases.intake import absorbed, waiting
from experiments.usecases.results import guarded, judged


class TooSlow(Fault):
    """A statement took longer than it may."""


def parcel(shard=1, mark="1-0"):
    return Parcel("event", shard, 1, b"x", mark)


async def test_what_waits_in_the_stream_and_in_the_inbox_is_absorbed_together(work, stream):
    await stream.put([parcel(mark="1-0"), parcel(mark="2-0"), parcel(shard=2)])
    await work.intake.leave([parcel(mark="")])
    assert await waiting(work, stream) == {1, 2}
    await absorbed(work, stream, 1)
    assert len(work.intake.laid) == 3
    assert await waiting(work, stream) == {2}


async def test_a_shard_that_another_worker_has_is_left_to_it(work, stream):
    await stream.put([parcel()])
    work.intake.held.add(1)
    assert await absorbed(work, stream, 1) is None
    assert await waiting(work, stream) == {1}


async def test_nothing_is_dropped_from_the_stream_when_the_transaction_fails(work, stream):
    await stream.put([parcel()])

    async def fails():
        raise Unavailable("the database does not answer")

    work.intake.absorb = fails
    with pytest.raises(Unavailable):
        await absorbed(work, stream, 1)
    assert await waiting(work, stream) == {1}


async def test_without_redis_the_inbox_is_absorbed(work, stream):
    stream.away = True
    await work.intake.leave([parcel()])
    assert await waiting(work, stream) == {1}
    assert await absorbed(work, stream, 1) is not None
    assert await absorbed(work, stream, 1) is None


async def test_metrics_are_frozen_with_the_first_data(work, stream, draft):
    metric = Frozen(number=1, key="m", definition=Definition(kind=MetricKind.COUNT, event="x"))
    work.trials.metrics = [metric]
    work.intake.unfrozen = [draft.id]
    await stream.put([parcel()])
    await absorbed(work, stream, 1)
    assert work.intake.frozen == {draft.id: [metric]}


async def test_the_absorber_wakes_at_once_and_survives_the_databases_absence(work, stream):
    absorber = Absorber(work, stream, pause=60)
    loop = asyncio.create_task(absorber.run())
    await asyncio.sleep(0)
    await stream.put([parcel()])
    absorber.wake()
    async with asyncio.timeout(30):
        while stream.kept:
            await asyncio.sleep(0)
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop
    assert len(work.intake.laid) == 1


async def test_a_shard_that_fails_stops_no_other_and_makes_the_next_batches_smaller(work, stream):
    await stream.put([parcel(shard=shard) for shard in (1, 3, 5)])
    asked, read = [], stream.read

    async def slow(shard, most):
        asked.append((shard, most))
        if shard == 1 and most > 5_000:
            raise TooSlow("the statement took too long")
        return await read(shard, most)

    stream.read = slow
    absorber = Absorber(work, stream)
    with pytest.raises(TooSlow):
        await absorber.round()
    assert await waiting(work, stream) == {1}
    assert await absorber.round() == 1
    assert await absorber.round() == 0
    assert sorted(asked) == [(1, 5_000), (1, 20_000), (3, 20_000), (5, 20_000)]


@pytest.fixture
async def harming(work, experiments, ana, draft, clock):
    """An experiment whose guardrail is twice as high in the treatment."""
    await experiments.move(ana, Intent(experiment=draft.key), "start")
    work.facts.clear()
    work.trials.kept.append(
        Trial(
            id=draft.id,
            tenant=draft.tenant,
            key=draft.key,
            owner_id="ana",
            status=Status.ACTIVE,
            variants=("control", "treatment"),
            spans=(Span(1, clock() - timedelta(days=1), None, (1, 1)),),
            uses=(MetricUse(key="errors", role=MetricRole.GUARDRAIL, more_is_better=False),),
            analysis=Analysis(),
        )
    )
    definition = Definition(kind=MetricKind.PROPORTION, event="error")
    work.trials.metrics = [Frozen(number=1, key="errors", definition=definition)]

    def lay(*hits):
        flat = Moments(5_000, (0.0, 1.0, 0.0, 0.0), (0.0,) * 10)
        cells = [Cell(0, 1, at, "", 0, flat) for at in (0, 1)]
        cells += [Cell(1, 1, at, "", 0, moments.counted(n, 5_000)) for at, n in enumerate(hits)]
        work.trials.laid = {"": cells}

    lay(250, 500)
    return lay


@pytest.fixture
def guardrails(work, harming):
    def name(*keys):
        guard = MetricRole.GUARDRAIL
        uses = tuple(MetricUse(key=key, role=guard, more_is_better=False) for key in keys)
        work.trials.kept[-1] = replace(work.trials.kept[-1], uses=uses)

    return name


async def test_an_experiment_that_harms_is_paused_once_with_its_fact(
    work, harming, clock, draft, experiments, ana
):
    paused = await guarded(work, clock())
    assert [trial.key for trial in paused] == ["checkout"]
    assert (await experiments.read(ana, "checkout")).status is Status.PAUSED
    assert work.actions == ["experiment.paused"]
    fact = work.facts[0]
    assert (fact.actor.type, fact.actor.name) == ("service", "guard")
    assert fact.reason == "a guardrail is harmed: errors in treatment"
    assert await guarded(work, clock()) == []


async def test_an_experiment_that_cannot_be_judged_keeps_no_other_from_being_paused(
    work, harming, clock
):
    broken = replace(work.trials.kept[0], id=uuid4(), key="broken", variants=())
    work.trials.kept.insert(0, broken)
    paused = await guarded(work, clock())
    assert [trial.key for trial in paused] == ["checkout"]


async def test_an_experiment_that_does_no_harm_goes_on(work, harming, clock):
    harming(250, 255)
    assert await Guard(work, clock).round() == 0
    assert work.facts == []


async def test_a_verdict_says_what_is_harmed(work, harming, clock, tenant):
    said = await judged(work, tenant, "checkout", clock())
    assert list(said.harmed) == [("treatment", "errors")]
    assert (list(said.watched), list(said.unwatched)) == (["errors"], [])
    assert said.sentence.startswith("Stop: treatment makes errors worse")
    with pytest.raises(ExperimentNotFound):
        await judged(work, tenant, "none", clock())


async def test_nothing_is_said_for_a_guard_before_harm_would_be_seen(work, harming, clock, tenant):
    flat = Moments(99, (0.0, 1.0, 0.0, 0.0), (0.0,) * 10)
    cells = [Cell(0, 1, at, "", 0, flat) for at in (0, 1)]
    cells += [Cell(1, 1, at, "", 0, moments.counted(99 * at, 99)) for at in (0, 1)]
    work.trials.laid = {"": cells}
    said = await judged(work, tenant, "checkout", clock())
    assert (list(said.harmed), list(said.watched), list(said.unwatched)) == ([], [], ["errors"])


async def test_a_guardrail_that_is_not_measured_is_not_watched(
    work, harming, clock, tenant, guardrails
):
    guardrails("errors", "slow")
    said = await judged(work, tenant, "checkout", clock())
    assert (list(said.watched), list(said.unwatched)) == (["errors"], ["slow"])


async def test_a_wrong_split_is_neither_harm_nor_its_absence(work, harming, clock, tenant):
    work.trials.laid[""][1] = Cell(
        0, 1, 1, "", 0, Moments(4_000, (0.0, 1.0, 0.0, 0.0), (0.0,) * 10)
    )
    said = await judged(work, tenant, "checkout", clock())
    assert (list(said.harmed), list(said.watched), list(said.unwatched)) == ([], [], ["errors"])
    assert said.sentence.startswith("Do not act: the traffic split is wrong")
