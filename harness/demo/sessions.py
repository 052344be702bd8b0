"""What each open page looks at. Nothing of it is kept once the page is closed."""
from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from harness.demo.look import Look


class Sessions:
    """The last look of each page, of so many pages at most: the one that has waited longest is forgotten.

    Args:
        most: how many pages are remembered.
    """

    def __init__(self, most: int = 16) -> None:
        self.most = most
        self._looks: OrderedDict[str, Look] = OrderedDict()
        self._lock = Lock()

    def get(self, page: str) -> Look | None:
        """The last look of a page; ``None`` for one that is new or forgotten."""
        with self._lock:
            return self._looks.get(page)

    def put(self, page: str, look: Look) -> None:
        with self._lock:
            self._looks[page] = look
            self._looks.move_to_end(page)
            while len(self._looks) > self.most:
                self._looks.popitem(last=False)

    def drop(self, page: str) -> None:
        """Forget a page that was closed."""
        with self._lock:
            self._looks.pop(page, None)

    def __len__(self) -> int:
        return len(self._looks)
