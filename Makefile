# SPDX-License-Identifier: BSD-3-Clause
#
# A thin front of Meson: each target sets up what it needs by itself, and only
# that. "make help" lists them.

PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?=

BUILD := build
NINJA = ninja -C $(BUILD) $(if $(JOBS),-j$(JOBS))

.PHONY: all demo demo-vm check fuzz soak bench install clean help setup configure

all: configure
	@$(NINJA)

setup:
	@scripts/setup build

configure: setup
	@test -f $(BUILD)/build.ninja || { \
	  rm -rf $(BUILD)/meson-private $(BUILD)/meson-info && \
	  meson setup $(BUILD) -Dbuildtype=release -Dwerror=false -Dprefix='$(PREFIX)'; }

demo: all
	@$(BUILD)/tools/vhu demo

demo-vm: all
	@scripts/demo-vm

check:
	@scripts/setup build
	@scripts/setup --try check
	@scripts/check $(SUITES)

fuzz:
	@scripts/setup build check
	@scripts/fuzz --seconds $(or $(T),600)

soak:
	@scripts/setup build check
	@scripts/soak --seconds $(or $(T),3600)

bench: all
	@scripts/setup --try bench
	@meson configure $(BUILD) -Dbenchmarks=true
	@$(NINJA)
	@scripts/bench

install: configure
	@meson configure $(BUILD) -Dprefix='$(PREFIX)'
	@$(NINJA)
	@meson install -C $(BUILD) --no-rebuild --quiet $(if $(DESTDIR),--destdir '$(DESTDIR)')

clean:
	rm -rf $(BUILD)

help:
	@echo 'make           set up and build into build/ (release)'
	@echo 'make demo      a disk driven through the device IOTLB on this machine, no VM, no root'
	@echo 'make demo-vm   a Linux guest whose disk is behind a vIOMMU (fetches QEMU and a kernel)'
	@echo 'make check     every test and rule; SUITES="layers gcc" runs some, scripts/check --list'
	@echo 'make fuzz      each fuzz target for T=600 seconds, as many at a time as there are CPUs'
	@echo 'make soak      a back-end at random work for T=3600 seconds, every byte of it judged'
	@echo 'make bench     every bench program; figures in build/bench/results.jsonl'
	@echo 'make install   library, headers, programs, man pages; PREFIX=/usr/local DESTDIR='
	@echo 'make clean     remove build/'
	@echo
	@echo 'CC=clang chooses the compiler of a fresh build/, JOBS=2 limits parallel jobs.'
