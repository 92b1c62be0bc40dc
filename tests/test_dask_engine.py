"""Runs on real Dask workers: the same tables as in one process, whatever becomes of a worker."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import torch
from distributed import Client
from PIL import Image

import heatlift as hl
from heatlift.cli import run as command_line
from heatlift.errors import DeviceFailed
from heatlift.run import audit as audits
from heatlift.run import dask_engine
from heatlift.run.dask_engine import LIVES, PATIENCE, DaskEngine, _result
from heatlift.run.dask_worker import FATAL
from heatlift.run.evolutions import Evolutions
from heatlift.run.lift import lift_configured, prepare_lift, run_lift
from heatlift.run.local import run_shards
from heatlift.run.plan import configured
from heatlift.run.tables import parts, read_part, read_table
from heatlift.run.undesirable import prepare_undesirable, run_undesirable, undesirable_configured
from pictures import class_folders
from workers import cluster_of_two

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = class_folders(tmp_path_factory.mktemp("dask") / "data", each=4)
    (folder / "bee" / "torn.png").write_bytes(b"\x89PNG\r\n")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers, as somebody else may have started them: a shard's worker may end once less often."""
    settings = {
        "distributed.scheduler.allowed-failures": LIVES - 2,
        "distributed.deploy.lost-worker-timeout": f"{PATIENCE}s",
    }
    with cluster_of_two(settings) as started:
        yield started


@pytest.fixture
def engine(cluster: Any) -> DaskEngine:
    return DaskEngine(cluster.scheduler_address)


def quiet(done: int, total: int, step: str) -> None:
    """No display."""


def audited(data: Path, out: Path, engine: Any, **settings: Any) -> hl.reading.Run:
    short = {"model": "networks:small", "methods": ("saliency", "deeplift"), "batch_size": 2}
    config = configured(data=str(data), **(short | {"shard_size": 4} | settings))
    audits.run(audits.prepare(config), out, quiet, engine)
    return hl.read(out)


def same(one: Path, other: Path, *tables: str) -> None:
    for table in tables:
        assert read_table(one, table).equals(read_table(other, table)), table


def test_two_workers_give_the_tables_of_one_process(data: Path, tmp_path: Path, engine: DaskEngine) -> None:
    local, dask = tmp_path / "local", tmp_path / "dask"
    audited(data, local, run_shards)
    assert audited(data, dask, engine).record["status"] == "finished"
    same(local, dask, "predictions", "scores", "indicators", "thumbnails")
    assert sum(engine.done_by.values()) == 13
    assert len(engine.summary().split(";")) == 2
    # Nothing is left to do, so no cluster is made.
    nowhere = DaskEngine(scheduler="tcp://127.0.0.1:1")
    audited(data, dask, nowhere)
    assert not nowhere.done_by


@pytest.mark.parametrize("kind", ["lift", "undesirable"])
def test_runs_that_optimise_and_what_they_keep(
    data: Path, tmp_path: Path, engine: DaskEngine, kind: str
) -> None:
    shared: dict[str, Any] = {"data": str(data), "model": "networks:small", "shard_size": 4, "keep_steps": 5}
    engines: dict[str, Any] = {"local": run_shards, "dask": engine}
    for name, each in engines.items():
        out = tmp_path / name
        if kind == "lift":
            config = lift_configured(**shared, max_steps=5, target_co=1.5, include="all")
            run_lift(prepare_lift(config), out, quiet, each)
        else:
            masks = undesirable_configured(**shared, steps=4, resolution=8, kernel=5, sigma=2.0)
            run_undesirable(prepare_undesirable(masks), out, quiet, each)
    local, dask = tmp_path / "local", tmp_path / "dask"
    same(local, dask, kind, "evolutions", "thumbnails")
    names = Evolutions(local).images()
    assert names == Evolutions(dask).images()
    for name in names:
        assert np.array_equal(Evolutions(local).final(name), Evolutions(dask).final(name))
    pictures = sorted(path.relative_to(local) for path in (local / "originals").iterdir())
    assert pictures
    assert all((local / path).read_bytes() == (dask / path).read_bytes() for path in pictures)


def test_a_worker_that_is_killed_changes_nothing(tmp_path: Path, cluster: Any, engine: DaskEngine) -> None:
    data = class_folders(tmp_path / "data", each=30)
    local, dask = tmp_path / "local", tmp_path / "dask"
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            if parts(dask, "scores"):
                worker = cluster.workers[0].pid
                os.kill(worker, signal.SIGKILL)
                killed.append(worker)
            time.sleep(0.01)

    audited(data, local, run_shards, shard_size=6)
    thread = threading.Thread(target=kill)
    thread.start()
    audited(data, dask, engine, shard_size=6)
    thread.join(30)
    assert killed
    same(local, dask, "predictions", "scores", "thumbnails")
    assert sum(engine.done_by.values()) == 90


