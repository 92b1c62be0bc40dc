"""DATA and RUN in object storage: a real server for S3 on 127.0.0.1, and the same figures as from folders."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGKILL
from typing import Any

import fsspec
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

import heatlift as hl
from heatlift.cli import run as command_line
from heatlift.data import find_images, first_images
from heatlift.images import UnreadableImage, decode
from heatlift.run import lease, mirror
from heatlift.run.dask_engine import DaskEngine
from heatlift.run.evolutions import Evolutions
from heatlift.run.lift import lift_configured, prepare_lift, run_lift
from heatlift.run.local import run_shards
from heatlift.run.mirror import temporary_mirror
from heatlift.run.place import placed, put_back
from heatlift.run.tables import read_table
from heatlift.storage import StoredFile, below
from heatlift.types import Framing
from pictures import class_folders, picture
from workers import beginning_at_once

pytestmark = pytest.mark.slow

BUCKET = "s3://pictures"


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A file system of a server with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        files = fsspec.filesystem("s3")
        files.mkdir("pictures")
        yield files
    server.stop()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, s3: Any) -> Path:
    """Images in a folder, and the same below ``s3://pictures/data``."""
    folder = class_folders(tmp_path_factory.mktemp("s3") / "data", each=3)
    (folder / "bee" / "torn.png").write_bytes(b"\x89PNG\r\n")
    (folder / "bee" / "empty.png").write_bytes(b"")
    (folder / "bee" / "ü #?%.png").write_bytes((folder / "bee" / "0.png").read_bytes())
    s3.put(str(folder), "pictures/data", recursive=True)
    s3.pipe_file("pictures/data/.hidden/x.png", b"")
    s3.pipe_file("pictures/data/__MACOSX/x.png", b"")
    return folder


AUDIT = ["audit", "--model", "networks:small", "--methods", "saliency,deeplift", "--batch-size", "2"]


def commanded(*arguments: object) -> int:
    return command_line([str(argument) for argument in arguments])


def same(one: str | Path, other: str | Path, *tables: str) -> None:
    folders = [hl.read(run).folder for run in (one, other)]
    for table in tables:
        assert read_table(folders[0], table).equals(read_table(folders[1], table)), table


def test_images_are_found_as_in_a_folder(data: Path) -> None:
    here, there = find_images(data, 3, None), find_images(f"{BUCKET}/data/", 3, None)
    assert [(item.name, item.label) for item in there.items] == [(i.name, i.label) for i in here.items]
    assert (there.kind, there.by_order) == (here.kind, here.by_order)
    assert there.fingerprint()["digest"] == find_images(f"{BUCKET}/data", 3, None).fingerprint()["digest"]
    assert len(first_images(f"{BUCKET}/data", 2)) == 2
    for nothing in (f"{BUCKET}/none", "s3://no-such-bucket/data"):
        with pytest.raises(hl.HeatliftError, match=f"{nothing} has no images"):
            find_images(nothing, 3, None)


def test_another_content_is_another_fingerprint(data: Path, s3: Any) -> None:
    s3.put(str(data / "bee"), "pictures/changing/bee", recursive=True)
    before = find_images(f"{BUCKET}/changing", 1, None).fingerprint()
    content = (data / "bee" / "0.png").read_bytes()
    s3.pipe_file("pictures/changing/bee/0.png", content[:-1] + b"\0")
    assert find_images(f"{BUCKET}/changing", 1, None).fingerprint() != before


def test_a_manifest_may_name_what_is_hidden(data: Path, s3: Any) -> None:
    s3.pipe_file("pictures/hiding/list.csv", b"path,label\n.cache/0.png,0\n")
    content = (data / "bee" / "0.png").read_bytes()
    s3.pipe_file("pictures/hiding/.cache/0.png", content)
    before = find_images(f"{BUCKET}/hiding/list.csv", 3, None)
    (item,) = before.items
    assert isinstance(item.path, StoredFile)
    assert item.path.size == len(content)
    assert item.path.read() == content
    s3.pipe_file("pictures/hiding/.cache/0.png", content[:-1] + b"\0")
    assert find_images(f"{BUCKET}/hiding/list.csv", 3, None).fingerprint() != before.fingerprint()


