"""Every key and shape of the released checkpoints, from the specification's tables, not from our modules.

Source: spec geometry.md §2.3, texture.md §9, moge.md §3.2.
"""

Shapes = dict[str, tuple[int, ...]]


def affine(name: str, *shape: int) -> Shapes:
    """Weight of a shape and bias of its first axis."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def under(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + key: shape for key, shape in shapes.items()}


def vit_block(width: int, ratio: int, layer_scale: bool) -> Shapes:
    keys = affine("norm1", width) | affine("norm2", width)
    keys |= affine("attn.qkv", 3 * width, width) | affine("attn.proj", width, width)
    keys |= affine("mlp.fc1", ratio * width, width) | affine("mlp.fc2", width, ratio * width)
    return keys | ({"ls1.gamma": (width,), "ls2.gamma": (width,)} if layer_scale else {})


def dino(registers: bool) -> Shapes:
    keys = {"cls_token": (1, 1, 1024), "mask_token": (1, 1024), "pos_embed": (1, 1370, 1024)}
    if registers:
        keys["register_tokens"] = (1, 4, 1024)
    keys |= affine("patch_embed.proj", 1024, 3, 14, 14) | affine("norm", 1024)
    for block in range(24):
        keys |= under(f"blocks.{block}.", vit_block(1024, 4, True))
    return keys


def fuser(embedders: list[Shapes], widths: list[int]) -> Shapes:
    keys: Shapes = {"idx_emb": (3, 1024)}
    for i, (embedder, width) in enumerate(zip(embedders, widths, strict=True)):
        keys |= under(f"module_list.{i}.", embedder) | affine(f"projection_nets.{i}.0", width)
        keys |= {f"projection_nets.{i}.1.{name}.weight": (2816, width) for name in ("w1", "w3")}
        keys[f"projection_nets.{i}.1.w2.weight"] = (1024, 2816)
    return keys


def ss_condition_embedder() -> Shapes:
    points = {"invalid_xyz_token": (512,), "cls_token": (1, 1, 512), "pos_embed_window": (1, 65, 512)}
    points |= {"pos_embed": (1, 512, 32, 32)} | affine("point_proj", 512, 3)
    points |= under("blocks.0.", vit_block(512, 2, False))
    encoder = under("backbone.", dino(registers=True))
    return fuser([encoder, encoder, points], [1024, 1024, 512])


def slat_condition_embedder() -> Shapes:
    return fuser([under("backbone.", dino(registers=True))] * 2, [1024, 1024])


def time_embedder(name: str) -> Shapes:
    return affine(f"{name}.mlp.0", 1024, 256) | affine(f"{name}.mlp.2", 1024, 1024)


def ss_flow() -> Shapes:
    keys = time_embedder("t_embedder") | time_embedder("d_embedder")
    latents = {"shape": 8, "6drotation_normalized": 6, "translation": 3, "scale": 3, "translation_scale": 1}
    for name, channels in latents.items():
        keys |= affine(f"latent_mapping.{name}.input_layer", 1024, channels)
        keys |= affine(f"latent_mapping.{name}.out_layer", channels, 1024)
        keys[f"latent_mapping.{name}.pos_emb"] = (4096 if name == "shape" else 1, 1024)
    for block in (f"blocks.{number}" for number in range(24)):
        keys |= affine(f"{block}.adaLN_modulation.1", 6144, 1024)
        for stream in ("shape", "6drotation_normalized"):
            keys |= affine(f"{block}.norm2.{stream}", 1024)
            keys |= affine(f"{block}.self_attn.to_qkv.{stream}", 3072, 1024)
            keys |= {f"{block}.self_attn.{name}_rms_norm.{stream}.gamma": (16, 64) for name in "qk"}
            keys |= affine(f"{block}.self_attn.to_out.{stream}", 1024, 1024)
            keys |= affine(f"{block}.cross_attn.{stream}.to_q", 1024, 1024)
            keys |= affine(f"{block}.cross_attn.{stream}.to_kv", 2048, 1024)
            keys |= affine(f"{block}.cross_attn.{stream}.to_out", 1024, 1024)
            keys |= affine(f"{block}.mlp.{stream}.mlp.0", 4096, 1024)
            keys |= affine(f"{block}.mlp.{stream}.mlp.2", 1024, 4096)
    return keys


def ss_decoder() -> Shapes:
    keys = affine("input_layer", 512, 8, 3, 3, 3) | affine("out_layer.0", 32)
    keys |= affine("out_layer.2", 1, 32, 3, 3, 3)
    keys |= affine("blocks.2.conv", 1024, 512, 3, 3, 3) | affine("blocks.5.conv", 256, 128, 3, 3, 3)
    residual = {"middle_block": {0: 512, 1: 512}, "blocks": {0: 512, 1: 512, 3: 128, 4: 128, 6: 32, 7: 32}}
    for group, widths in residual.items():
        for number, width in widths.items():
            for part in ("1", "2"):
                keys |= affine(f"{group}.{number}.norm{part}", width)
                keys |= affine(f"{group}.{number}.conv{part}", width, width, 3, 3, 3)
    return keys


def sparse_conv(name: str, out: int, size: int, inner: int) -> Shapes:
    return affine(f"{name}.conv", out, size, size, size, inner)


def slat_flow() -> Shapes:
    keys = time_embedder("t_embedder") | affine("input_layer", 128, 8) | affine("out_layer", 8, 128)
    ends = {"input_blocks.0": (128, 128), "input_blocks.1": (128, 1024)}
    ends |= {"out_blocks.0": (2048, 128), "out_blocks.1": (256, 128)}
    for name, (inner, out) in ends.items():
        keys |= affine(f"{name}.norm1", inner) | affine(f"{name}.emb_layers.1", 2 * out, 1024)
        keys |= sparse_conv(f"{name}.conv1", out, 3, inner) | sparse_conv(f"{name}.conv2", out, 3, out)
        if inner != out:
            keys |= affine(f"{name}.skip_connection", out, inner)
    for block in (f"blocks.{number}" for number in range(24)):
        keys |= affine(f"{block}.norm2", 1024) | affine(f"{block}.adaLN_modulation.1", 6144, 1024)
        keys |= affine(f"{block}.self_attn.to_qkv", 3072, 1024)
        keys |= {f"{block}.self_attn.{name}_rms_norm.gamma": (16, 64) for name in "qk"}
        keys |= affine(f"{block}.self_attn.to_out", 1024, 1024)
        keys |= affine(f"{block}.cross_attn.to_q", 1024, 1024) | affine(
            f"{block}.cross_attn.to_kv", 2048, 1024
        )
        keys |= affine(f"{block}.cross_attn.to_out", 1024, 1024)
        keys |= affine(f"{block}.mlp.mlp.0", 4096, 1024) | affine(f"{block}.mlp.mlp.2", 1024, 4096)
    return keys


def latent_decoder() -> Shapes:
    keys = affine("input_layer", 768, 8)
    for block in (f"blocks.{number}" for number in range(12)):
        keys |= affine(f"{block}.attn.to_qkv", 2304, 768) | affine(f"{block}.attn.to_out", 768, 768)
        keys |= affine(f"{block}.mlp.mlp.0", 3072, 768) | affine(f"{block}.mlp.mlp.2", 768, 3072)
    return keys


def slat_decoder_gs() -> Shapes:
    return latent_decoder() | {"offset_perturbation": (32, 3)} | affine("out_layer", 14 * 32, 768)


def slat_decoder_mesh() -> Shapes:
    keys = latent_decoder() | affine("out_layer", 101, 96)
    for name, inner, out in (("upsample.0", 768, 192), ("upsample.1", 192, 96)):
        keys |= affine(f"{name}.act_layers.0", inner) | affine(f"{name}.out_layers.1", out)
        keys |= sparse_conv(f"{name}.out_layers.0", out, 3, inner)
        keys |= sparse_conv(f"{name}.out_layers.3", out, 3, out)
        keys |= sparse_conv(f"{name}.skip_connection", out, 1, inner)
    return keys


def depth_model() -> Shapes:
    keys = {"image_mean": (1, 3, 1, 1), "image_std": (1, 3, 1, 1)}
    keys |= under("backbone.", dino(registers=False))
    for level in range(4):
        keys |= affine(f"head.projects.{level}", 512, 1024, 1, 1)
    for stage, (inner, out) in enumerate(((512, 256), (256, 128), (128, 64))):
        name = f"head.upsample_blocks.{stage}"
        keys |= {f"{name}.0.0.weight": (inner + 2, out, 2, 2), f"{name}.0.0.bias": (out,)}
        keys |= affine(f"{name}.0.1", out, out, 3, 3)
        for block in (1, 2):
            keys |= affine(f"{name}.{block}.layers.0", out) | affine(f"{name}.{block}.layers.3", 2 * out)
            keys |= affine(f"{name}.{block}.layers.2", 2 * out, out, 3, 3)
            keys |= affine(f"{name}.{block}.layers.5", out, 2 * out, 3, 3)
    for branch, channels in enumerate((3, 1)):
        keys |= affine(f"head.output_block.{branch}.0", 32, 66, 3, 3)
        keys |= affine(f"head.output_block.{branch}.2", channels, 32, 1, 1)
    return keys


RELEASED = {
    make.__name__: make()
    for make in (
        depth_model,
        ss_condition_embedder,
        ss_flow,
        ss_decoder,
        slat_condition_embedder,
        slat_flow,
        slat_decoder_gs,
        slat_decoder_mesh,
    )
}
