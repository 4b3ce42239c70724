# Two commands do everything: `make` (the whole pipeline) and `make test`.
# Steps are skipped when their outputs already come from this data and these options (hashes, not file times).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
ifeq ($(filter oneshell,$(.FEATURES)),)
$(error GNU make 3.82 or newer is needed (macOS ships 3.81): brew install make, then gmake)
endif
# The Python that sets up .venv; without it the first of python3, python3.13, 3.12 and 3.11 that will do.
PYTHON ?=
PY := .venv/bin/python
DATA ?=
METADATA ?= auto
FLAGS ?=
# Flags of the GAN's training alone.
GAN_FLAGS ?=
# The study: its grid, how many of the grid's stages (empty for all), and where it runs: local or slurm.
GRID ?= study/config.yaml
STAGES ?=
# The runs of `make records`.
RECORDS ?= study/records.yaml
PROFILE ?= local
SNAKEMAKE = .venv-study/bin/python -m snakemake --snakefile study/Snakefile --profile study/profiles/$(PROFILE)
# The tests go to two processes by files, because what a file shares is made once for each process. Their
# order is in tests/conftest.py.
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 10
# The build of PyTorch for `make test-interop`, and where it is; empty for pip's own index.
TORCH ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.DEFAULT_GOAL := all
.PHONY: all data test coverage test-interop notebook docs smoke study study-plan study-smoke records weights release lint lock audit mutants clean help

all: .venv/ready  ## the main job: explore, train GAN, judge and CNN, evaluate, draw (DATA=table METADATA=csv FLAGS=...)
	@data="$(DATA)"
	[ -n "$$data" ] || data=$$($(PY) -m lesiongan.fetch --choose | tail -n 1)
	common=(--data "$$data" --metadata "$(METADATA)" --if-stale $(FLAGS))
	echo "1/7 exploring the table, about a minute"
	$(PY) eda.py "$${common[@]}"
	echo "2/7 training the GAN and writing the synthetic images, 25 to 85 minutes for HAM10000"
	$(PY) train_gan.py "$${common[@]}" --resume $(GAN_FLAGS)
	echo "3/7 training the judge of synthetic images, 2 to 10 minutes"
	$(PY) train_cnn.py "$${common[@]}" --resume --role judge
	echo "4/7 training the classifier on real and synthetic images, 5 to 12 minutes"
	$(PY) train_cnn.py "$${common[@]}" --resume
	echo "5/7 training the same classifier on real images alone, 5 to 12 minutes"
	$(PY) train_cnn.py "$${common[@]}" --resume --role control
	echo "6/7 evaluating, about 3 minutes"
	$(PY) evaluate.py "$${common[@]}"
	echo "7/7 drawing figures and the report, about a minute"
	$(PY) visualize_results.py "$${common[@]}"

data: .venv/ready  ## download HAM10000 (28 x 28) from Kaggle into data/
	@$(PY) -m lesiongan.fetch

smoke: .venv/ready  ## all five scripts on a small stratified subset, in smoke/ (minutes)
	@data="$(DATA)"
	[ -n "$$data" ] || data=$$($(PY) -m lesiongan.fetch --choose | tail -n 1)
	common=(--data "$$data" --metadata "$(METADATA)" --subset 300 --models-dir smoke/models --outputs-dir smoke/outputs)
	$(PY) -m lesiongan.clean smoke
	echo "1/7 exploring about 300 images"
	$(PY) eda.py "$${common[@]}"
	echo "2/7 training the GAN for 3 epochs"
	$(PY) train_gan.py "$${common[@]}" --epochs 3 --samples 70
	echo "3/7 training the judge for 2 epochs"
	$(PY) train_cnn.py "$${common[@]}" --epochs 2 --role judge
	echo "4/7 training the classifier for 2 epochs"
	$(PY) train_cnn.py "$${common[@]}" --epochs 2
	echo "5/7 training the same classifier on real images alone"
	$(PY) train_cnn.py "$${common[@]}" --epochs 2 --role control
	echo "6/7 evaluating"
	$(PY) evaluate.py "$${common[@]}"
	echo "7/7 drawing figures and the report"
	$(PY) visualize_results.py "$${common[@]}"

