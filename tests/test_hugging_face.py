"""hf: classifiers against transformers' own processors and models, in folders that are written here."""

from __future__ import annotations

import fnmatch
import json
import pickle
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

import heatlift as hl
from heatlift import HeatliftError
from heatlift.applicability import tried
from heatlift.image_processor import BGR, preprocessing
from heatlift.images import decode
from heatlift.weights import weights_digest
from networks import calibrated

transformers = pytest.importorskip("transformers")
skimage_data = pytest.importorskip("skimage.data")

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
SQUARE = {"height": 64, "width": 64}

NETWORKS = {
    "ViT": ({"image_size": 64, "patch_size": 16, **TINY}, "ViT", {"size": SQUARE}),
    "ResNet": (
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
        "ConvNext",
        {"size": {"shortest_edge": 64}, "crop_pct": 0.875},
    ),
    "Swin": (
        {"image_size": 64, "embed_dim": 16, "depths": [1, 2], "num_heads": [2, 2], "window_size": 4},
        "ViT",
        {"size": SQUARE, "resample": 3},
    ),
    "ConvNext": (
        {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
        "ConvNext",
        {"size": {"shortest_edge": 64}},
    ),
    "Beit": (
        {"image_size": 64, "patch_size": 16, **TINY},
        "Beit",
        {"size": {"height": 72, "width": 72}, "do_center_crop": True, "crop_size": SQUARE},
    ),
    "MobileViT": (
        {"image_size": 64, "hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 64]},
        "MobileViT",
        {"size": {"shortest_edge": 72}, "crop_size": SQUARE},
    ),
}
"""Architecture -> its configuration, and an image processor with its settings."""


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("a test reached for the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A square photograph and a wide one."""
    files = []
    for name in ("astronaut", "coffee"):
        files.append(tmp_path_factory.mktemp("photographs") / f"{name}.png")
        Image.fromarray(getattr(skimage_data, name)()).save(files[-1])
    return files


def written(folder: Path, name: str, **changes: Any) -> nn.Module:
    """A small network with lively random weights, saved with its processor."""
    settings, processor, processing = NETWORKS[name]
    torch.manual_seed(2)
    config = getattr(transformers, f"{name}Config")(num_labels=5, **settings | changes)
    network: nn.Module = getattr(transformers, f"{name}ForImageClassification")(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
    size = processing["size"].get("shortest_edge", 64)
    calibrated(network, torch.randn(8, config.num_channels, size, size) / 2)
    network.save_pretrained(folder)
    getattr(transformers, f"{processor}ImageProcessor")(**processing).save_pretrained(folder)
    return network


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    written(folder, "ViT")
    return folder


@pytest.fixture
def copied(vit: Path, tmp_path: Path) -> Path:
    """A copy of the ViT's folder, to spoil."""
    return Path(shutil.copytree(vit, tmp_path / "vit"))


def change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_and_gradients_are_those_of_transformers(
    name: str, tmp_path: Path, photographs: list[Path]
) -> None:
    network, file = written(tmp_path, name), photographs[1]
    clf = hl.load(f"hf:{tmp_path}")
    x = decode(file, clf.framing).unsqueeze(0).float() / 255
    logits = clf(x)
    assert logits.shape == (1, 5)
    # Pillow resizes as we do; torchvision's tensors, transformers' default, to within a grey level.
    for backend, tolerance in (("torchvision", 1e-2), ("pil", 1e-4)):
        processor = transformers.AutoImageProcessor.from_pretrained(tmp_path, backend=backend)
        inputs = processor(Image.open(file), return_tensors="pt")["pixel_values"].requires_grad_()
        theirs = network(inputs).logits
        assert (logits - theirs).abs().max() < tolerance * theirs.abs().max()
    (expected,) = torch.autograd.grad(theirs.max(), inputs)
    expected = expected.flip(1) if name == "MobileViT" else expected
    found = hl.attribute(clf, x, "saliency")
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    (trial,) = tried(clf, ["deeplift"], x)
    assert trial.why_not is None


PROCESSORS = [
    ("ViT", {}),
    ("ViT", {"size": {"height": 48, "width": 96}, "resample": 1}),
    ("ViT", {"do_rescale": False, "image_mean": [100, 110, 120], "image_std": [50, 60, 70]}),
    ("ViT", {"do_normalize": False}),
    ("ViT", {"rescale_factor": 1 / 127.5, "image_mean": 1, "image_std": 1}),
    ("ConvNext", {"size": {"shortest_edge": 224}}),
    ("ConvNext", {"size": {"shortest_edge": 384}}),
    ("PoolFormer", {"crop_pct": 0.875}),
    ("EfficientNet", {"size": {"height": 96, "width": 96}}),
    ("EfficientNet", {"rescale_offset": True, "rescale_factor": 1 / 127.5, "resample": 0}),
    ("CLIP", {}),
    ("Bit", {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 192}}),
    ("MobileNetV2", {}),
    ("MobileViT", {"size": {"shortest_edge": 288}}),
    ("MobileViT", {"size": {"shortest_edge": 64}, "crop_size": {"height": 96, "width": 128}}),
    ("Siglip", {}),
]


@pytest.mark.parametrize(("name", "settings"), PROCESSORS)
def test_preprocessing_gives_the_pixels_of_the_processor(
    name: str, settings: dict[str, Any], photographs: list[Path]
) -> None:
    processor = getattr(transformers, f"{name}ImageProcessorPil")(**settings)
    read = preprocessing(processor)
    for file in photographs:
        x = decode(file, read.framing).unsqueeze(0).float() / 255
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (read.mean, read.std))
        ours = (x - mean) / std
        theirs = processor(Image.open(file), return_tensors="pt")["pixel_values"].float()
        assert read.bgr == (name == "MobileViT")
        torch.testing.assert_close(ours.flip(1) if read.bgr else ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("LevitImageProcessorPil", {}, "does not do what its settings say, or more"),
        ("PerceiverImageProcessorPil", {}, "does not do what its settings say, or more"),
        ("PPLCNetImageProcessor", {}, "does not do what its settings say, or more"),
        # It has the setting, and does not look at it.
        ("MobileViTImageProcessorPil", {"do_normalize": True}, "does not do what its settings say, or more"),
        ("TextNetImageProcessorPil", {}, "keeps the image's shape"),
        ("ViTImageProcessorPil", {"do_resize": False}, "does not resize"),
        ("ViTImageProcessorPil", {"size": {"longest_edge": 64}}, "resizes to {'longest_edge': 64}"),
        ("ViTImageProcessorPil", {"resample": 4}, "resizes with box"),
        ("ViTImageProcessorPil", {"resample": 9}, "make no sense .9 is not a valid"),
        ("ViTImageProcessorPil", {"rescale_factor": 0.0}, "make no sense .float division by zero"),
        ("ViTImageProcessorPil", {"image_mean": [0.5], "image_std": [0.5]}, "fails .mean must have 3"),
    ],
)
def test_a_processor_that_does_something_else_is_refused(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(HeatliftError, match=message):
        preprocessing(getattr(transformers, name)(**settings))


def test_channels_are_reversed_for_a_network_that_takes_blue_first() -> None:
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(BGR(nn.Identity())(x), x[:, [2, 1, 0]])


def test_a_folder_without_an_image_processor_says_its_size_and_no_more(copied: Path) -> None:
    (copied / "preprocessor_config.json").unlink()
    clf = hl.load(f"hf:{copied}")
    assert clf.framing.crop == (64, 64)
    assert clf.mean.abs().sum() == 0
    assert (clf.std == 1).all()
    overridden = hl.load(f"hf:{copied}", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), resize=72)
    assert overridden.framing.resize == 72
    assert (overridden.mean == 0.5).all()


def test_classes_are_named_unless_they_are_only_numbered(copied: Path) -> None:
    assert hl.load(f"hf:{copied}").classes is None
    names = ["ant", "bee", "cat", "dog", "elk"]
    change(copied / "config.json", id2label=dict(enumerate(names)))
    assert hl.load(f"hf:{copied}").classes == tuple(names)
    assert hl.load(f"hf:{copied}", weights="random", num_classes=3).classes is None
    assert hl.load(f"hf:{copied}", weights="random", classes=["x", "y"]).classes == ("x", "y")


def test_random_weights_follow_the_seed(vit: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    digests = [weights_digest(hl.load(f"hf:{vit}", "random", seed=s).network) for s in (1, 1, 2)]
    assert torch.equal(torch.rand(1), expected)
    assert digests[0] == digests[1] != digests[2]


def test_half_precision_files_run_in_float32(copied: Path) -> None:
    change(copied / "config.json", dtype="bfloat16")
    for weights in ("default", "random"):
        assert hl.load(f"hf:{copied}", weights).dtype == torch.float32


def test_weights_from_a_file_under_the_names_of_the_folder_or_of_the_network(
    vit: Path, tmp_path: Path
) -> None:
    clf = hl.load(f"hf:{vit}")
    torch.save(clf.network.state_dict(), tmp_path / "net.pt")
    for file in (vit / "model.safetensors", tmp_path / "net.pt"):
        assert weights_digest(hl.load(f"hf:{vit}", weights=file).network) == weights_digest(clf.network)
    with pytest.raises(
        HeatliftError, match=r"\(5, 32\) in the file and \(7, 32\) in the.*num-classes"
    ) as caught:
        hl.load(f"hf:{vit}", weights=tmp_path / "net.pt", num_classes=7)
    assert "\n" not in str(caught.value)


def test_left_over_entries_of_another_purpose_do_no_harm(copied: Path) -> None:
    from safetensors.torch import load_file, save_file

    before = weights_digest(hl.load(f"hf:{copied}").network)
    state = load_file(copied / "model.safetensors")
    save_file({**state, "vit.pooler.dense.bias": torch.ones(32)}, copied / "model.safetensors")
    assert weights_digest(hl.load(f"hf:{copied}").network) == before


def test_a_head_that_is_missing_is_no_trained_classifier(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = NETWORKS["ViT"][0]
    transformers.ViTModel(transformers.ViTConfig(**settings)).save_pretrained(tmp_path)
    capfd.readouterr()
    with pytest.raises(HeatliftError, match=r"entries are missing, such as classifier\.bias") as caught:
        hl.load(f"hf:{tmp_path}")
    assert "\n" not in str(caught.value)
    assert hl.load(f"hf:{tmp_path}", "random").num_classes == 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 1}, r"16 are of layers it does not have, such as vit\.layers\.1\."),
        ({"num_hidden_layers": 3}, r"16 entries are missing, such as vit\.layers\.2\."),
        ({"hidden_act": "unheard"}, "can't load the weights in"),
        ({"num_channels": 1}, "takes 1-channel images"),
        ({"num_channels": 4}, "takes 4-channel images"),
        ({"problem_type": "regression"}, "a regression"),
        ({"model_type": "bert"}, "holds a bert, which is no image classifier"),
        ({"model_type": "unheard"}, r"can't read .*config\.json: .*unheard"),
        ({"pretrained_cfg": {}, "architecture": "resnet18"}, "give timm:resnet18"),
        ({"auto_map": {"AutoConfig": "code.Config"}}, "asks for code of its own"),
        ({"transformers_weights": "../net.safetensors"}, "can't load the weights in"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "holds quantised weights"),
    ],
)
def test_a_configuration_that_can_t_be_followed_is_said_in_one_line(
    changes: dict[str, Any], message: str, copied: Path
) -> None:
    change(copied / "config.json", **changes)
    with pytest.raises(HeatliftError, match=message) as caught:
        hl.load(f"hf:{copied}")
    assert "\n" not in str(caught.value)


