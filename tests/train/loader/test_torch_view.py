"""A dataset in somebody else's loop: crops and targets that belong together, whoever reads them."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch

from handdata.errors import ConfigError
from handdata.geometry import apply_affine, project
from handdata.shards.concat import concat
from handdata.shards.dataset import open_dataset
from handdata.skeleton import ROOT
from tests.train.made_shards import write_dataset

CANVAS, SIZE = 48, 32


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    return [
        write_dataset(root / "synthhands", "synthhands", (9, 14, 1), canvas=CANVAS, foreground=True),
        write_dataset(root / "rhd", "rhd", (20,), canvas=CANVAS, seed=1, hand_side=1),
    ]


@pytest.fixture
def view(folders):
    return open_dataset(folders[1]).torch(size=SIZE)


def test_a_data_loader_gives_images_and_targets(view):
    images, targets = next(iter(torch.utils.data.DataLoader(view, batch_size=8)))

    assert (images.shape, images.dtype) == ((8, 3, SIZE, SIZE), torch.float32)
    assert (targets.uv.shape, targets.xyz.shape, targets.K.shape) == ((8, 21, 2), (8, 21, 3), (8, 3, 3))
    assert targets.number.tolist() == list(range(8))
    assert targets.mirrored.all()


def test_uv_is_where_the_hand_says_it_is(folders):
    data = open_dataset(folders[0])
    _, targets = data.torch(size=SIZE)[5]

    crop = data[5].crop(SIZE)
    np.testing.assert_allclose(targets.uv.numpy() * SIZE, crop.keypoints_2d, atol=2e-3)
    np.testing.assert_allclose(targets.xyz.numpy(), crop.keypoints_3d_normalized, atol=1e-5)


def test_right_hands_stay_right_where_asked(folders):
    data = open_dataset(folders[1])
    _, targets = data.torch(size=SIZE, mirror=False)[3]

    assert not targets.mirrored
    np.testing.assert_allclose(targets.uv.numpy() * SIZE, data[3].crop(SIZE).keypoints_2d, atol=2e-3)


def test_augmented_3d_still_projects_onto_2d(folders):
    data = open_dataset(folders[1])
    view = data.torch(size=SIZE, augment="strong", seed=3)

    for number in range(6):
        _, targets = view[number]
        hand, K = data[number], targets.K.double().numpy()
        root_at = targets.uv[ROOT].double().numpy() * SIZE
        depth = hand.keypoints_3d[ROOT, 2]
        root = np.linalg.inv(K) @ [*root_at, 1.0] * depth
        uv = project(targets.xyz.double().numpy() * hand.scale_mm + root, K)
        np.testing.assert_allclose(uv, targets.uv.numpy() * SIZE, atol=0.01)


def test_levels_without_normalisation_lie_in_0_to_1(folders):
    image, _ = open_dataset(folders[1]).torch(size=SIZE, normalize=False)[0]

    assert 0 <= float(image.min()) < float(image.max()) <= 1


def everything(view):
    return [(image.numpy().tobytes(), [t.numpy().tobytes() for t in targets]) for image, targets in view]


def test_the_same_whatever_the_number_of_workers_and_after_pickling(folders):
    view = open_dataset(folders[0]).torch(size=SIZE, augment="strong", seed=5)
    direct = everything(view)
    assert len(pickle.dumps(view)) < 5000

    loaders = [torch.utils.data.DataLoader(view, batch_size=5, num_workers=workers) for workers in (0, 2)]
    for loader in loaders:
        images = torch.cat([image for image, _ in loader])
        assert [image.numpy().tobytes() for image in images] == [image for image, _ in direct]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(everything, view).result() == direct


def test_another_epoch_and_another_seed_are_other_draws(folders):
    data = open_dataset(folders[1])
    views = [data.torch(size=SIZE, augment="strong", seed=seed) for seed in (0, 0, 1)]
    views[1].set_epoch(1)

    first, later, other = (view[0][0] for view in views)
    assert not torch.equal(first, later)
    assert not torch.equal(first, other)


def test_joined_datasets_with_and_without_masks(folders):
    data = concat([open_dataset(folder) for folder in folders])[::-1]
    images, targets = next(iter(torch.utils.data.DataLoader(data.torch(size=SIZE), batch_size=len(data))))

    assert images.shape[0] == len(data) == 44
    assert targets.mirrored.tolist() == [True] * 20 + [False] * 24
    hand = data[0].mirrored().crop(SIZE)
    np.testing.assert_allclose(targets.uv[0].numpy() * SIZE, hand.keypoints_2d, atol=5e-3)


def test_counts_from_the_end_and_refuses_what_is_not_there(view):
    assert torch.equal(view[-1][0], view[19][0])
    assert view.__getitems__([]) == []
    for wrong in (20, -21):
        with pytest.raises(IndexError, match=f"sample {wrong} of 20"):
            view.__getitems__([0, wrong])


def test_an_unknown_augmentation_is_told(folders):
    with pytest.raises(ConfigError, match="expected one of published, strong, or None, got 'heavy'"):
        open_dataset(folders[0]).torch(augment="heavy")


def test_uv_lies_on_the_dots_of_the_picture(folders):
    data = open_dataset(folders[0])
    hand = data[2]

    np.testing.assert_allclose(
        apply_affine(hand.source_to_image, hand.source.keypoints_2d), hand.keypoints_2d, atol=1e-9
    )


def test_uv_goes_back_to_the_picture_as_shipped_whatever_was_drawn(folders):
    data = open_dataset(folders[1])
    view = data.torch(size=SIZE, augment="strong", seed=2)
    for number in range(4):
        _, targets = view[number]
        back = apply_affine(targets.crop_to_source.numpy(), targets.uv.double().numpy() * SIZE)
        np.testing.assert_allclose(back, data[number].source.keypoints_2d, atol=0.01)


@pytest.mark.parametrize("size", [-1, 0, "64", None])
def test_a_size_that_is_none_is_refused(folders, size):
    with pytest.raises(ConfigError, match="a whole number of px, 8 or more"):
        open_dataset(folders[0]).torch(size=size)
