"""Models of timm and transformers with their preprocessing inside: stand-ins always, real ones where installed."""

from __future__ import annotations

import json
import math
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from advplug import Images, Recipe, ThreatModel, evaluate, load, run
from advplug.cli import run as command
from advplug.errors import InvalidInput
from advplug.evaluation import model_job
from advplug.intake import hf_model, timm_model
from advplug.intake.preprocessing import Preprocessed, Preprocessing

MEAN, STD = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)


def preprocessing(**options: Any) -> Preprocessing:
    return Preprocessing(**{"size": (8, 8), "mean": MEAN, "std": STD, **options})


def pillow(x: Tensor, size: tuple[int, int], mode: Image.Resampling) -> Tensor:
    """One image (3, H, W) of bytes / 255, resized to (H, W) by Pillow."""
    picture = Image.fromarray((x * 255).round().byte().permute(1, 2, 0).numpy())
    return torch.from_numpy(np.array(picture.resize(size[::-1], mode))).permute(2, 0, 1) / 255


def some_bytes(height: int, width: int) -> Tensor:
    return torch.randint(256, (2, 3, height, width), generator=torch.Generator().manual_seed(0)) / 255


def test_an_image_of_the_right_size_is_only_normalised() -> None:
    x = some_bytes(8, 8)
    wanted = (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(preprocessing(resized=10)(x), wanted)
    torch.testing.assert_close(preprocessing(size=None)(x), wanted)
    torch.testing.assert_close(preprocessing(scale=2.0, mean=(0.0,) * 3)(x), 2 * x / torch.tensor(STD).view(3, 1, 1))


@pytest.mark.parametrize(
    ("mode", "other"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
def test_other_sizes_are_resized_as_pillow_does(mode: str, other: Image.Resampling) -> None:
    plain = {"mean": (0.0,) * 3, "std": (1.0,) * 3, "mode": mode}
    for shape in ((20, 30), (5, 5)):
        x = some_bytes(*shape)
        wanted = torch.stack([pillow(one, (8, 8), other) for one in x])
        assert (preprocessing(**plain)(x) - wanted).abs().max() < 5 / 255
    x = some_bytes(20, 30)
    wanted = torch.stack([pillow(one, (10, 15), other)[:, 1:9, 4:12] for one in x])
    assert (preprocessing(resized=10, **plain)(x) - wanted).abs().max() < 5 / 255


def test_small_images_are_padded_where_nothing_resizes_them_to_the_crop() -> None:
    x = preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3, resized=(6, 6))(torch.ones(1, 3, 6, 6))
    assert x.shape == (1, 3, 8, 8)
    assert x.sum().item() == pytest.approx(3 * 36)


def test_grey_images_fill_the_channels_and_others_are_refused() -> None:
    assert preprocessing()(torch.rand(2, 1, 8, 8)).shape == (2, 3, 8, 8)
    for shape in ((2, 4, 8, 8), (2, 64)):
        with pytest.raises(InvalidInput, match=r"takes images \(N, 3, H, W\), not "):
            preprocessing()(torch.rand(*shape))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))


def test_the_gradient_reaches_the_pixels_and_the_budget_is_one_of_pixels() -> None:
    model, x = Preprocessed(network(), preprocessing(resized=10), 4).eval(), some_bytes(20, 30)
    labels = model(x).argmax(1)
    found = run(load("attack:pgd")(steps=20), model, x, labels, ThreatModel("linf", 0.1))
    assert found.success.all()
    assert (found.adversarials - x).abs().max() <= 0.1 + 1e-6


@pytest.mark.parametrize("right", [True, False])
def test_a_network_that_takes_no_empty_batch_is_given_none(right: bool, tmp_path: Path) -> None:
    """Attention reshapes with -1, which is ambiguous for no rows; where nothing was broken there are none."""

    class Strict(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.reshape(len(x), 2, -1, 96))

    inner, x = Strict(network()), some_bytes(8, 8)
    model = Preprocessed(inner, preprocessing(), 4).eval()
    labels = model(x).argmax(1) if right else (model(x).argmax(1) + 1) % 4
    recipe = Recipe(name="pgd", attack=load("attack:pgd")(steps=2))
    job = model_job("strict", model, Images(x, labels), ThreatModel("linf", 1e-9), [recipe])
    assert evaluate(job).rows[0].robust_accuracy == right


CONFIG = {"input_size": (3, 8, 8), "interpolation": "bicubic", "mean": MEAN, "std": STD, "crop_pct": 0.8}


