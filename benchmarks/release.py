"""Check what a release needs before it is built, and what was built after it: `make release`.

    python -m benchmarks.release --before  # prints the version, or says what is missing
    python -m benchmarks.release --after   # were weights, pages and site built from this commit?

A release is built from one commit of a clean working tree. What the build changes in weights/,
results/, README.md and docs/ is committed afterwards, and that commit gets the tag.
"""

import re
import subprocess

from lesiongan import ROOT
from lesiongan.files import records
from lesiongan.files.errors import InputError
from lesiongan.files.software import read_citation
from lesiongan.run import flags, script

# What a build may change.
BUILT = ("weights/", "results/", "README.md", "docs/")
RECORDS = tuple(f"weights/{name}/options.json" for name in ("gan", "cnn", "judge"))


def parse_args(argv=None):
    p = flags.Parser(__doc__)
    when = p.add_mutually_exclusive_group(required=True)
    when.add_argument("--before", action="store_true", help="check what a release needs")
    when.add_argument("--after", action="store_true", help="check what was built")
    return p.parse_args(argv)


def git(*words, folder=ROOT):
    """Return what a git command prints, without the last line's end."""
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"git {words[0]}: {done.stderr.strip() or 'failed'}")
    return done.stdout.rstrip("\n")


def list_changes(folder=ROOT):
    """Return the names of files that differ from the commit, new ones among them."""
    return [line[3:] for line in git("status", "--porcelain", folder=folder).splitlines()]


def check_before(folder=ROOT):
    """Return the version to be released; raise InputError for the first thing that is missing."""
    if changed := list_changes(folder):
        raise InputError(f"{changed[0]}: is not committed; a release is built from one commit")
    version, released = (read_citation()[name] for name in ("version", "released"))
    text = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    (newest, date), *_ = re.findall(r"^## (\S+)(?: \((\S+)\))?$", text, re.MULTILINE)
    if (newest, date) != (version, released):
        raise InputError(
            f"CHANGELOG.md: begins with {newest} ({date}), and CITATION.cff has {version} "
            f"({released}); make them agree"
        )
    if f"v{version}" in git("tag", "--list", folder=folder).split():
        raise InputError(f"CITATION.cff: {version} is released already; give a new version")
    return version


def check_after(folder=ROOT):
    """Raise InputError unless the networks are of this commit, and nothing else has changed."""
    commit = git("rev-parse", "--short=12", "HEAD", folder=folder)
    for name in RECORDS:
        made = records.read_json(folder / name, "make weights", {"environment": dict})
        if made["environment"].get("commit") != commit:
            raise InputError(
                f"{name}: is of commit {made['environment'].get('commit')}, not {commit}; remove "
                "models/ and outputs/ with `make clean`, and build again"
            )
    foreign = [name for name in list_changes(folder) if not name.startswith(BUILT)]
    if foreign:
        raise InputError(f"{foreign[0]}: was changed by the build; a release is of one commit")
    if not (folder / "site" / "index.html").is_file():
        raise InputError("site/: is missing; run `make docs`")


def main(argv=None):
    args = parse_args(argv)
    if args.before:
        print(f"release {check_before()}: all is ready to be built")
        return 0
    check_after()
    version = read_citation()["version"]
    print(
        f"release {version}: built. Read `git diff`, then:\n"
        f"  git commit -am 'Release {version}' && git tag v{version}\n"
        "and put site/ where the documentation is served."
    )
    return 0


if __name__ == "__main__":
    script.script_main(main)
