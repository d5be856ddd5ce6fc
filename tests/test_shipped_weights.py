"""The weights that ship with the project: whole, small, and their cards say what they are."""

from pathlib import Path

import pytest
import torch

from pocketface.models.weights import load_backbone

WEIGHTS = Path(__file__).parents[1] / "weights"
LICENCES = {"real": "research use only", "synthetic": "Apache-2.0"}


@pytest.mark.parametrize("images", sorted(LICENCES))
def test_they_load_and_their_cards_speak(images):
    path = WEIGHTS / f"pocketnet_s_128_{images}.safetensors"
    assert path.stat().st_size <= 4_000_000
    network, card = load_backbone(path)
    assert card.architecture == "pocketnet_s_128"
    assert card.parameters == 925_632
    assert card.licence.startswith(LICENCES[images])
    assert "MobileFaceNet" in card.notes
    assert "synthetic faces" in card.data
    assert {threshold.far for threshold in card.thresholds} == {0.01, 0.001}
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        embeddings = network(torch.rand(2, 3, 112, 112, generator=generator))
    assert embeddings.shape == (2, 128)
    assert embeddings.isfinite().all()
    assert torch.cosine_similarity(embeddings[0], embeddings[1], dim=0) < 0.9999
