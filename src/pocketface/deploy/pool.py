"""Pools for a runtime that knows no padding but the one that keeps a map's size.

A pool of stride 2 computes at every second pixel what the pool of stride 1 computes at all of
them. So it is that pool, and a depthwise 1x1 convolution that picks the pixels; the batch norm
behind a PocketNet's pool is folded into the picking. For pools of PocketNetS-128 that was as fast
in LiteRT as padding the map by hand, which XNNPACK leaves to another part of the runtime.
"""

from dataclasses import replace

import numpy as np

from pocketface.deploy.graph import Conv, Graph, Node, Pool


def pick_pools(graph: Graph) -> None:
    """Let each padded pool keep its map's size, in place; before `fold`."""

    def change(node: Node) -> list[Node] | None:
        pool = node.operation
        if not isinstance(pool, Pool) or pool.stride == 1 or pool.pad == 0:
            return None
        channels = graph.channels[node.output]
        ones, zeros = np.ones((channels, 1, 1, 1)), np.zeros(channels)
        every = graph.node(replace(pool, stride=1), *node.inputs)
        picked = Conv(ones, zeros, pool.stride, groups=channels)
        return [every, graph.node(picked, every.output, output=node.output)]

    graph.rewrite(change)
