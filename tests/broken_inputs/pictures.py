"""Images: damaged, of other sizes, of sizes that only their header has, and of other kinds."""
from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from tests.broken_inputs import sound
from tests.broken_inputs.damage import Content, damaged
from tests.broken_inputs.sound import HEIGHT, NAME, WIDTH, jpeg
from tests.broken_inputs.trials import Trial

_FIRST, _SECOND = (f'images/train2014/{NAME.format(i)}' for i in (7, 8))


def images() -> Iterator[Trial]:
    """Both images broken, one beside a sound one, and the one that ``show`` is given."""
    argv = ('--data-root', '.', '--dataset', 'refcoco', '--proposals', 'greedy', '--grounder', 'mattnet', '--out',
            'out')
    yield Trial('sound', argv, sound.refer(), sound=True)
    yield Trial('show, sound', ('show', _FIRST, 'left cup', '--out', 'out.png'), sound.refer(), sound=True)
    for what, content in _pictures():
        yield Trial(f'{what}, both', argv, {**sound.refer(), _FIRST: content, _SECOND: content})
        yield Trial(f'{what}, one of two', argv, {**sound.refer(), _FIRST: content})
        yield Trial(f'{what}, shown', ('show', 'a.jpg', 'left cup', '--out', 'out.png'), {'a.jpg': content})


def _pictures() -> Iterator[tuple[str, Content]]:
    yield from damaged(jpeg())
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    png = cv2.imencode('.png', pixels)[1].tobytes()
    for what, content in damaged(png):
        yield f'png: {what}', content
    for height, width in ((1, 1), (1, 10_000), (HEIGHT // 2, WIDTH // 2), (WIDTH, HEIGHT), (2 * HEIGHT, 2 * WIDTH)):
        yield f'{width} × {height} pixels', cv2.imencode('.png', np.zeros((height, width, 3), np.uint8))[1].tobytes()
    for side in (30_000, 60_000, 2**31 - 1):
        yield f'a header of {side} × {side} pixels', _png(side, side)
    yield 'a header of no pixels', _png(0, 0)
    for kind in ('L', 'LA', 'P', 'RGBA', '1'):
        yield f'kind {kind}', _saved(Image.fromarray(pixels).convert(kind), 'PNG')
    yield '16 bits', cv2.imencode('.png', pixels.astype(np.uint16))[1].tobytes()
    yield 'CMYK', _saved(Image.fromarray(pixels).convert('CMYK'), 'JPEG')
    for kind in ('GIF', 'BMP', 'TIFF', 'WEBP', 'PPM', 'ICO'):
        yield kind, _saved(Image.fromarray(pixels), kind)
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, 'JPEG', exif=exif)
        yield f'orientation {orientation}', stream.getvalue()
    yield 'an svg', b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def _saved(picture: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def _png(width: int, height: int) -> bytes:
    """A PNG whose header has a size that its few bytes do not."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)) + chunk(
        b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b'')