study: .venv/ready .venv-study/ready  ## when does it help? the study's cells that are not done (a day and a half; PROFILE=slurm STAGES=1 GRID=file)
	@$(PY) -m study.plan "$(GRID)" $(if $(STAGES),--stages $(STAGES)) --brief
	$(SNAKEMAKE) --forcerun collect --config "grid=$(GRID)" $(if $(STAGES),stages=$(STAGES))

study-plan: .venv/ready  ## which cells of the study are done, and how long the rest takes
	@$(PY) -m study.plan "$(GRID)" $(if $(STAGES),--stages $(STAGES))

study-smoke: .venv/ready .venv-study/ready  ## the whole study on phantom lesions, in study/smoke/ (minutes)
	@$(PY) -m study.clear study/smoke.yaml --records study/smoke_records.yaml
	$(PY) -m lesiongan.phantom --rows 400 --out study/smoke/table
	$(PY) -m study.plan study/smoke.yaml --brief
	$(SNAKEMAKE) --config grid=study/smoke.yaml records=study/smoke_records.yaml -- all records

records: .venv/ready .venv-study/ready  ## the other results in results/ whose records are not there, by study/records.yaml (a day if none is)
	@$(PY) -m study.plan "$(GRID)" --records "$(RECORDS)"
	$(SNAKEMAKE) --forcerun collect_records --config "grid=$(GRID)" "records=$(RECORDS)" -- records

# Images of three joined generators are nearer to real ones than those of one (docs/method.md).
weights: GAN_FLAGS = --generators 3
weights: all  ## repeat the published run on HAM10000; replaces weights/ and results/run (2 to 6 hours)
	@data="$(DATA)"
	[ -n "$$data" ] || data=$$($(PY) -m lesiongan.fetch --choose | tail -n 1)
	metadata="$(METADATA)"
	[ "$$metadata" != auto ] || metadata=$$($(PY) -c "import sys; from lesiongan.data import metadata; print(metadata.find_beside(sys.argv[1]))" "$$data")
	[ "$$metadata" != none ] || { echo "$$data: no HAM10000_metadata.csv beside it; put it there, or name it by METADATA=" >&2; exit 2; }
	common=(--data "$$data" --metadata "$$metadata" --if-stale)
	echo "training the network of two classes beside the published ones, 5 to 12 minutes"
	$(PY) train_cnn.py "$${common[@]}" --resume --task malignancy
	echo "evaluating and drawing with it"
	$(PY) evaluate.py "$${common[@]}"
	$(PY) visualize_results.py "$${common[@]}"
	echo "measuring the warning of images unlike the training, then writing weights/ and results/run/"
	$(PY) -m benchmarks.likeness --data "$$data" --metadata "$$metadata"
	$(PY) -m study.publish_run --data "$$data" --metadata "$$metadata"

release: .venv/ready-dev  ## build networks, pages and site of a version from one commit, and check them (hours)
	@$(PY) -m benchmarks.release --before
	$(MAKE) weights
	$(MAKE) docs
	$(PY) -m benchmarks.release --after

test: .venv/ready-dev  ## ruff, mypy and all tests
	@echo "checking style and types, then running all tests: 10 to 20 minutes on two cores"
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) $(PYTEST)

coverage: .venv/ready-dev  ## which lines no test runs (half as long again as the tests)
	@$(PY) -m coverage erase
	# From Python 3.12 on its own monitoring costs coverage half as much time.
	export COVERAGE_CORE=$$($(PY) -c "import sys; print('sysmon' if sys.version_info >= (3, 12) else 'ctrace')")
	$(PY) -m coverage run $(PYTEST)
	$(PY) -m coverage combine --quiet
	echo "lines that no test has run, of the package and the five scripts:"
	$(PY) -m coverage report

test-interop: .venv/ready  ## the networks with PyTorch, other libraries reading our files (downloads 1.5 GB, minutes)
	@[ -d .venv-interop ] || $(PY) -m venv .venv-interop
	pip=".venv-interop/bin/python -m pip install --quiet --disable-pip-version-check"
	echo "setting up .venv-interop, some minutes the first time"
	$$pip --no-deps -r requirements-interop.txt
	$$pip --no-deps $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$(TORCH)"
	.venv-interop/bin/python -m pytest --record results/interop.json tests/interop

