"""Wrong things that a person does: one clear line, what to do, an exit code, no traceback."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from kit.media import make
from kit.readback import read_stream
from kit.server import serving, wait_for

from kinolog.cli.common import settings_of
from kinolog.cluster import KAFKA_FOLDER, Cluster, ports
from kinolog.core.clock import SystemClock
from kinolog.core.errors import KafkaRefused
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from needs_kit import SMALL_DISK

_TIMEOUT_S = 90


def kinolog(*arguments: str, cwd: Path, code: int | None = None) -> str:
    """Run the CLI; its standard error, which has no traceback and is not long."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KINOLOG_")}
    done = subprocess.run(
        [sys.executable, "-m", "kinolog", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=_TIMEOUT_S,
    )
    said = done.stderr + done.stdout
    assert "Traceback" not in said, said
    assert done.returncode != 0, said
    if code is not None:
        assert done.returncode == code, said
    return said


def lines_of(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("kinolog:")]


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


def test_no_kafka_is_named_and_none_runs(tmp_path: Path) -> None:
    said = kinolog("streams", cwd=tmp_path, code=2)
    assert len(lines_of(said)) == 1
    assert "kinolog cluster start" in said


def test_kafka_is_not_reachable(tmp_path: Path, free_port: int) -> None:
    at = ("--bootstrap-servers", f"127.0.0.1:{free_port}")
    said = kinolog("streams", "--json", *at, cwd=tmp_path, code=1)
    (line,) = lines_of(said)
    assert f"127.0.0.1:{free_port} cannot be reached" in line
    # Standard error comes first in `said`: with --json, standard output is for programs.
    assert said.splitlines()[0] == f"connecting to 127.0.0.1:{free_port}…"
    assert "is it running?" in said


@pytest.mark.parametrize(
    ("name", "says"),
    [("demo/a/b", "a slash too many"), ("demo", "no collection"), ("demo/Cam", "'Cam'")],
)
def test_a_wrong_stream_name(tmp_path: Path, name: str, says: str) -> None:
    (line,) = lines_of(kinolog("publish", "test:", name, cwd=tmp_path, code=2))
    assert says in line


def test_an_unknown_codec(tmp_path: Path) -> None:
    said = kinolog("publish", "test:", "demo/cam", "--encode", "mpeg2", cwd=tmp_path, code=2)
    assert "mpeg2" in said
    assert "h264" in said


def test_an_unknown_flag(tmp_path: Path) -> None:
    said = kinolog("serve", "--htpp-port", "80", cwd=tmp_path, code=2)
    assert "--htpp-port" in said


def test_a_variable_that_sets_nothing_is_told_and_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KINOLOG_HTTP_PROT", "8090")
    monkeypatch.chdir(tmp_path)
    settings_of(None)
    told = "kinolog: variable KINOLOG_HTTP_PROT sets nothing: did you mean KINOLOG_HTTP_PORT?\n"
    assert capsys.readouterr().err == told


def test_settings_that_do_not_fit(tmp_path: Path) -> None:
    assert "http_port" in kinolog("serve", "--http-port", "99999", cwd=tmp_path, code=2)
    said = kinolog("streams", "--kafka-config", "nowhere.properties", cwd=tmp_path, code=2)
    assert "nowhere.properties" in said


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("verb", "flag"), [("edge", "--http-port"), ("ingest", "--http-port"), ("serve", "--rtmp-port")]
)
def test_a_port_is_taken(
    tmp_path: Path, one_broker: str, free_port: int, verb: str, flag: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = ("--http-port", str(free_port)) if flag == "--rtmp-port" else ()
        said = kinolog(
            *(verb, "--bootstrap-servers", one_broker, flag, str(port), *other),
            cwd=tmp_path,
            code=2,
        )
    (line,) = [text for text in lines_of(said) if "listen" in text]
    assert f":{port}" in line
    assert flag in said


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("nosuch.invalid", "cannot be resolved"),
        ("192.0.2.1", "not an address of this machine"),
    ],
)
def test_a_host_that_is_not_this_machine(tmp_path: Path, host: str, says: str) -> None:
    said = kinolog("edge", "--host", host, "--bootstrap-servers", "a:1", cwd=tmp_path, code=2)
    (line,) = lines_of(said)
    assert says in line
    assert "--host" in said
    assert "--http-port" not in said


def test_tls_files_that_cannot_be_used(tmp_path: Path, free_port: int) -> None:
    at = ("serve", "--bootstrap-servers", f"127.0.0.1:{free_port}")
    (line,) = lines_of(kinolog(*at, "--tls-cert", "cert.pem", cwd=tmp_path, code=2))
    assert "--tls-cert without --tls-key" in line
    pair = ("--tls-cert", "cert.pem", "--tls-key", "key.pem")
    (line,) = lines_of(kinolog(*at, *pair, cwd=tmp_path, code=2))
    assert "cannot read cert.pem" in line


