"""What lies outside the database: pictures, files, other processes."""

from iam.domain.avatar import NotAnImage, StorageAway
from iam.domain.stats import Connected


class FakeImages:
    """Takes everything for an image that begins with IMAGE."""

    async def avatar(self, sent):
        if not sent.startswith(b"IMAGE"):
            raise NotAnImage("no image")
        return b"webp:" + sent[:64]


class FakeShelf:
    """A dictionary; `away` makes it refuse."""

    def __init__(self, clock):
        self.files = {}
        self.away = False
        self._clock = clock

    def _there(self):
        if self.away:
            raise StorageAway("away")

    async def put(self, name, data):
        self._there()
        self.files[name] = data, self._clock()

    async def get(self, name):
        self._there()
        return self.files.get(name, (None,))[0]

    async def drop(self, name):
        self._there()
        self.files.pop(name, None)

    async def names(self):
        self._there()
        for name, (_, at) in list(self.files.items()):
            yield name, at


class FakePresence:
    """This process alone; `away` makes it know nothing."""

    def __init__(self, hall):
        self.away = False
        self._hall = hall

    async def connected(self):
        return None if self.away else Connected(1, self._hall.sockets, self._hall.streams)
