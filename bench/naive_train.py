"""The published training step written down as the paper's words say it. A yardstick.

Every layer stands by itself as one of torch's own, maps are contiguous in the usual order of
axes, optimisers are torch's with its own settings, the teacher looks at every batch, and images are
decoded and prepared one by one in the process that trains. Written from the description of the
networks and of the training, for comparison only. Parameters have the published names, so that
they can be taken over from our networks.
"""

import io
import math
import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn

from pocketface.models.genotype import FACES

CLIP = 5.0
WEIGHT_OF_TEACHER = 100.0


class Separable(nn.Module):
    def __init__(self, into: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.PReLU(into),
            nn.Conv2d(into, into, kernel, stride, kernel // 2, groups=into, bias=False),
            nn.Conv2d(into, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Reduction(nn.Module):
    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.relu = nn.PReLU(into)
        self.conv11 = nn.Conv2d(into, into, 1, 2, groups=into, bias=False)
        self.conv12 = nn.Conv2d(into, out // 2, 1, bias=False)
        self.conv21 = nn.Conv2d(into, into, 1, 2, groups=into, bias=False)
        self.conv22 = nn.Conv2d(into, out // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        halves = (self.conv12(self.conv11(x)), self.conv22(self.conv21(x[:, :, 1:, 1:])))
        return self.bn(torch.cat(halves, dim=1))


class Pool(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, stride, 1)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.pool(x))


def operation(name: str, channels: int, stride: int) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Reduction(channels, channels)
    if name == "max_pool_3x3":
        return Pool(channels, stride)
    return Separable(channels, channels, int(name[-1]), stride)


class Cell(nn.Module):
    def __init__(
        self, before: int, previous: int, channels: int, reduces: bool, previous_reduces: bool
    ) -> None:
        super().__init__()
        edges = FACES.reduce if reduces else FACES.normal
        self.preproc0 = (
            Reduction(before, channels) if previous_reduces else Separable(before, channels, 1, 1)
        )
        self.preproc1 = Separable(previous, channels, 1, 1)
        self.sources = [source for _, source in edges]
        self.dag = nn.ModuleList()
        for node in range(4):
            pair = edges[2 * node : 2 * node + 2]
            self.dag.append(
                nn.ModuleList(
                    operation(name, channels, 2 if reduces and source < 2 else 1)
                    for name, source in pair
                )
            )

    def forward(self, before: Tensor, previous: Tensor) -> Tensor:
        maps = [self.preproc0(before), self.preproc1(previous)]
        for node, (first, second) in enumerate(self.dag):
            one, two = self.sources[2 * node : 2 * node + 2]
            maps.append(first(maps[one]) + second(maps[two]))
        return torch.cat(maps[2:], dim=1)


class NaivePocketNet(nn.Module):
    """PocketNet with the genotype that was searched on faces."""

    def __init__(self, channels: int, cells: int, image_size: int, embedding_size: int) -> None:
        super().__init__()
        width = 4 * channels
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width))
        self.cells = nn.ModuleList()
        before, previous, previous_reduces = width, width, False
        for index in range(cells):
            reduces = index in (cells // 3, 2 * cells // 3, cells - 1)
            channels *= 2 if reduces else 1
            self.cells.append(Cell(before, previous, channels, reduces, previous_reduces))
            before, previous, previous_reduces = previous, 4 * channels, reduces
        hidden = max(512, 2 * embedding_size)
        self.tail = nn.Sequential(
            nn.PReLU(previous),
            nn.Conv2d(previous, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.PReLU(hidden),
            nn.Conv2d(hidden, hidden, image_size // 16, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.Conv2d(hidden, embedding_size, 1, bias=False),
            nn.BatchNorm2d(embedding_size),
        )

    def forward(self, x: Tensor) -> Tensor:
        before = previous = self.stem(x)
        for cell in self.cells:
            before, previous = previous, cell(before, previous)
        return self.tail(previous).flatten(1)


class ResidualBlock(nn.Module):
    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(into)
        self.conv1 = nn.Conv2d(into, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.prelu = nn.PReLU(out)
        self.conv2 = nn.Conv2d(out, out, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            if stride == 2
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.downsample(x) + self.bn3(self.conv2(y))


class NaiveIResNet(nn.Module):
    """The teacher; with blocks (3, 13, 30, 3) an IResNet-100."""

    def __init__(
        self, blocks: Sequence[int], image_size: int, embedding_size: int, width: int = 64
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU(width)
        into = width
        for stage, count in enumerate(blocks):
            out = width << stage
            layers = [
                ResidualBlock(into if not n else out, out, 1 if n else 2) for n in range(count)
            ]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
            into = out
        self.bn2 = nn.BatchNorm2d(into)
        self.fc = nn.Linear(into * (image_size // 16) ** 2, embedding_size)
        self.features = nn.BatchNorm1d(embedding_size)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.features(self.fc(self.bn2(x).flatten(1)))


class NaiveArcFace(nn.Module):
    """ArcFace; the margin is worked out for every logit and taken where the label says so."""

    def __init__(self, embedding_size: int, people: int, scale: float = 64.0, margin: float = 0.5):
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(embedding_size, people).normal_(0, 0.01))
        self.scale, self.margin = scale, margin

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosine = F.normalize(embeddings, dim=1) @ F.normalize(self.kernel, dim=0)
        cosine = cosine.clamp(-1, 1)
        sine = (1 - cosine**2).clamp_min(1e-12).sqrt()
        turned = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        beyond = cosine - self.margin * math.sin(math.pi - self.margin)
        turned = torch.where(cosine > math.cos(math.pi - self.margin), turned, beyond)
        own = F.one_hot(labels, cosine.shape[1])
        logits = self.scale * (own * turned + (1 - own) * cosine)
        return F.cross_entropy(logits, labels)


class NaiveStep:
    """One step: ArcFace, with a teacher the squared distance of directions beside it, two SGDs."""

    def __init__(
        self, backbone: nn.Module, head: NaiveArcFace, teacher: nn.Module | None, rate: float
    ) -> None:
        self.backbone, self.head = backbone.train(), head
        self.teacher = None if teacher is None else teacher.eval()
        self.optimisers = [
            torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
            for module in (backbone, head)
        ]

    def __call__(self, inputs: Tensor, labels: Tensor) -> Tensor:
        embeddings = self.backbone(inputs)
        loss = self.head(embeddings, labels)
        if self.teacher is not None:
            with torch.no_grad():
                targets = F.normalize(self.teacher(inputs))
            loss = loss + WEIGHT_OF_TEACHER * F.mse_loss(F.normalize(embeddings), targets)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.backbone.parameters(), CLIP)
        for optimiser in self.optimisers:
            optimiser.step()
        return loss.detach()


def naive_batches(
    encoded: Sequence[bytes], labels: Sequence[int], batch: int, rng: random.Random
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end: each image is opened, mirrored and made a tensor by itself, here."""
    while True:
        order = rng.sample(range(len(encoded)), batch)
        images = []
        for place in order:
            image = Image.open(io.BytesIO(encoded[place])).convert("RGB")
            if rng.random() < 0.5:
                image = ImageOps.mirror(image)
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
            images.append((pixels.float().div(255) - 0.5) / 0.5)
        yield torch.stack(images), torch.tensor([labels[place] for place in order])
