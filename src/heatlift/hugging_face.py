"""hf:ID and hf:FOLDER: image classifiers of Hugging Face's transformers, and their image processors.

An ID becomes a folder first, the hub's copy on this machine; all the rest reads that folder alone.
"""

from __future__ import annotations

import logging
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from heatlift.errors import HeatliftError, first_line
from heatlift.image_processor import BGR, preprocessing
from heatlift.json_object import read_json
from heatlift.published import Found
from heatlift.types import Framing
from heatlift.weights import read_weights

NESTED = "processor_config.json"
SETTINGS = ("config.json", "preprocessor_config.json", NESTED, "adapter_config.json")
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")


OWN_FUNCTION = "load it in a function of yours and give package.module:function"


def from_hugging_face(name: str, weights: str, num_classes: int | None) -> Found:
    """A classifier of an ID or folder, with its image processor's preprocessing and its class names.

    Raises:
        HeatliftError: transformers is not installed, the ID can't be downloaded, the folder holds no image
            classifier or only a part of one, asks for code of its own, or prepares images in other ways
            than by resizing, cutting from the centre, and normalising.
    """
    try:
        import transformers
    except ImportError as error:
        raise HeatliftError("hf: needs transformers: pip install 'heatlift[hf]'") from error
    folder = _folder(name, with_weights=weights == "default")
    settings = {file: read_json(folder / file) for file in SETTINGS if (folder / file).is_file()}
    with _quiet(transformers):
        config = _config(transformers, folder, settings)
        if num_classes not in (None, config.num_labels):
            if weights == "default":
                raise HeatliftError(
                    f"the weights of hf:{name} have {config.num_labels} outputs, not {num_classes}: "
                    "give --weights FILE or random"
                )
            config.num_labels = num_classes
        network = _network(transformers, folder, config, weights)
        if "preprocessor_config.json" in settings or "image_processor" in settings.get(NESTED, {}):
            found = _prepared(transformers, folder, network)
        else:
            found = Found(network, framing=_plain_framing(config))
    return replace(found, classes=_class_names(config), loaded=weights not in ("default", "random"))


def _folder(name: str, with_weights: bool) -> Path:
    """The folder of this name, or the hub's copy of the ID, downloaded where it is not there yet."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        copy = Path(snapshot_download(name, allow_patterns=[*SETTINGS, *SAFETENSORS * with_weights]))
        if with_weights and not list(copy.glob("*.safetensors")):
            copy = Path(snapshot_download(name, allow_patterns=[*SETTINGS, *PICKLES]))
    except HFValidationError as error:
        raise HeatliftError(
            f"'{name}' is no folder, nor an ID such as google/vit-base-patch16-224: give one of the two"
        ) from error
    except Exception as error:
        raise HeatliftError(
            f"hf:{name} is no folder here and could not be downloaded: {first_line(error)} "
            "(offline? give a folder that save_pretrained wrote)"
        ) from error
    return copy


def _config(transformers: Any, folder: Path, settings: Mapping[str, Any]) -> Any:
    """The network's configuration, where it is that of a classifier of colour images that is all there."""
    if "config.json" not in settings:
        raise HeatliftError(f"no config.json in {folder}: give a folder that save_pretrained wrote")
    for file, values in settings.items():
        if "auto_map" in values or "auto_map" in (values.get("image_processor") or {}):
            raise HeatliftError(
                f"{folder / file} asks for code of its own (auto_map), and none is run: {OWN_FUNCTION}"
            )
    written = settings["config.json"]
    if "pretrained_cfg" in written or written.get("model_type") == "timm_wrapper":
        raise HeatliftError(
            f"{folder} holds a network of timm: give timm:{written.get('architecture', 'NAME')}"
        )
    if "quantization_config" in written:
        raise HeatliftError(
            f"{folder} holds quantised weights: save the network in full precision (dequantize)"
        )
    if "adapter_config.json" in settings:
        raise HeatliftError(
            f"{folder} holds an adapter: merge it into its network (merge_and_unload) and save that"
        )
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        raise HeatliftError(f"can't read {folder / 'config.json'}: {first_line(error)}") from error
    if type(config) not in transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING:
        raise HeatliftError(f"{folder} holds a {config.model_type}, which is no image classifier")
    channels = _of_vision(config, "num_channels", 3)
    if channels != 3:
        raise HeatliftError(f"{folder} takes {channels}-channel images: heatlift explains RGB images")
    if config.problem_type == "regression":
        raise HeatliftError(f"{folder} is a regression (problem_type in config.json), not a classifier")
    # What the file may ask for instead is code from the hub.
    config._attn_implementation = None
    return config


