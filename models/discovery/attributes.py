"""What every further field is: a typed attribute, or nothing, and why. Labels, constants and card numbers are left out."""

import re
from collections.abc import Iterator

from models.discovery import vocabulary
from models.discovery.columns import Column
from models.discovery.draft import Fields, Guess, Question, described
from models.discovery.seen import Seen
from models.discovery.times import written_time
from models.files.accents import without_accents
from schemas.paths import parts
from schemas.source_spec import ATTRIBUTES_MAX, OWN_NAMES, EventFields

TEXT_CHARACTERS_MAX = 1_000
YES_NO = (
    {"Y", "N"},
    {"y", "n"},
    {"yes", "no"},
    {"YES", "NO"},
    {"Yes", "No"},
    {"T", "F"},
    {"True", "False"},
    {"1", "0"},
)


def is_label(column: Column) -> bool:
    """Whether it seems to say what a payment turned out to be: no model may read that."""
    two = len(column.counts) <= 2
    return two and bool(vocabulary.LABEL & set(column.words) or "".join(column.words) in vocabulary.LABEL_NAMES)


def attributes_of(
    seen: Seen, taken: set[str], label: str | None
) -> tuple[dict[str, Guess | Question], list[tuple[str, str]]]:
    """Attributes by name, and paths that become none, with the reason."""
    found: dict[str, Guess | Question] = {}
    left: list[tuple[str, str]] = []
    places = dict(_places(seen, taken))
    names = set(OWN_NAMES) | set(EventFields.model_fields)
    for path, column in seen.columns.items():
        if path in taken or any(path == longitude for _, longitude in places.values()):
            continue
        if len(found) >= ATTRIBUTES_MAX:
            left.append((path, f"a spec has at most {ATTRIBUTES_MAX} attributes"))
            continue
        if path in places:
            name = _name(places[path][0], names)
            fields: Fields = {"type": "geo", "latitude": path, "longitude": places[path][1]}
            found[name] = Guess(fields, [described(column)])
            continue
        why = _why_not(column, label)
        if why is None:
            made = _attribute(seen, column)
            if isinstance(made, str):
                left.append((path, made))
            else:
                found[_name(path, names)] = made
        else:
            left.append((path, why))
    return found, left


def _why_not(column: Column, label: str | None) -> str | None:
    if not column.held:
        return "always null or empty"
    if column.path == label or is_label(column):
        return "seems to be a label, which no model may read; give it to training as --label"
    if not column.is_scalar:
        kinds = column.kinds.keys() & {"object", "list"}
        if kinds == {"list"} and len(column.kinds) == 1:
            lengths = [len(value) for value in column.values]
            return f"a list of {min(lengths)} to {max(lengths)}; its first element is looked at alone"
        return "an object in some records and a value in others, or empty"
    if column.holds_card_numbers:
        return "holds card numbers: give pseudonyms, see `assay privacy pseudonyms`"
    if len(column.counts) == 1 and len(column.held) > 1:
        return "always the same"
    return None


def _attribute(seen: Seen, column: Column) -> Guess | Question | str:
    """The attribute, or why there is none."""
    evidence = [described(column)]
    ways = seen.times.get(column.path)
    if ways and (vocabulary.TIME & set(column.words) or not ways[0].unit):
        made = written_time(f"attributes.{column.path}", column, ways, seen.answers)
        if isinstance(made, Question):
            return made
        return Guess({"type": "time", **made.fields, **_private(column)}, made.evidence)
    flag = _flag(column)
    if flag is not None:
        return Guess({"type": "flag", "path": column.path, **flag, **_private(column)}, evidence)
    if column.is_ip:
        return Guess({"type": "ip", "path": column.path, "personal": True}, evidence)
    if len(column.kinds) > 1 and not column.is_number and not column.is_text:
        return "values of several types: " + described(column)
    if column.is_number and not (column.is_whole and vocabulary.ID & set(column.words)):
        return Guess({"type": "number", "path": column.path, **column.written, **_private(column)}, evidence)
    if not column.is_text:
        return "values of several types: " + described(column)
    longest = max(map(len, column.as_text))
    if column.personal and longest <= TEXT_CHARACTERS_MAX:
        return Guess({"type": "text", "path": column.path, "personal": True, **_longer(longest)}, evidence)
    if column.is_category and longest <= 64:
        return Guess({"type": "category", "path": column.path}, evidence)
    if longest <= 64 and (vocabulary.ID & column.all_words or not any(" " in text for text in column.as_text)):
        return Guess({"type": "id", "path": column.path}, evidence)
    if longest > TEXT_CHARACTERS_MAX:
        return f"texts of up to {longest:,} characters"
    return Guess({"type": "text", "path": column.path, **_longer(longest)}, evidence)


def _private(column: Column) -> Fields:
    return {"personal": True} if column.personal else {}


def _longer(longest: int) -> Fields:
    return {"characters_max": TEXT_CHARACTERS_MAX} if longest > 200 else {}


def _flag(column: Column) -> Fields | None:
    """The words of yes and no; None where it is no flag."""
    if column.is_bool:
        return {}
    values = {str(value) for value in column.counts}
    if len(values) != 2 or not column.is_text:
        return None
    for words in YES_NO:
        if values == words:
            yes, no = sorted(words, reverse=True)  # y, t and 1 come after n, f and 0
            return {"yes": [yes], "no": [no]}
    return None


def _places(seen: Seen, taken: set[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """The path of each latitude, with a name and the path of the longitude beside it."""
    for path, column in seen.columns.items():
        if path in taken or not vocabulary.LATITUDE & set(column.words) or not _within(column, 90):
            continue
        rest, beside = sorted(set(column.words) - vocabulary.LATITUDE), parts(path)[:-1]
        for other in seen.columns.values():
            same = parts(other.path)[:-1] == beside and sorted(set(other.words) - vocabulary.LONGITUDE) == rest
            if same and vocabulary.LONGITUDE & set(other.words) and _within(other, 180) and other.path not in taken:
                name = ".".join([*(str(part) for part in beside if isinstance(part, str)), "_".join([*rest, "place"])])
                yield path, (name if not beside else name.rpartition(".")[0], other.path)
                break


def _within(column: Column, most: float) -> bool:
    return column.is_number and not column.written and all(abs(number) <= most for number in column.numbers)


def _name(path: str, names: set[str]) -> str:
    """A name that no other attribute has, of as few of the path's names as will do."""
    found = [part for part in parts(path) if isinstance(part, str)]
    taking = found[-1:]
    first = 2 if snake(found[-1]) in vocabulary.GENERIC and len(found) > 1 else 1
    for count in range(first, len(found) + 1):
        taking = found[-count:]
        name = snake("_".join(taking))
        if name not in names:
            break
    name, number = snake("_".join(taking)), 2
    if name in names:
        name = f"{name}_value"[:64]
    while name in names:
        name, number = f"{snake('_'.join(taking))[:60]}_{number}", number + 1
    names.add(name)
    return name


def snake(text: str) -> str:
    """A name as specs have them.

    >>> snake("createdAt"), snake("Use Chip"), snake("3ds"), snake("Empfänger")
    ('created_at', 'use_chip', 'a_3ds', 'empfanger')
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", without_accents(text))
    plain = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_") or "field"
    return (plain if plain[0].isalpha() else f"a_{plain}")[:64]
