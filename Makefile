# Backlot: see README.md. A bare verb checks; `make fix` writes.
SHELL := /bin/bash
PYTHON ?= python3
PIP := -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps
VENV := .venv/bin
MODELS := .build/models/bin/python
TORCH := torch==2.13.0
OPERATION ?= full-face-swap
STAGE ?= dev
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION = 1
export CDK_DISABLE_CLI_TELEMETRY = true

.PHONY: demo up stop test lint fix synth deploy models publish-model publish-gpu-model bench capacity destroy doctor lock clean setup

setup: .venv/ready .build/emulator/ready node_modules/ready .build/layers/ready

.venv/ready: requirements/dev.txt
	$(PYTHON) -m venv .venv
	$(VENV)/python $(PIP) -r requirements/dev.txt
	touch $@

.build/emulator/ready: requirements/emulator.txt
	mkdir -p .build
	$(PYTHON) -m venv .build/emulator
	.build/emulator/bin/python $(PIP) -r requirements/emulator.txt
	touch $@

# The models' own environment. torch has a build for each platform, so that no lock of hashes fits it; some need CUDA's libraries.
.build/models/ready: requirements/models.txt
	mkdir -p .build
	$(PYTHON) -m venv .build/models
	$(MODELS) $(PIP) -r requirements/models.txt
	$(MODELS) -m pip install --quiet --disable-pip-version-check $(TORCH)
	touch $@

node_modules/ready: package-lock.json
	npm ci --silent --no-audit --no-fund
	touch $@

.build/layers/ready: requirements/layer.txt cdk/packaging.py .venv/ready
	$(VENV)/python -m cdk.packaging
	touch $@

.build/bench/ready: requirements/bench.txt
	mkdir -p .build
	$(PYTHON) -m venv .build/bench
	.build/bench/bin/python $(PIP) -r requirements/bench.txt
	touch $@

demo: setup
	$(VENV)/python -m local demo --operation $(OPERATION) --route "$(ROUTE)"

up: setup
	$(VENV)/python -m local up

stop:
	@if [ -x $(VENV)/python ]; then $(VENV)/python -m local stop; else echo "nothing is installed, so nothing runs"; fi

test: setup lint .build/models/ready
	$(VENV)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder \
		tests/stack tests/contract tests/unit tests/serving tests/wire tests/comfyui
	$(MODELS) -m pytest tests/schp tests/flux tests/qwen_edit tests/segment

lint: setup
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy backlot lambdas cdk local bench sagemaker_models containers app.py

fix: setup
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

synth: setup
	node_modules/.bin/cdk synth --quiet --no-notices -c stage=$(STAGE) --output .build/cdk.out-$(STAGE)

deploy: setup
	node_modules/.bin/cdk bootstrap --no-notices -c stage=$(STAGE)
	node_modules/.bin/cdk deploy --all --no-notices -c stage=$(STAGE) --concurrency 3

models: .build/models/ready

publish-model: setup .build/models/ready
	$(VENV)/python -m cdk.publishing --model "$(MODEL)" --task "$(TASK)" --stage $(STAGE) --weights "$(WEIGHTS)"

publish-gpu-model: setup
	$(VENV)/python -m cdk.publishing.gpu_model --stage $(STAGE) --file "$(FILE)"

bench: setup .build/bench/ready .build/models/ready
	$(VENV)/python -m bench

# Before a deployment: what would go wrong, and what to do.
doctor: setup
	$(VENV)/python -m cdk.doctor --stage $(STAGE)

# Asks for the stage's name; scripts say YES=<stage>.
destroy: setup
	$(VENV)/python -m cdk.destroy --stage $(STAGE) --yes "$(YES)"

capacity: .build/bench/ready
	.build/bench/bin/python -m cdk.capacity $(STUDIES)

clean: stop
	rm -rf .venv .build .local node_modules

# Locks say which files, not where they come from: any index that has them will do.
LOCK := $(VENV)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate
# torch brings CUDA's libraries for one platform, that of the GPU lane's image.
LOCK_IMAGE := $(subst --universal --python-version 3.11,--python-platform x86_64-manylinux_2_28 --python-version 3.12,$(LOCK))
FROM_RUNTIME := boto3 botocore python-dateutil s3transfer six urllib3
lock: .venv/ready
	$(LOCK) pyproject.toml --group cdk --group local --group serving --group test --group lint -o requirements/dev.txt
	$(LOCK) --group serving -o requirements/serving.txt
	$(LOCK) --group bench -o requirements/bench.txt
	$(LOCK) pyproject.toml --group models --group serving --overrides requirements/without-torch.txt \
		-o requirements/models.txt
	$(LOCK_IMAGE) pyproject.toml --group worker -o requirements/worker.txt
	$(LOCK) --group emulator -o requirements/emulator.txt
	$(LOCK) pyproject.toml $(FROM_RUNTIME:%=--no-emit-package %) -o requirements/layer.txt
