"""What a forward pass was made of, read from the graph that autograd recorded.

The graph is the proof that backward rules need: a ReLU in scripted code, or inside a custom autograd
function, is no Python call that could be intercepted, but it leaves its node here.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor

LINEAR_NODES = frozenset(
    "AccumulateGrad Addmm Mm Bmm Baddbmm Mv Convolution ConvolutionOverrideable MkldnnConvolution "
    "CudnnConvolution SlowConv2D ThnnConv2D MkldnnLinear Linear NativeBatchNorm CudnnBatchNorm "
    "MiopenBatchNorm BatchNorm Add Sub Rsub Neg Mul Div Sum Mean AdaptiveAvgPool2D AvgPool2D AvgPool1D "
    "AdaptiveAvgPool1D View ReshapeAlias UnsafeView Reshape T Transpose Permute Expand ExpandAs Clone Alias "
    "Contiguous ToCopy Copy CopyBackwards AsStrided Cat Stack Split SplitWithSizes Chunk Unbind Slice Select "
    "Index IndexSelect Gather Narrow Squeeze Unsqueeze ConstantPadNd ReflectionPad2D ReplicationPad2D "
    "UpsampleBilinear2D UpsampleNearest2D UpsampleBicubic2D PixelShuffle Roll Flip Unfold Im2Col Col2Im "
    "Repeat Movedim Swapaxes".split()
)
"""Nodes that are linear in the activations, under the conditions of `_is_linear`."""

SMOOTH_NODES = frozenset(
    "Mul Div Bmm Mm Baddbmm Addcmul Pow Sqrt Rsqrt Exp Log Sigmoid Tanh Silu Gelu Softmax LogSoftmax "
    "Logsumexp NativeLayerNorm NativeGroupNorm LinalgVectorNorm Norm Var Std VarMean StdMean Sin Cos "
    "Erf".split()
)
"""Nodes that are not linear, and no ReLU either."""

RULE_NODES = frozenset("Elementwise MaxPool Bilinear Division Softmax Normalisation Attention".split())
"""The nodes of `heatlift.backward`, which follow a rule."""


def uncovered(output: Tensor) -> Counter[str]:
    """The non-linear steps between input and ``output`` that no rule was applied to, by autograd's names.

    Reads the graph that autograd recorded, so that also what was hidden from interception (scripted
    code, custom functions) is found.
    """
    found: Counter[str] = Counter()
    seen = set()
    waiting = [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting.extend(following for following, _ in node.next_functions)
        if _masks(node):
            found["product with a mask"] += 1
        elif not _is_linear(node):
            found[_kind(node)] += 1
    return found


def _masks(node: Any) -> bool:
    """Whether a product's other factor is true or false, as in the ReLU that is written x * (x > 0)."""
    if _kind(node) != "Mul":
        return False
    factors = (getattr(node, f"_saved_{name}", None) for name in ("self", "other"))
    return any(isinstance(factor, Tensor) and factor.dtype == torch.bool for factor in factors)


def _kind(node: Any) -> str:
    """An autograd node's name without its number: ReluBackward0 -> Relu."""
    name: str = node.name().rsplit("::", 1)[-1]
    return name.rstrip("0123456789").removesuffix("Backward")


def _is_linear(node: Any) -> bool:
    kind = _kind(node)
    if kind in RULE_NODES:
        return True
    if kind not in LINEAR_NODES:
        return False
    inputs = sum(following is not None for following, _ in node.next_functions)
    if kind in ("Mul", "Div", "Mm", "Bmm", "Baddbmm", "Addmm", "Mv", "Convolution", "Linear"):
        # With two factors that both depend on the image, or the image below the line, it is no longer linear.
        below = kind == "Div" and len(node.next_functions) > 1 and node.next_functions[1][0] is not None
        return inputs <= (2 if kind in ("Addmm", "Baddbmm") and _bias_only(node) else 1) and not below
    if kind.endswith("BatchNorm"):
        return not getattr(node, "_saved_training", False)
    return True


def _bias_only(node: Any) -> bool:
    """Whether of an addmm's two matrices only one depends on the image."""
    return any(following is None for following, _ in node.next_functions[1:])
