# make demo    hands in a clip, through a real ROS 2 graph; results under out/
#              SOURCE=  a video file, a camera number, a folder of images or a bag
# make test    build, lint and all tests, in two processes; ARGS= are passed to pytest (in one: -n 0)
# make eval    scores of the shipped weights on labelled photos; PHOTOS= their folder
# make env     the virtual environment; PYTHON= TORCH= TORCH_INDEX= choose what goes in
# make build   messages and package into build/ and install/
# make lint | clean (build results) | distclean (the virtual environment, too)
#
# With a ROS distribution sourced (ROS_DISTRO is set) its rclpy and messages are used; otherwise
# ROS 2 comes as wheels from pip.
#
# The build copies hiu_ros/ beside the generated hiu_ros.msg in install/. The commands and tests
# below import the modules of the work tree (environment/setup.bash puts it first) and hiu_ros.msg
# from install/ (hiu_ros/__init__.py joins the two); a test checks that the copy is the same.

SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := build
.PHONY: again env build demo test lint eval clean distclean

VENV := .venv
FLAVOUR := $(or $(ROS_DISTRO),wheels)
ENV_READY := $(VENV)/.ready-$(FLAVOUR)
BUILD_READY := build/.ready-$(FLAVOUR)
IN_ENV := source environment/setup.bash &&

PHOTOS ?= ../shared/data/real
export PHOTOS PYTHON TORCH TORCH_INDEX SOURCE

SOURCES := $(shell find hiu_ros msg srv launch config scripts -type f \
	-not -name '*.pyc' -not -name '.*') CMakeLists.txt package.xml LICENSE

env: $(ENV_READY)
build: $(BUILD_READY)

# An environment that was moved with its folder, or lost its Python, does not run: made anew.
RUNS := $(shell . $(VENV)/bin/activate 2>/dev/null && \
	[ "$$VIRTUAL_ENV" -ef $(VENV) ] && [ -x $(VENV)/bin/python ] && echo yes)

# `make env` with a choice looks whether it is what is there.
CHOICE := $(if $(filter env,$(MAKECMDGOALS)),$(PYTHON)$(TORCH)$(TORCH_INDEX))

# The stamps are written last: what was interrupted has none and is taken up again.
$(ENV_READY): $(if $(CHOICE),again,$(if $(RUNS),,again)) requirements.txt $(wildcard environment/*.txt environment/*.py) environment/prepare.bash
	@rm -f $(VENV)/.ready-*
	@bash environment/prepare.bash $(VENV)
	@touch $@

$(BUILD_READY): $(ENV_READY) environment/build.bash $(SOURCES)
	@rm -f build/.ready-*
	@bash environment/build.bash $(VENV)
	@touch $@

demo: build
	@$(IN_ENV) python -m hiu_ros.ros.demo $(if $(SOURCE),--source "$$SOURCE") $(ARGS)

test: lint build
	@$(IN_ENV) OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadscope $(ARGS)

lint: env
	@$(IN_ENV) ruff check .

eval: build
	@$(IN_ENV) hiu evaluate --dataset photos --photos "$$PHOTOS" --masks $(ARGS)

clean:
	rm -rf build install log

distclean: clean
	rm -rf $(VENV)
