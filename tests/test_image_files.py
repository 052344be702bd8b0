"""Where images are looked for, under which names, and what is said of those that are not there."""
import json
from pathlib import Path

import pytest

from harness.data.image_files import ImageFolders, folders_of_images, folders_of_root, not_found
from harness.data.plain import load_expressions
from harness.data.refer import load_refer
from harness.errors import InputError

ROW = {'dataset': 'mine', 'split': 'val', 'image_id': 1234, 'height': 5, 'width': 6, 'bbox': [0, 0, 1, 1],
       'sent': 'cup'}


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def plain(tmp_path: Path, **more) -> Path | None:
    """The path of the image of a plain expression, looked for in ``photos``."""
    (tmp_path / 'e.jsonl').write_text(json.dumps(ROW | more))
    return load_expressions(tmp_path / 'e.jsonl', tmp_path / 'photos')['mine'].images[1234].path


def refer(root: Path, file_name: str = 'COCO_train2014_000000001234.jpg', images: Path | None = None) -> Path | None:
    """The path of the image of a dataset ``mine`` in REFER's layout."""
    (root / 'mine').mkdir(parents=True, exist_ok=True)
    (root / 'mine' / 'refs(me).json').write_text(json.dumps([
        {'ref_id': 1, 'ann_id': 2, 'image_id': 1234, 'split': 'val',
         'sentences': [{'sent_id': 4, 'sent': 'cup', 'tokens': ['cup']}]}]))
    (root / 'mine' / 'instances.json').write_text(json.dumps({
        'images': [{'id': 1234, 'height': 5, 'width': 6, 'file_name': file_name}],
        'annotations': [{'id': 2, 'image_id': 1234, 'category_id': 1, 'bbox': [0, 0, 1, 1]}],
        'categories': [{'id': 1, 'name': 'cup'}]}))
    return load_refer(root, 'mine', 'me', images).images[1234].path


NAMES = ['COCO_train2014_000000001234.jpg', 'COCO_val2014_000000001234.jpg', '000000001234.jpg', '1234.jpg',
         'COCO_train2014_000000001234.png', '000000001234.png', '1234.png', '1234.jpeg', '1234.JPG']


@pytest.mark.parametrize('name', NAMES)
def test_names_of_plain_expressions_and_of_refers_layout(tmp_path, name):
    there = touch(tmp_path / 'photos' / name)
    assert plain(tmp_path) == there
    assert refer(tmp_path, images=tmp_path / 'photos') == there


@pytest.mark.parametrize('folder', [
    'images/train2014', 'images/val2014', 'images/train2017', 'images/val2017', 'train2014', 'val2017', 'images',
    'coco/train2014', 'images/mscoco/images/train2014', '../images/train2014', 'mine/images'])
def test_folders_of_a_data_root(tmp_path, folder):
    there = touch(tmp_path / 'root' / folder / '000000001234.jpg')
    assert refer(tmp_path / 'root').resolve() == there.resolve()


@pytest.mark.parametrize('folder', ['', 'train2014', 'val2014', 'train2017', 'val2017'])
def test_folders_of_images(tmp_path, folder):
    there = touch(tmp_path / 'photos' / folder / '1234.png')
    assert plain(tmp_path) == there and refer(tmp_path, images=tmp_path / 'photos') == there


class TestTheNameOnRecord:
    def test_comes_before_all_others(self, tmp_path):
        touch(tmp_path / 'photos' / '1234.jpg')
        own = touch(tmp_path / 'photos' / 'kitchen.jpg')
        assert plain(tmp_path, file_name='kitchen.jpg') == own
        assert refer(tmp_path, 'kitchen.jpg', tmp_path / 'photos') == own
        assert plain(tmp_path) == tmp_path / 'photos' / '1234.jpg'

    def test_may_have_another_ending(self, tmp_path):
        there = touch(tmp_path / 'photos' / 'kitchen.png')
        assert plain(tmp_path, file_name='kitchen.jpg') == there

    @pytest.mark.parametrize('name', ['../1234.jpg', '/etc/passwd', 'a/b.jpg', 'a\\b.jpg', '..', '.', 'a\x00.jpg',
                                      'a\nb.jpg', '\x1b[2J.jpg', '', 7])
    def test_is_a_bare_name(self, tmp_path, name):
        for load in (lambda: plain(tmp_path, file_name=name), lambda: refer(tmp_path, name)):
            with pytest.raises(InputError, match=r"(line 1|images\[0\]): 'file_name'") as error:
                load()
            assert str(error.value).isprintable()

    def test_is_the_same_in_all_rows_of_an_image(self, tmp_path):
        rows = [ROW | {'file_name': 'a.jpg'}, ROW | {'file_name': 'b.jpg'}]
        (tmp_path / 'e.jsonl').write_text('\n'.join(map(json.dumps, rows)))
        with pytest.raises(InputError, match="line 2: 'file_name' differs from an earlier row of image 1234"):
            load_expressions(tmp_path / 'e.jsonl', tmp_path)


class TestWhatIsNotThere:
    def test_has_the_usual_path(self, tmp_path):
        assert refer(tmp_path) == tmp_path / 'images/train2014/COCO_train2014_000000001234.jpg'
        assert plain(tmp_path) == tmp_path / 'photos/COCO_train2014_000000001234.jpg'

    def test_is_named_by_all_that_was_looked_for(self, tmp_path):
        for folder in ('images', 'val2017'):
            (tmp_path / folder).mkdir()
        said = not_found(ImageFolders(folders_of_root(tmp_path, 'mine')).info(7, 5, 6, 'a.jpg'))
        assert said == (
            f'{tmp_path}/val2017/a.jpg: there is no such image; looked for it, and for '
            'COCO_train2014_000000000007, COCO_val2014_000000000007, 000000000007, 7 as .jpg, .jpeg or .png, in '
            f'{tmp_path}/val2017, {tmp_path}/images')

    def test_says_that_the_folder_is_missing_too(self, tmp_path):
        info = ImageFolders(folders_of_images(tmp_path / 'photos')).info(7, 5, 6)
        assert not_found(info) == (f'{tmp_path}/photos/COCO_train2014_000000000007.jpg: there is no such image, nor '
                                   'its folder; say where the images are, with --images DIR')
