"""The stage of the click network, on photos of its own. It writes the weights that are shipped."""

import torch
from safetensors.torch import save_file

from vendor_model.errors import UserError
from vendor_model.segmentation.network import WEIGHTS, ClickNet
from vendor_model.training import distributed
from vendor_model.training.click_photos import read_photos, write_photos
from vendor_model.training.clicks import Sessions
from vendor_model.training.objects import CATEGORIES
from vendor_model.training.recipe import Run
from vendor_model.training.trainer import load_average

SHARDS, PHOTOS = 63, 40
PLAIN = 0.4
"""Share of the photos that are generated scenes as they are, without clutter."""
HELD_OUT = ("teapot", "bear", "train", "bench", "trophy", "laptop", "bucket", "hammer")
"""Kinds of object that the network never sees, to judge it by."""
BATCH = 16


def clicks(run: Run) -> None:
    """Photos, training, and the moving average as float16 safetensors beside the segmenter, by one process.
    Raises UserError where there are several."""
    if distributed.processes() > 1:
        raise UserError("The stage clicks is one process's work: start it without torchrun.")
    folder = run.runs / "click_photos"
    categories = [name for name in CATEGORIES if name not in HELD_OUT]
    write_photos(folder, run.recipe.train_seed, SHARDS, PHOTOS, PLAIN, categories)
    torch.manual_seed(run.seed)
    network = ClickNet().to(run.device, memory_format=torch.channels_last)
    sessions = Sessions(network, list(read_photos(folder)), BATCH, run.own_seed(run.seed))
    run.train("clicks", network, sessions.loss, sessions)
    state = load_average(network.cpu(), run.runs / "clicks").state_dict()
    save_file({name: shipped(value) for name, value in state.items()}, WEIGHTS)


def shipped(value: torch.Tensor) -> torch.Tensor:
    """In half precision, contiguous as the file wants it."""
    return (value.half() if value.dtype.is_floating_point else value).contiguous()