def test_a_manifest_and_images_that_are_missing(data: Path, s3: Any, tmp_path: Path) -> None:
    rows = "path,label\ndata/bee/0.png,0\ndata/bee/gone.png,1\ndata/bee/torn.png,\n"
    s3.pipe_file("pictures/list.csv", rows.encode())
    found = find_images(f"{BUCKET}/list.csv", 3, None)
    assert [(i.name, i.label) for i in found.items] == [
        ("data/bee/0.png", 0),
        ("data/bee/gone.png", 1),
        ("data/bee/torn.png", None),
    ]
    assert commanded(*AUDIT, f"{BUCKET}/list.csv", "--out", tmp_path / "run") == 0
    statuses = {row["image"]: row["status"] for row in hl.read(tmp_path / "run").predictions.to_pylist()}
    assert statuses == {
        "data/bee/0.png": "ok",
        "data/bee/gone.png": "unreadable: file is missing",
        "data/bee/torn.png": "unreadable: not an image that Pillow can read",
    }
    s3.pipe_file("pictures/bad.csv", b"path,label\ndata/bee/0.png,9\n")
    with pytest.raises(hl.HeatliftError, match=rf"{BUCKET}/bad\.csv, line 2: .* no output 9"):
        find_images(f"{BUCKET}/bad.csv", 3, None)
    with pytest.raises(hl.HeatliftError, match="does not exist"):
        find_images(f"{BUCKET}/none.csv", 3, None)


def test_an_audit_of_and_into_storage(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, here = f"{BUCKET}/runs/audit", tmp_path / "audit"
    assert commanded(*AUDIT, data, "--out", here) == 0
    capsys.readouterr()
    assert commanded(*AUDIT, f"{BUCKET}/data", "--out", there) == 0
    assert f"report: {there}/report.html" in capsys.readouterr().out
    same(here, there, "predictions", "scores", "thumbnails")
    names = set(below(there))
    assert names == {path.relative_to(here).as_posix() for path in here.rglob("[!.]*") if path.is_file()}
    # Again, with nothing left to do, and with other settings.
    assert commanded(*AUDIT, f"{BUCKET}/data", "--out", there) == 0
    assert commanded(*AUDIT, f"{BUCKET}/data", "--out", there, "--seed", 1) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"heatlift: {there} holds another audit (config.seed: was 0, is 1)")
    # Other forms of its report go beside it or here.
    assert commanded("report", there, "--format", "md") == 0
    assert f"md: {there}/report.md" in capsys.readouterr().out
    assert commanded("report", there, "--format", "csv", "--out", tmp_path / "x.csv") == 0
    assert "report.md" in below(there)


def test_a_folder_is_put_back_over_an_older_one(tmp_path: Path, s3: Any) -> None:
    figures = tmp_path / "run" / "figures"
    (figures / "more").mkdir(parents=True)
    for text in ("old", "new"):
        (figures / "more" / "a.svg").write_text(text)
        assert put_back(figures, tmp_path / "run", f"{BUCKET}/put/") == f"{BUCKET}/put/figures"
        assert s3.cat_file("pictures/put/figures/more/a.svg").decode() == text
    assert set(below(f"{BUCKET}/put")) == {"figures/more/a.svg"}


def lifted(data: str | Path, out: str | Path, engine: Any = run_shards) -> None:
    """A lift run of several shards that keeps everything."""
    settings: dict[str, Any] = {"max_steps": 4, "include": "all", "keep_steps": "all", "shard_size": 4}
    config = lift_configured(data=str(data), model="networks:small", **settings)
    with placed(out, engine) as place:
        run_lift(prepare_lift(config), place.folder, lambda *_: None, place.engine)


