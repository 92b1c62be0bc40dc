"""``heatlift view`` as it is called, from its start to Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from heatlift import cli
from heatlift.viewer.guard import LOOPBACK
from heatlift.viewer.server import Server
from lift_runs import InventedLift, write_lift_run
from viewers import edit_record, write_thumbnails

PATIENCE = 600
"""Seconds for what takes a moment unless the machine is busy; what never happens takes them all."""

HEAVY = ("torch", "torchvision", "timm", "captum", "matplotlib", "scipy", "sklearn", "zarr")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lift_run(tmp_path_factory.mktemp("run"), InventedLift(images=4, kept=1, steps=3))


CALL = "import sys; from heatlift.cli import main; main(sys.argv[1:])"


def call(*arguments: str | Path, before: str = "") -> list[str]:
    return [sys.executable, "-c", before + CALL, *map(str, arguments)]


@contextmanager
def started(*arguments: str | Path, before: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command while it runs, and the address that it prints."""
    process = subprocess.Popen(
        call("view", *arguments, before=before), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"viewer: (http://\S+) \(Ctrl-C ends it\)\n", line)
        assert found, (line, process.stderr.read() if process.stderr else "")
        yield process, found[1]
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """How it ends by itself after Ctrl-C, while its clients are still there."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line with which a call ends that can't be carried out."""

    def line(*arguments: str | Path) -> str:
        status = cli.run(["view", *map(str, arguments)])
        out, err = capfd.readouterr()
        assert (status, out) == (2, "")
        assert re.fullmatch(r"heatlift: [^\n]+\n", err)
        return str(err)

    return line


def test_it_answers_at_the_address_that_it_prints_until_ctrl_c(run: Path) -> None:
    with started(run, "--port", "0", "--no-open") as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            assert b"<html" in answer.read()
        assert ended(process) == (0, "viewer stopped\n", "")


def test_ctrl_c_ends_it_also_with_open_connections(run: Path) -> None:
    with started(run, "--port", "0", "--no-open") as (process, address):
        port = int(address.rpartition(":")[2].rstrip("/"))
        kept = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        kept.request("GET", "/api/runs")
        assert kept.getresponse().read()
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as half:
            half.sendall(b"GET / HTTP/1.1\r\nHost: 127.0")  # a server that waits for the rest waits for ever
            time.sleep(0.1)
            assert ended(process) == (0, "viewer stopped\n", "")
        kept.close()


def test_a_run_that_grows_ends_as_well(tmp_path: Path) -> None:
    """However long it would be until it is looked at again."""
    run = write_lift_run(tmp_path / "run", InventedLift(images=4, kept=1, steps=3))
    edit_record(run, status="running")
    seldom = "from heatlift.viewer import catalogue; catalogue.PAUSE = 1e5\n"
    with started(run, "--port", "0", "--no-open", before=seldom) as (process, _):
        assert ended(process) == (0, "viewer stopped\n", "")


