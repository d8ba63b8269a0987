"""Matrix products with weights that are laid out for the processor.

oneDNN, which PyTorch computes with on CPUs, reads weights in a layout of its own some 1.5 to 2.5 times as fast as plain ones when few rows are
multiplied, as in decoding. PyTorch's compiler lays weights out so; these are the operators that it uses.
"""
# ruff: noqa: SLF001 - the operators have no public name

import torch
import torch.nn.functional as F
from torch import Tensor

TYPICAL_ROWS = 16
"""What packed weights are laid out for; other numbers of rows work too."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias`.

    Args:
        x: shape (N, columns).
        weight: shape (rows, columns), plain or packed.
        bias: shape (rows,).
    Returns: shape (N, rows), of the weight's type.
    """
    if weight.is_mkldnn:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return product
    return F.linear(x, weight, bias)


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`gelu(x @ weight.T + bias)`, with the exact gelu; as `linear` otherwise."""
    if weight.is_mkldnn:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu", [], "none")
        return product
    return F.gelu(F.linear(x, weight, bias))


def packed(weight: Tensor) -> Tensor:
    """The matrix in oneDNN's layout, or as it is where oneDNN isn't in use or has no kernels for its type."""
    if weight.device.type != "cpu" or not torch._C._get_mkldnn_enabled() or not _has_kernels(weight.dtype):
        return weight
    result: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS)
    return result


def _has_kernels(dtype: torch.dtype) -> bool:
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    if dtype is torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype is torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype is torch.float32


__all__ = ["linear", "linear_gelu", "packed"]
