"""How much of a GPU a run uses; nothing on a CPU, where the system's own tools tell more."""

import contextlib

import torch


def device_use(device: torch.device) -> dict[str, float]:
    """Numbers for the log by name; none for a device that is no CUDA GPU.

    `gpu_memory_gib` is the most that tensors took since the last call, in GiB; and where NVIDIA's
    library for it (nvidia-ml-py) is installed, `gpu_use` is the share of the time in which the GPU
    had work, as the driver counted it just now, over all programs.
    """
    if device.type != "cuda":
        return {}
    use = {"gpu_memory_gib": torch.cuda.max_memory_allocated(device) / 2**30}
    torch.cuda.reset_peak_memory_stats(device)
    # The library may be missing, or not know this GPU.
    with contextlib.suppress(ImportError, RuntimeError):
        use["gpu_use"] = torch.cuda.utilization(device) / 100
    return use


def told(values: dict[str, float]) -> str:
    """What a row of the log says of waiting and of the GPU, for the screen."""
    parts = [f"waits {values['loader_wait']:.0%} for data"]
    if "gpu_use" in values:
        parts.append(f"GPU {values['gpu_use']:.0%} busy")
    if "gpu_memory_gib" in values:
        parts.append(f"{values['gpu_memory_gib']:.1f} GiB of its memory")
    return ", ".join(parts)