def test_an_image_that_ends_its_worker_becomes_a_failed_row(
    tmp_path: Path, cluster: Any, engine: DaskEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)  # the first end will do
    data = class_folders(tmp_path / "data", each=3)
    Image.new("RGB", (40, 40), "white").save(data / "bee" / "deadly.png")
    dask, without = tmp_path / "dask", tmp_path / "without"
    audited(data, dask, engine, model="networks:dies_of_white_images", shard_size=2)
    rows = {row["image"]: row for row in read_table(dask, "predictions").to_pylist()}
    assert len(rows) == 10
    assert rows["bee/deadly.png"]["status"] == FATAL
    assert all(row["status"] == "ok" for name, row in rows.items() if name != "bee/deadly.png")
    scores = [row for row in read_table(dask, "scores").to_pylist() if row["image"] == "bee/deadly.png"]
    assert scores
    assert all(row["status"] == FATAL and row["co_predicted"] is None for row in scores)
    # The others are as they are where that image can't be read.
    (data / "bee" / "deadly.png").write_bytes(b"\x89PNG\r\n")
    audited(data, without, run_shards, model="networks:dies_of_white_images", shard_size=2)
    for table in ("predictions", "scores"):
        both = [read_table(run, table).to_pylist() for run in (dask, without)]
        kept = [sorted((r for r in rows if r["image"] != "bee/deadly.png"), key=str) for rows in both]
        assert kept[0] == kept[1]


def test_a_shard_that_ends_its_worker_only_as_a_whole_is_said(
    tmp_path: Path, cluster: Any, engine: DaskEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No image of it is said to do so, and none becomes a failed row."""
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)  # the first end will do
    (tmp_path / "data").mkdir()
    for name in range(4):
        Image.new("RGB", (40, 40), "white").save(tmp_path / "data" / f"{name}.png")
    settings: dict[str, Any] = {"methods": ("saliency",), "controls": (), "operations": ("add",)}
    with pytest.raises(hl.HeatliftError, match="shard 0 ends its worker only as a whole: give workers more"):
        audited(
            tmp_path / "data",
            tmp_path / "run",
            engine,
            model="networks:dies_of_four_white_images",
            batch_size=4,
            **settings,
        )
    assert not parts(tmp_path / "run", "predictions")


def test_a_device_that_gives_out_on_a_worker_ends_the_run(
    data: Path, tmp_path: Path, engine: DaskEngine
) -> None:
    folder = shutil.copytree(data, tmp_path / "data")
    Image.new("RGB", (40, 40), "white").save(folder / "bee" / "white.png")
    with pytest.raises(DeviceFailed, match=r"the device failed \(CUDA error: an illegal memory access"):
        audited(folder, tmp_path / "run", engine, model="hostile:loses_its_device", size=32)
    for part in (tmp_path / "run" / "predictions").glob("part-*"):
        assert "device" not in str(read_part(part, "predictions")["status"].to_pylist())


def test_whatever_a_task_raises_is_one_line(cluster: Any) -> None:
    with Client(cluster) as client:
        with pytest.raises(hl.HeatliftError, match="shard 3 failed on its worker 3 times: FileNotFoundError"):
            _result(client.submit(os.stat, "/nowhere/at/all"), 3)
        fault = torch.AcceleratorError("CUDA error: unspecified launch failure")
        with pytest.raises(DeviceFailed, match="unspecified launch failure"):
            _result(client.submit(raises, fault), 3)


def raises(error: Exception) -> None:
    raise error


def test_clusters_that_can_t_be_had_are_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["audit", str(data), "--model", "networks:small", "--methods", "saliency", "--out"]
    for name, options, words in (
        ("a", ["--workers", "2"], "--workers is for --engine dask"),
        ("b", ["--scheduler", "tcp://127.0.0.1:1"], "--scheduler is for --engine dask"),
        ("c", ["--engine", "dask", "--scheduler", "x:1", "--workers", "2"], "leave out --scheduler"),
        ("d", ["--engine", "dask", "--scheduler", "nonsense"], "no Dask cluster at nonsense"),
    ):
        assert command_line([*base, str(tmp_path / name), *options]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("heatlift: ")
        assert words in line


def test_the_command_starts_workers_of_its_own(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are begun again where an image ends one, however long that takes."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(dask_engine, "LIVES", 1)
    folder = shutil.copytree(data, tmp_path / "data")
    Image.new("RGB", (40, 40), "white").save(folder / "bee" / "white.png")
    command = ["audit", str(folder), "--model", "networks:dies_of_white_images", "--methods", "saliency"]
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "0.2s"}):
        own = ["--out", str(tmp_path / "run"), "--engine", "dask", "--workers", "1", "--shard-size", "1"]
        assert command_line([*command, *own]) == 0
    said = capsys.readouterr()
    assert "workers: 1; images by worker: 0 14" in said.out
    assert "Traceback" not in said.err
    failed = [
        row["image"]
        for row in read_table(tmp_path / "run", "predictions").to_pylist()
        if row["status"] != "ok"
    ]
    assert failed == ["bee/torn.png", "bee/white.png"]
