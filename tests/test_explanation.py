"""`explain`: what it answers, what it refuses, and what its picture and its page say."""

from __future__ import annotations

import html
import io
import re
import warnings
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image
from torch import Tensor, nn

import heatlift as hl
from heatlift.class_names import chosen_output
from heatlift.cli import run
from heatlift.explaining import explain
from heatlift.explanation import Explanation
from heatlift.figures import BLUE, ORANGE
from heatlift.report.explanation.page import build_explanation_page
from heatlift.report.explanation.words import probability, standings, title
from heatlift.score import class_probability
from networks import images, no_convolution, returns_nan_for_dark_images, small
from pictures import picture

NAMES = ("tabby, tabby cat", "tiger cat", "$x$ <b>crane</b>")


def named(classes: tuple[str, ...] = NAMES) -> hl.Classifier:
    net = small()
    return hl.Classifier(
        net.network, mean=(0.5,) * 3, std=(0.25,) * 3, size=32, classes=classes, name="small"
    )


def other() -> hl.Classifier:
    torch.manual_seed(5)
    net = small().network
    nn.init.normal_(net.head.weight)
    return hl.Classifier(net, mean=(0.5,) * 3, std=(0.25,) * 3, size=40, name="other")


@pytest.fixture(scope="module")
def image() -> Tensor:
    return images(1, 32, torch.float32, seed=3)[0]


@pytest.fixture(scope="module")
def wrong(image: Tensor) -> Explanation:
    """The label is not what is predicted, and a second network is asked."""
    clf = named()
    predicted = int(clf(image[None]).argmax())
    return explain(clf, image, (predicted + 1) % 3, fast=True, verify_on=other())


def texts(figure: Figure) -> list[Text]:
    found = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    return [text for text in found if text.axes is None or text.axes.axison]


def said(figure: Figure) -> str:
    return " ".join(" ".join(text.get_text() for text in texts(figure)).split())


def test_every_probability_is_the_network_s_own(wrong: Explanation, image: Tensor) -> None:
    clf, second = named(), other()
    assert [change.kind for change in wrong.changes] == ["undesirable", "undesirable", "spotlight"]
    assert [change.target for change in wrong.changes] == [wrong.predicted, wrong.label, wrong.label]
    with torch.no_grad():
        torch.testing.assert_close(wrong.logits, clf(image[None])[0])
        for change in wrong.changes:
            torch.testing.assert_close(change.logits, clf(change.image[None])[0])
            torch.testing.assert_close(change.verified, second(second.resized(change.image[None]))[0])
            assert 0 <= float(change.image.min()) <= float(change.image.max()) <= 1
            target = torch.tensor([change.target])
            assert float(class_probability(change.logits[None], target)) >= float(
                class_probability(wrong.logits[None], target)
            )


def test_the_maps_are_the_methods_own(wrong: Explanation, image: Tensor) -> None:
    clf = named()
    for seen, options in ((wrong.saliency, {}), (wrong.gradcam, {"layer": "last"})):
        heatmap = hl.attribute(clf, image[None], seen.method, space="pixel", **options)[0]
        assert seen.heatmap is not None
        torch.testing.assert_close(seen.heatmap, heatmap)


def test_without_a_label_or_with_a_right_one_there_are_two_answers(image: Tensor) -> None:
    clf = named()
    predicted = int(clf(image[None]).argmax())
    for label in (None, predicted):
        found = explain(clf, image[None], label, fast=True)
        assert [change.kind for change in found.changes] == ["undesirable", "spotlight"]
        assert {change.target for change in found.changes} == {predicted}
    assert ", rightly," in title(found)


def test_it_is_the_same_every_time_and_for_a_file_and_its_pixels(tmp_path: Path) -> None:
    picture(3).save(tmp_path / "a.png")
    clf = named()
    first = explain(clf, tmp_path / "a.png", fast=True)
    again = explain(clf, first.image, fast=True)
    assert (first.name, again.name) == ("a.png", "")
    assert torch.equal(first.changes[-1].image, again.changes[-1].image)
    assert torch.equal(first.changes[0].heatmap, again.changes[0].heatmap)


def test_progress_ends_at_all_steps(image: Tensor) -> None:
    heard: list[tuple[int, int, str]] = []
    explain(named(), image, fast=True, progress=lambda done, total, step: heard.append((done, total, step)))
    assert [done for done, _, _ in heard] == sorted(done for done, _, _ in heard)
    assert heard[-1] == (48, 48, "spotlight")


@pytest.mark.parametrize(
    ("label", "output"),
    [
        (2, 2),
        (np.int64(1), 1),
        ("tabby", 0),
        ("Tabby_Cat", 0),
        ("TIGER CAT", 1),
        ("tiger", 1),
        ("$x$", 2),
        ("1", 1),
    ],
)
def test_labels_by_number_name_and_part(label: Any, output: int) -> None:
    assert chosen_output(label, 3, NAMES) == output


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("tig", "no class 'tig'"),
        ("taby", "no class 'taby': did you mean tabby"),
        ("", "no class ''"),
        ("9", "no class '9': .* number from 0 to 2"),
        (3, "no class '3'"),
        (-1, "no class '-1'"),
        (True, "no class 'True'"),
        (1.5, "no class '1.5'"),
    ],
)
def test_labels_that_mean_no_class_or_several_are_refused(label: Any, words: str, image: Tensor) -> None:
    with pytest.raises(hl.HeatliftError, match=words) as caught:
        explain(named(), image, label)
    assert "\n" not in str(caught.value)


