"""A name server of the tests' own: it knows one name, and says of it what it is told to say."""

import socket
import threading

A, TTL = 1, 0
HEADER = 12  # bytes in front of the question


class Names:
    """Answers every question for an address with those in `known`; not at all while that is None."""

    def __init__(self, *known: str) -> None:
        self.known: tuple[str, ...] | None = known
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while (said := self._socket.recvfrom(2048))[0]:
            if (known := self.known) is not None:
                self._socket.sendto(self._answer(said[0], known), said[1])

    def _answer(self, asked: bytes, known: tuple[str, ...]) -> bytes:
        end = asked.index(0, HEADER) + 5  # after the name: its type and class
        wanted = int.from_bytes(asked[end - 4 : end - 2])
        known = known if wanted == A else ()
        head = asked[:2] + b"\x81\x80\0\1" + len(known).to_bytes(2) + bytes(4)
        record = b"\xc0\x0c\0\1\0\1" + TTL.to_bytes(4) + b"\0\4"
        return head + asked[HEADER:end] + b"".join(record + socket.inet_aton(a) for a in known)

    def close(self) -> None:
        """Answer no more."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waking:
            waking.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()
