"""The section of the GAN beside the textbook one, as a function of results/gan.json."""

from study.pages.markdown import render, show_mean


def name_extreme(which, values):
    """Return the least (or greatest) value over classes and its class, as in '0.04 (akiec)'.

    which: min or max. Classes without a value are left out.
    """
    known = {c: v for c, v in values.items() if v is not None}
    if not known:
        return "undefined"
    c = which(known, key=known.get)
    return f"{known[c]:.2f} ({c})"


def show_gap(found):
    """Return label agreement less recall of the class that the judge misses most.

    Recall is the judge's on real images of the class, and the gap is in standard errors.
    """
    agreement, recall, se = (
        found[name] for name in ("label_agreement", "real_recall", "agreement_se")
    )
    return name_extreme(
        min,
        {
            c: (agreement[c] - recall[c]) / max(se[c], 1e-9)
            for c in agreement
            if agreement[c] is not None
        },
    )


def show_spread(found, least, most):
    """Return the least of one entry over classes and the greatest of another."""
    return f"{name_extreme(min, found[least])}, {name_extreme(max, found[most])}"


def show_diversity(found):
    """Return the least and greatest diversity over real of any class, and of any seed."""
    ends = ("diversity_ratio_min", "diversity_ratio_max")
    return show_spread(found, *(end if end in found else "diversity_ratio" for end in ends))


def show_patches(found):
    """Return the patch distances over the floor at both levels, with those of half A."""
    return " and ".join(
        f"{found[f'swd_{n}_ratio']:.1f} ({found[f'swd_{n}_control']:.1f})" for n in (28, 14)
    )


def show_number(name, form):
    """Return (name, function that shows the mean of a measure)."""
    return name, lambda found: show_mean(found, name, form)


def show_with_least(name):
    """Return (name, function that shows the mean of a measure and its least class)."""
    return (
        name,
        lambda found: (
            f"{show_mean(found, name, '.2f')}; least {name_extreme(min, found[f'{name}_by_class'])}"
        ),
    )


def show_memorised(found):
    most = name_extreme(max, found["memorisation_by_class"])
    return f"{show_mean(found, 'memorisation', '.3f')}; {most}"


def show_power(found):
    return show_spread(found, "spectrum_least", "spectrum_most")


def show_arithmetic(found):
    reached = found["arithmetic"]
    return f"{reached['gflops']:.0f} of {reached['gflops_of_matrix_products']:.0f}"


QUALITY = {
    "Fréchet distance over the floor (1 = real images)": show_number("frechet_ratio", ".2f"),
    "patch distance over the floor, 28 and 14 pixels (in brackets: real images)": (
        "swd_28_ratio",
        show_patches,
    ),
    "power over that of train images, any class and radius: least, most": (
        "spectrum_least",
        show_power,
    ),
    "KID": show_number("kid", ".4f"),
    "coverage over half B's": show_with_least("coverage_ratio"),
    "density over half B's": show_with_least("density_ratio"),
    "label agreement less the judge's recall on real, in standard errors: lowest class": (
        "label_agreement",
        show_gap,
    ),
    "diversity over real, any seed: least, most": ("diversity_ratio", show_diversity),
    "CAS: balanced accuracy from synthetic images alone, over from real": show_number("cas", ".2f"),
    "memorised, of 1000; most in a class": ("memorisation", show_memorised),
}
"""Each measure of images: the name that its record has, and how the record of a GAN is shown."""
COST = {
    "minutes for 200 epochs, by alternating blocks of steps": show_number(
        "minutes_200_epochs", ".0f"
    ),
    "training images a second": show_number("train_images_per_second", ".0f"),
    "images sampled a second": show_number("sample_images_per_second", ".0f"),
    "GFLOP/s of a training step, of those that matrix products reach": (
        "arithmetic",
        show_arithmetic,
    ),
}
"""The same of what training and sampling cost."""


def list_gans(found):
    """Return {title: what is on record} of the GANs that gan.json has, as columns of the table."""
    dcgan = {k.removesuffix("_dcgan"): v for k, v in found.items() if k.endswith("_dcgan")}
    return {
        "this GAN": found,
        "the GAN of `weights/`": found.get("published", {}),
        "textbook DCGAN": dcgan,
    }


def build_rows(gans, shown, missing):
    """Return the rows of a table of GANs, a column each.

    gans: {title: what is on record}; shown: QUALITY or COST; missing: what stands for a measure
    that is not on record. A measure of no GAN has no row.
    """
    return [
        (label, *(show(found) if name in found else missing for found in gans.values()))
        for label, (name, show) in shown.items()
        if any(name in found for found in gans.values())
    ]


def render_gan(found, other_run, joined=1):
    """Return the GAN beside the textbook one as Markdown.

    other_run: whether results/run/ was measured by another judge; joined: how many generators that
    of weights/ joins.
    """
    other_judge = found.get("judge_sha256_dcgan", found["judge_sha256"]) != found["judge_sha256"]
    gans = {title: known for title, known in list_gans(found).items() if known}
    return render(
        "gan",
        g=found,
        titles=list(gans),
        has_dcgan="frechet_ratio_dcgan" in found,
        other_judge=other_judge,
        other_run=other_run,
        published=found.get("published"),
        joined=joined,
        has_patches=any("swd_28_ratio" in known for known in gans.values()),
        processor=found.get("environment_speed", {}).get("processor"),
        rows=[*build_rows(gans, QUALITY, "not measured"), *build_rows(gans, COST, "")],
    )