def same_lifts(here: Path, there: str) -> None:
    same(here, there, "lift", "evolutions", "thumbnails")
    one, other = (Evolutions(hl.read(run).folder) for run in (here, there))
    assert one.images() == other.images() != []
    for image in one.images():
        assert np.array_equal(one.final(image), other.final(image))
        assert np.array_equal(one.frame(image, 4), other.frame(image, 4))


@pytest.mark.parametrize("seldom", [False, True])
def test_a_run_that_was_stopped_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seldom: bool
) -> None:
    there, here = f"{BUCKET}/runs/lift {seldom}", tmp_path / "lift"
    lifted(data, here)
    done: list[set[str]] = []
    monkeypatch.setattr(mirror, "RARELY", 1e9 if seldom else 0)

    def stops(folder: Path, shards: Any, work: Any, job: Any, finished: Any) -> None:
        def heard(images: int) -> None:
            finished(images)
            done.append(set(below(there)))
            if len(done) == 2:
                raise KeyboardInterrupt

        run_shards(folder, shards, work, job, heard)

    with pytest.raises(KeyboardInterrupt):
        lifted(f"{BUCKET}/data", there, stops)
    first, second = "lift/part-000000.parquet", "lift/part-000001.parquet"
    if seldom:  # what had not been stored yet is stored when it ends
        assert first not in done[1]
    else:
        assert first in done[0]
    assert {name for name in below(there) if name.startswith("lift/")} == {first, second}
    left: list[int] = []

    def counts(folder: Path, shards: Any, *others: Any) -> None:
        left.extend(shards)
        run_shards(folder, shards, *others)

    lifted(f"{BUCKET}/data", there, counts)
    assert left == [2]
    same_lifts(here, there)


def test_workers_of_a_cluster_bring_what_they_make(data: Path, tmp_path: Path) -> None:
    there, here = f"{BUCKET}/runs/dask", tmp_path / "lift"
    lifted(data, here)
    engine = DaskEngine(workers=2)
    with beginning_at_once({name: value for name, value in os.environ.items() if name.startswith("AWS_")}):
        lifted(f"{BUCKET}/data", there, engine)
    assert sum(engine.done_by.values()) == 12
    same_lifts(here, there)


KILLED = """
from heatlift.run import mirror
from killing import Sabotage

mirror.RARELY = 0  # what is finished is stored at once
Sabotage("/", at=1, within="lift/.part-000003")
from heatlift.cli import main

main()
"""


def test_killed_it_goes_on_at_once(data: Path, tmp_path: Path) -> None:
    there, here = f"{BUCKET}/runs/killed", tmp_path / "lift"
    arguments = ["lift", f"{BUCKET}/data", "--model", "networks:small", "--max-steps", "4"]
    arguments += ["--target-co", "1000", "--include", "all", "--shard-size", "2"]
    assert commanded(*arguments, "--out", here) == 0
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments, "--out", there])
    assert killed.returncode == -SIGKILL
    parts = sorted(name for name in below(there) if name.startswith("lift/"))
    assert parts == [f"lift/part-00000{number}.parquet" for number in range(3)]
    assert ".lease.json" in below(there, hidden=True)
    assert commanded(*arguments, "--out", there) == 0
    same(here, there, "lift", "evolutions", "thumbnails")


ELSEWHERE = {"token": "1", "holder": "process 1 on another", "machine": "another", "process": 1, "since": "5"}


def leave(s3: Any, name: str, content: dict[str, Any]) -> str:
    """A run's address, with somebody's lease."""
    s3.pipe_file(f"pictures/runs/{name}/.lease.json", json.dumps(content).encode())
    return f"{BUCKET}/runs/{name}"


