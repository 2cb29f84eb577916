"""The guides name every layer, activation, loss and initialiser."""

import pathlib
import re

from funcnn import nn

DOCS = pathlib.Path(__file__).parents[2] / "docs"


def named(page):
    return set(re.findall(r"`(\w+)`", (DOCS / page).read_text()))


def test_every_layer_activation_and_initialiser_is_in_the_guide_to_layers():
    values = {name: getattr(nn, name) for name in nn.__all__}
    layers = {
        name for name, v in values.items() if isinstance(v, type) and issubclass(v, nn.Layer) and v is not nn.Layer
    }
    activations = {name for name, v in values.items() if getattr(v, "__module__", "").endswith("_activations")}
    assert len(layers) > 60 and len(activations) > 25
    assert layers | activations | set(nn.init.__all__) <= named("layers.md")


def test_every_loss_is_in_the_guide_to_training():
    assert set(nn.losses.__all__) <= named("training.md")
