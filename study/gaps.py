"""What the study's answer lacks: trainings that have not run, and classes that no GAN draws."""

import train_gan
from lesiongan.data.classes import CLASSES


def list_missing(grid, done):
    """Return [{fraction, label}] of controls and arms of the family that have no cell yet.

    They are those of fractions that have begun. A reader must know of them, since a gain over the
    base alone may have another reason than the images.
    """
    ran = {(r["fraction"], r["arm"]) for r in done.values()}
    begun = {fraction for fraction, _ in ran}
    wanted = dict.fromkeys(
        (g.fraction, g.arm)
        for g in grid.groups
        if g.fraction in begun
        and (g.fraction, g.arm) not in ran
        and (g.arm in grid.values["family"]["arms"] or not grid.arms[g.arm].get("source"))
    )
    return [{"fraction": f, "label": grid.arms[arm]["label"]} for f, arm in wanted]


def list_not_begun(grid, done):
    """Return {fractions, arms}: fractions, and labels of arms, of which no training has run."""
    ran = list(done.values())
    return {
        "fractions": sorted({g.fraction for g in grid.groups} - {r["fraction"] for r in ran}),
        "arms": [
            grid.arms[arm]["label"]
            for arm in dict.fromkeys(g.arm for g in grid.groups)
            if arm not in {r["arm"] for r in ran}
        ],
    }


def list_undrawn(grid, done):
    """Return [{fraction, lesions, classes}] of what closed GANs draw no images of.

    The grid may ask for a least number of images that a GAN must have seen of a class.
    """
    asked = train_gan.parse_args([str(f) for f in grid.values["drawing"]])
    found = {}
    for record in done.values():
        if grid.arms[record["arm"]].get("source") == "closed":
            counts = record["split"]["images"]["train"]
            few = [
                c
                for c, n in zip(CLASSES, counts, strict=True)
                if n < asked.least_images and c in asked.classes
            ]
            row = {"fraction": record["fraction"], "lesions": record["lesions"], "classes": few}
            found[record["fraction"]] = row | {"least_images": asked.least_images}
    return [found[fraction] for fraction in sorted(found) if found[fraction]["classes"]]
