"""Feature files as the originals' extraction writes them."""
import os

import h5py
import numpy as np
import pytest
import torch

from adapters.originals.features import StoredBoxFeatures, read_head, read_head_features
from adapters.originals.hdf5 import has
from harness.detection.detector import Detector
from harness.detection.source import FromMaps
from harness.errors import InputError
from harness.files.weights import load_weights, shipped_path
from harness.types import ImageInfo


@pytest.fixture
def box_file(tmp_path):
    """lichengunc/MAttNet tools/extract_mrcn_det_feats.py:94-109: made empty, then a row a box."""
    path = tmp_path / 'res101_coco_minus_refer_notime_det_feats.h5'
    with h5py.File(path, 'w') as file:
        fc7 = file.create_dataset('fc7', (4, 6), dtype=np.float32)
        pool5 = file.create_dataset('pool5', (4, 3), dtype=np.float32)
        for row in range(4):
            fc7[row] = np.arange(6, dtype=np.float32)[None] + 10 * row
            pool5[row] = np.arange(3, dtype=np.float32)[None] - row
    return path


@pytest.fixture
def head_folder(tmp_path):
    """lichengunc/MAttNet tools/extract_mrcn_head_feats.py:66-69."""
    random = np.random.default_rng(0)
    with h5py.File(tmp_path / '581857.h5', 'w') as file:
        file.create_dataset('head', dtype=np.float32, data=random.random((1, 8, 38, 50)))
        file.create_dataset('im_info', dtype=np.float32, data=np.array([[600, 800, 1.25]]))
    return tmp_path


class TestBoxes:
    def test_rows_in_the_order_asked(self, box_file):
        features = StoredBoxFeatures(box_file)
        assert len(features) == 4
        assert features.fc7([3, 0, 3]).tolist() == [[30, 31, 32, 33, 34, 35], [0, 1, 2, 3, 4, 5],
                                                     [30, 31, 32, 33, 34, 35]]
        assert features.pool5(torch.tensor([1])).tolist() == [[-1, 0, 1]]
        assert features.fc7([]).shape == (0, 6)

    def test_fc7_alone_is_enough(self, tmp_path):
        """``matt_feats_*.h5``: all that ChopinSharp/CM-Erase-REG lib/loaders/ref_loader.py, ``loadFeats`` asks for."""
        path = tmp_path / 'matt_feats_att_vanilla_1_refcoco_unc_0.h5'
        with h5py.File(path, 'w') as file:
            file['fc7'] = np.ones((2, 6), np.float32)
        assert StoredBoxFeatures(path).fc7([1]).tolist() == [[1] * 6]
        with pytest.raises(InputError, match="has no 'pool5'"):
            StoredBoxFeatures(path).pool5([1])

    def test_the_other_byte_order(self, tmp_path):
        with h5py.File(tmp_path / 'a.h5', 'w') as file:
            file['fc7'] = np.arange(6, dtype='>f4').reshape(2, 3)
        assert StoredBoxFeatures(tmp_path / 'a.h5').fc7([1]).tolist() == [[3, 4, 5]]

    def test_a_file_behind_a_user_block(self, tmp_path):
        with h5py.File(tmp_path / 'a.h5', 'w', userblock_size=1024) as file:
            file['fc7'] = np.arange(6, dtype=np.float32).reshape(2, 3)
        assert StoredBoxFeatures(tmp_path / 'a.h5').fc7([1]).tolist() == [[3, 4, 5]]

    @pytest.mark.parametrize('row', [-1, 4, 1 << 40])
    def test_a_row_that_is_not_there(self, box_file, row):
        with pytest.raises(InputError, match='has 4 rows'):
            StoredBoxFeatures(box_file).fc7([0, row])

    def test_pool5_of_other_boxes(self, tmp_path):
        with h5py.File(tmp_path / 'a.h5', 'w') as file:
            file['fc7'], file['pool5'] = np.ones((2, 6), np.float32), np.ones((3, 6), np.float32)
        with pytest.raises(InputError, match=r"'pool5' has the shape \(3, 6\)"):
            StoredBoxFeatures(tmp_path / 'a.h5')


class TestHeads:
    def test_one_image(self, head_folder):
        head = read_head(head_folder, 581857)
        assert head.feature_map.shape == (1, 8, 38, 50) and head.feature_map.dtype == torch.float32
        assert (head.height, head.width, head.scale) == (600, 800, 1.25)
        with h5py.File(head_folder / '581857.h5') as file:
            np.testing.assert_array_equal(head.feature_map, file['head'])

    def test_a_folder_is_called_with_an_image(self, head_folder):
        feature_map, scale, input_size, where = read_head_features(head_folder)(581857)
        assert feature_map.shape == (1, 8, 38, 50) and scale == 1.25 and input_size == (600, 800)
        assert where == str(head_folder / '581857.h5')

    def test_what_is_not_there(self, head_folder):
        with pytest.raises(InputError, match=r'12\.h5: there is no such file'):
            read_head(head_folder, 12)
        with pytest.raises(InputError, match='not a folder with <image_id>.h5'):
            read_head_features(head_folder / 'none')

    @pytest.mark.parametrize(('change', 'said'), [
        (dict(im_info=[[600, 800, 0]]), "'im_info' is not the height, width and scale"),
        (dict(im_info=[[600, 800, -1]]), "'im_info' is not the height, width and scale"),
        (dict(im_info=[[600, 800, np.nan]]), 'not finite'), (dict(im_info=[[np.inf, 800, 1.25]]), 'not finite'),
        (dict(im_info=[[600, 800]]), "'im_info' has the shape (1, 2)"),
        (dict(im_info=[[0, 800, 1.25]]), "'im_info' is no"), (dict(im_info=[[1e9, 1e9, 1.25]]), "'im_info' is no"),
        (dict(im_info=[[60, 80, 1.25]]), 'does not fit an input'),
        (dict(head=np.full((1, 8, 38, 50), np.nan)), 'not finite'),
        (dict(head=np.full((1, 8, 38, 50), -np.inf)), 'not finite'),
        (dict(head=np.zeros((8, 38, 50))), "'head' has the shape (8, 38, 50)"),
        (dict(head=np.zeros((1, 0, 38, 50))), 'does not fit an input'),
        (dict(head=None), "'head' is not in this file"), (dict(im_info=None), "'im_info' is not in this file"),
    ])
    def test_what_lies_is_told_with_its_file(self, tmp_path, change, said):
        good = dict(head=np.zeros((1, 8, 38, 50)), im_info=[[600, 800, 1.25]])
        with h5py.File(tmp_path / '7.h5', 'w') as file:
            for name, value in {**good, **change}.items():
                if value is not None:
                    file[name] = np.array(value, np.float32)
        with pytest.raises(InputError) as error:
            read_head_features(tmp_path)(7)
        assert str(error.value).startswith(f"{tmp_path / '7.h5'}: ") and said in str(error.value)

    def test_maps_of_another_detector_are_told_with_their_file(self, head_folder):
        source = FromMaps(Detector(load_weights(shipped_path('detector'))), read_head_features(head_folder))
        with pytest.raises(InputError, match=r"581857\.h5: its map has 8 channels, the detector's has 96; give"):
            source.read(ImageInfo(581857, 480, 640))

    def test_a_pipe_is_not_opened(self, tmp_path):
        os.mkfifo(tmp_path / '7.h5')
        with pytest.raises(InputError, match=r'7\.h5: is not a regular file'):
            read_head_features(tmp_path)(7)
        with pytest.raises(InputError, match=r'7\.h5: is not a regular file'):
            has(tmp_path / '7.h5', 'fc7')