@pytest.mark.cluster
def test_a_source_that_is_not_there(tmp_path: Path, one_broker: str) -> None:
    said = kinolog(
        *("publish", "nowhere.mp4", "wrong/film", "--bootstrap-servers", one_broker), cwd=tmp_path
    )
    assert "nowhere.mp4" in lines_of(said)[-1]


@pytest.mark.cluster
def test_a_source_that_is_no_video(tmp_path: Path, one_broker: str) -> None:
    (tmp_path / "notes.txt").write_text("not a film\n" * 1000)
    said = kinolog(
        *("publish", "notes.txt", "wrong/film", "--bootstrap-servers", one_broker), cwd=tmp_path
    )
    assert "notes.txt" in lines_of(said)[-1]


@pytest.mark.cluster
@pytest.mark.needs("ffmpeg")
@pytest.mark.slow
def test_a_film_that_is_cut_short(tmp_path: Path, one_broker: str) -> None:
    """What came before the cut is published, from a file and from a body."""
    film = make(tmp_path / "film.mp4", "-c:v", "libx264", "-movflags", "+faststart", seconds=2)
    whole = film.read_bytes()
    film.write_bytes(whole[: len(whole) * 3 // 4])
    at = ("--bootstrap-servers", one_broker)
    said = kinolog("publish", "film.mp4", "wrong/cut", "--fast", *at, cwd=tmp_path, code=2)
    (line,) = lines_of(said)
    assert line.startswith("kinolog: film.mp4: cut short or damaged")
    told = re.search(r"what came before was published: (\d+) packets", said)
    assert told, said
    epoch = read_stream(one_broker, "wrong/cut").only()
    assert sum(len(track.samples) for track in epoch.tracks.values()) == int(told[1]) > 0
    with serving(one_broker, tmp_path, verb="ingest") as server:
        request = urllib.request.Request(
            server.ingest_url("wrong/body"), film.read_bytes(), method="PUT"
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=30)
        assert caught.value.code == 415
        assert f"what came before was published: {told[1]} packets" in caught.value.read().decode()


@pytest.mark.cluster
def test_a_stream_and_a_collection_that_are_not_there(tmp_path: Path, one_broker: str) -> None:
    at = ("--bootstrap-servers", one_broker)
    assert "no stream wrong/none" in kinolog("play", "wrong/none", *at, "-o", "x.mp4", cwd=tmp_path)
    assert "no collection 'none'" in kinolog("collections", "show", "none", *at, cwd=tmp_path)
    said = kinolog("publish", "test:", "none/cam", "--no-auto-create", *at, cwd=tmp_path)
    assert "no collection 'none'" in said


@pytest.mark.cluster
def test_a_move_to_where_nothing_is(tmp_path: Path, one_broker: str) -> None:
    async def make_collection() -> None:
        catalog = await Catalog.open(KafkaSettings(one_broker), SystemClock())
        await catalog.ensure_collection("wrong")
        await catalog.close()

    asyncio.run(make_collection())
    at = ("--bootstrap-servers", one_broker)
    said = kinolog("streams", "move", "wrong/none", "0", *at, cwd=tmp_path, code=2)
    assert "no stream wrong/none" in said
    assert "`kinolog streams` lists them" in said
    said = kinolog("streams", "move", "wrong/none", "99", *at, cwd=tmp_path, code=2)
    assert "partitions 0 to 3, none is 99" in said
    assert "--partitions N" in said


@pytest.mark.cluster
def test_more_replicas_than_brokers(tmp_path: Path, one_broker: str) -> None:
    said = kinolog(
        *("collections", "create", "wide", "--replication-factor", "3"),
        *("--bootstrap-servers", one_broker),
        cwd=tmp_path,
        code=2,
    )
    assert "the cluster has 1" in said


@pytest.mark.cluster
def test_a_value_that_kafka_does_not_take(one_broker: str) -> None:
    async def main() -> None:
        catalog = await Catalog.open(KafkaSettings(one_broker), SystemClock())
        wanted = msgspec.structs.replace(catalog.defaults(1), retention_ms=10**22)
        try:
            with pytest.raises(KafkaRefused, match=r"retention\.ms") as told:
                await catalog.create("long", wanted)
        finally:
            await catalog.close()
        assert "another value" in told.value.hint
        assert "credentials" not in told.value.hint

    asyncio.run(main())


class _Secured:
    """A broker with a listener that asks for a name and a password."""

    def __init__(self, cluster: Cluster, port: int) -> None:
        self.cluster = cluster
        self.servers = f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Secured]:
    port = ports.free_port()
    host = "127.0.0.1"
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    settings = {
        "listeners": f"CLIENT://{host}:{{port}},CONTROLLER://{host}:{{controller_port}},"
        f"SECURED://{host}:{port}",
        "advertised.listeners": f"CLIENT://{host}:{{port}},SECURED://{host}:{port}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
        "SECURED:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secured.plain.sasl.jaas.config": f'{login} user_ann="right";',
    }
    folder = tmp_path_factory.mktemp("secured")
    with Cluster.start(folder, 1, settings=settings, owned=True) as cluster:
        yield _Secured(cluster, port)


def _client(folder: Path, password: str) -> Path:
    file = folder / "client.properties"
    file.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n"
        f"sasl.username=ann\nsasl.password={password}\n"
    )
    return file