class TimmNet(nn.Sequential):
    num_classes = 4
    pretrained_cfg = {"label_names": ["ant", "bee", "cow", "dog"]}  # noqa: RUF012


@pytest.fixture
def timm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands for timm: one model, and what it was asked for."""
    library, data = ModuleType("timm"), ModuleType("timm.data")
    asked: dict[str, Any] = {}

    def create_model(name: str, **options: Any) -> nn.Module:
        asked.update(options, name=name)
        if options["pretrained"] and name == "offline":
            raise OSError("no network\nat all")
        return TimmNet(network())

    library.__dict__.update(
        create_model=create_model,
        is_model=lambda name: name in ("tiny", "offline"),
        list_models=lambda: ["tiny"],
        asked=asked,
    )
    data.__dict__.update(resolve_model_data_config=lambda _: CONFIG)
    monkeypatch.setitem(sys.modules, "timm", library)
    monkeypatch.setitem(sys.modules, "timm.data", data)
    return library


def test_a_model_of_timm(timm: Any, tmp_path: Path) -> None:
    model = timm_model("tiny")
    assert timm.asked == {"name": "tiny", "pretrained": True}
    assert (model.num_classes, model.class_names) == (4, ("ant", "bee", "cow", "dog"))
    assert model.preprocessing == preprocessing(resized=10)
    assert not model.training
    weights = tmp_path / "w.pth"
    weights.touch()
    timm_model(f"tiny?checkpoint={weights}&num_classes=4&global_pool=avg&scriptable=true")
    assert timm.asked == {
        "name": "tiny",
        "pretrained": False,
        "checkpoint_path": str(weights),
        "num_classes": 4,
        "global_pool": "avg",
        "scriptable": True,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tinny", r"timm has no model 'tinny' \(did you mean tiny\?\): see timm.list_models\(\)"),
        ("offline", "could not be made: OSError: no network. Local weights are timm:offline.checkpoint=FILE"),
        ("tiny?checkpoint=absent.pth", "no file absent.pth"),
        ("tiny?pretrained", None),
    ],
)
def test_what_timm_has_not(timm: Any, text: str, message: str | None) -> None:
    if message is None:
        assert timm_model(text).num_classes == 4
        assert timm.asked["pretrained"] == ""
        return
    with pytest.raises(InvalidInput, match=message) as caught:
        timm_model(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_a_library_that_is_not_there_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"pip install 'advplug\[(timm|hf)\]'"):
        timm_model("tiny") if library == "timm" else hf_model(str(tmp_path))


def test_on_the_command_line(timm: Any, folder: Any, capsys: pytest.CaptureFixture[str]) -> None:
    x = (some_bytes(20, 30) * 255).round().byte()
    labels = timm_model("tiny")(x / 255).argmax(1)
    np.savez("data.npz", x=x.numpy(), y=labels.numpy())
    arguments = ["timm:tiny", "--data", "data.npz", "--threat", "linf:0.1", "--attacks", "pgd", "--no-report", "--json"]
    assert command(["evaluate", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["case"], document["clean_accuracy"]) == ("timm:tiny", 1)
    assert document["rows"][0]["robust_accuracy"] == 0
    for name, picture in zip(("cat", "bee"), x, strict=True):
        Path("pics", name).mkdir(parents=True)
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(f"pics/{name}/1.png")
    arguments[2] = "pics"
    assert command(["evaluate", *arguments]) == 0
    assert "pics: class 0 is bee in the data, ant in the model" in capsys.readouterr().err


PROCESSOR = {"do_normalize": True, "image_mean": MEAN, "image_std": STD, "resample": 3, "rescale_factor": 1 / 255}


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Stands for transformers, whose models answer with an object that has logits."""

    class HfNet(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()
            self.config = SimpleNamespace(num_labels=4, id2label=dict(enumerate("abcd")))

        def forward(self, x: Tensor) -> Any:
            return SimpleNamespace(logits=self.inner(x))

    library = ModuleType("transformers")
    library.__dict__["AutoModelForImageClassification"] = SimpleNamespace(from_pretrained=lambda *_, **__: HfNet())
    monkeypatch.setitem(sys.modules, "transformers", library)
    (tmp_path / "config.json").write_text("{}")

    def model(**processor: Any) -> Preprocessed:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps({**PROCESSOR, **processor}))
        return hf_model(str(tmp_path))

    return model


