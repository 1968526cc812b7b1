SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
AWS_VENV := .venv-aws
CHECKOV_VENV := .venv-checkov
BIN := $(VENV)/bin

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[1m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: container/requirements.lock requirements-dev.lock container/pyproject.toml pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r container/requirements.lock -r requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable container --editable .
	touch $@

$(AWS_VENV)/.ready: requirements-aws.lock
	$(PYTHON) -m venv $(AWS_VENV)
	$(AWS_VENV)/bin/pip install --quiet --require-hashes -r requirements-aws.lock
	touch $@

$(CHECKOV_VENV)/.ready: requirements-checkov.lock
	$(PYTHON) -m venv $(CHECKOV_VENV)
	$(CHECKOV_VENV)/bin/pip install --quiet --require-hashes -r requirements-checkov.lock
	touch $@

SECURITY_VENV := .venv-security
$(SECURITY_VENV)/.ready: requirements-security.lock
	$(PYTHON) -m venv $(SECURITY_VENV)
	$(SECURITY_VENV)/bin/pip install --quiet --require-hashes -r requirements-security.lock
	touch $@

.PHONY: setup
setup: $(VENV)/.ready $(AWS_VENV)/.ready ## Install everything into .venv and the AWS emulator into .venv-aws

.PHONY: system
system: ## Install nginx and the browser of the tests where root or sudo is there, else say so and go on
	local_test/install_system_packages.sh nginx chromium

.PHONY: lock
lock: ## Resolve the lock files anew (needs uv)
	uv pip compile --quiet --generate-hashes --no-annotate --no-header --extra cpu container/pyproject.toml -o container/requirements.lock
	uv pip compile --quiet --generate-hashes --no-annotate --no-header container/pyproject.toml -c container/requirements.lock -o container/requirements-serve.lock
	uv pip compile --quiet --generate-hashes --no-annotate --no-header --extra cuda container/pyproject.toml -c container/requirements.lock -o container/requirements-cuda.lock
	uv pip compile --quiet --generate-hashes --no-annotate --no-header --group container/pyproject.toml:build -c container/requirements.lock -o container/requirements-build.lock
	uv pip compile --quiet --generate-hashes --no-annotate --no-header --group pyproject.toml:dev -c container/requirements.lock -o requirements-dev.lock
	uv pip compile --quiet --generate-hashes --no-annotate --no-header --group pyproject.toml:aws -o requirements-aws.lock
	uv pip compile --quiet --generate-hashes --no-annotate --no-header --group pyproject.toml:checkov -o requirements-checkov.lock
	uv pip compile --quiet --generate-hashes --no-annotate --no-header --group pyproject.toml:security -o requirements-security.lock
	uv pip compile --quiet --generate-hashes --no-annotate --no-header -c container/requirements.lock bench/peers/ultralytics.in -o bench/peers/ultralytics.lock
	uv pip compile --quiet --generate-hashes --no-annotate --no-header -c container/requirements.lock bench/peers/supervision.in -o bench/peers/supervision.lock

.PHONY: format lint types
format: setup ## Format the code in place
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup ## Check format, style and shell scripts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	git ls-files '*.sh' | xargs -r $(BIN)/shellcheck

types: setup ## Check the types of the package, and of all that is around it but the tests
	cd container && ../$(BIN)/mypy --config-file ../pyproject.toml
	MYPYPATH=container:bench:infra:lambda:local_test:tests $(BIN)/mypy --explicit-package-bases roads bench/*.py bench/speed infra lambda local_test

.PHONY: demo
demo: setup ## Run the main job for real on this machine, on a rendered road or VIDEO=path; by a message with WAY=queue, as a live stream with WAY=stream
	local_test/install_system_packages.sh nginx
	$(BIN)/python local_test/$(if $(WAY),$(WAY)_)demo.py $${VIDEO:+"$$VIDEO"}

.PHONY: deploy-local
deploy-local: setup ## Deploy into emulators of AWS on this machine, until Ctrl-C; SET="Parameter=value ..."
	local_test/install_system_packages.sh nginx
	$(BIN)/python local_test/deploy_local.py $${SET:-}

.PHONY: deploy status redrive destroy
deploy: setup ## Deploy to AWS; NAME=, IMAGE=serve or an address, MODEL=folder, SET="Parameter=value ..." (docs/how-to/deploy.md)
	$(BIN)/python infra/deploy.py deploy --name "$${NAME:-pothole}" $${IMAGE:+--image "$$IMAGE"} \
	    $${MODEL:+--model "$$MODEL"} $${SET:-}

status: setup ## Show how what is deployed does, or JOB=a video's key, a job's id or a processing job's name; NAME=
	$(BIN)/python infra/deploy.py status --name "$${NAME:-pothole}" $${JOB:+--job "$$JOB"}

redrive: setup ## Send again what could not be sent; NAME=
	$(BIN)/python infra/deploy.py redrive --name "$${NAME:-pothole}"

destroy: setup ## Take everything off AWS but the videos; NAME=
	$(BIN)/python infra/deploy.py destroy --name "$${NAME:-pothole}"

.PHONY: check-infra
check-infra: setup $(CHECKOV_VENV)/.ready ## Check the templates of infra/ for mistakes and for security
	$(AWS_VENV)/bin/cfn-lint infra/*.yaml
	$(CHECKOV_VENV)/bin/checkov --config-file infra/.checkov.yaml --directory infra

.PHONY: readme-picture notebooks
readme-picture: setup ## Mark rendered roads with the shipped weights and take the README's picture from them
	$(BIN)/python bench/readme_picture.py

notebooks: setup ## Run the notebooks on this machine and keep what they show
	POTHOLE_NOTEBOOKS=local $(BIN)/jupyter execute --inplace --NotebookClient.record_timing=False notebooks/*.ipynb

.PHONY: settings-page
settings-page: setup ## Write the page of settings from their declarations
	$(BIN)/python -m pothole.entrypoints.settings_help > docs/reference/settings.md

.PHONY: figures
figures: setup ## Count potholes on SETS= of eight rendered roads, and on EMPTY=a video without any; THIN=N: every N-th frame; MODEL=folder
	$(BIN)/python bench/video_figures.py $${MODEL:+--model "$$MODEL"} $${EMPTY:+--empty "$$EMPTY"} --sets $${SETS:-1} --thin $${THIN:-1}

.PHONY: media-matrix
media-matrix: setup system ## Mark videos of 12 containers, 8 audio codecs and 5 troubles: in sync, and played by a browser; 15 minutes
	PYTHONPATH=tests $(BIN)/python bench/media_matrix.py

PEERS ?= ultralytics supervision
BENCH := build/bench

.venv-ultralytics/.ready: bench/peers/ultralytics.lock
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --require-hashes --no-deps -r $<
	touch $@

.venv-supervision/.ready: bench/peers/supervision.lock container/requirements.lock container/pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --require-hashes --no-deps -r container/requirements.lock -r $<
	$(@D)/bin/pip install --quiet --no-deps --no-build-isolation --editable container
	touch $@

.PHONY: bench bench-peers
bench-peers: ## Install what `make bench` compares with, each in a virtual environment of its own: 8 GB
	@mkdir -p $(BENCH)
	@for peer in $(PEERS); do \
	  $(MAKE) --no-print-directory .venv-$$peer/.ready > $(BENCH)/$$peer.log 2>&1 \
	    || echo "$$peer does not install here and is left out; $(BENCH)/$$peer.log tells why." >&2; \
	done

# A plot of some rows alone would say little, so that ONLY makes none.
bench: setup bench-peers ## Measure speed on a rendered road or CLIP=path; ROUNDS=3, ONLY="rows and parts", PEERS= for none
	$(BIN)/python bench/speed_figures.py $${CLIP:+"$$CLIP"} --rounds $${ROUNDS:-3} --json $(BENCH)/speed.json \
	  $${ONLY:+--only $$ONLY}
	$${ONLY:+true} $(BIN)/python bench/speed_plot.py $(BENCH)/speed.json $(BENCH)/speed.svg

.PHONY: chaos
chaos: setup system ## Kill workers 220 times, cut 300 off from S3, let 30 % of the calls to S3 fail, send every event 20 times
	KILLS=$${KILLS:-200} CUTS=$${CUTS:-300} JOBS=$${JOBS:-100} ROUNDS=$${ROUNDS:-20} \
	    QUEUE_VIDEOS=$${QUEUE_VIDEOS:-50} QUEUE_WORKERS=$${QUEUE_WORKERS:-3} QUEUE_KILLS=$${QUEUE_KILLS:-20} $(BIN)/pytest \
	    tests/reliability/test_queue.py \
	    tests/reliability/test_kills.py tests/reliability/test_cuts.py tests/reliability/test_faulty_s3.py tests/reliability/test_duplicates.py --log-cli-level=INFO

.PHONY: stream-chaos
stream-chaos: setup ## Kill consumers of live streams 30 times while 8 streams break 30 times, for 30 minutes of stream; STREAM_SECONDS=, SPEED=
	STREAMS=$${STREAMS:-8} WORKERS=$${WORKERS:-3} STREAM_SECONDS=$${STREAM_SECONDS:-1800} SPEED=$${SPEED:-10} KILLS=$${KILLS:-30} \
	    FAULTS=$${FAULTS:-30} $(BIN)/pytest tests/reliability/test_streams.py --log-cli-level=INFO

.PHONY: detectors test-detectors
detectors: setup ## Fetch FaceDetector and HumanDetector into container/detectors, from where the image takes them (needs npm)
	PYTHON=$(CURDIR)/$(BIN)/python container/fetch_detectors.sh

test-detectors: setup ## Fetch FaceDetector and HumanDetector and look with them at a photograph
	$(BIN)/pytest -m detectors tests/detection/box_networks

.PHONY: fuzz
fuzz: setup system ## Send 20,000 damaged pictures and videos, and odd requests, headers and keys
	INPUTS=$${INPUTS:-20000} $(BIN)/pytest tests/reliability/test_fuzz_media.py tests/reliability/test_fuzz_requests.py \
	    --log-cli-level=INFO

.PHONY: load soak
load: setup system ## 200 clients at once for a minute, beside a video in work
	CLIENTS=$${CLIENTS:-200} LOAD_SECONDS=$${LOAD_SECONDS:-60} LONGEST_PING=0.1 $(BIN)/pytest tests/reliability/test_load.py \
	    -k ping --log-cli-level=INFO

soak: setup system ## Jobs, pictures and mistakes for an hour, or MINUTES=: memory and open files stay as they are
	SOAK_SECONDS=$$(($${MINUTES:-60} * 60)) $(BIN)/pytest tests/reliability/test_load.py -k memory --log-cli-level=INFO

.PHONY: mutants
mutants: setup system ## Break 60 random lines, LINES=, one at a time, and see whether the tests notice; SEED=1, ONLY=part of a module's name
	nice $(BIN)/python local_test/mutants.py --lines $${LINES:-60} --seed $${SEED:-1} --limit $${LIMIT:-300} --only "$${ONLY:-}"

.PHONY: audit sbom
audit: $(SECURITY_VENV)/.ready ## Look for known holes in what ships (asks PyPI), and for careless code
	$(SECURITY_VENV)/bin/bandit --quiet --recursive --configfile pyproject.toml container/pothole lambda
	$(SECURITY_VENV)/bin/pip-audit --strict --require-hashes --disable-pip --requirement container/requirements.lock

sbom: $(SECURITY_VENV)/.ready ## Write what ships, with its licences, as build/sbom.json (CycloneDX); IMAGE=serve for that image
	mkdir -p build
	$(PYTHON) -m venv --clear --without-pip build/sbom
	$(SECURITY_VENV)/bin/pip --python build/sbom/bin/python install --quiet --no-compile --require-hashes \
	    -r container/requirements$(if $(filter serve,$(IMAGE)),-serve).lock
	$(SECURITY_VENV)/bin/cyclonedx-py environment --pyproject container/pyproject.toml --output-reproducible \
	    --output-file build/sbom.json build/sbom
	$(PYTHON) local_test/sbom.py build/sbom build/sbom.json
	rm -r build/sbom

.PHONY: test check coverage
coverage: setup system ## Run the tests and measure which lines of the package they reach
	$(BIN)/pytest --cov --cov-report=term:skip-covered

test: setup system ## Set up and run the tests
	$(BIN)/pytest

.PHONY: test-container
test-container: setup ## Build both images, or IMAGE=serve or full, run them, push them to a local registry (docker, else podman)
	docker info > /dev/null 2>&1 || local_test/install_system_packages.sh podman runc mmdebstrap
	local_test/install_system_packages.sh docker-registry
	$(BIN)/pytest -m container --capture=no tests/container

check: lint types coverage ## The gate: format, lint, types, tests