@pytest.mark.cluster
def test_wrong_credentials_are_told_and_never_shown(tmp_path: Path, secured: _Secured) -> None:
    config = _client(tmp_path, "wr0ng-secret")
    said = kinolog(
        *("streams", "--bootstrap-servers", secured.servers, "--kafka-config", str(config)),
        cwd=tmp_path,
        code=1,
    )
    (line,) = lines_of(said)
    assert "refused" in line
    assert "credentials" in said
    assert "wr0ng-secret" not in said


@pytest.mark.cluster
def test_right_credentials_work_for_every_client(tmp_path: Path, secured: _Secured) -> None:
    """Producer, consumers, admin and transactions all go by the same properties file."""
    config = _client(tmp_path, "right")
    at = ["--bootstrap-servers", secured.servers, "--kafka-config", str(config)]
    command = [sys.executable, "-m", "kinolog"]
    source = "test:160x90@10?seconds=2"
    subprocess.run(
        [*command, "publish", source, "safe/cam", *at],
        cwd=tmp_path,
        check=True,
        timeout=_TIMEOUT_S,
        capture_output=True,
    )
    listed = subprocess.run(
        [*command, "streams", "--json", *at],
        cwd=tmp_path,
        check=True,
        timeout=_TIMEOUT_S,
        capture_output=True,
        encoding="utf-8",
    )
    assert '"stream": "safe/cam"' in listed.stdout


@pytest.mark.cluster
@pytest.mark.needs(SMALL_DISK)
@pytest.mark.parametrize("small_disk", [2], indirect=True)
def test_a_full_disk_is_told_by_the_cluster(tmp_path: Path, small_disk: Path) -> None:
    """A broker that cannot write its data does not start, and says why."""
    said = kinolog("cluster", "start", "--data-dir", str(small_disk / "state"), cwd=tmp_path)
    assert "disk" in said.lower()


@pytest.mark.cluster
@pytest.mark.needs(SMALL_DISK)
@pytest.mark.parametrize("small_disk", [72], indirect=True)
@pytest.mark.slow
def test_a_disk_that_fills_while_somebody_publishes(tmp_path: Path, small_disk: Path) -> None:
    """The broker dies; its publisher is held up and told why, and so is who asks afterwards."""
    at = ("--data-dir", str(small_disk / "state"))
    cluster = Cluster.start(small_disk / "state" / KAFKA_FOLDER, 1, owned=True)
    told = tmp_path / "publisher.txt"
    try:
        with told.open("wb") as output:
            publisher = subprocess.Popen(
                [
                    *(sys.executable, "-m", "kinolog", "publish"),
                    *("test:1280x720@30?bitrate=30000k", "full/cam", "--fast", *at),
                ],
                cwd=tmp_path,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for(lambda: "broker 1 died" in told.read_text(), "the reason", _TIMEOUT_S)
            assert publisher.poll() is None, "it waits for the broker"
            publisher.send_signal(signal.SIGINT)
            wait_for(lambda: "finishing" in told.read_text(), "its farewell", _TIMEOUT_S)
            publisher.send_signal(signal.SIGINT)
            code = publisher.wait(_TIMEOUT_S)
        finally:
            publisher.kill()
            publisher.wait(_TIMEOUT_S)
        said = told.read_text()
        assert code not in (0, -signal.SIGKILL), said
        assert "Traceback" not in said
        (line,) = [line for line in lines_of(said) if "died" in line]
        assert "the disk is full" in line
        assert "free some space" in said

        status = subprocess.run(
            [sys.executable, "-m", "kinolog", "cluster", "status", *at],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
        assert "died" in status.stdout
        assert "the disk is full; free some space" in status.stdout
        (line,) = lines_of(kinolog("streams", *at, cwd=tmp_path, code=1))
        assert "the disk is full" in line
        (line,) = lines_of(kinolog("cluster", "start", *at, cwd=tmp_path, code=1))
        assert "is full" in line
    finally:
        cluster.stop()
