"""The terms of the report: what is shown in the text, and its definition as in docs/measures.md."""

TERMS = {
    "accuracy": ("accuracy", "share of test images that are decided rightly"),
    "majority": (
        "majority baseline",
        "the accuracy of always naming the commonest class of the test part",
    ),
    "balanced_accuracy": (
        "balanced accuracy",
        "mean over the classes of the share of their images that are decided rightly, so that a "
        "rare class counts as much as a common one",
    ),
    "likeliest": ("likeliest class", "a decision for the class with the greatest probability"),
    "balanced_point": (
        "balanced point",
        "a decision for the likeliest class after the probabilities of rare classes were raised "
        "by a shift fitted on the val part",
    ),
    "auc": (
        "AUC",
        "area under the ROC curve, each class against the rest, mean over the classes of the test "
        "part; .5 is guessing and 1 is perfect ranking",
    ),
    "sensitivity": ("sensitivity", "share of the images with a disease that are called so"),
    "specificity": ("specificity", "share of the images without a disease that are not called so"),
    "at_90": (
        "sensitivity at 90 % specificity",
        "read off the test part's ROC curve where 10 % of the images without the disease raise a "
        "false alarm",
    ),
    "val_threshold": (
        "val's threshold",
        "a threshold chosen on the val part for a specificity; on the test part the specificity "
        "comes out a little different",
    ),
    "calibration": (
        "expected calibration error",
        "ECE: mean distance between the top probability and the accuracy at it, in 15 bins; even a "
        "perfectly calibrated network shows some at this number of images",
    ),
    "interval": (
        "95 % interval",
        "of the classifier: by bootstrap over the lesions of the test part, 1000 draws; of the "
        "synthetic images: over draws of the set or over its images, as each number's protocol in "
        "the JSON says",
    ),
    "paired": (
        "paired difference",
        "classifier minus control on the same images, so that what both find hard cancels out",
    ),
    "control": ("control", "the same network, trained on real images alone"),
    "split": (
        "split by lesion",
        "train, val and test share no lesion: all photographs of a lesion are in one part",
    ),
    "leaky": (
        "leaky",
        "a split in which photographs of one lesion stand in train and in test; its scores are too "
        "good",
    ),
    "judge": (
        "judge",
        "a classifier trained on half A of the train lesions, which only measures; it never saw "
        "half B",
    ),
    "half_b": (
        "half B",
        "the train lesions that the judge never saw; their real images give the reference",
    ),
    "reference": (
        "floor, the reference of real images",
        "the same distance for as many real images of half B: what real images score against other "
        "real images",
    ),
    "frechet": (
        "Fréchet distance",
        "distance between two image sets by mean and covariance of 64 components of the judge's "
        "features; comparable only at equal n and against the same part",
    ),
    "frechet_ratio": (
        "Fréchet ratio",
        "Fréchet distance of the synthetic images to the test part, over that of as many real "
        "images; 1 is as near as real images are",
    ),
    "patch_distance": (
        "patch distance",
        "sliced Wasserstein distance of 7 x 7 patches at two levels of an image pyramid; no "
        "network has a part in it",
    ),
    "patch_ratio": (
        "patch ratio",
        "patch distance of the synthetic images to the test part over that of as many real images, "
        "at the worse of the two levels; 1 is as near as real images are",
    ),
    "spectrum": (
        "power spectrum",
        "how much detail of each size the images have: the power of the grey image at each spatial "
        "frequency",
    ),
    "kid": ("KID", "kernel inception distance, in the same features"),
    "precision_recall": (
        "precision, recall, density, coverage",
        "of image sets: how many synthetic images lie among real ones, and how many real ones lie "
        "among synthetic ones, with the 5 nearest neighbours at equal n",
    ),
    "agreement": (
        "label agreement",
        "share of synthetic images to which the judge gives their own label, beside its recall on "
        "held-out real images",
    ),
    "memorised": (
        "memorised share",
        "share of synthetic images nearer to a training image than all but 1 % of held-out images "
        "are, by the distance of 7 x 7 area means over 8 flips and turns",
    ),
    "hash": (
        "sha256",
        "a fingerprint of a file: two files with the same one hold the same bytes",
    ),
    "synthetic": ("synthetic image", "drawn by the generator, not photographed"),
    "phantom": ("phantom lesion", "a picture computed by code, without medical meaning"),
}
"""{key: (the term as the page writes it, its definition)}, in the order of the page."""
