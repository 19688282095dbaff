"""An asyncio client for Upvest's Portfolios Rebalancing API."""

from upvest_rebalancing._version import __version__

__all__ = ["__version__"]
