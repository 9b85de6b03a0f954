# Two commands on a fresh Debian 12, Debian 13 or Ubuntu 24.04: `make run` and `make test`. `make help` says the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
export PATH := $(PATH):$(HOME)/.cargo/bin
export TIMEFORMAT := — that took %0lR

companion := host/companion
companion_sources = $(shell find $(companion) \( -name node_modules -o -name dist -o -name e2e -o -name 'test-results*' \) -prune -o -type f -print)
binaries := $(or $(CARGO_TARGET_DIR),target)/debug
cargo_flags := $(if $(CI),--locked)

# The browser of the tests: Debian's, or Chrome, or the one that Playwright fetches where the distribution has only a snap.
CHROMIUM ?= $(shell ls -d /usr/bin/chromium /usr/bin/google-chrome "$$HOME"/.cache/ms-playwright/chromium-*/chrome-linux*/chrome 2>/dev/null | head -n 1)
export CHROMIUM

.PHONY: help run test bench vm-test vm-capture vm-drivers vm-faults vm-torture deps deps-run deps-test companion build build-tests test-companion test-kernels test-rust test-browser browser
.PHONY: image bundle image-test image-torture deps-image

help:
	@echo 'make run       a whole box on this PC with test sources: installs what is missing, builds, runs (options for it: ARGS="--http-port 8080")'
	@echo 'make test      installs what is missing, then every test: companion, Rust, browser, and real capture in a virtual machine'
	@echo 'make vm-test   only the last of these, in a virtual machine, two at a time; each part alone:'
	@echo 'make vm-capture              a V4L2 camera and an ALSA microphone'
	@echo 'make vm-faults               they fail, three times in each way'
	@echo 'make vm-drivers              a V4L2 encoder, a card'"'"'s mixer and a screen'
	@echo 'make bench     what the box costs and how fast it is on this machine'
	@echo 'make image BOARD=qemu-x86    a flashable image of a board of board/profiles; make bundle BOARD=… also its signed update'
	@echo 'make image-test              starts, updates and power cuts of the virtual PC'"'"'s image (a quarter of an hour)'
	@echo 'make vm-torture              the long forms: 20 pulled cables, clocks that drift for half an hour, 50 power cuts (hours)'
	@echo 'make deps      only installs what all these need'

run: deps-run build
	$(binaries)/dais dev $(ARGS)

test: deps-test test-companion test-kernels test-rust test-browser vm-test

bench: deps-run $(companion)/dist
	cargo build $(cargo_flags) --release -p daisd
	cargo bench $(cargo_flags) -p gstdais -p dais --benches

vm-test: deps-test build-tests
	time board/vm/all $(binaries)

vm-capture: deps-test build-tests
	time board/vm/test $(binaries)

vm-drivers: deps-test build-tests
	time board/vm/drivers $(binaries)

vm-faults: deps-test build-tests
	time board/vm/faults $(binaries)

# Hours of it, emulated.
vm-torture: deps-test build-tests image-torture
	time board/vm/faults $(binaries) 20 300 1800
	time board/vm/faults $(binaries) 20 -300 1800

# Images of boards, board/README.md. BOARD is a file of board/profiles.
BOARD ?= qemu-x86
image: deps-image $(companion)/dist
	board/image/daisd $(BOARD) | { read -r folder && time board/image/build $(BOARD) "$$folder"; }

bundle: image
	board/image/bundle $(BOARD)

image-test: deps-test deps-image build-tests
	time board/image/test --short $(binaries)

image-torture: deps-test deps-image build-tests
	time board/image/test --cuts 50 $(binaries)

deps: deps-test

deps-run deps-test deps-image: deps-%:
	@board/deps $* $(if $(filter image,$*),$(BOARD))

companion: $(companion)/dist

build: $(companion)/dist
	time cargo build $(cargo_flags) --workspace --bins

# The box and the tests in one go: tests ask more of some libraries, and with those apart most of the box would be compiled twice.
build-tests: $(companion)/dist
	time cargo build $(cargo_flags) --workspace --bins --tests

test-companion: $(companion)/dist
	cd $(companion) && time npm run check && time npm test

# The kernels of sound and picture once more, with the checks that the workspace leaves out of them (Cargo.toml); it says which
# rungs this machine could compare. Those for arm64: gst-plugins/kernels/arm64-test.
test-kernels: deps-run
	export CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/kernels"; \
	time cargo test $(cargo_flags) --manifest-path gst-plugins/kernels/Cargo.toml --lib -- --show-output

# What failed is said once more at the end, where one looks.
test-rust: build-tests browser
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	time cargo test $(cargo_flags) --workspace --no-fail-fast 2>&1 | tee "$$log" || { \
		echo 'What failed:'; sed -n '/^failures:$$/,/^test result: /p' "$$log"; exit 1; }

test-browser: build-tests browser
	cd $(companion) && time npm run e2e

browser: $(companion)/node_modules | deps-test
	@[ -n "$(CHROMIUM)" ] || (cd $(companion) && time npx playwright-core install chromium)

# The page that daisd carries: packages are fetched when the lock file changed, the page is built when its sources did.
$(companion)/node_modules: $(companion)/package-lock.json | deps-run
	cd $(companion) && time npm ci
	@touch $@

$(companion)/dist: $(companion)/node_modules $(companion_sources) | deps-run
	cd $(companion) && time npm run build
	@touch $@
