"""Runs on images that are missing, of another size, turned or too large, and on datasets of one's own."""
from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from harness.data.known import load_known
from harness.detection.pictures import AS_STORED, TURNED
from harness.files.image_header import NOT_READABLE, OTHER_SIZE, TOO_LARGE
from harness.types import Dataset
from run_benchmark import command_line

LEFT_OUT_WITH_THEM = 'expressions left out with them'


class Root:
    """The small benchmark as a data root of one's own: ``mine``, divided by ``me``, and three images of its val."""

    def __init__(self, path: Path, benchmark: Path) -> None:
        self.path, self.photos = path, path / 'train2014'
        shutil.copytree(benchmark / 'mini-refcoco', path / 'mine')
        (path / 'mine' / 'refs(unc).p').rename(path / 'mine' / 'refs(me).p')
        self.photos.mkdir()
        for image_id in (10_001, 10_002, 10_003):
            shutil.copy(benchmark / 'images' / 'train2014' / self.image(image_id).name, self.photos)

    def image(self, image_id: int) -> Path:
        return self.photos / f'COCO_train2014_{image_id:012d}.png'

    def data(self) -> Dataset:
        return load_known('mine', self.path)

    def expressions(self, *image_ids: int) -> int:
        """How many there are on some images."""
        return sum(e.image_id in image_ids for e in self.data().expressions)


@pytest.fixture
def root(small_benchmark: Path, tmp_path: Path) -> Root:
    return Root(tmp_path / 'root', small_benchmark)


class Runs:
    """Runs of recall on val, with what they print and write."""

    def __init__(self, out: Path, capsys: pytest.CaptureFixture) -> None:
        self.out, self._capsys = out, capsys
        self.printed = self.errors = ''

    def __call__(self, *options: object, exit_code: int = 0) -> dict:
        arguments = [*options, '--split', 'val', '--proposals', 'greedy', '--fresh', '--out', self.out]
        code = command_line([str(argument) for argument in arguments])
        self.printed, self.errors = self._capsys.readouterr()
        assert code == exit_code, self.errors
        return json.loads((self.out / 'results.json').read_text()) if code == 0 else {}

    def refusal(self, *options: object) -> str:
        """The one line of a run that is refused; nothing is written."""
        self(*options, exit_code=2)
        assert not self.out.exists()
        message, = (line for line in self.errors.splitlines() if line != 'reading data and weights …')
        return message


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture) -> Runs:
    return Runs(tmp_path / 'out', capsys)


def resize(path: Path, scale: float) -> None:
    with Image.open(path) as image:
        image.resize((round(image.width * scale), round(image.height * scale))).save(path)


class TestSizes:
    @pytest.mark.parametrize('scale', [0.5, 2])
    def test_images_of_another_size_are_left_out_counted_and_named(self, root: Root, run: Runs, scale: float) -> None:
        resize(root.image(10_002), scale)
        ran = run('--data-root', root.path)['run']
        assert ran['counts'][OTHER_SIZE] == 1 and ran['images'] == 2
        assert ran['counts'][LEFT_OUT_WITH_THEM] == root.expressions(10_002)
        told, = (note for note in ran['notes'] if OTHER_SIZE in note)
        assert str(root.image(10_002)) in told and 'its record says' in told and f'note: {told}' in run.printed
        assert told.startswith(f'mine: 1 of 3 images and their {root.expressions(10_002)} expressions are left out of '
                               f'all figures, {OTHER_SIZE}: ')
        assert ran['notes'][0] == told and f'> {told}' in (run.out / 'tables.md').read_text()

    def test_where_no_image_has_its_size_nothing_is_run(self, root: Root, run: Runs) -> None:
        for image_id in (10_001, 10_002, 10_003):
            resize(root.image(image_id), 0.5)
        message = run.refusal('--data-root', root.path)
        assert message.startswith('error: none of the 3 images can be used; ') and 'its record says' in message

    def test_images_of_more_pixels_than_allowed_are_left_out(self, root: Root, run: Runs) -> None:
        sizes = Counter(info.height * info.width for info in root.data().images.values() if info.path.exists())
        largest = max(sizes)
        assert TOO_LARGE not in run('--data-root', root.path, '--max-pixels', largest)['run']['counts']
        counts = run('--data-root', root.path, '--max-pixels', largest - 1)['run']['counts']
        assert counts[TOO_LARGE] == sizes[largest] < 3

    def test_where_all_have_more_nothing_is_run(self, root: Root, run: Runs) -> None:
        assert 'pixels, over the limit of 100 (--max-pixels of a run); scale it down' in run.refusal(
            '--data-root', root.path, '--max-pixels', 100)

    @pytest.mark.parametrize('value', ['0', '-1', '100000001'])
    def test_a_limit_out_of_range(self, root: Root, run: Runs, value: str) -> None:
        assert f'--max-pixels {value}: must be 1 to 100000000' in run.refusal('--data-root', root.path, '--max-pixels',
                                                                              value)


