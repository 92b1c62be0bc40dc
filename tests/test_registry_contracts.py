"""What every control, ranking figure and engine must hold; new ones are met here by their registration."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from typer.main import get_command

from heatlift.cli import app
from heatlift.controls import CONTROLS
from heatlift.ranking import FigureName, Ranking, Sample
from heatlift.run.audit import prepare, run
from heatlift.run.judgement import RANKED
from heatlift.run.local import run_shards
from heatlift.run.plan import configured
from heatlift.run.tables import read_table
from heatlift.run.work import Engine, Job, Shards, Work, write_tables
from networks import images
from pictures import class_folders

NAMES = ["cat/1.jpg", "dog/2.jpg", "eel/3.jpg"]


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_is_the_image_s_own_and_touches_nothing(name: str) -> None:
    control = CONTROLS[name]
    x, others = images(3), images(3, seed=9)
    kept = x.clone(), others.clone()
    found = control.compute(x, others, NAMES, 5)
    assert found.shape == x.shape
    assert found.dtype == x.dtype
    assert found.isfinite().all()
    assert torch.equal(found, control.compute(x, others, NAMES, 5))
    alone = [control.compute(x[i : i + 1], others[i : i + 1], NAMES[i : i + 1], 5) for i in range(3)]
    assert torch.equal(found, torch.cat(alone))
    assert torch.equal(x, kept[0])
    assert torch.equal(others, kept[1])
    assert control.title
    assert control.shows


def figures_of(scores: np.ndarray, correct: np.ndarray, figure: FigureName) -> float:
    return Ranking.of(scores, correct).value(figure)


@pytest.mark.parametrize("figure", get_args(FigureName))
def test_a_figure_rests_on_the_order_of_the_scores_alone(figure: FigureName) -> None:
    assert figure in RANKED  # or no summary has it
    rng = np.random.default_rng(3)
    scores, correct = rng.integers(-9, 9, 80) / 3, rng.permutation(np.arange(80) < 50)
    expected = figures_of(scores, correct, figure)
    assert 0 <= expected <= 1
    shuffled = rng.permutation(80)
    assert figures_of(scores[shuffled], correct[shuffled], figure) == pytest.approx(expected, abs=1e-12)
    assert figures_of(np.exp(scores), correct, figure) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("figure", get_args(FigureName))
def test_a_figure_of_a_resample_is_that_of_the_images_repeated(figure: FigureName) -> None:
    rng = np.random.default_rng(4)
    scores, correct = rng.integers(0, 9, 60) / 3, rng.permutation(np.arange(60) < 40)
    positive = rng.multinomial(40, np.full(40, 1 / 40), 4).astype(np.int32)
    negative = rng.multinomial(20, np.full(20, 1 / 20), 4).astype(np.int32)
    drawn = Ranking.of(scores, correct).statistic(figure)(Sample(positive, negative))[0]
    for row in range(4):
        repeats = np.empty(60, dtype=int)
        repeats[correct], repeats[~correct] = positive[row], negative[row]
        repeated = figures_of(np.repeat(scores, repeats), np.repeat(correct, repeats), figure)
        assert drawn[row] == pytest.approx(repeated, abs=1e-12)


def in_reverse(folder: Path, shards: Shards, work: Work, job: Job, finished: Callable[[int], None]) -> None:
    """Another engine: a thread beside this one, the last shard first."""
    with ThreadPoolExecutor(1) as pool:
        for number in sorted(shards, reverse=True):
            write_tables(folder, number, pool.submit(work, shards[number]).result())
            finished(len(shards[number]))


def by_job(folder: Path, shards: Shards, work: Work, job: Job, finished: Callable[[int], None]) -> None:
    """One that loads what it needs itself, as another process would."""
    own = job(folder)
    for number, items in shards.items():
        write_tables(folder, number, own(items))
        finished(len(items))


ENGINES: dict[str, Engine] = {"in reverse": in_reverse, "by job": by_job}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return class_folders(tmp_path_factory.mktemp("data") / "photos", each=3)


@pytest.fixture(scope="module")
def plain(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "plain"
    assert audited(data, folder, run_shards)[-1] == 9
    return folder


def audited(data: Path, folder: Path, engine: Engine) -> list[int]:
    config = configured(
        data=str(data),
        model="networks:small",
        methods=("saliency",),
        controls=("noise", "shuffled"),
        operations=("add",),
        batch_size=4,
        shard_size=3,
    )
    heard: list[int] = []
    run(prepare(config), folder, lambda done, total, step: heard.append(done), engine)
    return heard


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_does_every_shard_once_and_gives_the_same_tables(
    name: str, data: Path, plain: Path, tmp_path: Path
) -> None:
    heard = audited(data, tmp_path / "run", ENGINES[name])
    assert heard[-1] == 9
    for table in ("predictions", "scores"):
        expected, found = read_table(plain, table), read_table(tmp_path / "run", table)
        order = [(column, "ascending") for column in ("image", "method") if column in expected.column_names]
        assert found.sort_by(order).equals(expected.sort_by(order))


def test_the_help_of_audit_names_every_control() -> None:
    """Written out there, since the registry loads torch, for which a help text should not wait."""
    (option,) = (p for p in get_command(app).commands["audit"].params if p.name == "controls")
    listed, _, _ = option.help.removeprefix("Control heatmaps: ").partition(", or none")
    assert listed.split(", ") == list(CONTROLS)
