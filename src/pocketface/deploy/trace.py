"""A backbone as an ONNX graph, traced by torch, with everything computed that can be before."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator

import onnx
import torch
from onnxscript import optimizer

from pocketface.models import Backbone

INPUT, OUTPUT, BATCH = "images", "embeddings", "batch"
"""Names in the graph: its input (batch, 3, S, S), its output (batch, D), and their first axis."""

_NOISY = ("torch", "onnxscript", "onnx_ir")
"""Loggers whose warnings speak of the exporter's own inside, such as of a missing torchvision."""


def trace_graph(backbone: Backbone, opset: int) -> onnx.ModelProto:
    """Trace `backbone` in evaluation mode as an ONNX model of this operator set.

    The graph takes float32 (batch, 3, S, S), normalised, and gives float32 (batch, D), for any
    batch. What depends on weights alone, as the product of a depthwise 1x1 convolution and a
    pointwise one, is computed here and stored. The exporter's warnings are held back; whatever it
    raises passes through.
    """
    size = backbone.image_size
    training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                backbone,
                # Two images: torch would take a batch of one for a fixed size.
                (torch.zeros(2, 3, size, size),),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim(BATCH)},),
                opset_version=opset,
                optimize=False,
            )
            assert program is not None  # so it is with dynamo=True
            # Not the exporter's own optimising: it leaves weights of more than 8192 numbers alone.
            optimizer.optimize(
                program.model, input_size_limit=sys.maxsize, output_size_limit=sys.maxsize
            )
            return program.model_proto
    finally:
        backbone.train(training)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back warnings and log lines below errors."""
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