@pytest.mark.parametrize(
    ("processor", "size", "resized"),
    [
        ({"size": {"height": 8, "width": 8}}, (8, 8), (8, 8)),
        ({"size": 8}, (8, 8), (8, 8)),
        ({"size": {"shortest_edge": 10}, "do_center_crop": True, "crop_size": {"height": 8, "width": 8}}, (8, 8), 10),
        ({"size": {"shortest_edge": 8}, "crop_pct": 0.8}, (8, 8), 10),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.8}, (384, 384), (384, 384)),
        ({"do_resize": False}, None, None),
    ],
)
def test_sizes_of_an_image_processor(transformers: Any, processor: Any, size: Any, resized: Any) -> None:
    model = transformers(**processor)
    assert model.preprocessing == preprocessing(size=size, resized=resized)
    assert model.class_names == tuple("abcd")


def test_a_model_of_transformers_gives_logits(transformers: Any) -> None:
    model, x = transformers(size=8), some_bytes(8, 8)
    wanted = model.network.inner((x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1))
    torch.testing.assert_close(model(x), wanted)
    plain = transformers(size=8, do_normalize=False, do_rescale=False).preprocessing
    assert (plain.mean, plain.std, plain.scale) == ((0.0,) * 3, (1.0,) * 3, 255)


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        ({"size": "large"}, "has size 'large': give height and width"),
        ({"size": 8, "image_std": [1.0, 0.0, 1.0]}, r"has mean .* and std .*: correct it"),
        ({"size": 8, "image_mean": [math.nan] * 3}, "correct it"),
        ({"size": 8, "image_mean": None}, "correct it"),
        ({"size": 8, "rescale_offset": True}, "sets rescale_offset, which is not known here"),
    ],
)
def test_image_processors_that_cannot_be_followed(transformers: Any, processor: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        transformers(**processor)


def test_folders_that_hold_no_model(transformers: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"has no preprocessor_config.json"):
        hf_model(str(tmp_path))
    with pytest.raises(InvalidInput, match=r"hf:google/vit is no folder with a config.json"):
        hf_model("google/vit")
    (tmp_path / "preprocessor_config.json").write_text("[")
    with pytest.raises(InvalidInput, match="damaged"):
        hf_model(str(tmp_path))


def installed(name: str, needed: str) -> Any:
    """The library; the test is skipped where it, or what is needed of it, fails beside a torchvision of another torch.

    A library that loads its parts on demand imports torchvision only when one of them is asked for.
    """
    try:
        library = import_module(name)
        getattr(library, needed)
        return library
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{name} cannot be imported: {error}")


def test_a_real_model_of_transformers(tmp_path: Path) -> None:
    real = installed("transformers", "ViTForImageClassification")
    torch.manual_seed(0)
    config = real.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    )
    config.id2label = {0: "ant", 1: "bee", 2: "cow"}
    net = real.ViTForImageClassification(config).eval()
    net.save_pretrained(str(tmp_path))
    processor = real.ViTImageProcessor(size={"height": 16, "width": 16}, resample=2)
    processor.save_pretrained(str(tmp_path))
    model, x = hf_model(str(tmp_path)), some_bytes(20, 30)
    pictures = [Image.fromarray((one * 255).byte().permute(1, 2, 0).numpy()) for one in x]
    with torch.no_grad():
        wanted = net(**processor(images=pictures, return_tensors="pt")).logits
        assert (model(x) - wanted).abs().max() < 0.02
    assert model.class_names == ("ant", "bee", "cow")
    found = run(load("attack:pgd")(steps=5), model, x, model(x).argmax(1), ThreatModel("linf", 8 / 255))
    assert found.robust_accuracy <= 1


def test_a_real_model_of_timm(tmp_path: Path) -> None:
    real = installed("timm", "create_model")
    net = real.create_model("resnet10t", pretrained=False, num_classes=7).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    model = timm_model(f"resnet10t?checkpoint={tmp_path / 'w.pth'}&num_classes=7")
    transform = real.data.create_transform(**real.data.resolve_model_data_config(net), is_training=False)
    x = some_bytes(250, 300)
    pictures = [Image.fromarray((one * 255).byte().permute(1, 2, 0).numpy()) for one in x]
    with torch.no_grad():
        wanted = torch.stack([transform(picture) for picture in pictures])
        assert (model.preprocessing(x) - wanted).abs().mean() < 0.02  # a crop that is off by one pixel gives 1
        assert (model(x) - net(wanted)).abs().max() < 0.05
    assert (model.num_classes, model.class_names) == (7, ())
