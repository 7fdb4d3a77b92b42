"""The demo from start to end. Whatever happens, what was started is ended, last first."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import uvloop

from schemas.topics import TOPICS
from services.broker.server import EmbeddedKafka
from services.cli.demo import dashboards, desk
from services.cli.demo.observer import Observer, Seen
from services.cli.demo.outcome import Outcome
from services.cli.demo.parts import END_S_MAX, OTHER_PORTS, OTHERS, Demo, Options
from services.cli.demo.ports import HOST, answers, free_ports
from services.cli.demo.screen import Screen
from services.cli.output import notes
from services.clock import monotonic_s
from services.errors import AssayError
from services.kafka.topics_admin import create_topics
from services.settings.kafka import KafkaSettings, TopicSettings
from services.settings.loading import load
from services.settings.processing import RuntimeSettings
from services.verification.verdict import Verdict
from services.verification.verify import verify

READY_S_MAX = 120.0
CATCH_UP_S_MAX = 60.0
RESTARTS_MAX = 5
KILLED_STATUS = 128
"""From this on a status says that a signal ended the process."""

BAD_SHARE = 0.0005
LABEL_DELAY_DAYS = 7
"""As the fraud bundle's feature spec has it."""


def run(options: Options, show: Callable[[Outcome], None]) -> Outcome:
    """Start, stream, watch, stop, verify, show; with keep, stay. show: says what came of it. Raises AssayError."""
    parent = Path(".assay")
    parent.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="demo-", dir=parent))
    keep = True
    try:
        with _ending() as stack:
            outcome = _play(options, directory, stack, show)
        keep = not outcome.good
    except KeyboardInterrupt:
        keep = False
        raise
    finally:
        if not keep:  # otherwise its logs show what went wrong
            shutil.rmtree(directory)
    return outcome


def _play(options: Options, directory: Path, stack: ExitStack, show: Callable[[Outcome], None]) -> Outcome:
    screen = Screen(options.quiet)
    demo = _prepare(options, directory, stack, screen)
    stack.callback(demo.end, "profile")
    stack.callback(demo.end, "score")
    screen.say("Starting the scorer ...")
    demo.start("profile", "profile")
    demo.start_scorer()
    if options.dashboards:
        _watch(demo, stack, screen)
    _await_ready(demo)
    stack.callback(demo.end, "simulate")
    address = _console(demo, stack, screen)
    seen = uvloop.run(_stream(demo, screen))
    screen.say("Stopping the scorer ...")
    if demo.end("score") != 0:
        raise demo.failure("score")
    screen.say("Reading everything back ...")
    verdict = uvloop.run(verify(demo.kafka, demo.topics, demo.group))
    outcome = _outcome(demo, seen, verdict)
    show(outcome)
    if options.keep and address:
        screen.say(f"{address}\nIt stays, with its cases, until Ctrl-C.")
        desk.stay(demo)
    return outcome


def _console(demo: Demo, stack: ExitStack, screen: Screen) -> str | None:
    """Where people work on the alerts, where that is installed; a demo for a program has no people."""
    if demo.options.quiet:
        return None
    if missing := desk.lacking():
        if demo.options.keep:
            raise AssayError(missing)
        screen.say(missing)
        return None
    address = desk.start(demo, stack)
    screen.say(address)
    return address


def _watch(demo: Demo, stack: ExitStack, screen: Screen) -> None:
    """Prometheus and Grafana, where they are installed."""
    if find_spec("faust") is not None:  # the extra `side`; without it their panels stay empty
        for name in OTHERS[1:]:
            stack.callback(demo.end, name)
            demo.start(name, name, "run")
    targets = {"assay-scorer": [f"{HOST}:{port}" for port in demo.ports]}
    targets |= {f"assay-{name}": [f"{HOST}:{port}"] for name, port in demo.others.items()}
    free = demo.ports.stop + len(OTHERS)
    watchers = dashboards.start(demo.directory, targets, free, free + 1)
    for child in watchers.children:
        stack.callback(child.end, END_S_MAX)
    for sentence in watchers.sentences:
        screen.say(sentence)


