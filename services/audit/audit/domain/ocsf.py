"""Entries as others' tools know them: CloudEvents 1.0 whose data are OCSF 1.3 events (API Activity, class 6003)."""

from typing import Any

from audit.domain.entry import Entry, instant
from chassis.facts import Outcome

_CLASS, _CATEGORY = 6003, 6
_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99
_ACTIVITIES = {
    "created": _CREATE,
    "registered": _CREATE,
    "invited": _CREATE,
    "exported": _READ,
    "updated": _UPDATE,
    "changed": _UPDATE,
    "toggle_enabled": _UPDATE,
    "toggle_disabled": _UPDATE,
    "deleted": _DELETE,
    "erased": _DELETE,
    "revoked": _DELETE,
}
_NAMES = {_CREATE: "Create", _READ: "Read", _UPDATE: "Update", _DELETE: "Delete", _OTHER: "Other"}
_USERS = {"user": 1, "service_account": 4, "service": 3}


def cloud_event(entry: Entry, source: str) -> dict[str, Any]:
    """Return an entry as a CloudEvent; `sequence` is its number in the log."""
    event = entry.event
    return {
        "specversion": "1.0",
        "id": str(event.id),
        "source": source,
        "type": f"switchyard.audit.{event.action}",
        "subject": f"{event.target.type}/{event.target.id}",
        "time": instant(event.occurred_at),
        "sequence": str(entry.seq),
        "datacontenttype": "application/json",
        "data": ocsf(entry),
    }


def ocsf(entry: Entry) -> dict[str, Any]:
    """Return an entry as an OCSF event."""
    event, actor, target, origin = entry.event, entry.event.actor, entry.event.target, entry.event.origin  # fmt: skip
    activity = _ACTIVITIES.get(event.verb, _OTHER)
    good = event.outcome is Outcome.SUCCESS
    return {
        "class_uid": _CLASS,
        "class_name": "API Activity",
        "category_uid": _CATEGORY,
        "category_name": "Application Activity",
        "activity_id": activity,
        "activity_name": _NAMES[activity],
        "type_uid": _CLASS * 100 + activity,
        "time": round(event.occurred_at.timestamp() * 1000),
        "severity_id": 1 if good else 2,
        "status_id": 1 if good else 2,
        "status": "Success" if good else "Failure",
        "status_detail": event.outcome.value,
        "message": event.reason,
        "actor": {
            "user": {
                "uid": actor.id,
                "name": actor.name,
                "type": actor.type,
                "type_id": _USERS.get(actor.type, 99),
            },
            "session": {"uid": actor.credential},
        },
        "api": {
            "operation": event.action,
            "service": {"name": origin.service},
            "request": {"uid": origin.request_id},
        },
        "src_endpoint": {"ip": origin.ip} if origin.ip else {"name": "unknown"},
        "http_request": {"user_agent": origin.user_agent},
        "resources": [{"uid": target.id, "name": target.name, "type": target.type}],
        "metadata": {
            "version": "1.3.0",
            "product": {"name": "Switchyard", "vendor_name": "Switchyard"},
            "uid": str(event.id),
            "sequence": entry.seq,
            "tenant_uid": str(event.tenant),
            "correlation_uid": origin.trace_id,
            "logged_time": round(entry.ts.timestamp() * 1000),
        },
        "unmapped": {
            "before": event.before,
            "after": event.after,
            "on_behalf_of": actor.on_behalf_of,
        },
    }