def test_wnids_and_two_classes_of_one_name() -> None:
    assert chosen_output("n01440764", 1000, None) == 0
    with pytest.raises(hl.HeatliftError, match=r"crane \(0\), crane \(1\)"):
        chosen_output("crane", 2, ["crane", "crane"])
    with pytest.raises(hl.HeatliftError, match="give a number from 0 to 4"):
        chosen_output("cat", 5, None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.rand(2, 3, 32, 32), r"shape \(2, 3, 32, 32\)"),
        (torch.rand(32, 32), r"shape \(32, 32\)"),
        (torch.rand(1, 32, 32), "expected"),
        (torch.full((3, 32, 32), 2.0), "from 2 to 2: expected pixels in"),
        (torch.full((3, 32, 32), float("nan")), "from nan"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), "floating point"),
        (torch.rand(3, 3, 3), "does not run on an image of 3 x 3"),
        (np.zeros((3, 32, 32)), "type ndarray"),
        ("gone.png", "gone.png is unreadable: file is missing"),
    ],
)
def test_images_that_are_none_are_refused(given: Any, words: str) -> None:
    with pytest.raises(hl.HeatliftError, match=words) as caught:
        explain(named(), given)
    assert "\n" not in str(caught.value)


def test_networks_that_do_not_fit_are_refused(image: Tensor) -> None:
    with pytest.raises(hl.HeatliftError, match="is no Classifier"):
        explain(small().network, image)  # type: ignore[arg-type]
    with pytest.raises(hl.HeatliftError, match="one that takes no part"):
        explain(small(), image, verify_on=small())
    two = hl.Classifier(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)), size=32)
    with pytest.raises(hl.HeatliftError, match="they must be the same"):
        explain(small(), image, verify_on=two)
    with pytest.raises(hl.HeatliftError, match="NaN or infinite logits"):
        explain(returns_nan_for_dark_images(), torch.zeros(3, 32, 32))


def test_a_method_that_does_not_apply_says_so_in_its_place(image: Tensor, tmp_path: Path) -> None:
    found = explain(no_convolution(), image, fast=True)
    assert found.gradcam.heatmap is None
    assert "the network runs no convolution" in found.gradcam.why_not
    assert "Not shown: layer_gradcam needs a layer" in said(found.figure())
    page = found.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Not shown: layer_gradcam needs a layer" in page
    assert "left out: layer_gradcam needs" in found.summary()


def test_probabilities_are_never_rounded_to_certainty() -> None:
    assert probability(1.0) == ">0.999"
    assert probability(0.9961) == "0.996"
    assert probability(0.0) == "<0.001"


def test_the_label_and_the_class_that_is_raised_are_always_listed() -> None:
    clf = hl.Classifier(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 40), nn.ReLU(), nn.Linear(40, 30)), size=32
    )
    image = images(1, 32, torch.float32)[0]
    last = int(clf(image[None]).argmin())
    found = explain(clf, image, last, fast=True)
    before = standings(found)
    assert [each.rank for each in before] == [1, 2, 3, 4, 5, 30]
    assert [each.role for each in before] == ["wrong", "", "", "", "", "label"]
    for change in found.changes:
        assert {"label"} <= {each.role for each in standings(found, change)}


def test_the_figure_says_what_was_found(wrong: Explanation) -> None:
    figure = wrong.figure()
    words = said(figure)
    assert "What stands in the way of" in words
    assert "the label" in words
    assert "The second network, other:" in words
    assert "in 24 steps, the spotlight in 24 (a quick look" in words
    assert "other took no part" in words
    assert len([axes for axes in figure.axes if axes.images]) >= 9
    assert not any(text.get_parse_math() for text in texts(figure))
    assert not plt.get_fignums()


def test_captions_say_where_the_lines_are_and_the_unit(wrong: Explanation) -> None:
    mask = wrong.changes[0]
    cases = (
        (replace(mask, heatmap=torch.full_like(mask.heatmap, 0.3)), "No line: nothing is blurred by more"),
        (replace(mask, heatmap=torch.full_like(mask.heatmap, 0.9)), "The line surrounds what is blurred"),
    )
    for change, words in cases:
        one = replace(wrong, changes=(change, wrong.changes[-1]))
        page = build_explanation_page(one)
        for text in (said(one.figure()), " ".join(view.caption for view in page.answers[0].views)):
            assert words in text
    texts_of_page = [view.caption for view in (*page.views, *page.answers[-1].views)]
    assert sum("at half of the colours’ limit" in text for text in texts_of_page) == 2
    assert said(one.figure()).count("Lines: half the scale.") == 2
    assert "logits per unit of brightness" in said(one.figure())
    assert "logits per unit of brightness" in " ".join(texts_of_page)