def test_a_second_process_is_refused(data: Path, s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    there = f"{BUCKET}/runs/leased"
    with lease.leased(there):
        assert commanded(*AUDIT, f"{BUCKET}/data", "--out", there) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"{there} is being worked on by process {os.getpid()} on {socket.gethostname()}" in line
    assert below(there, hidden=True) == {}
    leave(s3, "leased", ELSEWHERE)
    with pytest.raises(hl.HeatliftError, match="process 1 on another"), lease.leased(there):
        pass


def test_a_lease_ends_with_its_process(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SETTLED", 0)
    ours = lease._process(os.getpid())
    # One that is gone, and one that has another's number now.
    for gone in (ours | {"process": 2**22 + 1}, ours | {"since": "1"}):
        with lease.leased(leave(s3, "ended", ELSEWHERE | gone)) as held:
            held.check()
        assert not s3.exists("pictures/runs/ended/.lease.json")
    # One that lives here has the same name and number in another container.
    there = leave(s3, "ended", ELSEWHERE | ours | {"machine": "another"})
    with pytest.raises(hl.HeatliftError, match="process 1 on another"), lease.leased(there):
        pass
    monkeypatch.setattr(lease, "OVER", -1)  # elsewhere, silence alone tells
    with lease.leased(there):
        pass


@pytest.mark.parametrize("old", [True, False])
def test_of_two_at_once_one_has_it(s3: Any, monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    """Both look before either writes."""
    monkeypatch.setattr(lease, "OVER", -1)
    monkeypatch.setattr(lease, "SETTLED", 0.5)
    there = f"{BUCKET}/runs/both {old}"
    if old:
        leave(s3, f"both {old}", ELSEWHERE)
    read, both = lease._read, threading.Barrier(2)
    looked: set[int] = set()

    def looks(url: str) -> dict[str, Any]:
        found = read(url)
        if threading.get_ident() not in looked:
            looked.add(threading.get_ident())
            both.wait(600)
        return found

    monkeypatch.setattr(lease, "_read", looks)
    ends = threading.Barrier(2)

    def take() -> str:
        try:
            with lease.leased(there):
                ends.wait(600)
                return "has it"
        except hl.HeatliftError as error:
            ends.wait(600)
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        said = [future.result() for future in [pool.submit(take) for _ in range(2)]]
    assert said.count("has it") == 1
    (other,) = (line for line in said if line != "has it")
    assert "is being worked on by" in other or "was taken over by" in other


def test_a_lease_that_somebody_took_over_is_noticed(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWED", 0.01)
    before = set(threading.enumerate())
    with lease.leased(f"{BUCKET}/runs/taken") as held:
        held.check()
        (renewing,) = (t for t in set(threading.enumerate()) - before if t.name == "heatlift-lease")
        for _ in range(600):  # a renewal that was under way may be written over the other one's
            there = leave(s3, "taken", ELSEWHERE)
            renewing.join(0.1)
            if not renewing.is_alive():
                break
        assert not renewing.is_alive(), "it is renewed though somebody else has it"
        leave(s3, "taken", ELSEWHERE)
        with pytest.raises(hl.HeatliftError, match="was taken over by process 1 on another"):
            held.check()
    assert lease.token(there) == "1"


def test_files_that_would_lead_out_of_the_folder(s3: Any, tmp_path: Path) -> None:
    s3.pipe_file("pictures/runs/hostile/run.json", b"{}")
    s3.pipe_file(f"pictures/runs/hostile/{tmp_path}/x.txt", b"escaped")
    assert f"{tmp_path}/x.txt" in below(f"{BUCKET}/runs/hostile")
    for command in ("report", "view"):
        assert commanded(command, f"{BUCKET}/runs/hostile") == 2
    with pytest.raises(hl.HeatliftError, match="is no run: it has a file named"):
        hl.read(f"{BUCKET}/runs/hostile")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run_is_left_alone(data: Path, s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = below(f"{BUCKET}/data", hidden=True)
    assert commanded(*AUDIT, data, "--out", f"{BUCKET}/data") == 2
    assert f"{BUCKET}/data is not empty and not the folder of a run" in capsys.readouterr().err
    with pytest.raises(hl.HeatliftError, match="is not the folder of a run"):
        hl.read(f"{BUCKET}/data")
    assert below(f"{BUCKET}/data", hidden=True) == before


def test_what_is_new_on_either_side_comes_to_the_other(s3: Any) -> None:
    one, other = (temporary_mirror(f"{BUCKET}/mirrored") for _ in range(2))
    for name, text in (("run.json", "{}"), ("scores/part-000000.parquet", "old"), ("maps/a/c.0", "map")):
        (one.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (one.folder / name).write_text(text)
    one.push()
    other.pull()
    assert (other.folder / "maps/a/c.0").read_text() == "map"
    (other.folder / "scores/part-000000.parquet").write_text("new")
    (other.folder / ".hidden").write_text("not for others")
    other.push()
    (one.folder / "run.json").write_text("newer here")
    one.push()
    one.pull()
    assert (one.folder / "run.json").read_text() == "newer here"
    assert s3.cat_file("pictures/mirrored/scores/part-000000.parquet") == b"new"
    other.pull()
    assert (other.folder / "run.json").read_text() == "newer here"
    assert set(below(f"{BUCKET}/mirrored")) == {"run.json", "scores/part-000000.parquet", "maps/a/c.0"}


def test_what_can_t_be_had_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, words in (
        ("foo://x/y", "Protocol not known: foo"),
        ("s3://", "names nothing"),
        ("abfs://x/y", "needs a package that is not installed"),
        ("github://x/y", "give a path, s3://... or gs://..."),
    ):
        assert commanded(*AUDIT, place, "--out", tmp_path / "run") == 2
        assert words in capsys.readouterr().err.splitlines()[-1]
    assert commanded(*AUDIT, data, "--out", "s3://no-such-bucket/run") == 2
    assert "can't write to s3://no-such-bucket/run: no such bucket" in capsys.readouterr().err
    for command in ("report", "view"):
        assert commanded(command, f"{BUCKET}/nothing") == 2
        assert f"{BUCKET}/nothing is not the folder of a run" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_path_with_its_scheme_is_a_path(data: Path, tmp_path: Path) -> None:
    assert find_images(f"file://{data}", 3, None).root == data
    assert commanded(*AUDIT, f"file://{data}", "--out", f"file://{tmp_path}/a run") == 0
    assert hl.read(tmp_path / "a run").predictions.num_rows == 12


def test_a_storage_that_fails_says_nothing_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    files = fsspec.filesystem("memory")
    picture(1).save(content := io.BytesIO(), "PNG")
    files.pipe_file("/pictures/a.png", content.getvalue())
    (item,) = find_images("memory://pictures", 1, None).items
    assert decode(item.path, Framing(8, (8, 8))).shape == (3, 8, 8)

    def fails(self: Any, path: str, **_: Any) -> bytes:
        raise ConnectionResetError("connection reset")

    with monkeypatch.context() as patch:
        patch.setattr(type(files), "cat_file", fails)
        with pytest.raises(hl.HeatliftError, match=r"can't read memory://pictures/a\.png: connection reset"):
            decode(item.path, Framing(8, (8, 8)))

    def is_closed(self: Any, path: str, **_: Any) -> bytes:
        raise PermissionError("Forbidden")

    with monkeypatch.context() as patch:
        patch.setattr(type(files), "cat_file", is_closed)
        with pytest.raises(UnreadableImage, match="permission denied"):
            decode(item.path, Framing(8, (8, 8)))
        patch.setattr(type(files), "find", is_closed)  # with credentials that are no longer good
        with pytest.raises(hl.HeatliftError, match=r"can't read memory://pictures/a\.png: Forbidden"):
            decode(item.path, Framing(8, (8, 8)))
    files.rm_file("/pictures/a.png")
    with pytest.raises(UnreadableImage, match="file is missing"):
        decode(item.path, Framing(8, (8, 8)))
