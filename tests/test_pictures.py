"""Reading image files: held against the recorded size, turned as the record says, bounded, and in silence."""
import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from harness.detection.pictures import AS_STORED, TURNED, read_image, read_picture, read_recorded
from harness.files.image_header import NOT_READABLE, OTHER_SIZE, TOO_LARGE, Unusable, read_header, turned
from harness.types import ImageInfo


def photograph(path: Path, orientation: int | None = None, size: tuple[int, int] = (20, 30), **how) -> Path:
    """A picture whose stored height and width are ``size``, its first row white."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[0] = 255
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **how)
    return path


@pytest.fixture(params=['p.jpg', 'p.png'])
def path(request, tmp_path):
    return tmp_path / request.param


class TestTheRecordedSize:
    def test_is_that_of_the_picture(self, path):
        picture = read_picture(photograph(path), (20, 30))
        assert picture.pixels.shape == (20, 30, 3) and picture.orientation is None

    @pytest.mark.parametrize('size', [(10, 15), (40, 60), (30, 20), (20, 31)])
    def test_another_one_is_refused_and_both_are_told(self, path, size):
        with pytest.raises(Unusable) as error:
            read_picture(photograph(path), size)
        assert error.value.kind == OTHER_SIZE
        assert f'{path}: has 30 × 20 pixels, its record says {size[1]} × {size[0]};' in str(error.value)

    def test_of_nothing_goes_with_any_picture(self, path):
        assert read_recorded(ImageInfo(1, 0, 0, photograph(path))).pixels.shape == (20, 30, 3)


class TestOrientation:
    """EXIF orientation 6: the camera was held upright, what is stored as the first row is seen at the right edge."""

    def test_is_obeyed_where_the_record_has_the_size_after_turning(self, path):
        picture = read_picture(photograph(path, 6), (30, 20))
        assert picture.orientation == TURNED and picture.pixels.shape == (30, 20, 3)
        assert picture.pixels[:, -1].min() > 200 and picture.pixels[:, 0].max() < 50

    def test_is_not_where_the_record_has_the_size_before(self, path):
        picture = read_picture(photograph(path, 6), (20, 30))
        assert picture.orientation == AS_STORED and picture.pixels.shape == (20, 30, 3)
        assert picture.pixels[0].min() > 200 and picture.pixels[-1].max() < 50

    @pytest.mark.parametrize('orientation, size, recorded', [(3, (20, 30), (20, 30)), (6, (20, 20), (20, 20)),
                                                             (6, (20, 30), None)])
    def test_is_obeyed_where_the_record_does_not_tell(self, path, orientation, size, recorded):
        picture = read_picture(photograph(path, orientation, size), recorded)
        assert picture.orientation == TURNED and np.array_equal(picture.pixels, read_image(path))
        assert picture.pixels[0].min() < 50, 'the first row is elsewhere'

    def test_with_a_third_size_is_refused(self, path):
        with pytest.raises(Unusable, match='its record says 15 × 10'):
            read_picture(photograph(path, 6), (10, 15))

    def test_upright_is_nothing_to_tell(self, path):
        assert read_picture(photograph(path, 1), (20, 30)).orientation is None

    @pytest.mark.parametrize('size', [(20, 30), (30, 20), None])
    def test_pillow_turns_the_same_way(self, path, size):
        photograph(path, 6)
        with Image.open(path) as image:
            same = np.asarray(turned(image, size).convert('RGB'))[..., ::-1]
        assert np.abs(same.astype(int) - read_picture(path, size).pixels).max() <= 2, 'but for their JPEG decoders'


def png_header(width: int, height: int) -> bytes:
    """A PNG that says its size, and goes no further than a few rows of pixels."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = zlib.compress(bytes(1000))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
            + chunk(b'IDAT', rows) + chunk(b'IEND', b''))


class TestHowLarge:
    @pytest.mark.parametrize('side', [8_000, 10_000, 30_000, 60_000])
    def test_is_read_in_the_header_and_nothing_is_decoded(self, tmp_path, monkeypatch, side):
        monkeypatch.setattr(cv2, 'imdecode', None)
        path = tmp_path / 'large.png'
        path.write_bytes(png_header(side, side))
        with pytest.raises(Unusable, match=r'large\.png: has .* pixels') as error:
            read_image(path)
        assert error.value.kind == TOO_LARGE

    def test_the_limit_is_an_option(self, path):
        photograph(path)
        assert read_image(path, max_pixels=600).shape == (20, 30, 3)
        with pytest.raises(Unusable, match=r'30 × 20 pixels, over the limit of 599 \(--max-pixels of a run\); scale'):
            read_image(path, max_pixels=599)

    def test_a_small_picture_in_a_giant_file_is_not_read(self, tmp_path):
        path = photograph(tmp_path / 'p.png')
        with path.open('ab') as file:
            file.truncate(1 << 33)
        with pytest.raises(Unusable, match='far larger than its picture'):
            read_image(path)


class TestWhatIsNoImageFile:
    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / 'p.jpg')
        with pytest.raises(Unusable, match=r'p\.jpg: is not a regular file'):
            read_image(tmp_path / 'p.jpg')

    @pytest.mark.parametrize('path', ['/dev/zero', '/dev', 'folder'])
    def test_neither_a_device_nor_a_folder(self, tmp_path, path):
        (tmp_path / 'folder').mkdir()
        with pytest.raises(Unusable, match='is not a regular file'):
            read_image(tmp_path / path)

    @pytest.mark.parametrize('name', ['none.jpg', 'a' * 300, 'a\x00b'])
    def test_nor_what_is_not_there(self, tmp_path, name):
        for read in (read_image, lambda path: read_recorded(ImageInfo(1, 5, 6, path, (tmp_path,)))):
            with pytest.raises(Unusable, match='there is no such image') as error:
                read(tmp_path / name)
            assert error.value.kind == NOT_READABLE


@pytest.fixture(scope='module')
def whole():
    """A JPEG and a PNG with some texture, by name."""
    pixels = (np.add.outer(np.arange(120), np.arange(160))[..., None] * [1, 2, 3] % 256).astype(np.uint8)
    files = {}
    for form in ('JPEG', 'PNG'):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, form)
        files[form] = out.getvalue()
    return files


@pytest.mark.parametrize('form', ['JPEG', 'PNG'])
def test_broken_pictures_leave_standard_error_alone(tmp_path, capfd, whole, form):
    """libjpeg, libpng and OpenCV write their complaints past Python; here the one message is ours."""
    data, path = whole[form], tmp_path / 'p'
    refused = 0
    for end in range(20, len(data), len(data) // 12):
        for broken in (data[:end], data[:end] + b'\xff\xd9' + data[end + 2:]):
            path.write_bytes(broken)
            try:
                read_image(path)
            except Unusable as error:
                assert str(error).startswith(f'{path}: ')
                refused += 1
    assert refused >= 10 and capfd.readouterr() == ('', '')


def test_pixels_are_opencvs(tmp_path, whole):
    for form, data in whole.items():
        (tmp_path / form).write_bytes(data)
        assert np.array_equal(read_image(tmp_path / form), cv2.imdecode(np.frombuffer(data, np.uint8),
                                                                        cv2.IMREAD_COLOR))


def test_a_header_says_both_sizes(path):
    header = read_header(photograph(path, 8))
    assert (header.height, header.width, header.upright) == (20, 30, (30, 20))
    assert header.can_be((20, 30)) and header.can_be((30, 20)) and not header.can_be((20, 20))
