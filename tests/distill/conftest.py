"""The tests here compute with one thread, as their processes do."""

import torch

torch.set_num_threads(1)
