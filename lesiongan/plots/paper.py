"""The paper figures: the name of the file, the function that draws it, and the caption of each.

A function takes Sources and returns a figure. It raises Missing if what it draws from is not there.
"""

from lesiongan.plots import classifier_figures, gan_figures, style, table_figures
from lesiongan.plots.sources import Missing

FIGURES = {
    "real_and_synthetic": (
        gan_figures.draw_real_and_synthetic,
        "Real training images and synthetic images of each class.",
    ),
    "class_grid": (
        gan_figures.draw_class_grid,
        "Fresh samples; a column shares its latent vector, a row its class.",
    ),
    "interpolation": (
        gan_figures.draw_interpolation,
        "Latent interpolation: smooth change speaks against memorised images.",
    ),
    "gan_training": (
        gan_figures.draw_gan_training,
        "GAN training: losses of both players; how well the critic tells real from synthetic.",
    ),
    "embedding": (
        gan_figures.draw_embedding,
        "Judge features of held-out real and of synthetic images, t-SNE.",
    ),
    "label_agreement": (
        gan_figures.draw_label_agreement,
        "Judge's agreement with the labels of synthetic images, and its recall on real.",
    ),
    "spectrum": (
        gan_figures.draw_spectrum,
        "Power of synthetic over real images by spatial frequency, and real over real with 95 % "
        "intervals over lesions.",
    ),
    "nearest_pairs": (
        gan_figures.draw_nearest_pairs,
        "The ten synthetic images nearest to training images; below each its L2 distance "
        "between 7 x 7 area means (grey levels).",
    ),
    "cnn_training": (
        classifier_figures.draw_cnn_training,
        "Classifier training, with and without synthetic images.",
    ),
    "confusion": (classifier_figures.draw_confusion, "Confusion matrix on the test part."),
    "roc_and_pr": (
        classifier_figures.draw_curves,
        "ROC and precision-recall curves on the test part, each class against the rest.",
    ),
    "calibration": (
        classifier_figures.draw_calibration,
        "Reliability of the top probability on the test part.",
    ),
    "mistakes": (classifier_figures.draw_mistakes, "The most confident mistakes on the test part."),
}


def draw_metadata(sources):
    """Draw age, sex and site by class."""
    if sources.table.metadata is None:
        raise Missing("no metadata beside the table")
    if (fig := table_figures.draw_metadata(sources.table, sources.page)) is None:
        raise Missing("the metadata has no age, sex or site")
    return fig


def draw_near_duplicates(sources):
    """Draw pairs of near-duplicate images."""
    pairs = sources.near_pairs()
    if not len(pairs):
        raise Missing("no near-duplicate images in the table")
    return table_figures.draw_near_duplicates(sources.table, pairs, page=sources.page)


def draw_leakage(sources):
    """Draw what share of the test images an image split, or an official one, would leak."""
    if sources.table.metadata is None or not len(sources.inputs.part("test")[1]):
        raise Missing("without metadata and a test part it is unknown what a split leaks")
    kind = "official" if sources.args.split == "official" else "image"
    seed = sources.args.split_seed
    return table_figures.draw_leakage(sources.table, seed, kind, sources.page)[0]


# eda.py draws these; visualize_results.py draws them again in another style or width.
TABLE_FIGURES = {
    "class_counts": (
        lambda s: table_figures.draw_counts(s.table, s.page)[0],
        "Images and lesions of each class.",
    ),
    "samples": (
        lambda s: table_figures.draw_samples(s.table, page=s.page),
        "Real images of each class, each of another lesion.",
    ),
    "class_means": (
        lambda s: table_figures.draw_means(s.table, s.page),
        "Mean image of each class, and its deviation.",
    ),
    "colours": (
        lambda s: table_figures.draw_colours(s.table, s.page)[0],
        "Mean red, green and blue of the images of each class.",
    ),
    "metadata": (draw_metadata, "Age, sex and site of each class."),
    "near_duplicates": (draw_near_duplicates, "Pairs of near-duplicate images."),
    "leakage": (
        draw_leakage,
        "Test images whose lesion is in train, under the split that the legend names.",
    ),
}


def draw(sources, names, folder, note):
    """Draw figures for the Page of the sources; return ([(path of PNG, caption)], [why left out]).

    names: which of FIGURES and TABLE_FIGURES; note: what stands under each.
    """
    drawn, left_out = [], []
    with style.use(sources.page):
        for name in names:
            function, caption = (FIGURES | TABLE_FIGURES)[name]
            try:
                drawn.append((style.save(function(sources), folder, name, note), caption))
            except Missing as e:
                left_out.append(f"{name}: {e}")
    return drawn, left_out