class TestOtherImages:
    """A folder of other photographs under the same ids: some have the recorded size by chance, and nothing is run."""

    FIX = ("give the images that the annotations were made on, for RefCOCO COCO's train2014, or train2017 and val2017, "
           'with --images DIR')

    def test_are_refused_where_most_have_another_size(self, root: Root, run: Runs) -> None:
        for image_id in (10_001, 10_002):
            resize(root.image(image_id), 0.5)
        message = run.refusal('--data-root', root.path)
        assert message.startswith(f'error: {root.photos}: of the first 3 images 2 have another size than their record; '
                                  f'{self.FIX} ({root.image(10_001)}: has ')

    def test_are_counted_beside_those_that_are_missing(self, root: Root, run: Runs) -> None:
        root.image(10_001).unlink()
        for image_id in (10_002, 10_003):
            resize(root.image(image_id), 2)
        message = run.refusal('--data-root', root.path)
        assert message.startswith('error: none of the 3 images can be used; ')
        assert (f'{root.photos}: of the first 3 images 1 are missing and 2 have another size than their record; '
                f'{self.FIX}') in message

    def test_named_as_those_of_test2015_are_not_found(self, root: Root, run: Runs, tmp_path: Path) -> None:
        other = tmp_path / 'test2015'
        root.photos.rename(other)
        for path in list(other.iterdir()):
            path.rename(other / path.name.replace('train2014', 'test2015'))
        message = run.refusal('--data-root', root.path, '--images', other)
        assert message.startswith(f'error: none of the 3 images can be used; {other}: of the first 3 images 3 are '
                                  f'missing; {self.FIX} (')

    def test_named_as_those_of_coco_2017_are_the_same_photographs(self, root: Root, run: Runs, tmp_path: Path) -> None:
        before = run('--data-root', root.path)['records']
        (root.path / 'train2017').mkdir()
        for path in list(root.photos.iterdir()):
            path.rename(root.path / 'train2017' / path.name.removeprefix('COCO_train2014_'))
        assert run('--data-root', root.path)['records'] == before

    def test_where_half_have_their_size_the_others_are_left_out(self, root: Root, run: Runs) -> None:
        root.image(10_001).unlink()
        resize(root.image(10_002), 2)
        assert run('--data-root', root.path)['run']['images'] == 1


class TestOrientation:
    """A photograph with an EXIF orientation gives the figures of the same picture without one, and is counted."""

    @pytest.mark.parametrize('stored_turned, kind', [(True, TURNED), (False, AS_STORED)])
    def test_is_that_of_the_record(self, root: Root, run: Runs, stored_turned: bool, kind: str) -> None:
        before = run('--data-root', root.path)['records']
        exif = Image.Exif()
        exif[0x0112] = 6
        with Image.open(root.image(10_001)) as image:
            upright = image.convert('RGB')
        stored = upright.transpose(Image.Transpose.ROTATE_90) if stored_turned else upright
        stored.save(root.image(10_001), exif=exif)
        after = run('--data-root', root.path)
        assert after['run']['counts'][kind] == 1 and after['records'] == before


