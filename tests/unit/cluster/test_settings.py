"""Settings as text: what a broker of one and of three is told."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.cluster.settings import LOG4J_TEXT, Node, broker_settings, properties_text

NODES = [Node(1, 21001, 22001), Node(2, 21002, 22002), Node(3, 21003, 22003)]


def test_one_broker_replicates_nothing() -> None:
    settings = broker_settings(NODES[0], NODES[:1], Path("/data"))
    factors = {key: value for key, value in settings.items() if key.endswith("replication.factor")}
    assert set(factors) == {
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "share.coordinator.state.topic.replication.factor",
    }
    assert set(factors.values()) == {"1"}
    assert settings["min.insync.replicas"] == "1"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:22001"
    assert settings["broker.session.timeout.ms"] == "5000", "nobody could take over"


def test_three_brokers_lose_one_without_loss() -> None:
    settings = broker_settings(NODES[1], NODES, Path("/data"))
    assert settings["default.replication.factor"] == "3"
    assert settings["min.insync.replicas"] == "2"
    assert settings["transaction.state.log.min.isr"] == "2"
    assert settings["unclean.leader.election.enable"] == "false"
    assert settings["controller.quorum.voters"].count("@") == 3
    assert settings["listeners"] == "CLIENT://127.0.0.1:21002,CONTROLLER://127.0.0.1:22002"


def test_five_brokers_keep_three_copies() -> None:
    nodes = [Node(i, 21000 + i, 22000 + i) for i in range(1, 6)]
    assert broker_settings(nodes[0], nodes, Path("/d"))["offsets.topic.replication.factor"] == "3"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("/a b", "/a b"),
        (" a", "\\ a"),
        ("a\\b", "a\\\\b"),
        ("/ü", "/\\u00fc"),
        ("😀", "\\ud83d\\ude00"),
    ],
)
def test_properties_escape(value: str, line: str) -> None:
    assert properties_text({"k": value}) == f"k={line}\n"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40))
def test_properties_are_one_ascii_line(value: str) -> None:
    text = properties_text({"log.dirs": value})
    assert text.isascii()
    assert len(text.split("\n")) == 2


def test_log_is_bounded_and_says_its_last_words() -> None:
    root = ET.fromstring(LOG4J_TEXT)
    assert root.get("shutdownHook") == "disable"
    size = root.find(".//SizeBasedTriggeringPolicy")
    most = root.find(".//DefaultRolloverStrategy")
    assert size is not None
    assert size.get("size") == "10MB"
    assert most is not None
    assert most.get("max") == "4"
