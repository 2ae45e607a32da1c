"""What audit itself leaves in the log, in the transaction of what it tells of."""

from datetime import datetime
from uuid import UUID

from audit.domain.entry import PLATFORM, Event, Origin
from chassis.context import asked
from chassis.facts import Actor, Fact

SYSTEM = Actor("service", "audit", "audit")


def event_of(fact: Fact, event_id: UUID, now: datetime) -> Event:
    """Return a fact as the log takes it, with the request that it happened in."""
    request = asked()
    return Event(
        id=event_id,
        tenant=fact.tenant or PLATFORM,
        occurred_at=now,
        actor=fact.actor,
        action=fact.action,
        target=fact.target,
        origin=Origin(
            ip=request.ip[:64],
            user_agent=request.user_agent[:512],
            request_id=request.request_id,
            trace_id=request.trace_id,
            service="audit",
        ),
        before=fact.before,
        after=fact.after,
        reason=fact.reason,
        outcome=fact.outcome,
    )
