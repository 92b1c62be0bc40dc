"""What a forward pass was made of, read from the graph that autograd recorded.

The graph is the proof that backward rules need: a ReLU in scripted code, or inside a custom autograd
function, is no Python call that could be intercepted, but it leaves its node here.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor

from heatlift.backward import Compound, Elementwise, MaxPool
from heatlift.strided import StridedConvolution

LINEAR_NODES = frozenset(
    "AccumulateGrad Addmm Mm Bmm Baddbmm Addbmm Addmv Addcmul Mv Convolution ConvolutionOverrideable "
    "MkldnnConvolution CudnnConvolution SlowConv2D ThnnConv2D MkldnnLinear Linear NativeBatchNorm "
    "CudnnBatchNorm MiopenBatchNorm BatchNorm Add Sub Rsub Neg Mul Div Sum Mean AdaptiveAvgPool2D AvgPool2D "
    "AvgPool1D AvgPool3D AdaptiveAvgPool1D View ReshapeAlias UnsafeView Reshape T Transpose Permute Expand "
    "ExpandAs Clone Alias Contiguous ToCopy Copy CopyBackwards AsStrided Cat Stack Split SplitWithSizes "
    "Chunk Unbind Slice Select Index IndexSelect Gather Narrow Squeeze Unsqueeze ConstantPadNd "
    "ReflectionPad2D ReplicationPad2D UpsampleBilinear2D UpsampleNearest2D UpsampleBicubic2D PixelShuffle "
    "Roll Flip Unfold Im2Col Col2Im Repeat Movedim Swapaxes".split()
)
"""Nodes that are linear in the activations, under the conditions of `_is_linear`."""

SMOOTH_NODES = frozenset(
    "Mul Div Bmm Mm Mv Dot Addmm Baddbmm Addbmm Addmv Addcmul Pow Sqrt Rsqrt Exp Expm1 Log Log1P Sigmoid "
    "Tanh Silu Gelu Softmax LogSoftmax Logsumexp NativeLayerNorm NativeGroupNorm LinalgVectorNorm Norm Var "
    "Std VarMean StdMean Sin Cos Erf".split()
)
"""Nodes that are not linear, and no ReLU either."""

OWN_NODES = tuple(f._backward_cls for f in (Elementwise, MaxPool, Compound, StridedConvolution))
"""Nodes that follow a rule of `heatlift.backward`, or are linear."""

PRODUCT_NODES = frozenset("Mul Div Mm Bmm Mv Convolution Linear".split())
"""Nodes that are linear where only one factor depends on the image."""

SUM_WITH_PRODUCT_NODES = frozenset("Addmm Baddbmm Addbmm Addmv Addcmul".split())
"""Nodes of a tensor and two factors, of which only one may depend on the image."""


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
    if _kind(node) not in ("Mul", "Addcmul"):
        return False
    factors = (getattr(node, f"_saved_{name}", None) for name in ("self", "other", "tensor1", "tensor2"))
    return any(isinstance(factor, Tensor) and factor.dtype == torch.bool for factor in factors)


def _kind(node: Any) -> str:
    """An autograd node's name without its number: ReluBackward0 -> Relu."""
    name: str = node.name().rsplit("::", 1)[-1]
    return name.rstrip("0123456789").removesuffix("Backward")


def _is_linear(node: Any) -> bool:
    kind = _kind(node)
    if isinstance(node, OWN_NODES):
        return True
    if kind not in LINEAR_NODES:
        return False
    depends = [following is not None for following, _ in node.next_functions]
    if kind in SUM_WITH_PRODUCT_NODES:
        return sum(depends[1:]) <= 1
    if kind in PRODUCT_NODES:
        below_the_line = kind == "Div" and any(depends[1:])
        return sum(depends) <= 1 and not below_the_line
    if kind.endswith("BatchNorm"):
        return not getattr(node, "_saved_training", False)
    return True
