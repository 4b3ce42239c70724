"""Saved networks as ONNX files, for programs that have no Keras.

A network is written node by node from its configuration and its weights, so that equal networks are
equal files, whatever backend runs Keras. (Keras' own `export` needs another converter for each
backend.) Only the classes of saved_models.MADE_OF are known here. Images keep Keras' order of axes,
(n, height, width, channels); the layers for which ONNX wants channels first are put between two
transpositions, which its runtimes merge.
"""

from collections.abc import Callable

import numpy as np

from lesiongan.data.classes import CLASSES
from lesiongan.data.clinical import SEXES, SITES
from lesiongan.files import writing
from lesiongan.files.errors import InputError
from lesiongan.files.telling import say
from lesiongan.nets import joined_generator
from lesiongan.run import keras_setup

CODES = {"label": len(CLASSES), "sex": len(SEXES), "site": len(SITES)}
"""How many codes the whole numbers of an input have."""

# Both are those of ONNX 1.13, of 2022. What is newer than a runtime, the runtime refuses.
OPSET, IR_VERSION = 18, 8
NOTE = "Images are float32 RGB in [0, 255]. For research only: not for clinical use."
ACTIVATIONS = {"linear": None, "relu": "Relu", "tanh": "Tanh"}
FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class Graph:
    """The nodes and constants of an ONNX graph, numbered in the order in which they are added.

    model: the functional keras model whose layers are added.
    """

    def __init__(self, model):
        self.model, self.nodes, self.constants = model, [], []
        self.layers = {layer["name"]: layer for layer in model.get_config()["layers"]}
        self.weights = {layer.name: layer.get_weights() for layer in model.layers}
        # Of each layer that has been added, the name of its output.
        self.found = {i.name: i.name for i in model.inputs}

    def add(self, kind, *inputs, name=None, **attributes):
        """Append a node and return the name of its output.

        An input is the name of a tensor, or a constant: a float32 number or an array.
        """
        from onnx import helper

        names = [i if isinstance(i, str) else self.add_constant(i) for i in inputs]
        output = name or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], output, **attributes))
        return output

    def add_constant(self, value):
        from onnx import numpy_helper

        kind = None if isinstance(value, np.ndarray) else np.float32
        name = f"constant_{len(self.constants)}"
        array = np.asarray(value, kind, order="C")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add_channels_first(self, kind, x, *others, **attributes):
        """Append a node that wants images (n, channels, height, width)."""
        x = self.add(kind, self.add("Transpose", x, perm=FIRST), *others, **attributes)
        return self.add("Transpose", x, perm=LAST)

    def add_layer(self, name):
        """Append a layer and all that it depends on, once; return the name of its output.

        Raises InputError for a layer that has no ONNX form here.
        """
        if name not in self.found:
            layer = self.layers[name]
            (node,) = layer["inbound_nodes"]
            config, first = layer["config"], node["args"][0]
            if isinstance(first, dict):
                config = config | {"input_shape": first["config"]["shape"]}
            inputs = [self.convert(a) for a in node["args"]]
            if layer["class_name"] == "Functional":
                self.found[name] = self.add_network(self.model.get_layer(name), *inputs[0])
                return self.found[name]
            try:
                add = LAYERS[layer["class_name"]]
                self.found[name] = add(self, config, self.weights.get(name, ()), *inputs)
            except (KeyError, TypeError, ValueError, NotImplementedError):
                raise InputError(
                    f"the layer {name} ({layer['class_name']}) has no ONNX form in "
                    "lesiongan/nets/onnx_export.py; add it there"
                ) from None
        return self.found[name]

    def add_network(self, model, *inputs):
        """Append a network that is a layer of this one; return the name of its output."""
        inner = Graph(model)
        inner.nodes, inner.constants = self.nodes, self.constants
        inner.found = {i.name: x for i, x in zip(model.inputs, inputs, strict=True)}
        return inner.add_layer(model.output_names[0])

    def convert(self, argument):
        """Return an argument of a layer, with names of the graph in the place of tensors."""
        if isinstance(argument, dict) and argument["class_name"] == "__keras_tensor__":
            return self.add_layer(argument["config"]["keras_history"][0])
        if isinstance(argument, list | tuple):
            return [self.convert(a) for a in argument]
        return argument


def whole(*numbers):
    """Return int64 numbers, the type of all sizes and positions in ONNX."""
    return np.array(numbers, np.int64)


# ---------------------------------------------------------------- one layer each
# Each function takes the graph, the layer's configuration, its weights and its inputs, and returns
# the name of its output.


