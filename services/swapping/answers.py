"""Acknowledgements of one partition: each in the first transaction from which on it holds."""

from collections.abc import Mapping

from schemas import codec
from schemas.control import Channel, acknowledgement_key, acknowledgement_of, command_key
from services.clock import wall_ms
from services.engine.batches import Write
from services.policy_commands import Acknowledgement


class Answers:
    """What a partition has acknowledged. topic: its full name. who: writes them."""

    def __init__(self, topic: str, who: str, partition: int) -> None:
        self._topic, self._who, self._partition = topic, who, partition
        self._answered: dict[Channel, Acknowledgement] = {}

    def due(self, answers: Mapping[Channel, Acknowledgement], from_offset: int | None) -> list[Write]:
        """Those that the partition has not written yet."""
        writes: list[Write] = []
        for channel, answer in answers.items():
            if answer is not self._answered.get(channel):
                self._answered[channel] = answer
                writes.append(self._written(answer, from_offset))
        return writes

    def _written(self, answer: Acknowledgement, from_offset: int | None) -> Write:
        """The acknowledgement; and before it the command itself, where this process made it."""
        command, write = answer.command, Write(self._topic)
        if answer.self_initiated:
            write.append(command_key(command.group, command.channel), codec.write(command), [])
        control = acknowledgement_of(
            command,
            answer.current_bundle,
            self._who,
            wall_ms(),
            why=answer.reason,
            partition=self._partition,
            from_offset=from_offset,
        )
        write.append(acknowledgement_key(command.group, command.channel, self._partition), codec.write(control), [])
        return write
