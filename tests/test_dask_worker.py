"""What a worker looks at before it takes part in a run, and that its threads take turns."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import heatlift as hl
from heatlift.run import audit as audits
from heatlift.run import dask_worker, folder, sameness
from heatlift.run.local import run_shards
from heatlift.run.lock import held, holder
from heatlift.run.plan import AuditConfig, OptimisingConfig, configured, shards, validated
from heatlift.run.record import read_record
from heatlift.run.tables import part_path, read_table
from pictures import class_folders


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster is needed to call what a worker calls."""
    monkeypatch.setattr(dask_worker, "_own_name", lambda: "one")
    monkeypatch.setattr(dask_worker, "_DESKS", {})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("worker") / "data", each=8)


def settings(data: Path) -> AuditConfig:
    methods = ("saliency", "layer_gradcam", "guided_backprop")
    return configured(data=str(data), model="networks:small", methods=methods, batch_size=2, shard_size=3)


def quiet(done: int, total: int, step: str) -> None:
    """No display."""


def audited(data: Path, out: Path, engine: Any = run_shards) -> Path:
    audits.run(audits.prepare(settings(data)), out, quiet, engine)
    return out


def errand(data: Path, run: Path, **different: Any) -> tuple[dask_worker.Errand, list[Any]]:
    """What a worker is told of a finished run, and the run's shards."""
    prepared = audits.prepare(settings(data))
    expected = sameness.on_record(read_record(run)) | different
    names = [request.name for request in prepared.requests]
    job = partial(audits.loaded_work, prepared.config, names, expected, 2)
    return dask_worker.Errand("1", job, run, holder(run), 1), shards(prepared.items, 3)


def test_threads_of_one_worker_take_turns(data: Path, tmp_path: Path) -> None:
    run = audited(data, tmp_path / "run")
    before = {table: read_table(run, table) for table in ("predictions", "scores")}
    told, parts = errand(data, run)
    assert len(parts) == 8
    for table in before:
        for number in range(8):
            part_path(run, table, number).unlink()
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(dask_worker.do_shard, told, n, items, 3) for n, items in enumerate(parts)]
        assert {task.result() for task in tasks} == {"one"}
    for table, rows in before.items():
        assert read_table(run, table).equals(rows), table


@pytest.mark.parametrize(
    ("different", "named"),
    [
        ({"weights": ["0" * 32]}, "weights: was 0000"),
        ({"heatlift": "0.0.1"}, r"heatlift: was 0\.0\.1"),
        ({"code": {"mine:method": "abc"}}, "code.mine:method: was abc, is None"),
    ],
)
def test_a_worker_unlike_the_others_is_refused(
    data: Path, tmp_path: Path, different: dict[str, Any], named: str
) -> None:
    run = audited(data, tmp_path / "run")
    told, (first, *_) = errand(data, run, **different)
    with pytest.raises(hl.HeatliftError, match=f"a worker is not like the process .*{named}"):
        dask_worker.do_shard(told, 0, first, 3)


def test_a_worker_that_does_not_see_an_image_or_the_run(data: Path, tmp_path: Path) -> None:
    run = audited(data, tmp_path / "run")
    told, (first, *_) = errand(data, run)
    hidden = Path(str(first[1].path))
    hidden.rename(hidden.with_suffix(".hidden"))
    try:
        with pytest.raises(hl.HeatliftError, match=f"does not see all images, such as {hidden}"):
            dask_worker.do_shard(told, 0, first, dask_worker.seen(first) + 1)
        dask_worker.do_shard(told, 0, first, dask_worker.seen(first))  # gone where it is handed out, too
    finally:
        hidden.with_suffix(".hidden").rename(hidden)
    with held(run):  # by somebody else than the errand says
        (run / ".holder").write_text("process 1 on another")
        dask_worker._DESKS.clear()
        with pytest.raises(hl.HeatliftError, match="is something else on the worker one"):
            dask_worker.do_shard(told, 0, first, 3)


def test_paths_are_whole_for_processes_of_other_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "a.pt", "b.pt", "network"):
        Path(name).touch()
    config = validated(
        OptimisingConfig,
        {
            "data": "photos",
            "model": "hf:network",
            "weights": "a.pt",
            "also": ("demo", "demo-lite1"),
            "also_weights": ("b.pt", "default"),
            "verify_on": "hf:google/vit",
        },
    )
    found = sameness.from_anywhere(config)
    assert found.data == os.path.join(tmp_path, "photos")
    assert found.weights == os.path.join(tmp_path, "a.pt")
    assert found.also_weights == (os.path.join(tmp_path, "b.pt"), "default")
    assert (found.model, found.verify_on) == (f"hf:{tmp_path}/network", "hf:google/vit")


def forgetful(engine: Callable[..., None]) -> Callable[..., None]:
    """An engine whose first shard's tables nobody sees."""

    def done(folder: Path, shards: Any, *others: Any) -> None:
        engine(folder, shards, *others)
        part_path(folder, "scores", 0).unlink()

    return done


def test_nothing_is_made_of_a_run_with_parts_missing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "SEEN_WITHIN", 0)
    run = tmp_path / "run"
    with pytest.raises(hl.HeatliftError, match=r"1 parts are not in .* such as scores/part-000000\.parquet"):
        audited(data, run, forgetful(run_shards))
    assert read_record(run)["status"] == "running"
    assert not (run / "summary.json").exists()
    whole = audited(data, tmp_path / "whole")
    assert read_table(audited(data, run), "scores").equals(read_table(whole, "scores"))
    foreign = part_path(run, "scores", 99)
    foreign.write_bytes(part_path(run, "scores", 0).read_bytes())
    with pytest.raises(hl.HeatliftError, match=f"{foreign} is not of this run"):
        audited(data, run)