def test_colours_are_those_of_right_and_wrong(wrong: Explanation) -> None:
    drawn = {to_hex(patch.get_facecolor()) for patch in wrong.figure().findobj(Rectangle)}
    assert {BLUE, ORANGE} <= drawn


@pytest.mark.parametrize("name", ["W" * 90, "an endless description " * 8, "$x_1$", "\n", "ü" * 40])
def test_nothing_overlaps_or_leaves_the_figure(wrong: Explanation, name: str) -> None:
    classes = [f"{name}{i}" for i in range(3)]
    found = Explanation(
        **{**vars(wrong), "name": name, "network": {**wrong.network, "classes": classes, "name": name}}
    )
    figure = found.figure()
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    panels = [("a picture", axes.get_window_extent()) for axes in figure.axes if axes.images]
    for (first, a), (second, b) in combinations([*boxes, *panels], 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        down = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or down <= 1, (first, second)


def test_letters_that_the_font_lacks_are_no_warning(wrong: Explanation) -> None:
    network = {**wrong.network, "classes": ["猫", "犬", "鶴"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Explanation(**{**vars(wrong), "network": network})._repr_html_()


@pytest.mark.parametrize("suffix", [".png", ".html", ".svg", ".PDF"])
def test_files_are_whole_and_the_same_every_time(wrong: Explanation, tmp_path: Path, suffix: str) -> None:
    first = wrong.save(tmp_path / "new" / f"a{suffix}")
    second = wrong.save(str(tmp_path / "new" / f"b{suffix}"))
    assert first.read_bytes() == second.read_bytes()
    assert {path.name for path in first.parent.iterdir()} == {first.name, second.name}
    if suffix == ".png":
        with Image.open(io.BytesIO(first.read_bytes())) as opened:
            assert opened.width > 1200


def test_a_file_is_left_as_it_was_where_writing_fails(
    wrong: Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_text("before")

    def fails(file: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        wrong.save(path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]
    assert path.read_text() == "before"


def test_other_files_are_refused(wrong: Explanation, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for path, words in (
        (tmp_path / "a.jpg", "ends in none of .png"),
        (tmp_path / "folder.png", "is a folder"),
    ):
        with pytest.raises(hl.HeatliftError, match=words):
            wrong.save(path)


def test_the_page_is_complete_in_itself(wrong: Explanation, tmp_path: Path) -> None:
    page = wrong.save(tmp_path / "a.html").read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;; img-src data:" in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith(("data:image/webp;base64,", "#")) for source in sources)
    assert "url(" not in page
    assert not re.findall(r"<img(?![^>]*alt=\"[^\"]+\")[^>]*>", page)
    assert page.count("<table") == 4
    assert "<b>crane</b>" not in page
    assert "&lt;b&gt;crane&lt;/b&gt;" in page


def test_a_notebook_shows_words_and_the_panel(wrong: Explanation) -> None:
    shown = wrong._repr_html_()
    words, _, panel = shown.partition("<iframe")
    for line in wrong.summary().splitlines():
        assert html.escape(line) in words
    assert 'sandbox="allow-scripts"' in panel
    assert "<b>" not in shown


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    picture(3).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_the_command(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["explain", str(photo), "--model", "networks:small", "--fast", "--label", "1"]) == 0
    found = capsys.readouterr()
    assert "It sees ‘class" in found.out
    assert "picture: photo-explained.png" in found.out
    assert "spotlight: 48/48 steps" in found.err
    assert (tmp_path / "photo-explained.png").is_file()
    command = [
        "explain",
        str(photo),
        "-m",
        "networks:small",
        "--fast",
        "--verify-on",
        "test_explanation:other",
    ]
    assert run([*command, "-o", "page.html"]) == 0
    assert "The second network, " in capsys.readouterr().out


BAD = {
    "another ending": ("{photo} -m nowhere:near --out a.jpg", "a.jpg ends in none of .png, .html"),
    "no such file": ("gone.png -m networks:small", "gone.png is no image file"),
    "a folder": ("{here} -m networks:small", "is no image file"),
    "not an image": ("{here}/notes.png -m networks:small", "notes.png is unreadable: not an image"),
    "over itself": ("{photo} -m networks:small -o {photo}", "is the image itself"),
    "no such class": ("{photo} -m networks:small --label cat", "no class 'cat': give a number from 0 to 2"),
    "no model": ("{photo} -m nothing", "unknown model 'nothing'"),
    "a second network that is the first": (
        "{photo} -m networks:small --verify-on networks:small",
        "the second network is the first one",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_status_2(
    case: str, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photo.parent)
    (photo.parent / "notes.png").write_text("no image")
    before = sorted(photo.parent.iterdir())
    command, message = BAD[case]
    assert run(["explain", *(part.format(photo=photo, here=photo.parent) for part in command.split())]) == 2
    line = capsys.readouterr().err.strip()
    assert message in line
    assert line.startswith("heatlift: ")
    assert "\n" not in line
    assert sorted(photo.parent.iterdir()) == before
