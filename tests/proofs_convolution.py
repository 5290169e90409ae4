"""Convolution, its adjoint, unfold and fold: fixed arguments, and PyTorch's twins."""

from __future__ import annotations

from typing import Any

from proof_cases import case, normal

from tinynet.derivations import conv2d, conv_transpose2d, fold, unfold

PROOFS = (conv2d, conv_transpose2d, unfold, fold)
CASES = [
    case(conv2d, normal(2, 3, 5, 4), normal(4, 3, 3, 2), normal(4)),
    case(conv2d, normal(2, 3, 5, 4), normal(4, 3, 1, 1)),
    case(conv2d, normal(2, 4, 6, 5), normal(6, 2, 3, 2), normal(6), stride=2, padding=1, groups=2),
    case(conv2d, normal(1, 3, 7, 4), normal(3, 1, 3, 2), dilation=(3, 1), padding=(0, 2), groups=3),
    case(conv2d, normal(1, 2, 6, 7), normal(2, 2, 2, 3), stride=(3, 2), dilation=2, padding=1),
    case(conv2d, normal(2, 2, 9), normal(3, 2, 4), normal(3), stride=2, padding=3),
    case(conv2d, normal(1, 2, 3, 4, 2), normal(2, 2, 2, 3, 1), normal(2), padding=(1, 0, 1)),
    case(conv2d, normal(0, 2, 4, 4), normal(3, 2, 3, 3), normal(3)),
    case(conv_transpose2d, normal(2, 3, 3, 2), normal(3, 4, 3, 2), normal(4)),
    case(conv_transpose2d, normal(2, 3, 3, 2), normal(3, 4, 1, 1)),
    case(
        conv_transpose2d,
        normal(2, 4, 3, 4),
        normal(4, 3, 3, 2),
        normal(6),
        stride=(2, 3),
        padding=1,
        output_padding=(1, 2),
        groups=2,
    ),
    case(
        conv_transpose2d,
        normal(1, 2, 3, 3),
        normal(2, 2, 2, 3),
        dilation=(3, 2),
        padding=(0, 2),
        output_padding=(2, 0),
    ),
    case(conv_transpose2d, normal(2, 2, 4), normal(2, 3, 4), normal(3), stride=2, padding=3),
    case(conv_transpose2d, normal(1, 2, 2, 3, 1), normal(2, 1, 2, 2, 3), normal(1), stride=2),
    case(conv_transpose2d, normal(0, 2, 2, 2), normal(2, 3, 3, 3), normal(3)),
    case(unfold, normal(2, 3, 5, 4), kernel_size=(3, 2)),
    case(unfold, normal(1, 2, 6, 7), kernel_size=3, stride=(2, 3), padding=(1, 2), dilation=(2, 1)),
    case(unfold, normal(2, 2, 3, 2), kernel_size=(3, 2)),
    case(unfold, normal(0, 2, 3, 3), kernel_size=2),
    case(fold, normal(2, 18, 9), output_size=(5, 4), kernel_size=(3, 2)),
    case(
        fold,
        normal(1, 18, 6),
        output_size=(6, 7),
        kernel_size=3,
        stride=(2, 3),
        padding=(1, 2),
        dilation=(2, 1),
    ),
    case(fold, normal(2, 12, 1), output_size=(3, 2), kernel_size=(3, 2)),
    case(fold, normal(0, 8, 4), output_size=(3, 3), kernel_size=2),
]


def peers(torch: Any) -> dict[str, Any]:
    """PyTorch's function for each op."""
    F = torch.nn.functional
    by_rank = {
        "conv2d": (F.conv1d, F.conv2d, F.conv3d),
        "conv_transpose2d": (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d),
    }

    def twin(name: str) -> Any:
        return lambda x, *args, **options: by_rank[name][x.ndim - 3](x, *args, **options)

    return {**{name: twin(name) for name in by_rank}, "unfold": F.unfold, "fold": F.fold}