class TestMissingImages:
    def test_are_named_by_all_that_was_looked_for(self, root: Root, run: Runs) -> None:
        root.image(10_003).unlink()
        ran = run('--data-root', root.path)['run']
        told, = (note for note in ran['notes'] if NOT_READABLE in note)
        assert f'{root.image(10_003)}: there is no such image; looked for it, and for COCO_train2014_' in told
        assert told.endswith(f'000000010003, 10003 as .jpg, .jpeg or .png, in {root.photos}')

    def test_of_many_the_first_three_are_named(self, small_benchmark: Path, root: Root, run: Runs) -> None:
        for image_id in (20_001, 20_002):
            shutil.copy(small_benchmark / 'images' / 'train2014' / root.image(image_id).name, root.photos)
        told, = (note for note in run('--data-root', root.path, '--split', 'testA,testB')['run']['notes']
                 if NOT_READABLE in note)
        assert told.startswith('mine: 3 of 8 images ') and told.count('there is no such image') == 3
        root.image(10_001).unlink()
        told, = (note for note in run('--data-root', root.path, '--split', 'testA,testB')['run']['notes']
                 if NOT_READABLE in note)
        assert told.endswith('; and 1 more')

    def test_with_all_the_expressions_of_all_datasets_that_share_them(self, root: Root, run: Runs) -> None:
        shutil.copytree(root.path / 'mine', root.path / 'yours')
        root.image(10_001).unlink()
        ran = run('--data-root', root.path)['run']
        counts = ran['counts']
        assert counts[NOT_READABLE] == 1 and any(note.startswith('mine, yours: 1 of ') for note in ran['notes'])
        assert counts[LEFT_OUT_WITH_THEM] == 2 * root.expressions(10_001)

    def test_where_there_are_none_nothing_is_run(self, root: Root, run: Runs) -> None:
        shutil.rmtree(root.photos)
        message = run.refusal('--data-root', root.path)
        assert f'{root.path}/images/train2014/COCO_train2014_000000010001.png: there is no such image, nor' in message
        assert 'none of the 3 images can be used' in message and '--images DIR' in message


class TestADatasetOfOnesOwn:
    def test_runs_with_the_shipped_weights_and_says_so(self, root: Root, run: Runs) -> None:
        mine = run('--data-root', root.path, '--grounder', 'cmae')
        assert any(note.startswith("mine: the embedded benchmark's weights, those of mini-refcoco,")
                   for note in mine['run']['notes'])
        shutil.rmtree(run.out)
        known = run('--dataset', 'mini-refcoco', '--grounder', 'cmae')
        assert mine['records'] == [{**record, 'dataset': 'mine'} for record in known['records']]

    def test_as_plain_expressions_with_file_names(self, root: Root, run: Runs, tmp_path: Path) -> None:
        rows = []
        for e in root.data().split('val'):
            info = root.data().images[e.image_id]
            rows.append({'dataset': 'own', 'split': 'val', 'image_id': e.image_id - 10_000, 'height': info.height,
                         'width': info.width, 'bbox': e.gt_xywh, 'sent': e.sent, 'file_name': info.path.name})
        (tmp_path / 'e.jsonl').write_text('\n'.join(map(json.dumps, rows)))
        ran = run('--expressions', tmp_path / 'e.jsonl', '--images', root.path)
        assert ran['run']['images'] == 3
        assert Counter(r['dataset'] for r in ran['records']).keys() == {'own'}

    def test_with_another_image_folder(self, root: Root, run: Runs, tmp_path: Path) -> None:
        root.photos.rename(tmp_path / 'photos')
        assert run('--data-root', root.path, '--images', tmp_path / 'photos')['run']['images'] == 3

    def test_by_the_split_maker_that_is_named(self, root: Root, run: Runs) -> None:
        shutil.copy(root.path / 'mine' / 'refs(me).p', root.path / 'mine' / 'refs(you).p')
        assert 'has the refs of me, you; choose one' in run.refusal('--data-root', root.path)
        assert run('--data-root', root.path, '--split-by', 'you')['run']['options']['split_by'] == 'you'
