"""The paper figures: the name of the file, the function that draws it, and the caption of each."""

from lesiongan.plots import classifier_figures, gan_figures

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