def _network(transformers: Any, folder: Path, config: Any, weights: str) -> nn.Module:
    """The network in float32, with every one of its weights from where they were asked for."""
    kinds = transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[type(config)]
    if isinstance(kinds, tuple):
        kinds = next((kind for kind in kinds if kind.__name__ in (config.architectures or ())), kinds[0])
    network: nn.Module
    if weights == "random":
        try:
            network = kinds(config)
        except Exception as error:
            raise HeatliftError(f"can't make the network of {folder}: {first_line(error)}") from error
        return network
    # The names in files are those of older versions of the architecture: transformers translates them.
    state = None if weights == "default" else dict(read_weights(Path(weights)))
    place = folder if state is None else Path(weights)
    try:
        network, report = kinds.from_pretrained(
            folder if state is None else None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            local_files_only=True,
            weights_only=True,
        )
    except pickle.UnpicklingError as error:
        raise HeatliftError(
            f"the weights in {place} hold more than weights, or are damaged, and were not loaded: "
            "save them as .safetensors"
        ) from error
    except Exception as error:
        raise HeatliftError(f"can't load the weights in {place}: {first_line(error)}") from error
    _check_complete(network, report, place)
    return network


def _check_complete(network: nn.Module, report: Any, place: Path) -> None:
    """Refuse a network of which a part stayed random, or only a part was taken."""
    own = {_numberless(name) for name in network.state_dict()}
    # Entries of another purpose may be left over, such as a pooler's; not those of further layers.
    unused = sorted(name for name in report["unexpected_keys"] if _numberless(name) in own)
    missing = sorted(name for name in report["missing_keys"] if not name.endswith("num_batches_tracked"))
    reasons = [
        f"{name} is {tuple(theirs)} in the file and {tuple(ours)} in the network"
        for name, theirs, ours in sorted(report["mismatched_keys"])
    ][:2]
    reasons += [f"{len(missing)} entries are missing, such as {missing[0]}"] if missing else []
    reasons += [f"{len(unused)} are of layers it does not have, such as {unused[0]}"] if unused else []
    if reasons:
        hint = "another --num-classes?" if not missing and not unused else "--weights FILE of a trained one?"
        what = f"are not those of this {type(network).__name__}"
        raise HeatliftError(f"the weights in {place} {what}: {'; '.join(reasons)} ({hint})")


def _prepared(transformers: Any, folder: Path, network: nn.Module) -> Found:
    """The network with the preprocessing of its image processor."""
    try:
        # Pillow's, since that is what images are resized with here.
        processor = transformers.AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, backend="pil"
        )
    except Exception as error:
        raise HeatliftError(f"can't read the image processor in {folder}: {first_line(error)}") from error
    try:
        read = preprocessing(processor)
    except HeatliftError as error:
        raise HeatliftError(f"the image processor in {folder} {error}: {OWN_FUNCTION}") from error
    return Found(BGR(network) if read.bgr else network, read.mean, read.std, read.framing)


def _plain_framing(config: Any) -> Framing:
    """The input's size, where nothing else is known of how images are prepared."""
    size = _of_vision(config, "image_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    return Framing(height if height == width else (height, width), (height, width))


def _class_names(config: Any) -> list[str] | None:
    """The outputs' names, unless they are only numbered."""
    names = [str((config.id2label or {}).get(i, f"LABEL_{i}")) for i in range(config.num_labels)]
    return None if all(name == f"LABEL_{i}" for i, name in enumerate(names)) else names


def _of_vision(config: Any, name: str, default: Any) -> Any:
    """A setting of the network, or of its part for images where it has several."""
    return getattr(getattr(config, "vision_config", config), name, default)


def _numberless(name: str) -> str:
    return re.sub(r"\d+", "#", name)


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No word and no bar from transformers: what matters of what it has to say, we say."""
    bars = transformers.utils.logging
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels, shown = [logger.level for logger in loggers], bars.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    bars.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            bars.enable_progress_bar()
