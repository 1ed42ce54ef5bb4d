"""LoRA adapters for the tiny models, of some kilobytes, that change their answers visibly."""

from pathlib import Path

import gguf
import numpy as np

RANK = 4
ALPHA = 8.0


def write_adapter(  # noqa: PLR0913 - each says one thing of the file
    path: Path,
    *,
    architecture: str = "qwen3",
    seed: int = 0,
    strength: float = 1.0,
    tensors: dict[str, tuple[int, int]] | None = None,
    general_type: str = "adapter",
    adapter_type: str = "lora",
) -> Path:
    """Write an adapter and return its path.

    Args:
        path: Where to; its folder is made if need be.
        architecture: Of the model.
        seed: Another one, another adapter.
        strength: How large its weights are.
        tensors: What it adapts: name → weights in a row, rows; of ``tiny-qwen3-0.6b`` by default.
        general_type: ``general.type``.
        adapter_type: ``adapter.type``.
    """
    random = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(general_type)
    writer.add_string("adapter.type", adapter_type)
    writer.add_float32("adapter.lora.alpha", ALPHA)
    for name, (row, rows) in (tensors or {"blk.0.attn_output.weight": (64, 32)}).items():
        for ending, shape in ((".lora_a", (RANK, row)), (".lora_b", (rows, RANK))):
            weights = random.normal(0, strength, shape).astype(np.float32)
            writer.add_tensor(f"{name}{ending}", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
