"""Networks: saving and loading, running them on images, augmentation, sampling labelled images."""
