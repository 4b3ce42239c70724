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


def show_gap(found, end=""):
    """Return label agreement less recall of the class that the judge misses most.

    Recall is the judge's on real images of the class, and the gap is in standard errors.
    end: '_dcgan' for the textbook GAN.
    """
    agreement, recall, se = (
        found[f"{name}{end}"] for name in ("label_agreement", "real_recall", "agreement_se")
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


def build_row(found, label, name, worst="", form=".2f"):
    """Return a row: its label, this GAN's mean (with `worst` behind it), and the textbook one's."""
    dcgan = f"{found[name + '_dcgan']:{form}}" if f"{name}_dcgan" in found else "not run"
    return label, f"{show_mean(found, name, form)}{worst}", dcgan


def patch_rows(found):
    """Return the rows of the measures without a network; none if they were not measured."""
    if "swd_ratio" not in found:
        return []
    ends = ("spectrum_least", "spectrum_most")
    return [
        build_row(found, "patch distance over the floor, worse level", "swd_ratio"),
        (
            "power over that of train images, any radius: least, most",
            show_spread(found, *ends),
            show_spread(found, *(f"{end}_dcgan" for end in ends))
            if "swd_ratio_dcgan" in found
            else "not run",
        ),
    ]


def quality_rows(found):
    """Return the rows of how near the images of both GANs are to real ones."""
    has_dcgan = "frechet_ratio_dcgan" in found
    return [
        build_row(found, "Fréchet distance over the floor (1 = real images)", "frechet_ratio"),
        *patch_rows(found),
        build_row(found, "KID", "kid", form=".4f"),
        build_row(
            found,
            "coverage over half B's",
            "coverage_ratio",
            f"; least {name_extreme(min, found['coverage_ratio_by_class'])}",
        ),
        build_row(
            found,
            "density over half B's",
            "density_ratio",
            f"; least {name_extreme(min, found['density_ratio_by_class'])}",
        ),
        (
            "label agreement less the judge's recall on real, mean over seeds, in standard errors: "
            "least",
            show_gap(found),
            show_gap(found, "_dcgan") if has_dcgan else "not run",
        ),
        (
            "diversity over real, any seed: least, most",
            show_spread(found, "diversity_ratio_min", "diversity_ratio_max"),
            show_spread(found, "diversity_ratio_dcgan", "diversity_ratio_dcgan")
            if has_dcgan
            else "not run",
        ),
        build_row(
            found, "CAS: balanced accuracy from synthetic images alone, over from real", "cas"
        ),
        build_row(
            found,
            "memorised, of 1000; most in a class",
            "memorisation",
            f"; {name_extreme(max, found['memorisation_by_class'])}",
            ".3f",
        ),
    ]


def describe_published(found):
    """Return what the generator of weights/ draws like, as values of the template, or None.

    Patch distance and spectrum need no network; the Fréchet ratio is by the judge of weights/.
    """
    row = found.get("published")
    if row is None:
        return None

    def at_both(end):
        return " and ".join(f"{row[f'swd_{n}_{end}']:.1f} at {n} pixels" for n in (28, 14))

    return {
        "frechet_ratio": f"{row['frechet_ratio']:.2f}",
        "distance": at_both("ratio"),
        "control": at_both("control"),
        "least": name_extreme(min, row["spectrum_least"]),
        "most": name_extreme(max, row["spectrum_most"]),
    }


def speed_rows(found):
    """Return the rows of what training and sampling cost; none if no speed has been measured."""
    if "minutes_200_epochs" not in found:
        return []
    processor = found.get("environment_speed", {}).get("processor", "processor not recorded")
    rows = [
        build_row(
            found,
            f"minutes for 200 epochs, by alternating blocks of steps ({processor})",
            "minutes_200_epochs",
            form=".0f",
        ),
        build_row(found, "training images a second", "train_images_per_second", form=".0f"),
        ("images sampled a second", f"{found['sample_images_per_second']:.0f}", ""),
    ]
    if reached := found.get("arithmetic"):
        name = "GFLOP/s of a training step, of those that matrix products reach"
        most = reached["gflops_of_matrix_products"]
        rows.append((name, f"{reached['gflops']:.0f} of {most:.0f}", ""))
    return rows


def render_gan(found, other_run):
    """Return the GAN beside the textbook one as Markdown.

    other_run: whether results/run/ was measured by another judge.
    """
    other_judge = found.get("judge_sha256_dcgan", found["judge_sha256"]) != found["judge_sha256"]
    return render(
        "gan",
        g=found,
        has_dcgan="frechet_ratio_dcgan" in found,
        other_judge=other_judge,
        other_run=other_run,
        published=describe_published(found),
        rows=[*quality_rows(found), *speed_rows(found)],
    )
