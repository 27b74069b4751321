"""The rights of docs/how-to/own-kafka.md are enough, on a broker that checks them."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from hls_stage import until
from kit.server import serving

from kinolog.cluster import Cluster
from kinolog.cluster.ports import free_port

pytestmark = pytest.mark.cluster

HOST = "127.0.0.1"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-kafka.md"
_ROW = re.compile(r"\| `(\w+)` \|[^|]*\| (\w+) \| `([^`]+)` \| (\w+) \| ([\w, ]+) \|")
_TIMEOUT_S = 90


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def documented_rights() -> list[AclBinding]:
    rights = []
    for user, resource, name, pattern, operations in _ROW.findall(PAGE.read_text()):
        for operation in operations.split(", "):
            rights.append(
                AclBinding(
                    ResourceType[_snake(resource)],
                    name,
                    ResourcePatternType[pattern.upper()],
                    f"User:{user}",
                    "*",
                    AclOperation[_snake(operation)],
                    AclPermissionType.ALLOW,
                )
            )
    return rights


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A listener where each user may do what the page grants, and nothing else."""
    port = free_port()
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    settings = {
        "listeners": f"CLIENT://{HOST}:{{port}},CONTROLLER://{HOST}:{{controller_port}},"
        f"SECURED://{HOST}:{port}",
        "advertised.listeners": f"CLIENT://{HOST}:{{port}},SECURED://{HOST}:{port}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
        "SECURED:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secured.plain.sasl.jaas.config": f"{login} "
        'user_owner="owner" user_writer="writer" user_reader="reader";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    folder = tmp_path_factory.mktemp("guarded")
    with Cluster.start(folder, 1, settings=settings, owned=True) as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
        for granted in admin.create_acls(documented_rights()).values():
            granted.result(30)
        yield f"{HOST}:{port}"


def _login(folder: Path, user: str) -> str:
    file = folder / f"{user}.properties"
    file.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
        f"sasl.username={user}\nsasl.password={user}\n"
    )
    return str(file)


@pytest.mark.slow
def test_each_user_can_do_its_work_and_no_more(guarded: str, tmp_path: Path) -> None:
    def run(user: str, *words: str) -> subprocess.CompletedProcess[str]:
        at = ["--bootstrap-servers", guarded, "--kafka-config", _login(tmp_path, user)]
        return subprocess.run(
            [sys.executable, "-m", "kinolog", *words, *at],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )

    def does(user: str, *words: str) -> str:
        done = run(user, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def may_not(user: str, *words: str) -> None:
        done = run(user, *words)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "refused" in done.stderr
        assert "rights in --kafka-config" in done.stderr

    does("owner", "collections", "create", "cams")
    does("owner", "collections", "alter", "cams", "--retention", "2h", "--partitions", "6")
    does("writer", "publish", "test:160x90@10?seconds=4", "cams/gate", "--no-auto-create")
    assert "cams/gate" in does("reader", "streams")
    does("reader", "play", "cams/gate", "--from", "earliest", "--no-follow", "-o", "gate.mp4")
    assert (tmp_path / "gate.mp4").stat().st_size > 1000
    flags = ("--kafka-config", _login(tmp_path, "reader"))
    with serving(guarded, tmp_path / "edge", *flags, verb="edge") as edge:
        playlist = httpx.get(f"{edge.http}/media/cams/gate/video.m3u8", timeout=30)
        assert playlist.status_code == 200
        assert ".m4s" in playlist.text
        report = f'cid="cams/gate",e=t,sid="s",sta=p,ts={time.time() * 1000:.0f}'
        told = httpx.post(f"{edge.http}/cmcd", content=report)
        assert told.status_code == 204, told.text
        watched = f"{edge.http}/media/cams/gate/viewers"
        until(lambda: httpx.get(watched).json()["viewers"] == 1, "the report in the log")
        events = f"{edge.http}/media/cams/gate/events"
        refused = httpx.post(events, json={"at": "now"}, timeout=30)
        assert refused.status_code == 403
        assert "rights" in refused.text or "refused" in refused.text
        does("writer", "events", "add", "cams/gate", "now", "--id", "now")
        does("writer", "events", "add", "cams/gate", "late", "--at", "-70m", "--id", "late")
        found = httpx.get(f"{events}?start=-80m", timeout=30).json()["marks"]
        assert [mark["id"] for mark in found] == ["late", "now"]

    may_not("writer", "publish", "test:160x90@10?seconds=1", "other/gate")
    may_not("reader", "publish", "test:160x90@10?seconds=1", "cams/gate")
    may_not("reader", "collections", "create", "other")
    does("owner", "streams", "move", "cams/gate", "5")
    does("owner", "collections", "delete", "cams", "--yes")
