"""COCO's three ways to write a mask give the same one, and no other way reaches the C code."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from harness.data.masks import area, to_rle
from harness.errors import InputError
from harness.metrics.mask_overlap import mask_overlap

masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 1))


def encode(mask):
    return coco_mask.encode(np.asfortranarray(mask))


def runs(mask):
    """Run lengths column by column, background first."""
    flat = mask.flatten('F')
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    return np.diff([0, *changes, len(flat)]).tolist()


class TestTheThreeForms:
    @settings(deadline=None)
    @given(masks)
    def test_compressed_as_text_or_bytes_and_uncompressed_are_one(self, mask):
        height, width = mask.shape
        rle = encode(mask)
        for counts in (rle['counts'], rle['counts'].decode(), runs(mask)):
            assert to_rle({'size': [height, width], 'counts': counts}, height, width) == rle
        assert area(rle) == mask.sum()

    def test_large_and_many_runs(self):
        mask = np.random.default_rng(0).integers(0, 2, (200, 300), np.uint8)
        mask[:, 100:200] = 1
        assert to_rle(encode(mask), 200, 300) == encode(mask)

    def test_empty_runs_change_nothing(self):
        """2 off, 0 on, 1 off, 3 on is 3 off, 3 on."""
        regular = to_rle({'size': [2, 3], 'counts': [3, 3]}, 2, 3)
        assert to_rle({'size': [2, 3], 'counts': [2, 0, 1, 3, 0]}, 2, 3) == regular
        assert area(to_rle({'size': [2, 3], 'counts': [0, 0, 0, 6]}, 2, 3)) == 6

    def test_a_polygon(self):
        mask = coco_mask.decode(to_rle([[1, 1, 4, 1, 4, 3, 1, 3]], 5, 6))
        assert mask.tolist() == [[0] * 6, [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0] * 6, [0] * 6]

    def test_polygons_are_united(self):
        square, same, other = [0, 0, 2, 0, 2, 2, 0, 2], [0, 0, 2, 0, 2, 2, 0, 2], [3, 3, 5, 3, 5, 5, 3, 5]
        assert area(to_rle([square, same, other], 9, 9)) == 8

    def test_a_polygon_alone_is_a_list_of_one(self):
        assert to_rle([1, 1, 4, 1, 4, 3, 1, 3], 5, 6) == to_rle([[1, 1, 4, 1, 4, 3, 1, 3]], 5, 6)

    @settings(deadline=None)
    @given(st.lists(st.lists(st.floats(-20, 40), min_size=2, max_size=4).filter(lambda points: len(points) % 2 == 0),
                    min_size=1, max_size=3))
    def test_fragments_of_a_point_or_two_add_nothing(self, fragments):
        """As pycocotools has it, where a polygon stands first."""
        square = [2, 2, 12, 2, 12, 9, 2, 9]
        assert area(to_rle([square], 20, 30)) == 70
        assert to_rle([*fragments, square], 20, 30) == to_rle([square], 20, 30)
        assert coco_mask.merge(coco_mask.frPyObjects([square, *fragments], 20, 30)) == to_rle([square], 20, 30)

    def test_points_alone_are_a_mask_without_area(self):
        assert area(to_rle([[12.5, 3]], 20, 30)) == area(to_rle([[12.5, 3], [1, 1]], 20, 30)) == 0

    @settings(deadline=None)
    @given(st.lists(arrays(np.uint8, (4, 5), elements=st.integers(0, 1)), min_size=1, max_size=3))
    def test_run_lengths_in_a_list_are_united(self, several):
        """As ``refer.py: getMask`` of lichengunc/refer does; compressed, as text and uncompressed."""
        union = encode(np.maximum.reduce(several))
        for counts in (lambda m: encode(m)['counts'], lambda m: encode(m)['counts'].decode(), runs):
            assert to_rle([{'size': [4, 5], 'counts': counts(mask)} for mask in several], 4, 5) == union

    @pytest.mark.parametrize('far', [1, 100, 10_000, 400_000])
    def test_what_reaches_outside_is_cut_off(self, far):
        inside = to_rle([[2, 2, 30, 2, 30, 9, 2, 9]], 20, 30)
        assert to_rle([[2, 2, 30 + far, 2, 30 + far, 9, 2, 9]], 20, 30) == inside
        assert area(to_rle([[40 + far, 2, 50 + far, 2, 50 + far, 9]], 20, 30)) == 0

    def test_of_equal_shape_the_overlap_is_counted_in_pixels(self):
        first, second = np.zeros((2, 4, 5), np.uint8)
        first[:2], second[1:, :2] = 1, 1
        assert mask_overlap(encode(first), encode(second)) == (2, 10 + 6 - 2)


REFUSED = {
    'nothing': None, 'no polygon': [], 'text': 'abc', 'number': 3, 'four numbers alone': [0, 0, 2, 2],
    'a polygon of two points': [[0, 0, 2, 2]], 'odd numbers': [[0, 0, 2, 0, 2, 2, 1]], 'no points': [[]],
    'text in a polygon': [[0, 0, 2, 0, 2, '2']], 'true in a polygon': [[0, 0, 2, 0, 2, True]],
    'NaN': [[0, 0, 2, 0, 2, float('nan')]], 'infinity': [[0, 0, 2, 0, 2, float('inf')]],
    'a huge number': [[0, 0, 2, 0, 2, 10**400]], 'far outside': [[0, 0, 2e9, 0, 2, 2]],
    'two points beside one': [[1, 1], [0, 0, 2, 2]],
    'a polygon among run lengths': [{'size': [10, 12], 'counts': [120]}, [0, 0, 2, 0, 2, 2]],
    'run lengths of another image among good ones': [{'size': [10, 12], 'counts': [120]},
                                                     {'size': [12, 10], 'counts': [120]}],
    'an empty record': [{}],
    'a polygon after good ones': [[0, 0, 2, 0, 2, 2], [0, 0, 1e8, 0, 2, 2]],
    'an endless outline': [[0, 0, 12, 12] * 60_000],
    'no counts': {'size': [10, 12]}, 'no size': {'counts': [120]}, 'another size': {'size': [12, 10], 'counts': [120]},
    'size as text': {'size': '10', 'counts': [120]}, 'too few': {'size': [10, 12], 'counts': [50, 60]},
    'too many': {'size': [10, 12], 'counts': [50, 71]}, 'negative': {'size': [10, 12], 'counts': [130, -10]},
    'fractions': {'size': [10, 12], 'counts': [60.0, 60.0]}, 'true': {'size': [10, 12], 'counts': [119, True]},
    'huge': {'size': [10, 12], 'counts': [2**70]}, 'wrapping around': {'size': [10, 12], 'counts': [2**32, 120]},
    'no runs': {'size': [10, 12], 'counts': []}, 'empty text': {'size': [10, 12], 'counts': ''},
    'cut short': {'size': [10, 12], 'counts': b'h'}, 'foreign signs': {'size': [10, 12], 'counts': 'é漢 '},
    'low signs': {'size': [10, 12], 'counts': b'\x00\x01'},
    'an endless run': {'size': [10, 12], 'counts': b'o' * 50 + b'0'},
    'compressed, too many': {'size': [10, 12], 'counts': encode(np.ones((20, 20), np.uint8))['counts']},
    'compressed, negative': {'size': [10, 12], 'counts': b'Oh3'},
    'a mebibyte of runs': {'size': [10, 12], 'counts': b'1' * 2**20},
}


class TestHostileMasks:
    @pytest.mark.parametrize('case', REFUSED)
    def test_are_one_line(self, case):
        with pytest.raises(InputError) as error:
            to_rle(REFUSED[case], 10, 12, where='instances.json: annotation 5')
        message = str(error.value)
        assert message.startswith('instances.json: annotation 5: ') and len(message.splitlines()) == 1

    @pytest.mark.parametrize('size', [(0, 5), (-1, -5), (10**6, 10**6)])
    def test_no_image_has_such_a_size(self, size):
        with pytest.raises(InputError, match='an image with a size'):
            to_rle({'size': list(size), 'counts': [size[0] * size[1]]}, *size)

    @settings(deadline=None)
    @given(st.binary(max_size=12))
    def test_noise_is_refused_or_a_mask_of_the_image(self, noise):
        try:
            rle = to_rle({'size': [3, 4], 'counts': noise}, 3, 4)
        except InputError:
            return
        assert coco_mask.decode(rle).shape == (3, 4)
