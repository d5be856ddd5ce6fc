"""The loss of a search: the searched network and its classifier as one module."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pocketface.heads import HeadConfig, create_head
from pocketface.heads.margin import MarginHead
from pocketface.search.supernet import Supernet


class SearchObjective(nn.Module):
    """Mean cross-entropy of a batch, of a plain linear classifier or of a margin head.

    One module, so that all that training moves can be replaced together in a virtual step.

    Args:
        supernet: the searched network.
        people: how many there are to tell apart.
        head: a margin head; None is the paper's linear softmax.
        generator: source of the classifier's first values.
    """

    def __init__(
        self,
        supernet: Supernet,
        people: int,
        head: HeadConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.supernet = supernet
        size = supernet.embedding_size
        self.classifier: nn.Linear | MarginHead
        if head is None:
            self.classifier = nn.Linear(size, people)
            bound = size**-0.5  # torch's own, but drawn from the generator
            for parameter in self.classifier.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
        else:
            self.classifier = create_head(head, size, people, generator)

    def forward(
        self,
        images: Tensor,
        labels: Tensor,
        normal: Tensor,
        reduce: Tensor,
        skip_scale: Tensor | None = None,
    ) -> Tensor:
        """The loss, a scalar; arguments as of `Supernet.forward`, `labels` int64 (N,)."""
        embeddings = self.supernet(images, normal, reduce, skip_scale)
        if isinstance(self.classifier, nn.Linear):
            return F.cross_entropy(self.classifier(embeddings), labels)
        loss: Tensor = self.classifier(embeddings, labels)
        return loss

    @torch.no_grad()
    def scores(self, images: Tensor, normal: Tensor, reduce: Tensor) -> Tensor:
        """How much each image (N) looks like each person: (N, people), no margin."""
        embeddings = self.supernet(images, normal, reduce)
        if isinstance(self.classifier, nn.Linear):
            logits: Tensor = self.classifier(embeddings)
            return logits
        return self.classifier.cosines(embeddings)
