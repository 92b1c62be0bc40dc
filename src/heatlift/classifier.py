"""The only seam to a network: pixels in [0, 1] go in, raw logits come out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from heatlift.errors import HeatliftError, NetworkFailed, first_line, let_through, out_of_memory
from heatlift.feature_maps import FeatureMap, feature_maps
from heatlift.gradients import gradients
from heatlift.imports import raised
from heatlift.outputs import ends_with_sigmoid, logits_in, tensor_in
from heatlift.precision import Precision, last_layer, reduced, resolved
from heatlift.score import looks_like_probabilities
from heatlift.types import Framing, Space
from heatlift.untouched import unchanged, untouched

SAME = 1e-3
"""How far an image's logits may differ from one pass to the next, relative to the largest; 20 times that in
half precision."""


class Classifier:
    """A trained network together with the preprocessing it was trained with.

    The network runs in eval mode and its parameters take no gradient; both are restored after each
    call, so that the network is left as it was found. A network with one output (a sigmoid's
    logit z) is read as one with the two logits (0, z).

    Args:
        network: maps normalised images (n, 3, h, w) to raw logits (n, C), or to an object or dict
            with ``logits``.
        mean, std: the network's own normalisation ``(x - mean) / std``, one value per channel.
        size: height and width of the input in pixels; images are scaled to it by their shorter side
            and cut from the centre, unless ``framing`` says otherwise.
        framing: how a photograph becomes an input, where ``size`` alone does not say it.
        classes: the classes' names, one per output.
        name: what reports call the network.
        device: where to run; by default where the network is.
        precision: ``fp32``; ``bf16``, in which convolutions and matrix products are in bfloat16 and the
            last layer in float32; or ``auto``, bf16 where the hardware has matrix units for it.

    Raises:
        HeatliftError: the network does not run on such an input, returns no logits (n, C), ends with
            a softmax or sigmoid, does not have one output per class name, or gives an image other logits
            the second time or in other company.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
        >>> clf = Classifier(net, mean=(0.5,) * 3, std=(0.25,) * 3, size=8, classes=["cat", "dog"])
        >>> clf(torch.rand(3, 3, 8, 8)).shape
        torch.Size([3, 2])
    """

    @gradients()
    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        size: int = 224,
        framing: Framing | None = None,
        classes: Sequence[str] | None = None,
        name: str | None = None,
        device: torch.device | str | None = None,
        precision: Precision = "fp32",
    ) -> None:
        parameter = next(network.parameters(), torch.zeros(()))
        if parameter.is_inference():
            raise HeatliftError(
                f"{type(network).__name__} was made in torch.inference_mode, so it has no gradients: make it "
                "outside"
            )
        self.device = torch.device(device) if device is not None else parameter.device
        self.dtype = parameter.dtype
        self.name = name or type(network).__name__
        self.network = self._placed(network)
        self.framing = framing or Framing(resize=size, crop=(size, size))
        self.mean = self._per_channel("mean", mean)
        self.std = self._per_channel("std", std)
        if not bool((self.std > 0).all()):
            raise HeatliftError(f"std {tuple(std)}: every value must be above 0")
        self.single_output, self.num_classes = False, 0
        self._probe()
        self.precision = resolved(precision, self.network, self.device)
        self._head = self._last_layer() if self.precision == "bf16" else None
        self.folding: AbstractContextManager[object] | None = None
        if classes is not None and len(classes) != self.num_classes:
            raise HeatliftError(f"{len(classes)} class names for {self.num_classes} outputs of {self.name}")
        self.classes = tuple(classes) if classes is not None else None

    def __call__(self, images: Tensor, space: Space = "pixel") -> Tensor:
        """Raw logits (n, C) in float32 or better; gradients flow to ``images`` where they ask for it.

        Args:
            images: (n, 3, h, w), in [0, 1] for ``space="pixel"``; already normalised for ``"model"``.
            space: what ``images`` are given in.

        Raises:
            HeatliftError: not a batch of three-channel images.
            NetworkFailed: the network raised an error, or returned no logits of these images.
            NetworkChanged: it wrote into its own weights.
            DeviceFailed: the device that it runs on gave out.
        """
        images = self._checked(images)
        inputs = self.normalise(images) if space == "pixel" else images
        with untouched(self.network), unchanged(self.network), self._arithmetic():
            # A copy, since a network may write into its input; in the layout in which convolutions, which
            # follow their input's, are several times as fast.
            output = self._answer(inputs.clone(memory_format=torch.channels_last))
        logits = self._logits(output, len(images))
        # A copy of these as well: the next pass may write its own into the same tensor.
        return logits.clone() if logits.dtype in (torch.float32, torch.float64) else logits.float()

    def normalise(self, images: Tensor) -> Tensor:
        """Pixels in [0, 1] to what the network sees, N(x); shape (n, 3, h, w) is kept."""
        return (images.to(self.device, self.dtype) - self.mean) / self.std

    def denormalise(self, inputs: Tensor) -> Tensor:
        """What the network sees back to pixels, the inverse of `normalise`."""
        return inputs * self.std + self.mean

    def inputs(self, images: Tensor, space: Space) -> Tensor:
        """Images in [0, 1] as they look in a space, (n, 3, h, w), on the network's device.

        Raises:
            HeatliftError: an unknown space, or no batch of three-channel floating-point images.
        """
        if space not in ("model", "pixel"):
            raise HeatliftError(f"unknown space '{space}': choose model or pixel")
        images = self._checked(images)
        return self.normalise(images) if space == "model" else images

    def resized(self, images: Tensor) -> Tensor:
        """Images (n, 3, h, w) that were cut for another network, scaled to this one's size."""
        size = self.framing.crop
        if images.shape[2:] == size:
            return images
        return F.interpolate(images, size=size, mode="bilinear", antialias=True)

    def unfolded(self) -> Classifier:
        """The same classifier, of the same network, with the network's own weights at every call."""
        twin = copy(self)
        twin.folding = None
        return twin

    def in_float32(self) -> Classifier:
        """The same classifier, of the same network, without reduced precision."""
        return self.in_precision("fp32")

    def in_precision(self, precision: Precision) -> Classifier:
        """The same classifier, of the same network, in another arithmetic.

        Raises:
            HeatliftError: as for a new one.
        """
        twin = copy(self)
        twin.precision = resolved(precision, self.network, self.device)
        if twin.precision == "bf16" and twin._head is None:
            twin._head = twin._last_layer()
        return twin

    @cached_property
    def layers(self) -> dict[str, tuple[int, ...]]:
        """Modules whose feature map can be explained, by name in the order they run, each with (c, h, w)."""
        return {name: fmap.shape for name, fmap in self.feature_maps.items() if fmap.reason is None}

    @cached_property
    def feature_maps(self) -> dict[str, FeatureMap]:
        """Modules that give a feature map, by name in the order they run; some with a reason against."""
        image = torch.rand(1, 3, *self.framing.crop, generator=torch.Generator().manual_seed(0))
        return feature_maps(self.network, self, image.to(self.device, self.dtype))

    def describe(self) -> dict[str, Any]:
        """What a record of a result should say about the network, as plain values."""
        return {
            "name": self.name,
            "num_classes": self.num_classes,
            "classes": list(self.classes) if self.classes is not None else None,
            "parameters": sum(p.numel() for p in self.network.parameters()),
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "precision": self.precision,
            "preprocessing": {
                "resize": self.framing.resize,
                "crop": list(self.framing.crop),
                "interpolation": self.framing.interpolation,
                "mean": [round(v, 6) for v in self.mean.flatten().tolist()],
                "std": [round(v, 6) for v in self.std.flatten().tolist()],
            },
        }

    def _checked(self, images: Tensor) -> Tensor:
        """Images in the network's own type and place."""
        if not isinstance(images, Tensor):
            raise HeatliftError(f"images of type {type(images).__name__}: expected a torch.Tensor")
        if images.ndim != 4 or images.shape[1] != 3:
            raise HeatliftError(f"images of shape {tuple(images.shape)}: expected (n, 3, height, width)")
        if not images.is_floating_point():
            raise HeatliftError(f"images of type {images.dtype}: expected floating point, pixels in [0, 1]")
        # What was made in inference mode can't be followed outside of it; a copy can.
        images = images.clone() if images.is_inference() else images
        return images.to(self.device, self.dtype)

    def _per_channel(self, what: str, values: Sequence[float]) -> Tensor:
        if len(values) != 3 or not all(map(math.isfinite, values)):
            raise HeatliftError(f"{what} {tuple(values)}: give three values, one per channel")
        return torch.tensor(list(values), device=self.device, dtype=self.dtype).view(1, 3, 1, 1)

    def explained(self, logits: Tensor, target: Tensor) -> Tensor:
        """The number that an attribution explains, (n,): the target's logit, from logits (n, C).

        Of a network with one output it is the target's logit less the other one, z or -z: the first of
        the two logits is 0 whatever the image.
        """
        of_target = logits.gather(1, target.unsqueeze(1)).squeeze(1)
        return of_target - (logits.sum(dim=1) - of_target) if self.single_output else of_target

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """The precision in which the network runs, and the same arithmetic with and without gradients."""
        fast = torch.backends.mha.get_fastpath_enabled()
        # Torch's attention layer takes another way where no gradient is asked for, and rounds otherwise.
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with (
                reduced(self.device, self._head) if self.precision == "bf16" else nullcontext(),
                self.folding or nullcontext(),
            ):
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)

    def _last_layer(self) -> nn.Module | None:
        with untouched(self.network):
            return last_layer(self.network, self.normalise(torch.rand(1, 3, *self.framing.crop)))

    def _placed(self, network: nn.Module) -> nn.Module:
        try:
            return network.to(self.device)
        except (RuntimeError, AssertionError) as error:
            if out_of_memory(error):
                raise HeatliftError(f"{self.name} does not fit into the memory of {self.device}") from error
            raise HeatliftError(
                f"{self.name} can't be moved to {self.device}: {first_line(error)}"
            ) from error

    def _answer(self, inputs: Tensor) -> Any:
        """Whatever the network returns; what it raises is its own failure, the machine's aside."""
        try:
            return self.network(inputs)
        except (Exception, SystemExit) as error:
            if isinstance(error, HeatliftError):
                raise
            let_through(error)
            raise NetworkFailed(f"the network raised {raised(error)}") from error

    def _probe(self) -> None:
        """Run the network a few times, so that what can't work is said before any image is read."""
        height, width = self.framing.crop
        noise = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
        images = noise.to(self.device, self.dtype).requires_grad_()
        try:
            with untouched(self.network):
                returned = self.network(self.normalise(images))
        except (Exception, SystemExit) as error:
            raise HeatliftError(
                f"{self.name} does not run on images (n, 3, {height}, {width}): {first_line(error)} "
                "(another --size?)"
            ) from error
        output = tensor_in(returned, self.name)
        self.single_output = output.shape[:1] == (len(images),) and output.numel() == len(images)
        logits = self._logits(output, len(images))
        if looks_like_probabilities(logits) or ends_with_sigmoid(output):
            raise HeatliftError(
                f"{self.name} returns probabilities, not raw logits: remove its final softmax or sigmoid, "
                "every score here is defined on logits"
            )
        if not bool(logits.isfinite().all()):
            raise HeatliftError(
                f"{self.name} returns NaN or infinite logits for noise: are its weights damaged?"
            )
        self.num_classes = logits.shape[1]
        self._try_again(images.detach(), logits.detach().clone())

    def _try_again(self, images: Tensor, logits: Tensor) -> None:
        """Check that the same images have the same logits once more, and each one when it is alone."""
        with torch.no_grad(), untouched(self.network), unchanged(self.network):
            again, alone = (
                self._logits(self._answer(self.normalise(part)), len(part)) for part in (images, images[:1])
            )
        half = self.dtype in (torch.float16, torch.bfloat16)
        room = (20 * SAME if half else SAME) * float(logits.abs().max())
        for found, expected, problem in (
            (again, logits, "the same images other logits each time: does it draw at random in eval mode?"),
            (alone, logits[:1], "an image other logits in other company: does it mix the images of a batch?"),
        ):
            if found.shape != expected.shape or not bool(((found - expected).abs() <= room).all()):
                raise HeatliftError(f"{self.name} gives {problem}")

    def _logits(self, output: Any, n: int) -> Tensor:
        """Logits (n, C) of n images from whatever the network returned."""
        return logits_in(output, n, self.name, self.single_output, self.num_classes)