@contextmanager
def _ending() -> Iterator[ExitStack]:
    stack = ExitStack()
    try:
        yield stack
    finally:
        # a second Ctrl-C must not cut this short: each step has its bound
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            stack.close()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _prepare(options: Options, directory: Path, stack: ExitStack, screen: Screen) -> Demo:
    """Kafka and its topics."""
    topics, runtime = load(TopicSettings), load(RuntimeSettings)
    port = free_ports(options.processes + OTHER_PORTS)
    if "ASSAY_KAFKA_BOOTSTRAP" in os.environ:
        prefix = f"{topics.topic_prefix}demo-{uuid.uuid4().hex[:8]}."
        kafka, topics = load(KafkaSettings), topics.model_copy(update={"topic_prefix": prefix})
        demo = Demo(options, directory, kafka, topics, f"{prefix}scorer", port)
        screen.say(f"Using Kafka at {kafka.bootstrap}, with topics {prefix}* that stay there.")
    else:
        screen.say("Starting Apache Kafka (the first time, its jars are downloaded) ...")
        console = notes if screen.talks else None
        broker = EmbeddedKafka(data_dir=directory / "kafka", log_file=directory / "kafka.log", console=console)
        stack.callback(broker.stop)
        broker.start()
        topics = topics.model_copy(update={"replication": 1})
        kafka = KafkaSettings(bootstrap=broker.bootstrap, security_protocol="PLAINTEXT")
        demo = Demo(options, directory, kafka, topics, runtime.group, port)
    asyncio.run(create_topics(demo.kafka, demo.topics, TOPICS))
    return demo


def _await_ready(demo: Demo) -> None:
    deadline_s = monotonic_s() + READY_S_MAX
    for port in demo.ports:
        while not answers(port, "/readyz"):
            if demo.children["score"].status is not None:
                raise demo.failure("score")
            if monotonic_s() > deadline_s:
                raise AssayError(
                    f"The scorer was not ready within {READY_S_MAX:.0f} s: see {demo.children['score'].log_file}."
                )
            time.sleep(0.1)


async def _stream(demo: Demo, screen: Screen) -> Seen:
    """Send and watch until everything sent is committed and seen, or too much time has passed."""
    options = demo.options
    observer = Observer(demo.kafka, demo.topics, demo.group)
    try:
        await observer.start()
        demo.start(
            "simulate",
            *("simulate", "--json", "--rate", str(options.rate), "--duration", str(options.duration_s)),
            *("--bad-share", str(BAD_SHARE), "--label-delay-days", str(LABEL_DELAY_DAYS)),
        )
        seen, begun_s = observer.seen, monotonic_s()
        sent_s: float | None = None
        with screen.live(demo.addresses) as draw:
            while sent_s is None or monotonic_s() - sent_s < CATCH_UP_S_MAX:
                await observer.poll()
                _keep_alive(demo, screen)
                _draw(draw, seen, monotonic_s() - begun_s, options.duration_s, sent_s)
                if demo.children["profile"].status is not None:
                    raise demo.failure("profile")
                status = demo.children["simulate"].status
                if status not in (None, 0):
                    raise demo.failure("simulate")
                if status == 0:
                    sent_s = sent_s or monotonic_s()
                    if seen.outputs >= _sent(demo)["records"] and seen.lag == 0:
                        break
        return seen
    finally:
        await observer.stop()


def _draw(
    draw: Callable[[Seen, str], None], seen: Seen, elapsed_s: float, whole_s: float, sent_s: float | None
) -> None:
    draw(seen, "catching up" if sent_s else f"streaming, {min(elapsed_s, whole_s):.0f} of {whole_s:.0f} s")


def _keep_alive(demo: Demo, screen: Screen) -> None:
    """A scorer that was killed is started again, as an operator's supervisor would; one that failed ends the demo."""
    status = demo.children["score"].status
    if status is None:
        return
    if status <= KILLED_STATUS or demo.restarts >= RESTARTS_MAX:
        raise demo.failure("score")
    if any(answers(port, "/livez") for port in demo.ports):
        return  # killed was their supervisor; they are ending, and hold the ports until then
    demo.restarts += 1
    screen.say(f"The scorer was killed by signal {status - KILLED_STATUS}: starting it again.")
    demo.start_scorer()


def _sent(demo: Demo) -> dict[str, int]:
    """The simulator's own account."""
    account: dict[str, int] = json.loads(demo.children["simulate"].last_words())
    return account


def _outcome(demo: Demo, seen: Seen, verdict: Verdict) -> Outcome:
    sent = _sent(demo)
    return Outcome(
        verdict=verdict,
        sent=sent["records"],
        bad_sent=sent["bad"],
        records_per_s=seen.outputs_per_s_mean,
        latency_ms_p50=seen.latencies.percentile_ms(50),
        latency_ms_p99=seen.latencies.percentile_ms(99),
        model=seen.model,
        restarts=demo.restarts,
    )
