"""Several generators as one network, which draws each image by one of them.

Trainings from other seeds err in part in other ways, so a mixture of their images lies nearer to
the real ones than the images of any of them (results/LOG.md, GAN, tries 29 and 30).
"""

# Latents are this many times as wide as in training, because a generator's images vary less than
# real ones. Chosen on val (try 35).
WIDER = 1.05
# The members' names begin so.
MEMBER = "member_"


def count_members(generator):
    """Return how many generators a keras model joins; 1 for one that joins none."""
    return sum(layer.name.startswith(MEMBER) for layer in generator.layers) or 1


def own_width(generator):
    """Return how many times as wide as in training a keras model makes its latents by itself."""
    return WIDER if count_members(generator) > 1 else 1.0


def join(members):
    """Return a keras model that draws each image by one of its members, all as often.

    members: keras models of latent float32 (n, z) and label int32 (n,) -> image float32
    (n, 28, 28, 3) in [0, 255]. The latent of the joined network is (n, z + k) for k members. The
    largest of its last k numbers says which member draws, from the first z numbers times WIDER. So
    each member has the same chance, however wide latents are.
    """
    import keras
    from keras import layers, ops

    members = [
        keras.Model(m.inputs, m.outputs[0], name=f"{MEMBER}{i}") for i, m in enumerate(members)
    ]
    width = members[0].inputs[0].shape[1]
    z = keras.Input((width + len(members),), name="latent")
    y = keras.Input((), dtype="int32", name="label")
    own = WIDER * z[:, :width]
    image, largest = members[0]([own, y]), z[:, width]
    for i, member in enumerate(members[1:], width + 1):
        # A number is 1 or 0 here, so each sum is exactly one of its terms.
        number = z[:, i]
        larger = ops.cast(number > largest, "float32")
        largest = larger * number + (1 - larger) * largest
        chosen = ops.reshape(larger, (-1, 1, 1, 1))
        image = chosen * member([own, y]) + (1 - chosen) * image
    image = layers.Activation("linear", name="image")(image)
    return keras.Model([z, y], image, name="generator")
