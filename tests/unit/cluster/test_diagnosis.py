"""Why a broker died, from logs as Kafka and Java write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinolog.cluster.diagnosis import explain, last_lines, tail

_STACK = "\n\tat kafka.Kafka.main(Kafka.scala)\n"
_ERROR = "2026-01-01T00:00:00,000 ERROR KafkaRaftServer: "


@pytest.mark.parametrize(
    ("log", "output", "text"),
    [
        (
            _ERROR + "Exiting\norg.apache.kafka.common.KafkaException: Socket server failed to "
            "bind to 127.0.0.1:9092: Address already in use." + _STACK,
            "",
            "port is taken",
        ),
        (
            _ERROR + "Error while writing\njava.io.IOException: No space left on device" + _STACK,
            "",
            "disk is full",
        ),
        (
            _ERROR + "x\norg.apache.kafka.common.KafkaException: Failed to acquire lock on file "
            ".lock in /d." + _STACK,
            "",
            "another Kafka process",
        ),
        ("", "Terminating due to java.lang.OutOfMemoryError: Java heap space\n", "out of memory"),
        ("", "Error: Could not create\nUnrecognized VM option 'X'\n", "Unrecognized VM option 'X'"),
        (
            "",
            "Error occurred during initialization of VM\nToo small maximum heap\n",
            "Java refused to start: Too small maximum heap",
        ),
        (
            "2026-01-01T00:00:00,000 ERROR Kafka$: Exiting Kafka due to fatal exception\n"
            "org.apache.kafka.common.config.ConfigException: Invalid value abc for configuration "
            "log.retention.hours: Not a number of type INT" + _STACK,
            "",
            "Invalid value abc for configuration log.retention.hours: Not a number of type INT",
        ),
        (_ERROR + "Something new went wrong\n", "", "KafkaRaftServer: Something new went wrong"),
        ("", "Exception in thread main\njava.lang.IllegalStateException: odd\n", "odd"),
        (
            "2026-01-01T00:00:00,000 INFO  LoggingSignalHandler: Terminating process due to signal "
            "SIGTERM\n" + _ERROR + "Graceful shutdown of RaftClient failed\n",
            "",
            "stopped from outside (SIGTERM)",
        ),
        ("2026-01-01T00:00:00,000 INFO  x: working\n", "", "killed without a word"),
        ("", "", "killed without a word"),
    ],
)
def test_reasons(log: str, output: str, text: str) -> None:
    reason = explain(log, output)
    assert text in reason.text
    assert reason.hint
    assert reason.port_taken == ("port is taken" in text)


def test_what_a_broker_merely_mentions_is_no_reason() -> None:
    log = "2026-01-01T00:00:00,000 INFO  x: retrying after No space left on device\n"
    assert "killed" in explain(log, "").text
    log = _ERROR.replace("ERROR", "WARN ") + "no luck\njava.io.IOException: Permission denied\n"
    assert explain(log + _ERROR + "real cause here\n", "").text.endswith("real cause here")
    log = _ERROR + "real cause here\n" + log
    assert explain(log, "").text.endswith("real cause here")


def test_tail_begins_with_the_last_run(tmp_path: Path) -> None:
    log = tmp_path / "broker.log"
    log.write_text("old\nnew\n")
    assert tail(log, 4) == "new\n"
    assert tail(log, 400) == "old\nnew\n", "rotated since"
    assert tail(tmp_path / "none") == ""


def test_last_lines() -> None:
    assert last_lines("a\nb\nc\n", 2) == "b\nc"
    assert last_lines("", 2) == ""
    assert last_lines("a\nb\n", 0) == ""
