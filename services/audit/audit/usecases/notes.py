"""What the log itself says of its streams."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.domain.stream import Stream
from audit.ports import Work
from audit.usecases.facts import event_of
from audit.usecases.recorder import Recorder
from chassis.facts import Actor, Fact, Target


@dataclass(frozen=True, slots=True)
class Notes:
    """Writes down what was done to a stream, in the transaction that does it."""

    recorder: Recorder
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def record(
        self, work: Work, actor: Actor, verb: str, before: Stream | None, after: Stream | None
    ) -> None:
        """Add the entry of a change: `created`, `updated`, `replayed`, `paused` or `deleted`."""
        stream = after or before
        assert stream is not None
        fact = Fact(
            tenant=stream.tenant,
            actor=actor,
            action=f"audit_stream.{verb}",
            target=Target("audit_stream", str(stream.id), stream.place),
            before=before.said() if before else None,
            after=after.said() if after else None,
        )
        await self.recorder.record(work, event_of(fact, self.new_id(), self.now()))
