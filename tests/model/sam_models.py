"""SAM's real classes with very small random networks, saved as Hugging Face lays the released models out."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    CLIPTokenizer,
    Sam2Config,
    Sam2Model,
    Sam3Config,
    Sam3Model,
    Sam3TrackerModel,
    Sam3VideoConfig,
)

SIDE, SIDE_3 = 64, 56
"""Of the square pictures that the small SAM 2 and SAM 3 look at."""

DECODER = {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
SMALL = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32, "num_layers": 1}
HIERA = {
    "model_type": "sam2_hiera_det_model",
    "hidden_size": 8,
    "num_attention_heads": 1,
    "image_size": [SIDE, SIDE],
    "blocks_per_stage": [1, 1, 2, 1],
    "embed_dim_per_stage": [8, 16, 32, 64],
    "num_attention_heads_per_stage": [1, 1, 2, 2],
    "window_size_per_stage": [4, 2, 2, 2],
    "global_attention_blocks": [3],
}
SAM_2 = {
    "vision_config": {
        "backbone_config": HIERA,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    },
    "prompt_encoder_config": {
        "hidden_size": 32,
        "image_size": SIDE,
        "patch_size": 16,
        "mask_input_channels": 8,
    },
    "mask_decoder_config": DECODER,
}
VISION_3 = {
    "model_type": "sam3_vision_model",
    "fpn_hidden_size": 32,
    "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    "backbone_config": {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE_3,
        "window_size": 2,
        "global_attn_indexes": [1],
        "pretrain_image_size": 28,
    },
}
TRACKER = {
    "image_size": SIDE_3,
    "vision_config": VISION_3,
    "prompt_encoder_config": {"hidden_size": 32, "mask_input_channels": 8},
    "mask_decoder_config": DECODER,
}
DETECTOR = {
    "vision_config": VISION_3,
    "text_config": {
        "model_type": "clip_text_model",
        "vocab_size": 8,
        "hidden_size": 32,
        "intermediate_size": 32,
        "projection_dim": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
    },
    "geometry_encoder_config": SMALL,
    "detr_encoder_config": SMALL,
    "detr_decoder_config": {**SMALL, "num_queries": 5},
    "mask_decoder_config": {"hidden_size": 32, "num_attention_heads": 2},
}
WORDS = {"<|startoftext|>": 0, "<|endoftext|>": 1, "c": 2, "h": 3, "a": 4, "i": 5, "r</w>": 6, "r": 7}


def save_sam_2(folder: Path) -> Path:
    torch.manual_seed(0)
    Sam2Model(Sam2Config(**SAM_2)).save_pretrained(folder)
    return folder


def save_sam_3(folder: Path) -> Path:
    """Both halves in one file, under the names of the released one: the backbone is the detector's."""
    torch.manual_seed(0)
    config = Sam3VideoConfig(detector_config=DETECTOR, tracker_config=TRACKER)
    config.save_pretrained(folder)
    detector, tracker = Sam3Model(Sam3Config(**DETECTOR)), Sam3TrackerModel(config)
    tensors = {f"detector_model.{name}": tensor for name, tensor in detector.state_dict().items()}
    for name, tensor in tracker.state_dict().items():
        if name.startswith("vision_encoder.neck."):
            tensors[name.replace("vision_encoder.neck.", "tracker_neck.")] = tensor
        elif not name.startswith("vision_encoder."):
            tensors[f"tracker_model.{name}"] = tensor
    save_file(
        {name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / "model.safetensors"
    )
    CLIPTokenizer(vocab=WORDS, merges=[]).save_pretrained(folder)
    return folder
