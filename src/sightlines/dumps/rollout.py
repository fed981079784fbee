"""Attention rollout: what reaches the class token through all blocks, skips included.

Source: Abnar and Zuidema 2020; Dosovitskiy et al. 2020, appendix D.8, whose text omits the
identity, which belongs there. With Ā_l, the mean of a block's heads, Â_l = ½ Ā_l + ½ I and
R = Â_L ⋯ Â_1, the newest block on the left. Robustness check: row t of Â_l is
(α e_t + Ā_l[t]) / (1 + α), α the norm of what the skip carries over that of the branch, of that
token.
"""

import torch
from torch import Tensor


class Rollout:
    """The product of the blocks so far, of some images.

    Attributes:
        product: [images, tokens, tokens].
    """

    def __init__(
        self, images: int, tokens: int, prefix: int, has_class_token: bool, device: torch.device
    ) -> None:
        """Begin with the identity.

        Args:
            images: How many.
            tokens: All of them.
            prefix: Those before the patches'.
            has_class_token: Whether the first token is read out; else the mean of the patches.
            device: Where the product lies.
        """
        self.product = torch.eye(tokens, device=device).repeat(images, 1, 1)
        self._kept = torch.ones(images, tokens, device=device)
        self._prefix, self._has_class_token = prefix, has_class_token

    def add(self, attention: Tensor, skip: Tensor | None) -> None:
        """Go through one more block.

        Args:
            attention: Ā, mean over heads [images, tokens, tokens]; rows sum to 1.
            skip: α of every token [images, tokens], infinite where a branch adds nothing; None: 1.
        """
        if skip is None:
            identity = torch.full_like(self._kept, 0.5)
        else:
            identity = torch.where(skip.isinf(), 1.0, skip / (1 + skip))
        passed = torch.bmm(attention, self.product)
        share = identity[:, :, None]
        # In place: of many tokens each such product is hundreds of MB.
        self.product.mul_(share).add_(passed.mul_(1 - share))
        self._kept = self._kept * identity

    def map(self) -> Tensor:
        """What the read-out takes from each patch [images, patches].

        From the mean of patches what they keep of themselves, untouched by attention, is taken off.
        """
        if self._has_class_token:
            return self.product[:, 0, self._prefix :].clone()  # the product changes in place
        rows = self.product[:, self._prefix :, self._prefix :]
        return rows.mean(dim=1) - self._kept[:, self._prefix :] / rows.shape[1]

    def own(self) -> Tensor:
        """What the class token, or in the mean a patch, takes from itself [images]."""
        own = self.product.diagonal(dim1=1, dim2=2)
        return own[:, 0].clone() if self._has_class_token else own[:, self._prefix :].mean(dim=1)


def norm_ratio(skip: Tensor, branch: Tensor) -> Tensor:
    """‖z‖ / ‖f(z)‖ of every token [images, tokens]; infinite where the branch is 0.

    Args:
        skip: z [images, tokens, width].
        branch: f(z), alike.
    """
    norms = skip.float().norm(dim=2), branch.float().norm(dim=2)
    return torch.where(norms[1] > 0, norms[0] / norms[1], torch.inf)