def test_a_port_that_is_taken(run: Path) -> None:
    """In a process of its own, which has nothing else to say of it and ends by itself."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = call("view", run, "--no-open", "--port", str(port))
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"heatlift: [^\n]+ --port[^\n]+\n", done.stderr)
    assert f"127.0.0.1:{port} can't be used (Address already in use)" in done.stderr


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"format": 7}', '{"format": 1, "kind": "film"}', "[" * 10**5]
)
def test_folders_that_are_no_runs(tmp_path: Path, refused: Callable[..., str], content: str | None) -> None:
    folder = tmp_path / "nothing here"
    if content is not None:
        folder.mkdir()
        (folder / "run.json").write_text(content)
    assert "nothing here" in refused(folder, "--no-open", "--port", "0")


def test_a_folder_without_a_run_and_a_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "has no run.json" in refused(tmp_path, "--no-open", "--port", "0")
    (tmp_path / "file").write_text("x")
    assert "has no run.json" in refused(tmp_path / "file", "--no-open", "--port", "0")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
        (["--host", "a" * 70], "--host"),
        (["--host", "192.0.2.1"], "192.0.2.1"),
        (["--port", "70000"], "--port"),
        (["--port", "-1"], "--port"),
        (["--port", "x"], "--port"),
    ],
)
def test_addresses_that_can_not_be_had(
    run: Path, refused: Callable[..., str], arguments: list[str], word: str
) -> None:
    assert word in refused(run, "--no-open", *arguments)


def test_no_run_at_all_is_a_mistake(refused: Callable[..., str]) -> None:
    assert "RUN" in refused("--no-open")


def test_another_address_needs_the_token_that_is_printed(run: Path) -> None:
    assert "127.0.0.2" not in LOOPBACK
    with started(run, "--port", "0", "--no-open", "--host", "127.0.0.2") as (process, address):
        found = re.fullmatch(r"(http://127\.0\.0\.2:\d+/)\?token=([\w-]{32,})", address)
        assert found
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(found[1], timeout=PATIENCE)
        request = urllib.request.Request(
            f"{found[1]}api/runs", headers={"Authorization": f"Bearer {found[2]}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert answer.status == 200
        assert ended(process)[0] == 0


def test_everybody_is_only_let_in_with_a_token(run: Path) -> None:
    """Opened and closed again at once, so that this test lets nobody look."""
    server = Server.open([run], "0.0.0.0", 0)
    server._socket.close()
    for catalogue in server.catalogues:
        catalogue.close()
    assert re.search(r"\?token=[\w-]{32,}$", server.address)
    assert "0.0.0.0" not in server.address


def test_help_has_an_example_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from heatlift.cli import run; run(['view', '--help']);"
        "print([m for m in ('torch', 'numpy', 'PIL', 'pyarrow', 'starlette', 'uvicorn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Example: heatlift view runs/first" in " ".join(done.stdout.split())
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_server_needs_no_network_and_draws_no_figures() -> None:
    code = f"import sys, heatlift.viewer.server; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("how", ["opens", "raises", "says no", "stays"])
def test_a_browser_is_opened_and_need_not_be_there(run: Path, monkeypatch: Any, capfd: Any, how: str) -> None:
    asked: list[str] = []
    waits, seen, left = threading.Event(), threading.Event(), threading.Event()

    def browser(address: str) -> bool:
        asked.append(address)
        seen.set()
        if how == "raises":
            raise webbrowser.Error("no browser")
        if how == "stays":  # as one in the terminal does
            waits.wait(PATIENCE)
            left.set()
        return how == "opens"

    def answered(server: Server) -> None:
        assert seen.wait(PATIENCE)
        server._socket.close()
        for catalogue in server.catalogues:
            catalogue.close()

    monkeypatch.setattr(webbrowser, "open", browser)
    monkeypatch.setattr(Server, "run", answered)
    assert cli.run(["view", str(run), "--port", "0"]) == 0
    assert not left.is_set(), "it was waited for"
    waits.set()
    out, err = capfd.readouterr()
    assert asked == [re.search(r"http://\S+", out)[0]]  # type: ignore[index]
    assert err == ""


def test_no_browser_is_opened_where_none_is_wanted(run: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail("opened"))
    monkeypatch.setattr(Server, "run", lambda server: server._socket.close())
    assert cli.run(["view", str(run), "--port", "0", "--no-open"]) == 0


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    paths = [folder, *folder.rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size, path.stat().st_mode) for path in paths}


def test_looking_changes_nothing_in_a_folder_that_can_not_be_written_to(tmp_path: Path) -> None:
    run = write_lift_run(tmp_path / "run", InventedLift(images=4, kept=2, steps=3))
    write_thumbnails(run, [f"owl/{i}.png" for i in range(4)])
    folders = [path for path in (run, *run.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    before = listing(run)
    try:
        with started(run, "--port", "0", "--no-open") as (process, address):
            for path in ("", "api/runs", "api/runs/0/images", "api/runs/0/images/0.0",
                         "api/runs/0/images/0.0/thumbnail", "api/runs/0/images/0.0/original",
                         "api/runs/0/images/0.0/layers/0/frames/1", "api/runs/0/images/0.0/layers/0/download",
                         "api/runs/0/distribution?column=co"):  # fmt: skip
                deadline = time.monotonic() + PATIENCE
                while True:
                    try:
                        with urllib.request.urlopen(address + path, timeout=PATIENCE) as answer:
                            assert answer.read()
                        break
                    except urllib.error.HTTPError:  # not read yet
                        assert time.monotonic() < deadline, path
                        time.sleep(0.05)
            assert ended(process)[0] == 0
        assert listing(run) == before
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert os.access(run, os.W_OK)