def activate(graph, config, weights, x):
    """Append the activation that a configuration names."""
    kind = ACTIVATIONS[config["activation"]]
    return graph.add(kind, x) if kind else x


def dense(graph, config, weights, x):
    kernel, *bias = weights
    x = graph.add("MatMul", x, kernel)
    return activate(graph, config, (), graph.add("Add", x, bias[0]) if bias else x)


def convolve(graph, config, weights, x):
    kernel, *bias = weights
    x = graph.add_channels_first(
        "Conv",
        x,
        kernel.transpose(3, 2, 0, 1),
        *bias,
        strides=config["strides"],
        dilations=config["dilation_rate"],
        group=config["groups"],
        auto_pad=padding(config),
    )
    return activate(graph, config, (), x)


def convolve_transposed(graph, config, weights, x):
    kernel, *bias = weights
    beyond = [k - s for k, s in zip(config["kernel_size"], config["strides"], strict=True)]
    if min(beyond) < 0 or config["padding"] != "same" or max(config["dilation_rate"]) > 1:
        raise NotImplementedError
    x = graph.add_channels_first(
        "ConvTranspose",
        x,
        kernel.transpose(3, 2, 0, 1),
        *bias,
        strides=config["strides"],
        # The output is as many times larger as the stride says; what the kernel reaches beyond it
        # is cut off on both sides.
        pads=[n // 2 for n in beyond] + [n - n // 2 for n in beyond],
    )
    return activate(graph, config, (), x)


def padding(config):
    """Return ONNX's name of a padding; of an odd one both put the larger half at the end."""
    return {"same": "SAME_UPPER", "valid": "VALID"}[config["padding"]]


def pool(graph, config, weights, x):
    return graph.add_channels_first(
        "AveragePool",
        x,
        kernel_shape=config["pool_size"],
        strides=config["strides"],
        auto_pad=padding(config),
    )


def normalise(graph, config, weights, x):
    """Append batch normalisation as it is in use: one factor and one summand for each channel."""
    gamma, beta, mean, variance = (w.astype(np.float64) for w in weights)
    factor = gamma / np.sqrt(variance + config["epsilon"])
    x = graph.add("Mul", x, factor.astype(np.float32))
    return graph.add("Add", x, (beta - mean * factor).astype(np.float32))


def crop(graph, config, weights, x):
    size = np.array([config["height"], config["width"]])
    start = (np.array(config["input_shape"][1:3]) - size) // 2
    return graph.add("Slice", x, whole(*start), whole(*(start + size)), whole(1, 2))


def resize(graph, config, weights, x):
    if config["interpolation"] != "bilinear" or config["antialias"]:
        raise NotImplementedError
    return graph.add_channels_first(
        "Resize", x, "", "", whole(config["height"], config["width"]), mode="linear", axes=[2, 3]
    )


def rescale(graph, config, weights, x):
    return graph.add("Add", graph.add("Mul", x, config["scale"]), config["offset"])


def flip(graph, config, weights, x):
    # The least number stands for the place before the first.
    end = np.iinfo(np.int64).min
    return graph.add("Slice", x, whole(-1), whole(end), whole(config["axis"]), whole(-1))


def reshape(graph, config, weights, x):
    """Append a reshaping, by a layer (whose shape leaves out n) or by an operation."""
    shape = config["newshape"] if "newshape" in config else (-1, *config["target_shape"])
    return graph.add("Reshape", x, whole(*shape))


def take_columns(graph, config, weights, x, index):
    """Append x[:, i] or x[:, :i] of a matrix x."""
    columns = index[1]
    if isinstance(columns, int):
        return graph.add("Gather", x, np.array(columns, np.int64), axis=1)
    start, stop, step = columns["config"].values()
    if start or step:
        raise NotImplementedError
    return graph.add("Slice", x, whole(0), whole(stop), whole(1))


def average(graph, config, weights, x):
    return graph.add("ReduceMean", x, whole(1, 2), keepdims=int(config["keepdims"]))


def find_bin(graph, config, weights, x):
    """Append the number of boundaries that a value (n,) has reached."""
    if config["output_mode"] != "int" or not config["bin_boundaries"]:
        raise NotImplementedError
    column = graph.add("Unsqueeze", x, whole(1))
    reached = graph.add("GreaterOrEqual", column, np.array(config["bin_boundaries"], np.float32))
    # 7 is ONNX's number of int64.
    return graph.add("ReduceSum", graph.add("Cast", reached, to=7), whole(1), keepdims=0)


LAYERS: dict[str, Callable[..., str]] = {
    "Activation": activate,
    "Add": lambda g, c, w, a, b: g.add("Add", a, b),
    "AveragePooling2D": pool,
    "BatchNormalization": normalise,
    "Cast": lambda g, c, w, x: g.add("Cast", x, to=1),
    "CenterCrop": crop,
    "Concatenate": lambda g, c, w, parts: g.add("Concat", *parts, axis=c["axis"]),
    "Conv2D": convolve,
    "Conv2DTranspose": convolve_transposed,
    "Dense": dense,
    "Discretization": find_bin,
    "Dropout": lambda g, c, w, x: x,
    "Embedding": lambda g, c, w, x: g.add("Gather", w[0], x, axis=0),
    "Flip": flip,
    "GetItem": take_columns,
    "GlobalAveragePooling2D": average,
    "Greater": lambda g, c, w, a, b: g.add("Greater", a, b),
    "LeakyReLU": lambda g, c, w, x: g.add("LeakyRelu", x, alpha=c["negative_slope"]),
    "Multiply": lambda g, c, w, a, b: g.add("Mul", a, b),
    "Rescaling": rescale,
    "Reshape": reshape,
    "Resizing": resize,
    "Softmax": lambda g, c, w, x: g.add("Softmax", x, axis=c["axis"]),
    "Subtract": lambda g, c, w, a, b: g.add("Sub", a, b),
    "Transpose": lambda g, c, w, x: g.add("Transpose", x, perm=c["axes"]),
}


# ---------------------------------------------------------------- the network


def build(model, classes):
    """Return the onnx.ModelProto of a functional keras model of this project with one output.

    Its inputs and its output have the names and shapes of the model's, with any number of images.
    classes: names of the classes in the order of their codes, for the file's metadata. Raises
    InputError for a layer that has no ONNX form here.
    """
    import onnx
    from onnx import helper

    graph = Graph(model)
    last = model.output_names[0]
    output = graph.add("Identity", graph.add_layer(last), name=last)
    made = helper.make_graph(
        graph.nodes,
        model.name,
        [describe(i.name, i) for i in model.inputs],
        [describe(output, model.outputs[0])],
        graph.constants,
        doc_string=NOTE,
    )
    opset = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(
        made, opset_imports=opset, ir_version=IR_VERSION, producer_name="lesiongan"
    )
    helper.set_model_props(proto, {"classes": ",".join(classes)})
    onnx.checker.check_model(proto, full_check=True)
    return proto


def describe(name, tensor):
    """Return ONNX's description of an input or output; its first axis has any length `n`."""
    from onnx import TensorProto, helper

    kind = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}[tensor.dtype]
    return helper.make_tensor_value_info(name, kind, ["n", *tensor.shape[1:]])


