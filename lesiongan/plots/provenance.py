"""Where the report's numbers come from: the record of each step, and the commands to repeat it."""

from lesiongan.files import records
from lesiongan.files.errors import InputError
from lesiongan.run import classifier_flags, gan_flags
from lesiongan.run.classifier_flags import JUDGE_SEED

SHAPE = {
    "options": dict,
    "wall_seconds": records.NUMBER,
    "environment": {
        "commit": (str, type(None)),
        "python": str,
        "packages": {...: str},
        "backend": str,
        "system": str,
        "machine": str,
        "processors": (int, type(None)),
    },
}
"""What is read of a step's options.json, as a shape for records.find_fault."""

STEPS = (
    ("eda.py", "eda.py", "outputs_dir", "eda"),
    ("train_gan.py", "train_gan.py", "models_dir", "gan"),
    ("train_cnn.py, judge", "train_cnn.py --role judge", "models_dir", "judge"),
    ("train_cnn.py", "train_cnn.py", "models_dir", "cnn"),
    ("train_cnn.py, control", "train_cnn.py --role control", "models_dir", "control"),
    ("train_cnn.py, clinical", "train_cnn.py --clinical", "models_dir", "clinical"),
    ("train_cnn.py, malignancy", "train_cnn.py --task malignancy", "models_dir", "malignancy"),
    (
        "train_cnn.py, malignancy control",
        "train_cnn.py --task malignancy --role control",
        "models_dir",
        "malignancy_control",
    ),
    ("evaluate.py", "evaluate.py", "outputs_dir", "evaluation"),
)
# These networks are shown where they were scored.
BESIDE = ("clinical", "malignancy", "malignancy_control")
# A step on record has these flags where its options differ from the defaults named here.
COMMON = {"seed": 0, "split": "lesion", "split_seed": 0, "subset": None}
SHARE = {"train_fraction": 1, "train_share": "own"}


def show_time(seconds):
    """Return a wall time as '26 min 15 s'."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def show_machine(environment):
    """Return what a step ran on: '2 CPU cores (AMD EPYC), Linux x86_64' or its accelerators."""
    names = [str(name) for name in environment.get("accelerators") or []]
    counted = [f"{names.count(n)} {n}" for n in sorted(set(names))]
    if not counted:
        cores, model = environment["processors"], environment.get("processor")
        counted = [f"{cores} CPU core{'s' * (cores != 1)}" + (f" ({model})" if model else "")]
    return f"{' and '.join(counted)}, {environment['system']} {environment['machine']}"


def show_packages(environment):
    """Return the versions that a step ran with, Python first."""
    found = {"Python": environment["python"], **environment["packages"]}
    return ", ".join(f"{name} {version}" for name, version in found.items())


def command_of(call, options, split):
    """Return the command that repeats a step, with the flags that were not the defaults.

    Those that name files are left out, since they may lie elsewhere. split: the split's record,
    which alone says what share of the train lesions a step had.
    """
    options = options | {k: v for k in SHARE if (v := split.get(k)) is not None}
    # The judge's seed is its own, whatever --seed is.
    usual = COMMON | SHARE | ({"seed": JUDGE_SEED} if "judge" in call else {})
    usual = usual | {k: v for k, v in list_defaults(call).items() if k not in usual}
    flags = "".join(
        f" --{name.replace('_', '-')} {options[name]}"
        for name, default in usual.items()
        if options.get(name, default) not in (default, None) and is_plain(options[name])
    )
    return f"python {call}{flags}"


def list_defaults(call):
    """Return {option: default} of a training's own flags; {} of another step."""
    script, *flags = call.split()
    parse = {"train_gan.py": gan_flags.parse, "train_cnn.py": classifier_flags.parse}.get(script)
    if parse is None:
        return {}
    # --task, --role and --clinical are in the call.
    left_out = {"task", "role", "clinical", "synthetic", "least_steps"}
    values = vars(parse(None, flags))
    return {k: values[k] for k in sorted(values) if k not in left_out and is_plain(values[k])}


def is_plain(value):
    """Return whether a flag's value is a word or a number, or is not given."""
    return value is None or (isinstance(value, (int, float, str)) and not isinstance(value, bool))


def read_steps(run, networks):
    """Return [(name, call, record, reason)] of the steps on record, in the order of a run.

    networks: the names of the networks that the evaluation scored; a network beside them is not
    part of what the report shows. A record that is damaged, or of other data or another split, is
    None, with the reason.
    """
    out = []
    for name, call, place, folder in STEPS:
        path = getattr(run.args, place) / folder / "options.json"
        if not path.is_file() or (folder in BESIDE and folder not in networks):
            continue
        try:
            out.append((name, call, run.inputs.check_made_from(path, call.split()[0], SHAPE), ""))
        except InputError as e:
            out.append((name, call, None, str(e)))
    return out


def describe(run, networks):
    """Return what the report says of its making: {rows, packages, options, commands, faults}.

    rows: a table's cells for each step; packages: [(versions, the steps that ran with them)];
    options: [(step, its options in words)]; commands: the lines that repeat the run; faults: why a
    step's record is not shown.
    """
    packages: dict[str, list[str]] = {}
    rows, options, commands, faults = [], [], [], []
    for name, call, record, reason in read_steps(run, networks):
        if record is None:
            faults.append(f"{name}: {reason}")
            continue
        ran, chosen = record["environment"], record["options"]
        rows.append(
            (
                name,
                ran["commit"] or "not known",
                chosen.get("seed", "-"),
                ran["backend"],
                show_machine(ran),
                show_time(record["wall_seconds"]),
            )
        )
        packages.setdefault(show_packages(ran), []).append(name)
        words = ", ".join(f"{k} {'none' if v is None else v}" for k, v in chosen.items())
        options.append((name, words))
        commands.append(command_of(call, chosen, record["split"]))
    own = {name: getattr(run.args, name, default) for name, default in COMMON.items()}
    return {
        "rows": rows,
        "packages": list(packages.items()),
        "options": options,
        "commands": [*commands, command_of("visualize_results.py", own, run.inputs.split)],
        "faults": faults,
    }
