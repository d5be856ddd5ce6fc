"""Genotypes: which operation joins which nodes in a PocketNet cell.

A cell has two inputs and four nodes. Index 0 is the output of the cell before the previous one,
index 1 that of the previous cell, 2 to 5 are the cell's own nodes; each node adds up two edges,
and the cell's output is the concatenation of its four nodes (PocketNet, arXiv 2108.10710).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pocketface import atomic
from pocketface.errors import RecipeError

Edge = tuple[str, int]
"""A primitive and the index of the map that it reads."""

PRIMITIVES: tuple[str, ...] = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "dw_conv_3x3",
    "dw_conv_5x5",
    "dw_conv_7x7",
    "dw_conv_1x1",
)
"""What an edge of a genotype may be. The search space's eighth primitive, `none`, is never kept."""

INPUTS = 2
NODES = 4
EDGES_PER_NODE = 2


@dataclass(frozen=True)
class Genotype:
    """The edges of the normal and of the reduction cell.

    `normal` and `reduce` hold eight (primitive, index) pairs each: two for node 0, two for node
    1, and so on. The order of a node's two edges gives the names of their weights.

    Raises RecipeError for a wrong number of edges, an unknown primitive, an edge that does not
    point back to an input or an earlier node, and two edges of a node that read the same map.
    """

    normal: tuple[Edge, ...]
    reduce: tuple[Edge, ...]

    def __post_init__(self) -> None:
        _check_edges("normal", self.normal)
        _check_edges("reduce", self.reduce)

    def to_dict(self) -> dict[str, Any]:
        """Give the genotype as plain lists, as JSON holds it."""
        return {
            "normal": [[primitive, index] for primitive, index in self.normal],
            "reduce": [[primitive, index] for primitive, index in self.reduce],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Genotype":
        """Build a genotype from what `to_dict` gives; RecipeError if it is anything else."""
        if not isinstance(content, Mapping) or set(content) != {"normal", "reduce"}:
            found = sorted(map(str, content)) if isinstance(content, Mapping) else content
            raise RecipeError(
                f"A genotype holds exactly the two lists 'normal' and 'reduce', but this has "
                f"{found!r}. Write it as Genotype.to_dict() does."
            )
        return cls(_edges("normal", content["normal"]), _edges("reduce", content["reduce"]))

    def to_json(self) -> str:
        """Give the genotype as JSON text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """Read JSON text; RecipeError if it is not JSON or not a genotype."""
        try:
            content = json.loads(text)
        except ValueError as error:
            raise RecipeError(f"This genotype is not JSON: {error}. Export it again.") from error
        return cls.from_dict(content)

    def save(self, path: Path) -> None:
        """Write the genotype to `path` as JSON, whole or not at all."""
        atomic.write_text(path, self.to_json() + "\n")

    @classmethod
    def load(cls, path: Path) -> "Genotype":
        """Read a genotype from a JSON file; RecipeError names the file if it is none."""
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, RecipeError) as error:
            raise RecipeError(f"{path} holds no genotype: {error}") from error


def _edges(cell: str, content: Any) -> tuple[Edge, ...]:
    """Turn JSON's lists into edges; the values are checked by Genotype itself."""
    if not isinstance(content, list | tuple):
        raise RecipeError(f"{cell!r} must be a list of [primitive, index] pairs, got {content!r}.")
    for edge in content:
        if not isinstance(edge, list | tuple) or len(edge) != 2:
            raise RecipeError(f"An edge of {cell!r} must be [primitive, index], got {edge!r}.")
    return tuple((edge[0], edge[1]) for edge in content)


def _check_edges(cell: str, edges: tuple[Edge, ...]) -> None:
    """Raise RecipeError unless `edges` describe a cell."""
    wanted = NODES * EDGES_PER_NODE
    if len(edges) != wanted:
        raise RecipeError(
            f"{cell!r} has {len(edges)} edges; a cell has {wanted}: "
            f"{EDGES_PER_NODE} for each of its {NODES} nodes."
        )
    for position, (primitive, index) in enumerate(edges):
        node = position // EDGES_PER_NODE
        if primitive not in PRIMITIVES:
            raise RecipeError(
                f"{cell!r}, node {node}: unknown primitive {primitive!r}. "
                f"Allowed: {', '.join(PRIMITIVES)}."
            )
        last = INPUTS + node - 1
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index <= last:
            raise RecipeError(
                f"{cell!r}, node {node}: edge {primitive!r} reads index {index!r}, but this node "
                f"may read 0 to {last}: the two inputs and the nodes before it."
            )
    for node in range(NODES):
        pair = edges[node * EDGES_PER_NODE : (node + 1) * EDGES_PER_NODE]
        if len({index for _, index in pair}) != len(pair):
            raise RecipeError(
                f"{cell!r}, node {node}: both edges read index {pair[0][1]}. "
                "Each edge of a node must read another map."
            )


FACES = Genotype(
    normal=(
        ("dw_conv_3x3", 0),
        ("dw_conv_1x1", 1),
        ("dw_conv_3x3", 2),
        ("dw_conv_5x5", 0),
        ("dw_conv_3x3", 3),
        ("dw_conv_3x3", 0),
        ("dw_conv_3x3", 4),
        ("skip_connect", 0),
    ),
    reduce=(
        ("dw_conv_3x3", 1),
        ("dw_conv_7x7", 0),
        ("skip_connect", 2),
        ("dw_conv_5x5", 1),
        ("max_pool_3x3", 0),
        ("skip_connect", 2),
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 1),
    ),
)
"""Searched on faces (CASIA-WebFace): the genotype of the published PocketNets."""

CIFAR10 = Genotype(
    normal=(
        ("dw_conv_7x7", 0),
        ("dw_conv_3x3", 1),
        ("dw_conv_1x1", 1),
        ("dw_conv_1x1", 2),
        ("max_pool_3x3", 2),
        ("dw_conv_7x7", 3),
        ("dw_conv_5x5", 4),
        ("max_pool_3x3", 0),
    ),
    reduce=(
        ("max_pool_3x3", 0),
        ("dw_conv_7x7", 1),
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 1),
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 2),
        ("max_pool_3x3", 0),
        ("max_pool_3x3", 1),
    ),
)
"""Searched on CIFAR-10 with the same recipe: the paper's control experiment."""

PRESETS: dict[str, Genotype] = {"faces": FACES, "cifar10": CIFAR10}


def resolve_genotype(genotype: "Genotype | str | Mapping[str, Any]") -> Genotype:
    """Give the genotype named by a preset, written as a dict, or already one.

    Raises RecipeError for an unknown preset and for a dict that is no genotype.
    """
    if isinstance(genotype, Genotype):
        return genotype
    if isinstance(genotype, str):
        if genotype not in PRESETS:
            raise RecipeError(
                f"Unknown genotype {genotype!r}. Presets: {', '.join(PRESETS)}; "
                "for a file, give Genotype.load(path)."
            )
        return PRESETS[genotype]
    return Genotype.from_dict(genotype)
