"""The user's own images from folders: where their labels come from, and what is not taken."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from advplug.data import Images
from advplug.errors import InvalidInput
from advplug.intake.user_images import read_images


def save(path: Path, value: int, size: tuple[int, int] = (5, 4), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).convert(mode).save(path)


def read(path: Path) -> tuple[Images, list[str]]:
    """The images, and the lines about them."""
    lines: list[str] = []
    return read_images(path, warn=lines.append), lines


def values(images: Images) -> list[int]:
    return [int(value) for value in (images.inputs[:, 0, 0, 0] * 255).round().tolist()]


def test_a_folder_per_class(tmp_path: Path) -> None:
    save(tmp_path / "dog" / "b.png", 10, mode="RGB")
    save(tmp_path / "dog" / "a.png", 20, mode="RGB")
    save(tmp_path / "cat" / "7.png", 30)
    (tmp_path / "dog" / "notes.txt").write_text("not an image")
    images, lines = read(tmp_path)
    assert images.inputs.shape == (3, 3, 4, 5)
    assert values(images) == [30, 20, 10]
    assert images.labels.tolist() == [0, 1, 1]
    assert (images.class_names, images.pixels) == (("cat", "dog"), True)
    assert lines == []


def test_hidden_folders_are_no_classes_and_empty_ones_keep_their_number_and_are_named(tmp_path: Path) -> None:
    for name in (".ipynb_checkpoints", "ant", "cat", "dog"):
        save(tmp_path / name / "a.png", 10)
    (tmp_path / "cat" / "a.png").rename(tmp_path / "cat" / "a.heic")
    images, lines = read(tmp_path)
    assert images.class_names == ("ant", "cat", "dog")
    assert images.labels.tolist() == [0, 2]
    assert images.missing_classes() == (1,)
    folder = tmp_path / "cat"
    assert lines == [f"{folder} holds no image: class 1 has none, and the classes after it keep their numbers"]


def test_images_beside_class_folders_are_named(tmp_path: Path) -> None:
    for name in ("ant/a.png", "cat/a.png", "overview.png"):
        save(tmp_path / name, 10)
    images, lines = read(tmp_path)
    assert images.labels.tolist() == [0, 1]
    assert lines == [f"{tmp_path}: 1 images beside the class folders are left out, such as overview.png"]


def test_one_sub_folder_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "images" / "pic_0.png", 10)
    save(tmp_path / "images" / "pic_1.png", 20)
    with pytest.raises(InvalidInput, match=r"images is the only sub-folder and would be the only class: .*labels\.csv"):
        read_images(tmp_path)
    assert read(tmp_path / "images")[0].labels.tolist() == [0, 1]


def test_numbered_folders_are_the_labels(tmp_path: Path) -> None:
    for label in (2, 10):
        save(tmp_path / str(label) / "a.png", label)
    (tmp_path / "5").mkdir()
    images, lines = read(tmp_path)
    assert images.inputs.shape == (2, 1, 4, 5)
    assert values(images) == images.labels.tolist() == [10, 2]
    assert [line.partition(":")[0] for line in lines] == [f"{tmp_path / '5'} holds no image"]
    assert "class 5 has none" in lines[0]


def test_labels_in_file_names_are_said_to_come_from_there(tmp_path: Path) -> None:
    save(tmp_path / "photo_00_243.png", 1)
    save(tmp_path / "photo_01_7.png", 2)
    images, (line,) = read(tmp_path)
    assert images.labels.tolist() == [243, 7]
    assert line.endswith("labels are the last numbers of the file names: photo_00_243.png is of class 243")


def test_a_number_too_long_for_a_label_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "IMG_20240101123456789012.png", 1)
    with pytest.raises(InvalidInput, match="20240101123456789012 of an image is no class"):
        read(tmp_path)


def test_folder_errors(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no images"):
        read_images(tmp_path)
    save(tmp_path / "first.png", 1)
    with pytest.raises(InvalidInput, match="_LABEL"):
        read_images(tmp_path)
    (tmp_path / "first.png").rename(tmp_path / "first_1.png")
    save(tmp_path / "second_2.png", 1, size=(6, 4))
    with pytest.raises(InvalidInput, match=r"second_2\.png is 6x4, .*first_1\.png is 5x4"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.csv", "file,label\npic_0.png,3\npic_1.png,1\n"),
        ("labels.csv", "\ufeffid;Filename;Class\n7;./pic_0.png; 3\n8;./pic_1.png;1\n"),
        ("annotations.csv", "image\tlabel\npic_1.png\t1\npic_0.png\t3.0\n"),
        ("train_labels.csv", "pic_0.png,3\npic_1.png,1\n"),
        ("labels.csv", "image_id,target\npic_0,3\npic_1,1\n"),
        ("labels.txt", "pic_0.png 3\npic_1.png 1\n\n"),
        ("val.txt", "images/pic_0.png 3\nimages/pic_1.png 1"),
        ("labels.json", '{"pic_0.png": 3, "pic_1.png": "1"}'),
        ("labels.json", '[["images/pic_1.png", 1], ["images/pic_0.png", 3]]'),
        ("labels.json", '[{"file_name": "pic_0.png", "label": 3}, {"file_name": "pic_1.png", "label": 1}]'),
    ],
)
@pytest.mark.parametrize("named", ["the folder above", "the folder of images"])
def test_a_label_file_beside_images_is_read(tmp_path: Path, name: str, text: str, named: str) -> None:
    """The digits of the names would say 0 and 1."""
    save(tmp_path / "images" / "pic_0.png", 10)
    save(tmp_path / "images" / "pic_1.png", 20)
    (tmp_path / name).write_text(text, encoding="utf-8")
    images, lines = read(tmp_path if named == "the folder above" else tmp_path / "images")
    assert (values(images), images.labels.tolist()) == ([10, 20], [3, 1])
    assert images.class_names == ()
    assert lines == [f"labels are read from {tmp_path / name}"]


def test_class_names_in_a_label_file_are_numbered_in_alphabetical_order(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 10)
    save(tmp_path / "b.png", 20)
    (tmp_path / "labels.csv").write_text("file,class\na.png,dog\nb.png,ant\nelsewhere.png,cat\n")
    images, _ = read(tmp_path)
    assert (images.class_names, images.labels.tolist()) == (("ant", "cat", "dog"), [2, 0])


def test_a_label_file_wins_over_folders_of_images(tmp_path: Path) -> None:
    for name in ("part1/1.png", "part2/1.png"):
        save(tmp_path / name, 10)
    (tmp_path / "labels.csv").write_text("file,label\npart1/1.png,4\npart2/1.png,4\n")
    assert read(tmp_path)[0].labels.tolist() == [4, 4]
    (tmp_path / "labels.csv").write_text("file,label\n1.png,4\n")
    with pytest.raises(InvalidInput, match=r"1\.png means .*part1.* and .*part2.*: write the folder before the name"):
        read_images(tmp_path)


def test_a_list_above_the_folder_that_names_none_of_its_images_is_another_ones(tmp_path: Path) -> None:
    save(tmp_path / "images" / "pic_7.png", 10)
    (tmp_path / "labels.csv").write_text("file,label\nother.png,0\n")
    images, lines = read(tmp_path / "images")
    assert images.labels.tolist() == [7]
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.csv", "file,label\npic_0.png,3\n", r"labels\.csv has no label for pic_1\.png: add it"),
        ("labels.csv", "file,label\npic_0.png,3\npic_0.png,4\npic_1.png,1\n", r"pic_0\.png is labelled 3 and 4"),
        ("labels.csv", "file,label\npic_0.png,-1\npic_1.png,1\n", r"the label '-1' is no class"),
        ("labels.csv", "file,label\npic_0.png,0.5\npic_1.png,1\n", r"the label '0\.5' is no class"),
        ("labels.csv", "file,label\npic_0.png,cat\npic_1.png,1\n", r"the label 'cat' is no class"),
        ("labels.csv", "file,label\npic_0.png,3,1\npic_1.png,1\n", r"a line has 3 columns, the first has 2"),
        ("labels.csv", "img,breed\npic_0.png,cat\npic_1.png,dog\n", r"its first line is img, breed"),
        ("labels.csv", "img,breed\npic_0.png,0\npic_1.png,1\n", r"its first line is img, breed"),
        ("labels.csv", "image,MEL,NV\npic_0.png,0,1\npic_1.png,1,0\n", r"columns are image, MEL, NV"),
        ("labels.csv", "image,label,class\npic_0.png,0,1\npic_1.png,1,0\n", r"columns are image, label, class"),
        ("labels.csv", "", "it is empty"),
        ("labels.txt", "cat\ndog\n", r"its columns are cat"),
        ("labels.json", '{"0": ["cat"]}', "an entry is '0'"),
        ("labels.json", "{", "labels.json is no list of images and labels"),
        ("labels.json", "3", "neither an object nor a list"),
        ("labels.xlsx", "PK", "it is none of"),
        ("labels.csv", "\x00\xff", "no list of images and labels|no label for"),
    ],
)
def test_a_label_file_of_another_form_is_refused_by_name(tmp_path: Path, name: str, text: str, message: str) -> None:
    save(tmp_path / "pic_0.png", 10)
    save(tmp_path / "pic_1.png", 20)
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(InvalidInput, match=message) as caught:
        read_images(tmp_path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_label_files_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "images" / "pic_0.png", 10)
    for name in ("labels.csv", "annotations.csv"):
        (tmp_path / name).write_text("file,label\npic_0.png,0\n")
    with pytest.raises(InvalidInput, match=r"annotations\.csv and labels\.csv"):
        read_images(tmp_path)
    with pytest.raises(InvalidInput, match=r"annotations\.csv and labels\.csv"):
        read_images(tmp_path / "images")


def test_folders_of_one_number_are_no_two_classes(tmp_path: Path) -> None:
    for name in ("0", "01", "1"):
        save(tmp_path / name / "a.png", 10)
    with pytest.raises(InvalidInput, match="01 and 1 are one class: merge them"):
        read(tmp_path)


def test_deeper_images_and_links_that_lead_nowhere_are_counted(tmp_path: Path) -> None:
    for name in ("0/a.png", "0/more/b.png", "0/more/c.png", "0/.thumbnails/a.png", "1/a.png"):
        save(tmp_path / name, 10)
    (tmp_path / "1" / "b.png").symlink_to("absent.png")
    images, lines = read(tmp_path)
    assert images.labels.tolist() == [0, 1]
    assert lines == [
        f"{tmp_path}: 2 images in deeper folders are left out, such as 0/more/b.png",
        f"{tmp_path}: 1 links that lead nowhere are left out, such as 1/b.png",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("labels.csv", "file,label\na.png,cat\nb.png,\n", "the label of b.png is empty"),
        ("labels.csv", "file,label\na.png,cat\nb.png,nan\n", "the label of b.png is nan"),
        ("labels.json", '{"a.png": 0, "b.png": NaN}', "the label of b.png is nan"),
        ("labels.json", '{"a.png": 1' + "0" * 400 + ', "b.png": 1' + "0" * 400 + "}", "is no class"),
        ("labels.json", '{"a.png": 0, "b.png": 1, "a.png": 1}', "a name stands in it twice"),
        ("labels.json", "[" * 100_000, "no list of images and labels"),
    ],
    ids=["empty", "nan", "json nan", "401 digits", "twice", "deep"],
)
def test_labels_that_are_none_are_no_class(tmp_path: Path, name: str, content: str, message: str) -> None:
    for picture in ("a.png", "b.png"):
        save(tmp_path / picture, 10)
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=message) as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
