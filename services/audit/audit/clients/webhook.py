"""Posts to receivers that tenants name, behind the guard of egress."""

from collections.abc import Mapping

from egress.fetch import Request, Unreachable, fetch
from egress.guard import Refused, Rules, destination


class Webhooks:
    """Sends to whoever may be sent to."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def trouble(self, url: str) -> str:
        """Return why a URL can never be sent to; nothing if it can be tried."""
        try:
            destination(url, self._rules)
        except Refused as refused:
            return str(refused)
        return ""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> str:
        """Send; return why it was not taken, nothing if it was."""
        try:
            answer = await fetch(Request("POST", url, headers, body), self._rules, most=1)
        except (Refused, Unreachable) as trouble:
            return str(trouble)
        return "" if 200 <= answer.status < 300 else f"the receiver answered {answer.status}"
