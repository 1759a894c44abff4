"""`mi-bsa` with FSDP on the CPU, for tests: accelerate shards on accelerators only, so it is told to here.

Everything else is the real thing: accelerate reads configs/accelerate/fsdp.yaml, its own code shards the
model over gloo ranks, the Trainer trains it and saves sharded states.
"""

import sys

from accelerate import state
from accelerate.utils import DistributedType

plain = state.AcceleratorState.__init__


def shard(self, *args, fsdp_plugin=None, **keys):
    """As accelerate's own, and a plugin is kept on CPU ranks too."""
    plain(self, *args, fsdp_plugin=fsdp_plugin, **keys)
    if fsdp_plugin is not None and self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin


if __name__ == "__main__":
    state.AcceleratorState.__init__ = shard
    from mi_bsa.cli.command import main

    main(sys.argv[1:])
