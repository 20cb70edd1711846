"""The one sample whose heatmaps the report shows."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from handdata.files.whole import whole
from handdata.model.checkpoint import load_network
from handdata.model.families import family_of
from handdata.model.pixels import to_pictures
from handdata.train.augment.views import make_views
from handdata.train.checkpoint import Checkpoint
from handdata.train.forward import forward, rules
from handdata.train.loader.loaders import EvalLoader
from handdata.train.selection import Selection, select


def write_mosaic(path: Path, saved: Checkpoint, selection: Selection) -> None:
    """Write one sample's crop and its 21 heatmaps: `image` (n, n, 3) uint8, `heatmaps` (21, n, n), its names.

    A family without heatmaps of the crop's size leaves none.
    """
    device = torch.device("cpu")
    mixture = select(replace(selection, limit=1, augmented=False))[0]
    network = load_network(saved.trained, device)
    with EvalLoader(mixture, 1, device=device, threads=0) as loader:
        part = next(iter(loader))
        inputs = make_views(saved.config, mixture, device, train=False).inputs(part)
    with torch.no_grad():
        prediction = forward(network, inputs.image_B3HW, saved.config)
    reading = family_of(saved.config.model.kind).read(prediction, saved.config.model, rules(saved)[0])
    maps = reading.maps_BKHW
    if maps is None or maps.shape[-1] != saved.config.model.size:
        path.unlink(missing_ok=True)
        return
    name = mixture.sample_ids(part.dataset, part.sample)[0]
    dataset, _, sample_id = name.partition("/")
    arrays = {"image": to_pictures(inputs.image_B3HW)[0], "heatmaps": maps[0].numpy()}
    with whole(path) as file:
        np.savez_compressed(file, **arrays, sample_id=np.array(sample_id), dataset=np.array(dataset))
