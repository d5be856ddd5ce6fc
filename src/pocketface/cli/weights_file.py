"""How the commands call a file with a network in it."""

WEIGHTS_FILE = "A .onnx, .xml, .param, .tflite, .pte, .safetensors, .pt or .pth file"
"""All endings of `embedding.load.SUFFIXES`, which the command line does not import to say so."""
