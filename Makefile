# `make sandbox` shows the product to someone with no AWS account; `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := requirements.txt requirements-dev.txt
# Processes that run tests side by side: more than cores, as tests wait most of the time.
WORKERS ?= 4

.PHONY: help machine sandbox sandbox-down env unit types unit-tests test changes matrix node-tests upgrade bench format stubs tools-archive docs

help:  ## what there is to make
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | sed 's/\$$\$$/$$/' | expand -t 18

machine:  ## does this machine have what the sandbox needs?
	@$(PYTHON) -m sandbox.machine

sandbox: machine $(VENV)/installed  ## everything from nothing: tools, sandbox, pulumi up, an image pushed and pulled
	@$(BIN)/python -m sandbox show

sandbox-down: $(VENV)/installed  ## pulumi destroy, then stop what the sandbox started
	@$(BIN)/python -m sandbox destroy
	@$(BIN)/python -m sandbox down

env: $(VENV)/installed  ## eval "$$(make -s env)": pulumi, kubectl, crane, aws, curl talk to the sandbox
	@$(BIN)/python -m sandbox env

unit: $(VENV)/installed  ## format, lint, types, unit tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(MAKE) --no-print-directory --jobs=2 --output-sync types unit-tests

types: $(VENV)/installed
	$(BIN)/pyright

unit-tests: $(VENV)/installed
	$(BIN)/pytest -m "not sandbox" --numprocesses=2

test: unit  ## all tests, the end-to-end ones on a sandbox of their own
	$(BIN)/python -m sandbox tools
	$(BIN)/pytest -m "sandbox and (short or not (changes or matrix))" --numprocesses=$(WORKERS)

changes: $(VENV)/installed  ## every change of a living stack, under a client that pulls all the time
	$(BIN)/python -m sandbox tools
	$(BIN)/pytest tests/end_to_end -m changes --numprocesses=2 --dist=worksteal

matrix: $(VENV)/installed  ## every kind of load balancer and of identity, from up to destroy, under clients that pull and push
	$(BIN)/python -m sandbox tools
	$(BIN)/pytest -m matrix --numprocesses=$(WORKERS) --dist=worksteal

node-tests: $(VENV)/installed  ## the node's tests as an ordinary user, also when root runs make
	$(BIN)/python -m sandbox tools
	$(BIN)/python -m tests.ordinary_user $(BIN)/pytest -p no:cacheprovider tests/sandbox/node

upgrade: $(VENV)/installed  ## make upgrade FROM=<commit or tag>: a stack of that commit comes along, under pulls and pushes
	@$(BIN)/python -m tests.upgrade --from "$(FROM)"

bench: $(VENV)/installed  ## what a login costs, as a ratio
	@$(BIN)/python -m bench.login

docs: $(VENV)/installed  ## docs/settings.md and the README's table of settings, from their models
	@$(BIN)/python -m docs.settings_reference

format: $(VENV)/installed  ## format the code, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The newest grpcio-tools whose protobuf Pulumi's SDK takes.
STUBS := sandbox/node/cri/stubs
stubs: $(VENV)/installed  ## the CRI's Python stubs, from the api.proto of the cluster's release
	$(BIN)/uv tool run --from grpcio-tools==1.81.1 python-grpc-tools-protoc --python_out=. --pyi_out=. --grpc_python_out=. \
		-I$(STUBS)=$$(cd sandbox/tools/engine && go list -m -f '{{.Dir}}' k8s.io/cri-api)/pkg/apis/runtime/v1 \
		$(STUBS)/api.proto

tools-archive: $(VENV)/installed  ## the built tools in a file, which SANDBOX_TOOLS=FILE takes in place of building them
	@$(BIN)/python -m sandbox tools-archive

# uv installs in seconds what takes pip minutes; its own pin is in requirements-dev.txt.
$(VENV)/installed: $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^uv==' requirements-dev.txt)
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(REQUIREMENTS:%=-r %)
	@touch $@
