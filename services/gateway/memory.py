"""The newest decisions, as their bytes on `answers`: a cache of the log, so that a repeated event gets the same decision."""

from collections import OrderedDict

from services.gateway.events import Place


class Memory:
    """At most `events_max` decisions; beyond it the oldest are forgotten."""

    def __init__(self, events_max: int) -> None:
        self._events_max = events_max
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        """By partition and id in one string: the garbage collector would stop everyone to walk a tuple for each."""

    def __len__(self) -> int:
        return len(self._answers)

    def keep(self, place: Place, answer: bytes) -> None:
        """The first decision of an event is the one that counts."""
        key = _key(place)
        if key in self._answers or not self._events_max:
            return
        self._answers[key] = answer
        if len(self._answers) > self._events_max:
            self._answers.popitem(last=False)

    def get(self, place: Place) -> bytes | None:
        """The decision of an event, as it was committed; None where it is not remembered."""
        return self._answers.get(_key(place))

    def of_id(self, event_id: str, partitions: int) -> list[Place]:
        """Remembered events of that id: of several subjects there may be several."""
        places = (Place(partition, event_id) for partition in range(partitions))
        return [place for place in places if _key(place) in self._answers]


def _key(place: Place) -> str:
    return f"{place.partition} {place.event_id}"
