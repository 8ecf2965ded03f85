"""Starts, connects, recovers and stops the parts of one process.

- `close_again`: closes rooms again that the tracker forgot
- `coordinator`: lease renewals and recovery over Redis
- `lease_renewal`: renews and releases the lease
- `lifecycle`: starts, connects and stops the parts
- `outage`: waits for the end of an outage of Redis
- `processes`: the processes of the deployment
- `resync`: sends `beam_gap` and fresh presence states
- `waiting`: waits for an event, for a limited time
"""

from rooms.runtime.lifecycle import Runtime, runtime
from rooms.runtime.processes import processes

__all__ = ["Runtime", "processes", "runtime"]