def test_a_random_network_that_can_t_be_made_is_said(copied: Path) -> None:
    change(copied / "config.json", hidden_act="unheard")
    with pytest.raises(HeatliftError, match=r"can't make the network of .*unheard") as caught:
        hl.load(f"hf:{copied}", weights="random")
    assert "\n" not in str(caught.value)


def test_a_configuration_can_t_ask_for_code_of_the_hub(copied: Path) -> None:
    change(copied / "config.json", attn_implementation="someone/kernel")
    assert hl.load(f"hf:{copied}").num_classes == 5
    change(copied / "preprocessor_config.json", auto_map={"AutoImageProcessor": "code.Processor"})
    with pytest.raises(HeatliftError, match=r"preprocessor_config\.json asks for code of its own"):
        hl.load(f"hf:{copied}")


def test_what_a_folder_lacks_is_said(copied: Path) -> None:
    with pytest.raises(HeatliftError, match="have 5 outputs, not 3: give --weights FILE or random"):
        hl.load(f"hf:{copied}", num_classes=3)
    (copied / "preprocessor_config.json").write_text("{")
    with pytest.raises(HeatliftError, match=r"preprocessor_config\.json can't be read"):
        hl.load(f"hf:{copied}")
    (copied / "preprocessor_config.json").unlink()
    (copied / "adapter_config.json").write_text("{}")
    with pytest.raises(HeatliftError, match="holds an adapter"):
        hl.load(f"hf:{copied}")
    (copied / "adapter_config.json").unlink()
    (copied / "model.safetensors").write_bytes((copied / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(HeatliftError, match="can't load the weights"):
        hl.load(f"hf:{copied}")
    (copied / "model.safetensors").unlink()
    with pytest.raises(HeatliftError, match=r"can't load the weights in .*model\.safetensors"):
        hl.load(f"hf:{copied}")
    (copied / "config.json").unlink()
    with pytest.raises(HeatliftError, match=r"no config\.json in"):
        hl.load(f"hf:{copied}")


class Bomb:
    """Leaves a file where it was unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


def test_pickled_weights_are_read_but_nothing_in_them_is_run(copied: Path, tmp_path: Path) -> None:
    clf = hl.load(f"hf:{copied}")
    (copied / "model.safetensors").unlink()
    file, ran = copied / "pytorch_model.bin", tmp_path / "ran"
    torch.save(clf.network.state_dict(), file)
    assert weights_digest(hl.load(f"hf:{copied}").network) == weights_digest(clf.network)
    torch.save({**clf.network.state_dict(), "more": Bomb(ran)}, file)
    with pytest.raises(HeatliftError, match=r"hold more than weights.*were not loaded") as caught:
        hl.load(f"hf:{copied}")
    assert "\n" not in str(caught.value)
    file.write_bytes(pickle.dumps(Bomb(ran)))
    with pytest.raises(HeatliftError, match="hold more than weights"):
        hl.load(f"hf:{copied}")
    assert not ran.exists()


def test_an_id_that_can_t_be_downloaded_is_said() -> None:
    with pytest.raises(HeatliftError, match=r"hf:google/vit.*could not be downloaded.*offline\?") as caught:
        hl.load("hf:google/vit-base-patch16-224")
    assert "\n" not in str(caught.value)
    for name in ("/no/such/folder", "./none", "a b", "a/b/c"):
        with pytest.raises(HeatliftError, match="is no folder, nor an ID"):
            hl.load(f"hf:{name}")


@pytest.mark.parametrize("pickled", [False, True])
def test_an_id_is_downloaded_with_no_more_than_is_needed(
    pickled: bool, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    (copied / "flax_model.msgpack").write_bytes(b"")
    torch.save(hl.load(f"hf:{copied}").network.state_dict(), copied / "pytorch_model.bin")
    if pickled:
        (copied / "model.safetensors").unlink()
    here = tmp_path / "here"
    here.mkdir()

    def snapshot_download(name: str, allow_patterns: list[str]) -> str:
        assert name == "someone/vit"
        for file in copied.iterdir():
            if any(fnmatch.fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, here)
        return str(here)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    settings = {"config.json", "preprocessor_config.json"}
    hl.load("hf:someone/vit", weights="random")
    assert {file.name for file in here.iterdir()} == settings
    hl.load("hf:someone/vit")
    weights = "pytorch_model.bin" if pickled else "model.safetensors"
    assert {file.name for file in here.iterdir()} == settings | {weights}


def test_transformers_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(HeatliftError, match=r"pip install 'heatlift\[hf\]'"):
        hl.load("hf:google/vit-base-patch16-224")
