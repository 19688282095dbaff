"""Find out how fast a client may send, and say when its next request may go.

Pure: the time is an argument, in seconds on a clock that never goes back.

Four things work together, from the fastest to the slowest:

- An even **pace**. The generic cell rate algorithm (GCRA, ITU-T I.371, annex A) spaces requests
  out, and lets late ones catch up.
- A **window**. Where the limit is known, the requests of the last second are counted, so that those
  which catch up never make it more than the limit.
- A **hold**. After a refusal (429, or 503) nobody goes for a moment. Where the next request is
  refused as well the hold grows, exponentially, and requests go one by one until one passes: that
  finds the end of a server's window at the price of a few requests. ``Retry-After`` (RFC 9110,
  section 10.2.3) is a floor under it.
- A **rate**. A refusal takes it a little below what the server accepted in the last second, once
  per second at the most. From there it follows the curve of CUBIC (RFC 9438): quickly back to where
  the limit was met, slowly past it, then faster and faster. Clients that share a limit and know
  nothing of each other come to equal shares as flows of TCP do: by multiplicative decrease (RFC
  5681) and fast convergence (RFC 9438, section 4.7).

While no limit is known and nothing is refused, nothing is held back.
"""

from upvest_rebalancing.protocol.pacing.controller import REFUSALS, Pacing, Reservation
from upvest_rebalancing.protocol.pacing.policy import PacingPolicy

__all__ = ["REFUSALS", "Pacing", "PacingPolicy", "Reservation"]
