"""A memory of nonces, as long as the signatures that carried them could be replayed."""

import heapq


class NonceMemory:
    """Remember nonces per key until they expire.

    A nonce of an expired signature needs no memory: the signature is refused for its age. So the
    memory is bounded by the requests of one signature's lifetime.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._expiries: list[tuple[float, tuple[str, str]]] = []

    def __len__(self) -> int:
        return len(self._seen)

    def use(self, key_id: str, nonce: str, *, expires: float, now: float) -> bool:
        """Note a nonce, and tell whether it is a fresh one.

        Args:
            key_id: The key that signed.
            nonce: The signature's nonce.
            expires: Until when the signature is good, in Unix seconds.
            now: The time in Unix seconds.
        """
        while self._expiries and self._expiries[0][0] < now:
            self._seen.discard(heapq.heappop(self._expiries)[1])
        entry = (key_id, nonce)
        if entry in self._seen:
            return False
        self._seen.add(entry)
        heapq.heappush(self._expiries, (expires, entry))
        return True