notebook: .venv/ready-dev  ## run notebooks/quickstart.ipynb on phantom lesions, as in an empty runtime (a minute)
	@$(PY) -m tests.notebooks.quickstart

docs: .venv/ready-dev  ## the documentation as a site, in site/ (seconds); open site/index.html
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict  # the switch silences an advertisement of the theme
	echo "documentation -> site/index.html (its search needs a server: $(PY) -m http.server -d site)"

lint: .venv/ready-dev  ## ruff and mypy alone, and format
	@$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	$(PY) -m mypy

lock: .venv/ready-dev  ## resolve requirements*.in into requirements*.txt, with hashes
	@uv="$(PY) -m uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url"
	$$uv requirements.in -o requirements.txt
	$$uv -c requirements.txt requirements-dev.in -o requirements-dev.txt
	$$uv requirements-audit.in -o requirements-audit.txt
	$$uv requirements-mutants.in -o requirements-mutants.txt
	$$uv requirements-study.in -o requirements-study.txt
	# medmnist and datasets name PyTorch among their packages, or could; see TORCH.
	$$uv -c requirements-dev.txt --override <(printf '%s; python_version < "3"\n' torch torchvision) \
		--custom-compile-command "make lock" requirements-interop.in -o requirements-interop.txt

audit: .venv/ready  ## known vulnerabilities of the pinned packages (needs a network), and their licences
	@[ -d .venv-audit ] || $(PY) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-audit.txt
	.venv-audit/bin/pip-licenses --python $(PY) --from mixed --format csv --order license > LICENCES-THIRD-PARTY.csv
	echo "licences of what is installed -> LICENCES-THIRD-PARTY.csv"
	if $(PY) -c 'import requests; requests.get("https://pypi.org/pypi/pip/json", timeout=5).json()' 2> /dev/null; then
		.venv-audit/bin/pip-audit --disable-pip --require-hashes -r requirements.txt
		echo "packages listed under Skip Reason were NOT audited"
	else
		echo "audit SKIPPED: pypi.org's vulnerability service cannot be reached; nothing is known either way"
	fi

mutants: .venv/ready-dev  ## plant bugs, by hand and at random, and count which the tests catch (hours)
	@[ -d .venv-mutants ] || $(PY) -m venv .venv-mutants
	.venv-mutants/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-mutants.txt
	$(PY) -m tests.stress.mutants
	$(PY) -m tests.stress.random_mutants

clean: .venv/ready  ## remove what runs wrote into models, outputs and smoke (not data, not .venv)
	@$(PY) -m lesiongan.clean models outputs smoke

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */make \1\t/' | expand -t 19

# What the pinned packages have wheels for.
define SUITABLE
import platform, sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit("is " + platform.python_version())
if (platform.system(), platform.machine()) == ("Darwin", "x86_64"):
    sys.exit("is for Intel Macs, which TensorFlow has no packages for")
try:
    import ensurepip, venv
except ImportError as e:
    sys.exit("has no " + str(e.name))
endef
export SUITABLE

.venv/ready: requirements.txt
	@tried=""
	for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do
		fault=$$($$python -c "$$SUITABLE" 2>&1) && break
		tried="$$tried; $$python: $$(tail -n 1 <<< "$$fault")"
		python=""
	done
	if [ -z "$$python" ]; then
		echo "make: error: Python 3.11, 3.12 or 3.13 with venv is needed$$tried. Install one, then: make PYTHON=/path/to/it" >&2
		exit 2
	fi
	echo "setting up .venv with the pinned packages and $$python, about two minutes"
	$$python -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/ready-dev: .venv/ready requirements-dev.txt
	@echo "adding what the tests need"
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

.venv-study/ready: .venv/ready requirements-study.txt
	@echo "setting up .venv-study with Snakemake, about a minute"
	$(PY) -m venv .venv-study
	.venv-study/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-study.txt
	touch $@
