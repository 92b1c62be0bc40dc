"""Training: what is drawn, what a step does, when it stops, and that it goes on as if it had not."""

from __future__ import annotations

import csv
import json
import shlex
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.metrics import accuracy_score, confusion_matrix, precision_score, recall_score
from torch.nn import functional as F

import heatlift as hl
from heatlift.cli import run as command_line
from heatlift.data import find_images
from heatlift.finetune import training
from heatlift.finetune.measures import measured
from heatlift.finetune.recipe import Recipe
from heatlift.finetune.start import prepare
from heatlift.finetune.stretch import drawn, snapshot, train_stretch
from heatlift.finetune.training import finetune
from heatlift.images import decode
from heatlift.streams import image_seed
from networks import learner

TABLE_1 = ("accuracy", "precision", "recall")
CLASSES = ("dark", "middle", "white")


def grey_folders(folder: Path, each: int = 12, classes: tuple[str, ...] = CLASSES) -> Path:
    """Grainy pictures of one brightness for each class, which anything can learn."""
    rng = np.random.default_rng(0)
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = 40 + 85 * place + rng.integers(-30, 30, (36, 36, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return grey_folders(tmp_path_factory.mktemp("finetune") / "data")


def recipe(data: Path, **settings: Any) -> Recipe:
    short = {
        "model": "networks:learner",
        "until_val_accuracy": 1.0,
        "min_iterations": 4,
        "max_iterations": 12,
        "validate_every": 4,
        "batch_size": 8,
        "lr": 0.01,
    }
    return Recipe(data=str(data), **(short | settings))


def quiet(done: int, total: int, step: str) -> None:
    """No display."""


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_train_and_validation_are_drawn_anew_and_no_file_is_moved(data: Path, tmp_path: Path) -> None:
    before = sorted(path for path in data.rglob("*"))
    finetune(recipe(data, validation="2,3,4"), tmp_path / "net", quiet)
    train, held = (rows(tmp_path / "net" / f"{name}.csv") for name in ("train", "validation"))
    assert [sum(row["label"] == name for row in held) for name in CLASSES] == [2, 3, 4]
    assert [sum(row["label"] == name for row in train) for name in CLASSES] == [10, 9, 8]
    paths = [row["path"] for row in train + held]
    assert sorted(paths) == sorted(f"images/{path.relative_to(data)}" for path in before if path.is_file())
    assert sorted(path for path in data.rglob("*")) == before
    # They are DATA like any other, with the labels of the folders.
    found = find_images(tmp_path / "net" / "validation.csv", 3, CLASSES)
    assert [(item.name, item.label) for item in found.items] == sorted(
        (row["path"], CLASSES.index(row["label"])) for row in held
    )
    assert all(decode(item.path, learner().framing).shape == (3, 32, 32) for item in found.items)


def test_another_seed_draws_others(data: Path) -> None:
    one, same, other = (prepare(recipe(data, seed=seed)) for seed in (0, 0, 1))
    assert one.held == same.held != other.held
    assert len(one.held) == len(other.held) == 6  # a fifth of twelve, to the nearest, of each class
    assert not set(one.train) & set(one.held)


def test_steps_are_adam_s_on_the_images_drawn(data: Path, tmp_path: Path) -> None:
    """Against a plain loop; in the same layout, since dropout's random numbers go by that."""
    settings = recipe(data, min_iterations=3, max_iterations=3, validate_every=3)
    classifier = learner()
    network = classifier.network.to(memory_format=torch.channels_last)
    start = prepare(settings)
    images = list(islice(drawn(start.train, settings, 0, 3), 24))
    optimiser = torch.optim.Adam(network.parameters(), 0.01, (0.5, 0.999))
    torch.manual_seed(image_seed(0, "0", "dropout"))
    network.train()
    for step in range(3):
        batch = images[8 * step : 8 * step + 8]
        pixels = torch.stack([decode(item.path, classifier.framing).float() / 255 for item in batch])
        optimiser.zero_grad()
        labels = torch.tensor([CLASSES.index(item.name.split("/")[0]) for item in batch])
        inputs = ((pixels - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)
        F.cross_entropy(network(inputs), labels).backward()
        optimiser.step()
    finetune(settings, tmp_path / "net", quiet)
    found = load_file(tmp_path / "net" / "weights.safetensors")
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


def test_draws_are_uniform_with_replacement(data: Path) -> None:
    start = prepare(recipe(data, batch_size=32))
    items = list(islice(drawn(start.train, start.recipe, 0, 100), 3200))
    counts = np.array([items.count(item) for item in start.train])
    assert counts.sum() == 3200
    expected = 3200 / len(start.train)
    # Chi-squared of 29 degrees of freedom: above 66.2 once in ten thousand.
    assert ((counts - expected) ** 2 / expected).sum() < 66.2
    assert list(islice(drawn(start.train, start.recipe, 100, 100), 3200)) != items


def test_figures_are_those_of_scikit_learn(data: Path, tmp_path: Path) -> None:
    test = grey_folders(tmp_path / "test", each=9)
    (test / "dark" / "torn.png").write_bytes(b"\x89PNG")
    out = tmp_path / "net"
    settings = recipe(
        data, test=str(test), positive="middle", min_iterations=1, max_iterations=2, validate_every=1
    )
    metrics = finetune(settings, out, quiet)
    assert json.loads((out / "metrics.json").read_text()) == metrics
    classifier = hl.load("networks:learner", weights=out / "weights.safetensors")
    items = [item for item in find_images(test, 3, CLASSES).items if "torn" not in item.name]
    pixels = torch.stack([decode(item.path, classifier.framing).float() / 255 for item in items])
    with torch.no_grad():
        predicted = classifier(pixels).argmax(dim=1).numpy()
    labels = np.array([item.label for item in items])
    found = metrics["test"]
    assert (found["n"], found["failed"]) == (27, 1)
    assert [metrics[name] for name in TABLE_1] == [found[name] for name in TABLE_1]
    assert found["confusion"] == confusion_matrix(labels, predicted, labels=range(3)).tolist()
    assert found["accuracy"]["value"] == pytest.approx(accuracy_score(labels, predicted))
    ours = labels == 1, predicted == 1
    recall = found["recall"]["value"]
    assert recall == pytest.approx(recall_score(*ours))
    if found["precision"]["value"] is not None:
        assert found["precision"]["value"] == pytest.approx(precision_score(*ours))
    assert [found["per_class"][name]["recall"]["value"] for name in CLASSES] == pytest.approx(
        recall_score(labels, predicted, average=None)
    )


def test_it_learns_and_its_weights_say_what_they_belong_to(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "net"
    settings = recipe(data, max_iterations=400, size=28, mean=(0.4, 0.4, 0.4), std=(0.3, 0.3, 0.3))
    metrics = finetune(settings, out, quiet)
    assert metrics["reached"]
    assert metrics["val_accuracy"]["value"] == 1
    assert metrics["iterations"] == metrics["history"][-1]["iteration"] < 400
    classifier = hl.load("networks:learner", weights=out / "weights.safetensors")
    assert classifier.classes == CLASSES
    assert classifier.framing.crop == (28, 28)
    assert classifier.mean.flatten().tolist() == pytest.approx([0.4] * 3)
    white = torch.ones(1, 3, 28, 28)
    assert classifier(white).argmax() == 2
    # What is said on the command line goes before what the file says.
    other = hl.load("networks:learner", weights=out / "weights.safetensors", size=40, classes=["a", "b", "c"])
    assert (other.framing.crop, other.classes) == ((40, 40), ("a", "b", "c"))
    card = (out / "README.md").read_text()
    assert f"| validation | {metrics['validation']['n']} | 1.000" in card
    assert "dark, middle, white" in card
    assert "From the weights that its function gave it, by Adam" in card
    assert "--model networks:learner --weights weights.safetensors" in card
    assert not (out / "checkpoint.pt").exists()


@pytest.mark.parametrize("where", ["training", "validating", "validation accuracy", "measuring"])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(data: Path, tmp_path: Path, where: str) -> None:
    settings = recipe(data, min_iterations=12)
    whole = finetune(settings, tmp_path / "whole", quiet)

    def stop(done: int, total: int, step: str) -> None:
        if done >= 6 and step.startswith(where):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(settings, tmp_path / "net", stop)
    assert not (tmp_path / "net" / "metrics.json").exists()
    assert finetune(settings, tmp_path / "net", quiet) == whole
    one, other = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "net"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert finetune(settings, tmp_path / "net", quiet) == whole  # nothing is left to do


def test_it_stops_as_asked(data: Path, tmp_path: Path) -> None:
    """At the accuracy, not before the least iterations; for want of patience; at the most iterations."""
    early = finetune(recipe(data, until_val_accuracy=0.01), tmp_path / "early", quiet)
    assert (early["iterations"], early["ended"]) == (4, "accuracy reached")
    odd = finetune(recipe(data, until_val_accuracy=0.01, min_iterations=6), tmp_path / "odd", quiet)
    assert odd["iterations"] == 6
    # With steps this small nothing gets any better than at the first look.
    tired = finetune(recipe(data, patience=2, lr=1e-12, max_iterations=40), tmp_path / "tired", quiet)
    assert (tired["iterations"], tired["ended"]) == (12, "no better for long")
    assert not tired["reached"]


def test_where_it_is_not_reached_the_best_weights_are_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_look: list[dict[str, torch.Tensor]] = []

    def told(classifier: hl.Classifier, *arguments: Any) -> dict[str, Any]:
        found = measured(classifier, *arguments)
        if len(at_look) < 4:
            found["accuracy"]["value"] = (1.0, 0.5, 0.9, 0.7)[len(at_look)]
            at_look.append(snapshot(classifier.network.state_dict()))
        return found

    monkeypatch.setattr(training, "measured", told)
    # Before the least iterations, where training may not stop, an accuracy counts for nothing.
    metrics = finetune(recipe(data, min_iterations=8, max_iterations=16), tmp_path / "net", quiet)
    assert [look["val_accuracy"] for look in metrics["history"]] == [1.0, 0.5, 0.9, 0.7]
    assert (metrics["ended"], metrics["reached"]) == ("most iterations done", False)
    found = load_file(tmp_path / "net" / "weights.safetensors")
    same = [all(torch.equal(found[name], look[name]) for name in found) for look in at_look]
    assert same == [False, False, True, False]


def test_the_exit_status_says_whether_the_accuracy_was_reached(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*arguments: Any) -> dict[str, Any]:
        found = measured(*arguments)
        found["accuracy"]["value"] = 0.5
        return found

    monkeypatch.setattr(training, "measured", told)
    short = "--min-iterations 2 --max-iterations 2 --batch-size 4 --until-val-accuracy".split()
    base = ["finetune", str(data), "--model", "networks:learner", *short]
    assert command_line([*base, "0.5", "--out", str(tmp_path / "reached")]) == 0
    assert "was not reached" not in capsys.readouterr().err
    assert command_line([*base, "0.51", "--out", str(tmp_path / "not reached")]) == 1
    captured = capsys.readouterr()
    assert "0.51 was not reached from iteration 2 on" in captured.err
    # The command that it proposes can be pasted, whatever the folder is called.
    (following,) = (line for line in captured.out.splitlines() if line.startswith("next: "))
    assert str(tmp_path / "not reached" / "weights.safetensors") in shlex.split(following)


def test_a_very_small_std_stands_in_the_weights_as_it_was_given(data: Path, tmp_path: Path) -> None:
    finetune(recipe(data, std=(1e-7, 0.225, 1.0), lr=1e-12, max_iterations=4), tmp_path / "net", quiet)
    found = hl.load("networks:learner", weights=tmp_path / "net" / "weights.safetensors")
    assert found.std.flatten().tolist() == pytest.approx([1e-7, 0.225, 1.0])


def test_published_weights_get_a_new_last_layer(data: Path) -> None:
    start = prepare(recipe(data, model="demo"))
    assert list(start.new) == ["classifier.weight", "classifier.bias"]
    own, published = start.classifier.network.state_dict(), hl.load("demo").network.state_dict()
    assert own["classifier.weight"].shape == (3, 1280)
    same = [torch.equal(own[name], published[name]) for name in own if name not in start.new]
    assert len(same) > 100
    assert all(same)
    assert start.classifier.classes == CLASSES
    assert start.named


def test_training_may_be_in_half_precision_and_its_weights_are_not(data: Path, tmp_path: Path) -> None:
    found = {}
    for precision in ("fp32", "bf16"):
        finetune(recipe(data, precision=precision, max_iterations=4), tmp_path / precision, quiet)
        found[precision] = load_file(tmp_path / precision / "weights.safetensors")["6.weight"]
    assert found["bf16"].dtype == torch.float32
    assert not torch.equal(found["bf16"], found["fp32"])
    torch.testing.assert_close(found["bf16"], found["fp32"], rtol=0.2, atol=0.02)


def test_images_that_can_not_be_read_are_left_out(tmp_path: Path) -> None:
    data = grey_folders(tmp_path / "data", each=6)
    for path in sorted((data / "white").iterdir())[:5]:
        path.write_bytes(b"")
    metrics = finetune(recipe(data, validation="2,2,2"), tmp_path / "net", quiet)
    held = rows(tmp_path / "net" / "validation.csv")
    empty = sum((tmp_path / "net" / row["path"]).stat().st_size == 0 for row in held)
    assert metrics["validation"]["failed"] == empty >= 1  # two are held back, and one of six is whole
    assert metrics["images"]["unreadable"] == 5 - empty
    assert f"less {5 - empty} that can't be read" in (tmp_path / "net" / "README.md").read_text()
    for path in data.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(hl.HeatliftError, match="15 of 15 images to learn from can't be read"):
        finetune(recipe(data), tmp_path / "none", quiet)


def test_every_iteration_has_a_whole_batch(tmp_path: Path) -> None:
    """Also where half of the images can't be read: others are drawn in their place."""
    data = grey_folders(tmp_path / "data")
    for path in sorted(data.rglob("*.png"))[::2]:
        path.write_bytes(b"")
    start = prepare(recipe(data))
    optimiser = torch.optim.SGD(start.classifier.network.parameters(), 0.0)
    seen: list[int] = []
    start.classifier.network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    unreadable: set[str] = set()
    losses = list(train_stretch(start.classifier, optimiser, start.train, start.recipe, 0, 9, unreadable))
    assert (len(losses), seen) == (9, [8] * 9)
    assert unreadable == {item.name for item in start.train if not Path(str(item.path)).stat().st_size}


def test_class_folders_named_by_numbers(tmp_path: Path) -> None:
    """Sorted as text, folder 10 is output 1; its manifests must not be read as if it were output 10."""
    data = grey_folders(tmp_path / "data", each=4, classes=("1", "10", "2"))
    finetune(recipe(data, validation="1,1,1"), tmp_path / "net", quiet)
    found = find_images(tmp_path / "net" / "train.csv", 3, ("1", "10", "2"))
    outputs = {item.name.split("/")[1]: item.label for item in found.items}
    assert outputs == {"1": 0, "10": 1, "2": 2}


def test_test_images_that_would_flatter_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(hl.HeatliftError, match=r"36 of its 36 images are in .*, too"):
        prepare(recipe(data, test=str(data)))
    other = grey_folders(tmp_path / "other", each=1, classes=("x", "y", "z"))
    with pytest.raises(
        hl.HeatliftError, match="class folders x, y, z, and the classes are dark, middle, white"
    ):
        prepare(recipe(data, test=str(other)))


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert command_line(["finetune", *arguments]) == 2
    line = capsys.readouterr().err.strip().splitlines()
    assert len(line) == 1
    assert line[0].startswith("heatlift: ")
    return line[0]


def test_bad_input_is_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one" / "only").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "one" / "only" / "0.png")
    (tmp_path / "flat").mkdir()
    model = ["--model", "networks:learner", "--out", str(tmp_path / "net")]
    for arguments, words in (
        ([str(tmp_path / "nowhere")], "does not exist"),
        (["s3://bucket/images"], "copy them to a folder"),
        ([str(tmp_path / "flat")], "has no class folders"),
        ([str(tmp_path / "one")], "has one class (only)"),
        ([str(data), "--validation", "1.5"], "--validation '1.5': give a share"),
        ([str(data), "--validation", "2,3"], "give a share such as 0.2, or 3 numbers"),
        ([str(data), "--validation", "12,1,1"], "leaves none on one side"),
        ([str(data), "--positive", "grey"], "choose from dark, middle, white"),
        ([str(data), "--lr", "0"], "--lr"),
        ([str(data), "--batch-size", "-3"], "--batch-size -3: input should be greater than or equal to 1"),
        ([str(data), "--until-val-accuracy", "1.1"], "--until-val-accuracy"),
        ([str(data), "--max-iterations", "10"], "is below --min-iterations 2400"),
        ([str(data), "--test", str(tmp_path / "flat")], "has no images"),
        ([str(data), "--weights", "random"], "let the function itself decide"),
    ):
        assert words in refused([*arguments, *model], capsys), arguments
    assert not (tmp_path / "net").exists()
    elsewhere = refused([str(data), "--model", "networks:learner", "--out", "s3://bucket/net"], capsys)
    assert "--out s3://bucket/net: give a folder of this machine" in elsewhere
    two = grey_folders(tmp_path / "two", classes=("a", "b"))
    assert "has 3 outputs, and there are 2 classes" in refused([str(two), *model], capsys)


def test_a_folder_holds_one_training(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "net"
    short = [
        "--min-iterations",
        "2",
        "--max-iterations",
        "2",
        "--batch-size",
        "4",
        "--until-val-accuracy",
        "1",
    ]
    base = [str(data), "--model", "networks:learner", "--out", str(out)]
    command_line(["finetune", *base, *short])
    said = capsys.readouterr().out
    assert "weights: " in said
    assert "next: heatlift audit IMAGES" in said
    assert "lr: was 0.001, is 0.5" in refused([*base, *short, "--lr", "0.5"], capsys)
    assert "is a run of another kind, 'finetune'" in report_refused(out, capsys)


def report_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert command_line(["report", str(folder)]) == 2
    return capsys.readouterr().err


def test_a_damaged_checkpoint_and_a_loss_that_is_no_number(data: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int, step: str) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(recipe(data), tmp_path / "net", stop)
    checkpoint = tmp_path / "net" / "checkpoint.pt"
    content = bytearray(checkpoint.read_bytes())
    checkpoint.write_bytes(content[: len(content) // 2])
    with pytest.raises(hl.HeatliftError, match=r"is damaged .*: remove it, and the training begins anew"):
        finetune(recipe(data), tmp_path / "net", quiet)
    for content in ({}, [], {"network": {}}):
        torch.save(content, checkpoint)
        with pytest.raises(hl.HeatliftError, match=r"is damaged .*: remove it, and the training begins anew"):
            finetune(recipe(data), tmp_path / "net", quiet)
    with pytest.raises(hl.HeatliftError, match="give a smaller --lr"):
        finetune(recipe(data, lr=1e38), tmp_path / "wild", quiet)


@pytest.mark.parametrize(
    "said",
    [
        "no JSON",
        "[]",
        "{}",
        '{"model": 1}',
        json.dumps(
            {"model": "a", "classes": ["a"], "mean": [0] * 3, "std": [1] * 3, "resize": 9, "crop": [9, 9]}
        ),
        "[" * 100_000,
    ],
)
def test_weights_that_say_nonsense_of_themselves_are_refused(tmp_path: Path, said: str) -> None:
    save_file(learner().network.state_dict(), tmp_path / "w.safetensors", metadata={"heatlift": said})
    with pytest.raises(hl.HeatliftError, match="can't be understood"):
        hl.load("networks:learner", weights=tmp_path / "w.safetensors")
