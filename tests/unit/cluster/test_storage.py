"""Data directories: whose they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kinolog.cluster.settings import Node
from kinolog.cluster.storage import format_nodes, meta_text, new_uuid
from kinolog.core.errors import ClusterError

NODES = [Node(1, 21001, 22001)]


def test_ids_are_kafkas() -> None:
    ids = {new_uuid() for _ in range(500)}
    assert len(ids) == 500
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", text) for text in ids)


def test_a_formatted_directory_is_left_alone(tmp_path: Path) -> None:
    meta = tmp_path / "meta.properties"
    meta.write_text(meta_text("ours", 1))
    before = meta.read_text()
    format_nodes({1: tmp_path}, NODES, "ours", [], tmp_path / "scratch")
    assert meta.read_text() == before


@pytest.mark.parametrize(
    "text",
    [meta_text("theirs", 1), meta_text("ours", 2), ""],
    ids=["another cluster", "another node", "empty"],
)
def test_the_directory_of_another_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "meta.properties").write_text(text)
    with pytest.raises(ClusterError, match="belongs to another cluster"):
        format_nodes({1: tmp_path}, NODES, "ours", [], tmp_path / "scratch")
