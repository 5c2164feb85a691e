"""One small member of each family (module) of timm, with an example image that it takes."""

from __future__ import annotations

import inspect
from typing import Any

import torch

SETTINGS: dict[str, dict[str, Any]] = {
    "beit_base_patch16_224": {"depth": 2},
    "eca_botnext26ts_256": {},
    "test_byobnet": {},
    "cait_xxs24_224": {"depth": 3},
    "coat_tiny": {},
    "convit_tiny": {},
    "convmixer_768_32": {},
    "test_convnext": {},
    "cpubone_nano": {},
    "crossvit_tiny_240": {},
    "csatv2": {},
    "cs3darknet_focus_s": {},
    "cspnext_tiny": {},
    "davit_tiny": {},
    "deepseek_vit_412m": {"depth": 2, "img_size": 56},
    "deit_tiny_patch16_224": {"dynamic_img_size": True, "depth": 3},
    "densenet121": {},
    "dla46x_c": {},
    "dpn48b": {},
    "edgenext_xx_small": {},
    "efficientformer_l1": {},
    "efficientformerv2_s0": {},
    "test_efficientnet": {},
    "efficientvim_m1": {},
    "efficientvit_b0": {},
    "efficientvit_m0": {},
    "eva02_tiny_patch14_224": {"dynamic_img_size": True, "depth": 3},
    "fasternet_t0": {},
    "fastvit_t8": {},
    "focalnet_tiny_srf": {},
    "gcvit_xxtiny": {},
    "gemma4_vit_167m": {"depth": 2},
    "ghostnet_050": {},
    "hardcorenas_b": {},
    "hgnetv2_b0": {},
    "hiera_tiny_224": {},
    "hieradet_small": {},
    "hrnet_w18_small": {},
    "iformer_t": {},
    "inception_next_atto": {},
    "inception_resnet_v2": {},
    "inception_v3": {},
    "inception_v4": {},
    "lcnetv2_small": {},
    "levit_384_s8": {},
    "lowformer_b0": {},
    "test_mambaout": {},
    "test_coatnet": {},
    "poolformerv2_s12": {},
    "mixer_s32_224": {},
    "mobilenetv3_small_050": {},
    "mobilenetv5_base": {},
    "mobilevit_xxs": {},
    "mvitv2_tiny": {},
    "naflexvit_base_patch16_siglip": {"depth": 2},
    "nasnetalarge": {},
    "nest_tiny": {},
    "nextvit_small": {},
    "test_nfnet": {},
    "pit_ti_224": {},
    "pnasnet5large": {},
    "pvt_v2_b0": {},
    "qwen3_vit_88m": {"depth": 2},
    "rdnet_tiny": {},
    "regnetx_004_tv": {},
    "repghostnet_050": {},
    "repvit_m1": {},
    "res2net50_26w_4s": {},
    "resnest26d": {},
    "test_resnet": {},
    "resnetv2_18": {},
    "rexnet_100": {},
    "selecsls42": {},
    "legacy_seresnet18": {},
    "sequencer2d_s": {},
    "shvit_s1": {},
    "skresnet18": {},
    "starnet_s050": {},
    "swiftformer_xs": {},
    "swin_tiny_patch4_window7_224": {"strict_img_size": False},
    "swinv2_tiny_window8_256": {"strict_img_size": False},
    "swinv2_cr_tiny_224": {"strict_img_size": False},
    "tiny_vit_5m_224": {},
    "tnt_s_legacy_patch16_224": {},
    "tresnet_m": {},
    "twins_svt_small": {},
    "vgg11": {},
    "visformer_tiny": {},
    "test_vit": {"dynamic_img_size": True},
    "vit_tiny_r_s16_p8_224": {},
    "test_vit_relpos": {},
    "samvit_base_patch16_224": {"depth": 2},
    "vitamin_small_224": {"dynamic_img_size": True},
    "volo_d1_224": {},
    "ese_vovnet19b_slim_dw": {},
    "legacy_xception": {},
    "xception41p": {},
    "xcit_nano_12_p8_224": {"depth": 3},
}
"""Model names, one for each family, with settings that make deep or large ones small; several sizes are allowed."""

SIZES = (64, 96, 128)
"""Sides of images to try before the model's own; whatever takes several sizes takes one of these."""


def make(name: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    """A random model of that name, and keyword arguments for it."""
    declare_torchvision_operators()
    import timm

    torch.manual_seed(0)
    model: torch.nn.Module = timm.create_model(name, pretrained=False, **SETTINGS[name]).eval()
    channels, *own = model.default_cfg["input_size"]  # type: ignore[index, misc]
    parameter = next(iter(inspect.signature(model.forward).parameters))
    for size in (*((side, side) for side in SIZES), tuple(SETTINGS[name].get("img_size", side) for side in own)):
        image = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            # A model refuses a size in any way that Python code can fail.
            try:
                model(image)
            except Exception:
                continue
        return model, {parameter: image}
    raise ValueError(f"{name} takes no image")


def declare_torchvision_operators() -> None:
    """Make torchvision importable where its library of operators does not load, as beside a torch without CUDA.

    timm needs torchvision's Python code only; that refuses to be imported unless these operators are known.
    """
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