def check(proto, model):
    """Raise InputError unless an onnx.ModelProto computes what its keras model does.

    Both are given random images or latent vectors with all codes of a label, sex or site and ages
    of all decades. onnx itself runs the graph, slowly but anywhere. They may differ by 1e-5 in a
    probability and by 1e-3 of 255 in a pixel.
    """
    from onnx.reference import ReferenceEvaluator

    rng, given = np.random.default_rng(0), {}
    n = max(2, *(CODES[i.name] for i in model.inputs if i.name in CODES), 0)
    # So every generator of several draws some of them.
    n *= joined_generator.count_members(model)
    for i in model.inputs:
        shape = (n, *i.shape[1:])
        values: np.ndarray = rng.standard_normal(shape)
        if len(shape) == 4:
            values = rng.uniform(0, 255, shape)
        elif i.name == "age":
            values = np.linspace(-1, 90, n)
        elif i.dtype == "int32":
            values = np.arange(n) % CODES.get(i.name, 2)
        given[i.name] = values.astype(i.dtype)
    (found,) = ReferenceEvaluator(proto).run(None, given)
    inputs = given if isinstance(model.input, dict) else list(given.values())
    with keras_setup.full_precision():
        expected = np.asarray(model.predict_on_batch(inputs if len(inputs) > 1 else inputs[0]))
    if not np.allclose(found, expected, rtol=0, atol=1e-3 if expected.ndim == 4 else 1e-5):
        raise InputError(
            f"the ONNX form of {model.name} gives other numbers than Keras (by up to "
            f"{np.abs(found - expected).max():.2g}); a layer of it needs another form in "
            "lesiongan/nets/onnx_export.py"
        )


def export(path, model, classes):
    """Write a keras model as an ONNX file, atomically, after checking it; see `build`, `check`."""
    proto = build(model, classes)
    check(proto, model)
    with writing.atomic(path) as t:
        t.write_bytes(proto.SerializeToString(deterministic=True))
    say(f"  ONNX -> {path}")
