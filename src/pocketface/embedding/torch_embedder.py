"""A torch backbone as an embedder. Importing this module imports torch."""

import hashlib

import numpy as np
import numpy.typing as npt
import torch

from pocketface.card import ModelCard
from pocketface.embedding.embedder import check_embeddings, check_faces, fingerprint_of
from pocketface.embedding.network_file import check_threads
from pocketface.embedding.resize import resize_faces
from pocketface.errors import WeightsError
from pocketface.models.backbone import Backbone
from pocketface.models.normalise import normalise
from pocketface.preprocessing import Preprocessing

_CHUNK = 64
"""Images per forward pass: bounds the memory of the activations."""


class TorchEmbedder:
    """Embeds with a backbone where it stands: on its own device, in its own precision.

    `embed` puts the backbone into evaluation mode and gives back the mode it found, so a network
    in training can be measured between two steps. `fingerprint` is that of the weights file, if
    they have one; otherwise it is computed from the weights at each asking.

    Raises WeightsError if the preprocessing's image size is not the backbone's.
    """

    def __init__(
        self,
        backbone: Backbone,
        preprocessing: Preprocessing,
        *,
        card: ModelCard | None = None,
        sha256: str | None = None,
        chunk: int = _CHUNK,
    ) -> None:
        if backbone.image_size != preprocessing.image_size:
            raise WeightsError(
                f"{backbone.architecture} was built for images of {backbone.image_size} pixels, "
                f"but its preprocessing says {preprocessing.image_size}. Make them equal."
            )
        self.backbone = backbone
        self.preprocessing = preprocessing
        self.card = card
        self.embedding_size = backbone.embedding_size
        self._sha256 = sha256
        self._chunk = chunk

    def with_preprocessing(self, preprocessing: Preprocessing) -> "TorchEmbedder":
        """The same network fed in another way, at the same image size."""
        return TorchEmbedder(
            self.backbone,
            preprocessing,
            card=self.card,
            sha256=self._sha256,
            chunk=self._chunk,
        )

    @property
    def fingerprint(self) -> str:
        """Hexadecimal identity of weights and preprocessing."""
        return fingerprint_of(self._sha256 or _hash_weights(self.backbone), self.preprocessing)

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Embed uint8 (N, H, W, 3) RGB aligned faces; gives float32 (N, D), not normalised.

        Raises DataError for another shape or type, WeightsError for output that is not finite.
        """
        check_faces(images)
        device = next(self.backbone.parameters()).device
        embeddings = np.empty((len(images), self.embedding_size), np.float32)
        training = self.backbone.training
        self.backbone.eval()
        try:
            with torch.inference_mode():
                for start in range(0, len(images), self._chunk):
                    faces = resize_faces(
                        images[start : start + self._chunk], self.preprocessing.image_size
                    )
                    # A copy: torch warns of arrays that it may not write, such as memory maps.
                    inputs = normalise(torch.tensor(faces).to(device), self.preprocessing)
                    output = self.backbone(inputs).float().cpu().numpy()
                    check_embeddings(
                        output, len(faces), self.embedding_size, self.backbone.architecture
                    )
                    embeddings[start : start + len(faces)] = output
        finally:
            self.backbone.train(training)
        return embeddings


def set_threads(threads: int) -> None:
    """Let torch use this many threads inside an operator; it knows one count per process."""
    check_threads(threads)
    torch.set_num_threads(threads)


def _hash_weights(backbone: Backbone) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
