# SPDX-License-Identifier: BSD-3-Clause
"""What demo-vm, the VM tests and scripts/vm/run share: a back-end, a VM, a verdict."""
