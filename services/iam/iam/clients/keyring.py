"""The signing keys in memory: published as a JWK set, the right one signs."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from joserfc import jws
from joserfc.jwk import ECKey

from chassis.tokens import ALGORITHM, TYPE
from iam.domain import signing
from iam.domain.errors import NoSigningKey
from iam.domain.signing import SigningKey
from iam.ports import Sealer

log = logging.getLogger(__name__)


class Keyring:
    """Holds the keys that were taken last."""

    def __init__(self, sealer: Sealer, now: Callable[[], datetime]) -> None:
        self._sealer = sealer
        self._now = now
        self._keys: Sequence[SigningKey] = ()
        self._private: dict[str, ECKey] = {}

    def make(self, now: datetime, signs_from: datetime) -> SigningKey:
        """Return a new key; its id is the thumbprint of its public half (RFC 7638)."""
        made = ECKey.generate_key("P-256", auto_kid=True)
        kid, private = str(made.kid), json.dumps(made.as_dict(private=True)).encode()
        public = {**made.as_dict(private=False), "kid": kid, "use": "sig", "alg": ALGORITHM}
        return SigningKey(
            kid=kid,
            jwk=json.dumps(public),
            sealed=self._sealer.seal(private, kid),
            created_at=now,
            signs_from=signs_from,
        )

    def opens(self, key: SigningKey) -> bool:
        """Tell whether the private half can be read: it cannot after the secret was changed."""
        if key.kid not in self._private:
            private = self._sealer.unseal(key.sealed, key.kid)
            if private is None:
                return False
            self._private[key.kid] = ECKey.import_key(json.loads(private))
        return True

    def take(self, keys: Sequence[SigningKey]) -> None:
        """Hold exactly these keys from now on."""
        self._keys = [*keys]

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return an access token; NoSigningKey while there is no key."""
        usable = [key for key in self._keys if self.opens(key)]
        key = signing.signing(usable, self._now())
        if key is None:
            raise NoSigningKey("no key is ready to sign tokens yet", retry_after=1)
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": key.kid}
        payload = json.dumps(dict(claims), separators=(",", ":")).encode()
        return jws.serialize_compact(header, payload, self._private[key.kid], [ALGORITHM])

    @property
    def ready(self) -> bool:
        """Whether tokens can be signed."""
        return any(self.opens(key) for key in self._keys)

    def published(self) -> list[dict[str, str]]:
        """Return the public halves, as a JWK set has them."""
        return [cast("dict[str, str]", json.loads(key.jwk)) for key in self._keys]
