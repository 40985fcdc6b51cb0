"""A released model in small: files laid out as spec geometry.md §1–2, texture.md §9 and moge.md §0 say."""

from pathlib import Path

import torch
import yaml

from vendor_model import checkpoints
from vendor_model.__main__ import MINI
from vendor_model.checkpoints.modules import WEIGHTS
from vendor_model.config import read_pipeline, read_yaml

PLAIN = ("ss_decoder", "slat_decoder_gs", "slat_decoder_mesh")
"""Files whose content is the state dict itself; the generators' lies under `state_dict`, among others."""

TWIN = "module_list.{}.backbone."
"""Stage 1's second encoder and stage 2's first are of one size in mini; here they are equal, too."""


def modules() -> dict[str, torch.nn.Module]:
    """Mini's modules with weights that no two files share by chance, but for the twin encoders."""
    torch.manual_seed(5)
    made = checkpoints.build(MINI, read_pipeline(MINI))
    with torch.no_grad():
        for module in made.values():
            for parameter in module.parameters():
                parameter.copy_(torch.randn_like(parameter) / 3)
        twin = made["ss_condition_embedder"].module_list[1].backbone.state_dict()
        made["slat_condition_embedder"].module_list[0].backbone.load_state_dict(twin)
    return made


def trained() -> dict[str, torch.nn.Module]:
    """Mini's modules as they are shipped."""
    return checkpoints.load(MINI, read_pipeline(MINI), torch.device("cpu"))


def write(folder: Path, made: dict[str, torch.nn.Module]) -> None:
    """All released files of the modules, with what else is found in them."""
    folder.mkdir(parents=True)
    settings = {"_target_": "some.Pipeline", "version": "mini-1", "dtype": "float16", "slat_cfg_strength": 1}
    settings["ss_preprocessor"] = {"_target_": "some.PreProcessor", "normalize_pointmap": True}
    for file, names in WEIGHTS.items():
        state = {
            prefix + key: value
            for name, prefix in names.items()
            for key, value in made[name].state_dict().items()
        }
        if file == "depth_model":
            config = {"dim_proj": 64, "intermediate_layers": 4, "encoder": "a name"}
            torch.save({"model_config": config, "model": state}, folder / "model.pt")
            continue
        if file not in PLAIN:
            state["_base_models.ema.decay"] = torch.ones(1)
            state["some_loss.weight"] = torch.ones(3, 3)
            state = {"epoch": 3, "state_dict": state, "optimizer_states": [{"lr": 0.1}]}
        torch.save(state, folder / f"{file}.ckpt")
        settings |= {f"{file}_config_path": f"{file}.yaml", f"{file}_ckpt_path": f"{file}.ckpt"}
        content = {"_target_": "some.Model"} | read_yaml(MINI / f"{file}.yaml")
        (folder / f"{file}.yaml").write_text(yaml.safe_dump(content))
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(settings))
